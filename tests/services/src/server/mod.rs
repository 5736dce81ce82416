//! How each kind of server is installed and started.

mod clickhouse;
pub(crate) mod kafka;
mod postgres;
mod redis;
mod s3;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use rustix::process::{Signal, geteuid};

use crate::cache::Cache;
use crate::process::run;
use crate::{Service, say};

/// Where one server has its port and its files.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The port that clients use.
    pub port: u16,
    /// Further ports that nobody else uses.
    pub more_ports: [u16; 2],
    /// The port of a proxy before it, for a server that tells its clients where to go.
    pub proxy_port: u16,
    /// The folder of everything that it writes.
    pub dir: PathBuf,
    /// Settings beside the usual ones, in the server's own words.
    pub settings: Vec<(String, String)>,
}

impl Place {
    /// Its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What it prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// The process that runs.
    pub(crate) fn process_file(&self) -> PathBuf {
        self.dir.join("process")
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

/// One kind of server.
pub(crate) trait Server: Sync {
    /// Installs what is missing, and does nothing when nothing is.
    fn install(&self, cache: &Cache) -> anyhow::Result<()>;

    /// Makes the data folder and the configuration. Data that is there stays as it is.
    fn prepare(&self, cache: &Cache, place: &Place) -> anyhow::Result<()>;

    /// The command that runs in the foreground until it is stopped.
    fn command(&self, cache: &Cache, place: &Place) -> anyhow::Result<Command>;

    /// Whether it answers a request of its protocol.
    fn answers(&self, address: SocketAddr) -> bool;

    /// The version that is installed.
    fn version(&self, cache: &Cache) -> anyhow::Result<String>;

    /// Asks it to end in good order without waiting for its clients.
    fn stop_signal(&self) -> Signal {
        Signal::TERM
    }

    /// Ends one whose data nobody needs.
    fn discard_signal(&self) -> Signal {
        Signal::KILL
    }

    /// Settings of a private one. It has to keep what it has acknowledged when it is killed.
    fn private_settings(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The folder of the shared one.
    fn shared_dir(&self, usual: PathBuf) -> anyhow::Result<PathBuf> {
        Ok(usual)
    }
}

/// How to run this kind of server.
pub(crate) fn of(service: Service) -> &'static dyn Server {
    match service {
        Service::Kafka => &kafka::Kafka,
        Service::ClickHouse => &clickhouse::ClickHouse,
        Service::Redis => &redis::Redis,
        Service::Postgres => &postgres::Postgres,
        Service::S3 => &s3::S3,
    }
}

/// Installs packages of Debian. One at a time: the packager has a lock of its own.
fn install_packages(cache: &Cache, packages: &[&str]) -> anyhow::Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    say(&format!("installing the packages {} with apt-get", packages.join(" ")));
    let log = cache.tool("apt.log");
    run(apt_get().arg("update"), &log)?;
    run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages), &log)
}

fn apt_get() -> Command {
    let mut command = Command::new("env");
    if !geteuid().is_root() {
        command = Command::new("sudo");
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
    command
}

/// Whether a program is in the path.
pub(crate) fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn create_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| file.display().to_string())
}
