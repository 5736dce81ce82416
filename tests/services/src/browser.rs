//! Chromium, of the Linux distribution.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::cache::Cache;
use crate::process::{output, run, run_long};
use crate::server::in_path;

const PROGRAM: &str = "chromium";
/// The browser, and letters to write with.
const PACKAGES: [&str; 2] = ["chromium", "fonts-liberation"];
/// Where Debian keeps libraries on x86-64.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"];

/// A command that runs Chromium: the one in the path, else the one of Debian's package. That is fetched once and
/// unpacked into the cache, with what it needs and the system lacks; nothing is installed, and nobody has to be root.
///
/// # Errors
/// When it cannot be fetched or unpacked.
pub fn chromium() -> anyhow::Result<Command> {
    if in_path(PROGRAM) {
        return Ok(Command::new(PROGRAM));
    }
    let cache = Cache::open()?;
    let name = format!("chromium-{}", distribution()?);
    let root = cache.tool(&name);
    if !root.exists() {
        let _lock = cache.lock()?;
        cache.install(&name, |root| fetch(root, &cache.tool("chromium.log")).context("chromium"))?;
    }
    Ok(command(&root))
}

/// The release that packages are of, such as `bookworm`: those of another need other libraries.
fn distribution() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(line.context("/etc/os-release names no release")?.trim_matches('"').to_owned())
}

fn command(root: &Path) -> Command {
    let mut command = Command::new(root.join("usr/lib/chromium/chromium"));
    let libraries: Vec<String> =
        LIBRARIES.iter().map(|folder| root.join(folder).display().to_string()).collect();
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    // Letters are looked for in `fonts` there.
    command.env("XDG_DATA_HOME", root.join("usr/share"));
    if !Path::new("/etc/fonts/fonts.conf").exists() {
        command.env("FONTCONFIG_PATH", root.join("etc/fonts"));
    }
    command
}

/// Fetches the packages with those that they need and the system lacks, and unpacks them into `root`.
fn fetch(root: &Path, log: &Path) -> anyhow::Result<()> {
    let apt = root.join("apt");
    for folder in ["state/lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(folder))?;
    }
    run_long("reading which packages there are", apt_get(&apt).arg("update"), log)?;
    let mut download = apt_get(&apt);
    download.args(["install", "--yes", "--no-install-recommends", "--download-only"]).args(PACKAGES);
    run_long("fetching the package chromium, about 125 MB", &mut download, log)?;
    let packages = debs(&apt.join("cache/archives"))?;
    if packages.is_empty() {
        bail!("apt-get has fetched nothing: is chromium installed, but not in the path?");
    }
    for package in packages {
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(root), log)?;
    }
    output(command(root).arg("--version"))?;
    Ok(std::fs::remove_dir_all(apt)?)
}

/// apt-get with lists and a cache of its own, so that any user may run it beside the system's.
fn apt_get(folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--quiet", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]);
    for (setting, path) in [("Dir::State", "state"), ("Dir::Cache", "cache")] {
        command.arg("-o").arg(format!("{setting}={}", folder.join(path).display()));
    }
    command.args(["-o", "Dir::State::status=/var/lib/dpkg/status"]);
    command
}

fn debs(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    Ok(found)
}
