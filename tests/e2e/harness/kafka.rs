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

use super::{TestFolder, eventually, free_port};

const KAFKA_VERSION: &str = "3.9.1";

/// A broker process; killed on drop.
pub struct Broker {
    child: Child,
    pub port: u16,
    libs: PathBuf,
    folder: TestFolder,
}

impl Broker {
    /// Starts a broker, or says why none can be had.
    pub fn start() -> Result<Broker, String> {
        let libs = libs()?;
        let folder = TestFolder::new("kafka");
        let (port, controller) = (free_port(), free_port());
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\noffsets.topic.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n\
             message.max.bytes=16777216\nreplica.fetch.max.bytes=16777216\nauto.create.topics.enable=false\n\
             log.segment.bytes=268435456\n",
            folder.0.join("logs").display()
        );
        std::fs::write(folder.0.join("server.properties"), properties)
            .map_err(|e| e.to_string())?;
        let format = java(&libs, &folder.0)
            .args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"])
            .arg(folder.0.join("server.properties"))
            .output()
            .map_err(|e| format!("java cannot be run: {e}"))?;
        if !format.status.success() {
            return Err(format!("storage format: {}", String::from_utf8_lossy(&format.stderr)));
        }
        let child = spawn(&libs, &folder.0);
        let broker = Broker { child, port, libs, folder };
        broker.wait_ready();
        Ok(broker)
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
