//! Checks and tests.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::services;
use crate::tools::{cache, cargo, root, say, step};

/// The version of cargo-deny that is used, so that all machines judge alike.
const DENY_VERSION: &str = "0.20.2";

/// What runs as it stands in the documentation.
const EXAMPLES: [&str; 8] = [
    "embed",
    "memory_test",
    "custom_sink",
    "custom_session_store",
    "custom_replay_store",
    "custom_key_validator",
    "custom_enricher",
    "custom_measure",
];

/// Format, lints and documentation, all without warnings.
pub(crate) fn lint() -> anyhow::Result<()> {
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    step(
        "lints",
        &mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "gosight/distributed",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ]),
    )?;
    step(
        "lints of Kafka with TLS",
        &mut kafka_with_tls(&["clippy", "--all-targets"], &["--", "--deny", "warnings"]),
    )?;
    let mut documentation =
        cargo(&["doc", "--workspace", "--no-deps", "--quiet", "--document-private-items"]);
    step("documentation", documentation.env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Everything.
pub(crate) fn test() -> anyhow::Result<()> {
    lint()?;
    step("dependencies", &mut deny()?)?;
    services::up()?;
    // Fetched before the tests, so that its time is not theirs.
    gosight_services::chromium()?;
    step("tests", &mut cargo(&["test", "--workspace", "--quiet"]))?;
    step("tests of Kafka with TLS", &mut kafka_with_tls(&["test", "--test", "security"], &[]))?;
    for example in EXAMPLES {
        step(
            &format!("example {example}"),
            &mut cargo(&["run", "--quiet", "--package", "gosight", "--example", example]),
        )?;
    }
    // Each benchmark runs once, without being measured.
    step("benchmarks", &mut cargo(&["test", "--quiet", "--package", "gosight-performance", "--benches"]))?;
    step(
        "benchmark of the distributed mode",
        &mut cargo(&["test", "--quiet", "--package", "gosight-distributed-tests", "--bench", "throughput"]),
    )?;
    say("\nall passed");
    Ok(())
}

/// The tests that kill and cut off, many times over.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How many times as often as in `cargo xtask test`.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
}

/// The packages whose tests kill real processes, and the names of those tests.
const SOAKED: [(&str, &[&str]); 2] =
    [("gosight-e2e", &["kills"]), ("gosight-distributed-tests", &["kills", "faults"])];

impl SoakArgs {
    /// Runs them.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        services::up()?;
        for (package, tests) in SOAKED {
            let mut test = cargo(&["test", "--package", package, "--test", "all", "--"]);
            test.args(tests).env("GOSIGHT_TEST_ROUNDS", self.rounds.to_string());
            step(&format!("{package}, {} times", self.rounds), &mut test)?;
        }
        Ok(())
    }
}

/// A command about the Kafka adapter with the features that link OpenSSL.
fn kafka_with_tls(command: &[&str], more: &[&str]) -> Command {
    let mut cargo = cargo(command);
    cargo.args(["--quiet", "--package", "gosight-kafka", "--features", "sasl,tls"]).args(more);
    cargo
}

/// cargo-deny over licences, bans and sources; built once and kept outside of the project.
fn deny() -> anyhow::Result<Command> {
    let tools = cache()?.join(format!("cargo-deny-{DENY_VERSION}"));
    let binary: PathBuf = tools.join("bin/cargo-deny");
    if !binary.exists() {
        let mut install = cargo(&["install", "--quiet", "--locked", "cargo-deny", "--version", DENY_VERSION]);
        step("build cargo-deny, once", install.arg("--root").arg(&tools))?;
    }
    let mut check = Command::new(binary);
    check.args(["--log-level", "error", "check", "bans", "licenses", "sources"]).current_dir(root());
    Ok(check)
}
