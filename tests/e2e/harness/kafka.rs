//! A real Apache Kafka broker (KRaft, one node) from Maven's jars, on loopback. Fetched once into the
//! build directory; `PUMPHOUSE_KAFKA_LIBS` names a folder that has the jars already.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{TestFolder, eventually, free_port, signal};

const KAFKA_VERSION: &str = "3.9.1";

/// Of the broker's log, shown where a test fails.
const LINES_OF_LOG: usize = 30;

/// A broker process; killed on drop.
pub struct Broker {
    child: Child,
    pub port: u16,
    /// Of the listener with SSL and SASL; 0: there is none.
    pub secure_port: u16,
    /// Of the listener behind a proxy; 0: there is none.
    pub inner_port: u16,
    libs: PathBuf,
    folder: TestFolder,
}

impl Broker {
    /// Starts a broker, or says why none can be had.
    pub fn start() -> Result<Broker, String> {
        Broker::start_with(false, None)
    }

    /// One that clients reach by way of `proxy`, a port that passes on to [`Broker::inner_port`]; the
    /// usual address goes past it.
    pub fn start_behind(proxy: u16) -> Result<Broker, String> {
        Broker::start_with(false, Some(proxy))
    }

    /// One that also listens with SSL and SASL: user `alice`, password [`PASSWORD`], by SCRAM and PLAIN; its
    /// certificate is [`Broker::certificate`].
    pub fn start_secure() -> Result<Broker, String> {
        Broker::start_with(true, None)
    }

