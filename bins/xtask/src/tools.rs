//! Running other programs, and saying so.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail};

/// Says something to whoever runs this.
pub(crate) fn say(text: &str) {
    // Nobody listens if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what was asked for.
pub(crate) fn print(text: &str) {
    // Nobody reads if this fails.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says why it did not work.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    say(&format!("\nfailed: {error:#}"));
    ExitCode::FAILURE
}

/// The top of the project.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A cargo command at the top of the project. It sees nothing of the cargo that runs this.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a step, and says how long it took.
pub(crate) fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    say(&format!("\n== {name}"));
    let started = Instant::now();
    let status = command.status().with_context(|| format!("{name}: cannot be started"))?;
    if !status.success() {
        bail!("{name} ({status})");
    }
    say(&format!("== {name}: {:.0} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Where tools are kept between runs, outside of the project.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir).join("gosight"));
    }
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    Ok(PathBuf::from(home).join(".cache/gosight"))
}
