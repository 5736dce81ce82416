//! `PostgreSQL`, of the Linux distribution.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use rustix::process::{Signal, geteuid};

use super::{Place, Server, create_dir, install_packages};
use crate::ask::ask;
use crate::cache::Cache;
use crate::process::{output, run};

#[derive(Debug)]
pub(crate) struct Postgres;

/// User and password of the superuser that tests log in as.
const USER: &str = "gosight";
/// Where Debian keeps one folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

impl Server for Postgres {
    fn install(&self, cache: &Cache) -> anyhow::Result<()> {
        if programs().is_some() { Ok(()) } else { install_packages(cache, &["postgresql"]) }
    }

    fn prepare(&self, _: &Cache, place: &Place) -> anyhow::Result<()> {
        let data = place.data();
        if data.join("PG_VERSION").exists() {
            return Ok(());
        }
        create_dir(&data)?;
        let password = place.dir.join("password");
        std::fs::write(&password, USER)?;
        if let Some(owner) = owner()? {
            for path in [&place.dir, &data, &password] {
                chown(path, Some(owner.uid), Some(owner.gid)).with_context(|| path.display().to_string())?;
            }
        }
        let mut initdb = program("initdb")?;
        initdb.args(["--username", USER, "--auth-local=trust", "--auth-host=scram-sha-256"]);
        initdb.args(["--encoding=UTF8", "--locale=C", "--no-sync"]);
        run(initdb.arg("--pwfile").arg(&password).arg("--pgdata").arg(&data), &place.log())
    }

    fn command(&self, _: &Cache, place: &Place) -> anyhow::Result<Command> {
        let mut command = program("postgres")?;
        command.arg("-D").arg(place.data()).args(["-h", "127.0.0.1", "-p", &place.port.to_string()]);
        // No unix socket: nobody uses it, and its path may be too long for one.
        command.args(["-k", ""]);
        // Many tests at once, each with a pool. Shared memory in the data folder goes when that goes.
        command.args(["-c", "max_connections=500", "-c", "dynamic_shared_memory_type=mmap"]);
        for (key, value) in &place.settings {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        Ok(command)
    }

    fn answers(&self, address: SocketAddr) -> bool {
        // While it starts it answers with an error; once it is ready it asks for the password ("R").
        ask(address, &startup_message(), 1).is_ok_and(|answer| answer == b"R")
    }

    fn version(&self, _: &Cache) -> anyhow::Result<String> {
        let text = output(program("postgres")?.arg("--version"))?;
        Ok(text.split_whitespace().nth(2).context("postgres says no version")?.to_owned())
    }

    fn stop_signal(&self) -> Signal {
        Signal::INT
    }

    fn discard_signal(&self) -> Signal {
        // At once, but it gives its shared memory back.
        Signal::QUIT
    }

    fn shared_dir(&self, usual: PathBuf) -> anyhow::Result<PathBuf> {
        if owner()?.is_none() || open_to_all(&usual) {
            return Ok(usual);
        }
        // Its user may not enter root's home. The name keeps the sets of two caches apart.
        let name: Vec<_> = usual.iter().skip(1).map(|part| part.to_string_lossy()).collect();
        Ok(PathBuf::from("/var/tmp/gosight-services").join(name.join("+")))
    }
}

/// Version 3.0 of the protocol, and who wants to log in to what.
fn startup_message() -> Vec<u8> {
    let body = [&196_608_u32.to_be_bytes()[..], b"user\0gosight\0database\0postgres\0\0"].concat();
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

/// The folder of the programs, of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).ok()?.filter_map(Result::ok);
    let newest = versions
        .filter(|version| version.path().join("bin/postgres").exists())
        .max_by_key(|version| version.file_name().to_str().and_then(|name| name.parse::<u32>().ok()))?;
    Some(newest.path().join("bin"))
}

/// One of the programs, as a user that may run it.
fn program(name: &str) -> anyhow::Result<Command> {
    let dir = programs().with_context(|| format!("no PostgreSQL in {VERSIONS}"))?;
    let mut command = Command::new(dir.join(name));
    command.current_dir("/");
    if let Some(owner) = owner()? {
        command.uid(owner.uid).gid(owner.gid);
    }
    Ok(command)
}

struct Owner {
    uid: u32,
    gid: u32,
}

/// The server refuses to run as root; then it runs as the user that its package has made.
fn owner() -> anyhow::Result<Option<Owner>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let Some(line) = users.lines().find(|line| line.starts_with("postgres:")) else {
        bail!("there is no user postgres");
    };
    let mut numbers = line.split(':').skip(2).map(str::parse);
    let (Some(Ok(uid)), Some(Ok(gid))) = (numbers.next(), numbers.next()) else {
        bail!("the user postgres has no numbers in /etc/passwd");
    };
    Ok(Some(Owner { uid, gid }))
}

/// Whether every user may pass through the folders above it. One that is not there yet will be open.
fn open_to_all(dir: &Path) -> bool {
    let open = |dir: &Path| dir.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
    dir.ancestors().skip(1).all(|dir| !dir.exists() || open(dir))
}
