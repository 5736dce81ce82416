//! The command line.

mod config;
mod dlq;
mod keys;
mod profiles;
mod replay;
mod send;
mod serve;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gosight_runtime::config::{Sources, load_valid};
use gosight_runtime::flags::KEY_VARIABLES;
use gosight_runtime::terminal as output;
use serde_json::Value;

use crate::{Config, Role};

/// gosight: an event pipeline for product analytics and session replay.
///
/// `gosight serve` runs everything in one process, in one directory, without servers.
#[derive(Debug, Parser)]
#[command(name = "gosight", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole pipeline: take events, process them, answer questions.
    Serve(serve::ServeArgs),
    /// Make, list and revoke API keys. Works while `gosight serve` runs.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look at records that could not be processed, put them through again, or drop them.
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// Tell what is known about users and items, for the context of their events.
    #[command(subcommand)]
    Profiles(profiles::ProfilesCommand),
    /// Look at the recording of a session, or write it into a page that plays it.
    #[command(subcommand)]
    Replay(replay::ReplayCommand),
    /// Send recorded requests to a server.
    Send(send::SendArgs),
}

/// Where settings come from.
#[expect(clippy::doc_markdown, reason = "the text of --help")]
#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// YAML file with settings; see `gosight config check` for all of them.
    ///
    /// Every setting can also be set by an environment variable: `http.listen` by GOSIGHT_HTTP_LISTEN. Instead of
    /// GOSIGHT_CONFIG, the variable CONFIG_PATH is taken too.
    #[arg(long, value_name = "FILE", env = "GOSIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the log and the database [default: gosight-data] [env: GOSIGHT_DATA_DIR].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Use Kafka, ClickHouse, Redis and PostgreSQL in place of a data directory, with the settings of the binaries
    /// `ingestor`, `event-processor`, `replay-processor` and `api`. Each can also be chosen by itself, by `log.backend`,
    /// `store.backend`, `state.backend`, `accounts.backend` and `archive.backend`.
    #[cfg(feature = "distributed")]
    #[arg(long, conflicts_with = "data_dir")]
    distributed: bool,
}

/// A setting given by a flag: the flag, the setting's path, its value.
type Flag = (&'static str, &'static str, Value);

/// Variables that start like settings but belong to flags.
const VARIABLES_OF_FLAGS: [&str; 4] = ["GOSIGHT_CONFIG", "GOSIGHT_HTTP", "GOSIGHT_SERVER", "GOSIGHT_KEY"];

impl ConfigArgs {
    /// Reads and checks the settings; `flags` win over everything.
    fn load(&self, mut flags: Vec<Flag>) -> anyhow::Result<Config> {
        if let Some(path) = &self.data_dir {
            flags.push(("--data-dir", "data_dir", path.to_string_lossy().into()));
        }
        #[cfg(feature = "distributed")]
        let defaults = if self.distributed { Config::on_servers() } else { Config::default() };
        #[cfg(not(feature = "distributed"))]
        let defaults = Config::default();
        let is_shared = Role::Everything.is_shared();
        Ok(load_valid(&defaults, &self.sources(flags), |config| config.validate(is_shared))?)
    }

    fn sources(&self, flags: Vec<Flag>) -> Sources {
        let env: Vec<(String, String)> = std::env::vars().collect();
        let from_env =
            || env.iter().find(|(name, _)| name == "CONFIG_PATH").map(|(_, path)| PathBuf::from(path));
        let file = self.config.clone().or_else(from_env);
        Sources { file, env, other_variables: [&VARIABLES_OF_FLAGS[..], &KEY_VARIABLES].concat(), flags }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    gosight_application::read_kill_points();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&error),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => Box::pin(args.run()).await,
            Command::Keys(command) => command.run().await,
            Command::Config(command) => command.run(),
            Command::Dlq(command) => command.run().await,
            Command::Profiles(command) => command.run().await,
            Command::Replay(command) => command.run().await,
            Command::Send(args) => args.run().await,
        }
    });
    // Threads that still wait for a disk must not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(error) => output::failure(error.as_ref()),
    }
}