    fn start_with(secure: bool, proxy: Option<u16>) -> Result<Broker, String> {
        let libs = libs()?;
        let folder = TestFolder::new("kafka");
        let (port, controller) = (free_port(), free_port());
        let secure_port = if secure { free_port() } else { 0 };
        let (listener, advertised) = match secure {
            true => (
                format!(",SASL_SSL://127.0.0.1:{secure_port}"),
                format!(",SASL_SSL://127.0.0.1:{secure_port}"),
            ),
            false => Default::default(),
        };
        let inner_port = if proxy.is_some() { free_port() } else { 0 };
        let (listener, advertised) = match proxy {
            Some(proxy) => (
                format!("{listener},PROXIED://127.0.0.1:{inner_port}"),
                format!("{advertised},PROXIED://127.0.0.1:{proxy}"),
            ),
            None => (listener, advertised),
        };
        let mut properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listener}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SASL_SSL:SASL_SSL\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\noffsets.topic.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n\
             message.max.bytes=16777216\nreplica.fetch.max.bytes=16777216\nauto.create.topics.enable=false\n\
             log.segment.bytes=268435456\n",
            folder.0.join("logs").display()
        );
        let mut format = java(&libs, &folder.0);
        format.args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]);
        format.arg(folder.0.join("server.properties"));
        if secure {
            make_certificate(&folder.0)?;
            properties.push_str(&secure_properties(&folder.0));
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                format.arg("--add-scram");
                format.arg(format!("{mechanism}=[name=alice,password={PASSWORD}]"));
            }
        }
        std::fs::write(folder.0.join("server.properties"), properties)
            .map_err(|e| e.to_string())?;
        let format = format.output().map_err(|e| format!("java cannot be run: {e}"))?;
        if !format.status.success() {
            return Err(format!("storage format: {}", String::from_utf8_lossy(&format.stderr)));
        }
        let child = spawn(&libs, &folder.0);
        let broker = Broker { child, port, secure_port, inner_port, libs, folder };
        broker.wait_ready();
        Ok(broker)
    }

    /// The certificate to trust, as a PEM file.
    pub fn certificate(&self) -> PathBuf {
        self.folder.0.join("certificate.pem")
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn wait_ready(&self) {
        eventually("the broker answers", Duration::from_secs(90), || {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", self.address())
                .set("log_level", "0")
                .create()
                .ok()?;
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(2)).ok()?;
            (!metadata.brokers().is_empty()).then_some(())
        });
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .create()
            .expect("an admin client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let created = runtime
            .block_on(admin.create_topics(&[topic], &AdminOptions::new()))
            .expect("topics are created");
        for result in created {
            result.unwrap_or_else(|(name, e)| panic!("topic {name}: {e}"));
        }
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn freeze(&self) {
        signal(self.child.id(), "-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        signal(self.child.id(), "-CONT");
    }

    /// SIGKILL and start again on the same files.
    pub fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = spawn(&self.libs, &self.folder.0);
        self.wait_ready();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the broker, {:?}, said at last:", self.child.try_wait());
            let log = std::fs::read_to_string(self.folder.0.join("broker.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(LINES_OF_LOG)..] {
                eprintln!("  {line}");
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of the user `alice`.
pub const PASSWORD: &str = "open-sesame-4711";

/// A key for 127.0.0.1 and its certificate, as the broker and as clients want it.
fn make_certificate(folder: &Path) -> Result<(), String> {
    let keytool = |arguments: &[&str]| {
        let made = Command::new("keytool")
            .args(arguments)
            .args(["-keystore", "broker.p12", "-storetype", "PKCS12", "-storepass", "changeit"])
            .args(["-alias", "broker"])
            .current_dir(folder)
            .output()
            .map_err(|e| format!("keytool cannot be run: {e}"))?;
        match made.status.success() {
            true => Ok(()),
            false => Err(format!("keytool: {}", String::from_utf8_lossy(&made.stdout))),
        }
    };
    let name = ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-validity", "30"];
    keytool(&[&["-genkeypair", "-keyalg", "RSA", "-keysize", "2048"][..], &name].concat())?;
    keytool(&["-exportcert", "-rfc", "-file", "certificate.pem"])
}

fn secure_properties(folder: &Path) -> String {
    let security = "org.apache.kafka.common.security";
    let scram = format!("{security}.scram.ScramLoginModule required;");
    format!(
        "ssl.keystore.location={}\nssl.keystore.type=PKCS12\nssl.keystore.password=changeit\n\
         ssl.key.password=changeit\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
         listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={scram}\n\
         listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram}\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config={security}.plain.PlainLoginModule required \
         user_alice=\"{PASSWORD}\";\n\
         listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=\
         {security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"alice\";\n\
         listener.name.sasl_ssl.oauthbearer.sasl.server.callback.handler.class=\
         {security}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler\n",
        folder.join("broker.p12").display()
    )
}

fn java(libs: &Path, folder: &Path) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx768m", "-Xms256m", "-XX:+UseSerialGC", "-cp"])
        .arg(format!("{}/*", libs.display()))
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn spawn(libs: &Path, folder: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("broker.log"))
        .expect("broker log");
    java(libs, folder)
        .arg("kafka.Kafka")
        .arg(folder.join("server.properties"))
        .stdout(log.try_clone().expect("log handle"))
        .stderr(log)
        .spawn()
        .expect("java starts")
}

/// The folder with Kafka's jars, fetched at most once a run.
fn libs() -> Result<PathBuf, String> {
    static LIBS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    LIBS.get_or_init(find_or_fetch).clone()
}

fn find_or_fetch() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("PUMPHOUSE_KAFKA_LIBS") {
        return Ok(folder.into());
    }
    Command::new("java")
        .arg("-version")
        .output()
        .map_err(|_| "no java on this machine".to_string())?;
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{KAFKA_VERSION}"));
    let libs = home.join("libs");
    if home.join("complete").exists() {
        return Ok(libs);
    }
    std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    let pom = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>pumphouse</groupId><artifactId>kafka</artifactId><version>1</version><dependencies><dependency>\
         <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>\
         </dependency></dependencies></project>"
    );
    std::fs::write(home.join("pom.xml"), pom).map_err(|e| e.to_string())?;
    let fetched = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"])
        .current_dir(&home)
        .output()
        .map_err(|_| "no mvn on this machine to fetch Apache Kafka with".to_string())?;
    if !fetched.status.success() {
        return Err(format!(
            "mvn could not fetch Apache Kafka: {}",
            String::from_utf8_lossy(&fetched.stdout)
        ));
    }
    std::fs::write(home.join("complete"), "").map_err(|e| e.to_string())?;
    Ok(libs)
}
