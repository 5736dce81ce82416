//! `ClickHouse`, from the library that its npm package brings.

use std::fmt::Write;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::{Place, Server, create_dir, write};
use crate::ask::http;
use crate::cache::Cache;
use crate::process::{run, run_long};

#[derive(Debug)]
pub(crate) struct ClickHouse;

const PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
const VERSION: &str = "26.7.3-stable.1";
const LIBRARY: &str = "libchdb.so";
const LIBRARY_SHA256: &str = "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5";
/// The package that makes a server of the library, and the code that says which build of it is kept.
const LAUNCHER: &str = "gosight-clickhouse-server";
const LAUNCHER_SOURCE: &str = include_str!("../../clickhouse-server/src/main.rs");
/// Each query is kept for a day. Nobody sends the log anywhere.
const CONFIG: &str = include_str!("clickhouse.xml");

impl Server for ClickHouse {
    fn install(&self, cache: &Cache) -> anyhow::Result<()> {
        let log = cache.tool("clickhouse.log");
        cache.install(&library_tool(), |dir| fetch_library(dir, &log))?;
        cache.install(&launcher_tool(), |dir| {
            let target = cache.tool("clickhouse-server-build");
            let mut cargo = Command::new("cargo");
            cargo.args(["build", "--package", LAUNCHER, "--target-dir"]).arg(&target);
            cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/clickhouse-server"));
            run_long("clickhouse: building its launcher", &mut cargo, &log)?;
            std::fs::copy(target.join("debug").join(LAUNCHER), dir.join(LAUNCHER))
                .context("copy the launcher")?;
            std::fs::remove_dir_all(&target).context("remove the build")
        })
    }

    fn prepare(&self, _: &Cache, place: &Place) -> anyhow::Result<()> {
        let metadata = place.data().join("metadata");
        create_dir(&metadata)?;
        write(&config_file(place), &CONFIG.replace("<!-- settings -->", &settings(place)?))?;
        let system = metadata.join("system.sql");
        if system.exists() {
            return Ok(());
        }
        // Else that database is in memory, and the tables of a log in it cannot be opened again after a restart.
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("a random id")?;
        write(&system, &format!("ATTACH DATABASE _ UUID '{}' ENGINE = Atomic\n", id.trim()))
    }

    fn command(&self, cache: &Cache, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(cache.tool(&launcher_tool()).join(LAUNCHER));
        command.arg(cache.tool(&library_tool()).join(LIBRARY)).arg(place.port.to_string());
        command.arg(place.data()).arg(config_file(place)).current_dir(&place.dir);
        Ok(command)
    }

    fn answers(&self, address: SocketAddr) -> bool {
        http(address, "GET /ping", "").is_some_and(|body| body.contains("Ok."))
    }

    fn version(&self, cache: &Cache) -> anyhow::Result<String> {
        let parts = [library_tool(), launcher_tool()];
        anyhow::ensure!(parts.iter().all(|part| cache.tool(part).exists()), "not installed");
        Ok(VERSION.to_owned())
    }
}

fn library_tool() -> String {
    format!("clickhouse-{VERSION}")
}

/// Another code is another build.
fn launcher_tool() -> String {
    format!("clickhouse-server-{}", &hex(&Sha256::digest(LAUNCHER_SOURCE))[..12])
}

fn config_file(place: &Place) -> PathBuf {
    place.dir.join("config.xml")
}

/// `a.b` with the value `c` is `<a><b>c</b></a>`.
fn settings(place: &Place) -> anyhow::Result<String> {
    let mut text = String::new();
    for (key, value) in &place.settings {
        if value.contains(['<', '&']) {
            bail!("{key}: {value} would have to be escaped");
        }
        let inside_out = key.rsplit('.');
        let element = inside_out.fold(value.clone(), |inner, name| format!("<{name}>{inner}</{name}>"));
        writeln!(text, "{element}")?;
    }
    Ok(text)
}

fn fetch_library(dir: &Path, log: &Path) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["pack", &format!("{PACKAGE}@{VERSION}"), "--pack-destination", "."]).current_dir(dir);
    run_long("clickhouse: downloading 178 MB with npm", &mut npm, log)?;
    let archive = std::fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .context("npm has packed nothing")?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).args(["--strip-components=1", &format!("package/{LIBRARY}")]);
    run(tar.current_dir(dir), log)?;
    std::fs::remove_file(&archive)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut File::open(dir.join(LIBRARY))?, &mut Hashing(&mut hash))?;
    let found = hex(&hash.finalize());
    if found != LIBRARY_SHA256 {
        bail!("{LIBRARY} is not the one that is known: its SHA-256 is {found}");
    }
    Ok(())
}

/// A writer into a hash.
struct Hashing<'a>(&'a mut Sha256);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
