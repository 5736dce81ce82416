//! What developers of gosight run: `cargo xtask --help`.

mod bench;
mod check;
mod load;
mod services;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What developers of gosight run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every check and every test, as CI does.
    Test,
    /// Run the checks that are quick: format, lints, documentation.
    Lint,
    /// Run the tests that kill processes and servers, many times over.
    Soak(check::SoakArgs),
    /// Measure the whole pipeline over HTTP with made-up events, in release mode.
    Bench(bench::BenchArgs),
    /// Write made-up requests to files for `gosight send`.
    Load(load::LoadArgs),
    /// Start and stop the servers that tests need, natively on loopback.
    Services(services::ServicesArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Test => check::test(),
        Command::Lint => check::lint(),
        Command::Soak(args) => args.run(),
        Command::Bench(args) => args.run(),
        Command::Load(args) => args.run(),
        Command::Services(args) => args.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tools::failure(&error),
    }
}
