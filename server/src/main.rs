//! The `pumphouse` binary: `server`, `client`, `local`, `demo`, and what a packager wants of it (man page, shell
//! completion).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pumphouse_server::allocator::Recycling;
use pumphouse_server::client::{self, ClientOptions, FreeFlags};
use pumphouse_server::config::Config;
use pumphouse_server::demo::{self, DemoOptions};
use pumphouse_server::local::{self, LocalOptions};
use pumphouse_server::run;

#[global_allocator]
static ALLOCATOR: Recycling = Recycling;

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
    /// Run statements on files, or on a data directory that no server has open, without a server.
    Local(LocalOptions),
    /// See it work: an embedded broker, a producer of web events, two pipelines and a live page.
    Demo(DemoOptions),
    /// Print the completion script of a shell.
    Completion { shell: clap_complete::Shell },
    /// Print the manual page (roff): `pumphouse man | man -l -`.
    Man,
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
    /// Port of the native protocol; 0 turns it off [default: 9000].
    #[arg(long, value_name = "PORT")]
    tcp_port: Option<u16>,
    /// What to log: error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// System logs to keep as tables: all, none, or names with commas between them [default: all].
    #[arg(long, value_name = "NAMES")]
    system_logs: Option<String>,
    /// Folder that file() and the engine File read and write [default: user_files in the data directory].
    #[arg(long, value_name = "DIR")]
    user_files_path: Option<PathBuf>,
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
            ("system_logs", self.system_logs.clone()),
            ("user_files_path", self.user_files_path.as_ref().map(|d| d.display().to_string())),
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
    let (free, arguments) = free_flags(std::env::args().collect());
    let parsed = Arguments::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed.unwrap_or_else(|e| e.exit()).command {
        Command::Server(arguments) => match arguments.config() {
            Ok(config) => run::server(config),
            Err(e) => {
                eprintln!("pumphouse: {e}");
                ExitCode::from(2)
            }
        },
        Command::Client(options) => client::run(&ClientOptions { free, ..options }),
        Command::Local(options) => local::run(LocalOptions { free, ..options }),
        Command::Demo(options) => demo::run(&options),
        Command::Completion { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "pumphouse", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Man => manual(),
    }
}

/// Of `client` and `local`, every setting and query parameter is a flag.
fn free_flags(arguments: Vec<String>) -> (FreeFlags, Vec<String>) {
    let command = Arguments::command();
    let chosen = arguments.get(1).filter(|name| matches!(name.as_str(), "client" | "local"));
    let Some(chosen) = chosen.and_then(|name| command.find_subcommand(name)) else {
        return (FreeFlags::default(), arguments);
    };
    let declared = |name: &str| {
        chosen.get_arguments().any(|argument| {
            let names = argument.get_long_and_visible_aliases().unwrap_or_default();
            names.contains(&name) || argument.get_all_aliases().unwrap_or_default().contains(&name)
        })
    };
    FreeFlags::take(arguments, declared)
}

/// The manual page of the command, then of each of its subcommands.
fn manual() -> ExitCode {
    let mut command = Arguments::command();
    command.build();
    let mut page = vec![];
    let all = std::iter::once(&command)
        .chain(command.get_subcommands().filter(|c| c.get_name() != "help"));
    for one in all {
        if let Err(e) = clap_mangen::Man::new(one.clone()).render(&mut page) {
            eprintln!("pumphouse: {e}");
            return ExitCode::FAILURE;
        }
    }
    match std::io::Write::write_all(&mut std::io::stdout(), &page) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
