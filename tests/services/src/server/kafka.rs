//! Apache Kafka: one broker that is its own controller.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, Server, create_dir, write};
use crate::ask::ask;
use crate::cache::Cache;
use crate::process::{run, run_long};

#[derive(Debug)]
pub(crate) struct Kafka;

const VERSION: &str = "4.1.1";
/// 22 letters, as all such ids have. One id for all: they never meet.
const CLUSTER_ID: &str = "gosight-services-tests";
const HEAP: &str = "-Xmx512m";
/// Downloads the broker with all that it needs. The binding lets its log reach log4j.
const POM: &str = include_str!("kafka-pom.xml");
const LOGGING: &str = include_str!("kafka-log4j2.xml");

impl Server for Kafka {
    fn install(&self, cache: &Cache) -> anyhow::Result<()> {
        cache.install(&tool(), |dir| {
            write(&dir.join("pom.xml"), POM)?;
            write(&dir.join("log4j2.xml"), LOGGING)?;
            let mut maven = Command::new("mvn");
            maven.args(["--batch-mode", "--no-transfer-progress", "dependency:copy-dependencies"]);
            maven.arg("-DoutputDirectory=lib").current_dir(dir);
            run_long("kafka: downloading the broker with Maven", &mut maven, &cache.tool("kafka.log"))
        })
    }

    fn prepare(&self, cache: &Cache, place: &Place) -> anyhow::Result<()> {
        create_dir(&place.dir)?;
        write(&properties_file(place), &properties(place))?;
        if place.data().join("meta.properties").exists() {
            return Ok(());
        }
        let mut format = java(cache, place);
        format.args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"]);
        format.arg(properties_file(place));
        for (key, value) in settings(place, Of::Formatter) {
            format.args([key, value]);
        }
        run(&mut format, &place.log())
    }

    fn command(&self, cache: &Cache, place: &Place) -> anyhow::Result<Command> {
        let mut command = java(cache, place);
        command.arg("kafka.Kafka").arg(properties_file(place));
        Ok(command)
    }

    fn answers(&self, address: SocketAddr) -> bool {
        brokers(address) > 0
    }

    fn private_settings(&self) -> &'static [(&'static str, &'static str)] {
        // After a kill, the controller lets the broker in again only when its last session is over: 9 s usually.
        &[("broker.session.timeout.ms", "3000"), ("broker.heartbeat.interval.ms", "500")]
    }

    fn version(&self, cache: &Cache) -> anyhow::Result<String> {
        anyhow::ensure!(cache.tool(&tool()).exists(), "not installed");
        Ok(VERSION.to_owned())
    }
}

fn tool() -> String {
    format!("kafka-{VERSION}")
}

fn java(cache: &Cache, place: &Place) -> Command {
    let tool = cache.tool(&tool());
    let mut command = Command::new("java");
    command.arg(HEAP).args(settings(place, Of::Jvm).map(|(key, value)| format!("{key}{value}")));
    command.arg("-cp").arg(tool.join("lib/*"));
    command.arg(option("-Dlog4j2.configurationFile=", &tool.join("log4j2.xml")));
    command.current_dir(&place.dir);
    command
}

/// Whose setting it is.
#[derive(PartialEq)]
enum Of {
    Broker,
    Formatter,
    Jvm,
}

fn settings(place: &Place, of: Of) -> impl Iterator<Item = (&str, &str)> {
    let whose = |key: &str| match key {
        _ if key.starts_with("--") => Of::Formatter,
        _ if key.starts_with('-') => Of::Jvm,
        _ => Of::Broker,
    };
    let all = place.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    all.filter(move |(key, _)| whose(key) == of)
}

fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push(path);
    option
}

fn properties_file(place: &Place) -> PathBuf {
    place.dir.join("server.properties")
}

/// Clients that come through a proxy use a listener of their own, which names the proxy's port as the broker's.
fn properties(place: &Place) -> String {
    let [controller, behind_proxy] = place.more_ports;
    let port = place.port;
    let proxy = place.proxy_port;
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},PROXY://127.0.0.1:{behind_proxy},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXY://127.0.0.1:{proxy}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXY:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
",
        place.data().display()
    );
    for (key, value) in settings(place, Of::Broker) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}={value}");
    }
    text
}

/// A request for metadata, version 4: no client id, no topics, and none created.
fn metadata_request() -> Vec<u8> {
    let api_and_version = [0, 3, 0, 4];
    let (correlation, client_id, topics, create) = ([0, 0, 0, 1], [0xff, 0xff], [0, 0, 0, 0], [0]);
    let body = [&api_and_version[..], &correlation, &client_id, &topics, &create].concat();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

/// How many brokers the one on this address knows. One that still starts is not among them.
pub(crate) fn brokers(address: SocketAddr) -> u32 {
    // The answer's length, correlation, throttling and number of brokers.
    let answer = ask(address, &metadata_request(), 16).unwrap_or_default();
    answer.get(12..16).and_then(|count| count.try_into().ok()).map_or(0, u32::from_be_bytes)
}
