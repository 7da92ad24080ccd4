//! The `pumphouse` binary: `server`, `client`, `demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pumphouse_server::client::{self, ClientOptions};
use pumphouse_server::config::Config;
use pumphouse_server::demo::{self, DemoOptions};
use pumphouse_server::run;

/// A real-time analytics store in one binary: Kafka in, SQL out.
#[derive(Parser)]
#[command(name = "pumphouse", version, about, subcommand_required = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    Server(ServerArguments),
    /// Talk to a server: interactively, with --query, or with statements on standard input.
    Client(ClientOptions),
    /// See it work: an embedded broker, a producer of web events, two pipelines and a live page.
    Demo(DemoOptions),
}

#[derive(clap::Args)]
struct ServerArguments {
    /// Configuration file (TOML); every flag below is also a key in it.
    #[arg(long, value_name = "FILE", env = "PUMPHOUSE_CONFIG")]
    config: Option<PathBuf>,
    /// Where everything is kept [default: ./pumphouse-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address to listen on; anything but loopback needs a password [default: 127.0.0.1].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Port of the HTTP interface; 0 picks a free one [default: 8123].
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// Port of the native protocol (not served yet) [default: 9000].
    #[arg(long, value_name = "PORT")]
    tcp_port: Option<u16>,
    /// What to log: error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl ServerArguments {
    fn config(&self) -> Result<Config, pumphouse_server::config::ConfigError> {
        let mut config = Config::load(self.config.as_deref(), |name| std::env::var(name).ok())?;
        let flags = [
            ("data_dir", self.data_dir.as_ref().map(|d| d.display().to_string())),
            ("listen", self.listen.clone()),
            ("http_port", self.http_port.map(|p| p.to_string())),
            ("tcp_port", self.tcp_port.map(|p| p.to_string())),
            ("log_level", self.log_level.clone()),
        ];
        for (key, value) in flags {
            if let Some(value) = value {
                config.set(key, &value, &format!("flag --{}", key.replace('_', "-")))?;
            }
        }
        config.check()?;
        Ok(config)
    }
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Server(arguments) => match arguments.config() {
            Ok(config) => run::server(config),
            Err(e) => {
                eprintln!("pumphouse: {e}");
                ExitCode::from(2)
            }
        },
        Command::Client(options) => client::run(&options),
        Command::Demo(options) => demo::run(&options),
    }
}
