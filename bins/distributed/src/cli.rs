//! The command line of the thin binaries.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser};
use gosight_domain::key::PresentedKey;
use gosight_runtime::bootstrap::BootstrapKeys;
use gosight_runtime::config::{Loaded, Sources, load, to_yaml};
use gosight_runtime::{init_logs, stop_on_signals};
use tokio_util::sync::CancellationToken;

use crate::Role;
use crate::config::Config;
use crate::node::{Node, NodeError};

#[expect(clippy::doc_markdown, reason = "the text of --help")]
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// YAML file with settings; see `config/` for one of each binary.
    ///
    /// Every setting can also be set by an environment variable: `kafka.brokers` by GOSIGHT_KAFKA_BROKERS.
    #[arg(long, value_name = "FILE", env = "CONFIG_PATH")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8080]; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Print the settings in effect, with secrets masked, and end.
    #[arg(long)]
    check_config: bool,
    /// A key of the project `default` that may send, in place of one made at the first start.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_INGEST_KEY", hide_env_values = true)]
    bootstrap_ingest_key: Option<PresentedKey>,
    /// A key that may ask.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_READ_KEY", hide_env_values = true)]
    bootstrap_read_key: Option<PresentedKey>,
    /// A key that may do everything.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_ADMIN_KEY", hide_env_values = true)]
    bootstrap_admin_key: Option<PresentedKey>,
}

/// Variables that start like settings but belong to flags.
const VARIABLES_OF_FLAGS: [&str; 3] =
    ["GOSIGHT_BOOTSTRAP_INGEST_KEY", "GOSIGHT_BOOTSTRAP_READ_KEY", "GOSIGHT_BOOTSTRAP_ADMIN_KEY"];

impl Args {
    fn load(&self) -> anyhow::Result<Config> {
        let address = self.http.map(|address| ("--http", "http.listen", address.to_string().into()));
        let sources = Sources {
            file: self.config.clone(),
            env: std::env::vars().collect(),
            other_variables: VARIABLES_OF_FLAGS.to_vec(),
            flags: address.into_iter().collect(),
        };
        let loaded: Loaded<Config> = load(&sources)?;
        loaded.config.validate().map_err(|error| loaded.bad(&error.key, error.reason))?;
        Ok(loaded.config)
    }

    async fn run(self, role: Role) -> anyhow::Result<()> {
        let config = self.load()?;
        if self.check_config {
            return line(&to_yaml(&config).map_err(anyhow::Error::msg)?);
        }
        init_logs(&config.logs).context("logs.filter")?;
        let shutdown = CancellationToken::new();
        stop_on_signals(shutdown.clone())?;
        let keys = BootstrapKeys {
            ingest: self.bootstrap_ingest_key,
            read: self.bootstrap_read_key,
            admin: self.bootstrap_admin_key,
        };
        let mut node = match Node::start(role, &config, &keys, &shutdown).await {
            Err(NodeError::Stopped) => return Ok(()),
            started => started?,
        };
        tracing::info!(version = env!("CARGO_PKG_VERSION"), role = role.as_str(), "started");
        announce(role, &node)?;
        let failure = tokio::select! {
            () = shutdown.cancelled() => None,
            error = node.failed() => Some(error),
        };
        let stopped = node.stop().await;
        tracing::info!("stopped");
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(stopped?),
        }
    }
}

fn announce(role: Role, node: &Node) -> anyhow::Result<()> {
    line(&format!("{} listens on http://{}", role.as_str(), node.local_addr()))?;
    let Some(keys) = node.new_keys() else { return Ok(()) };
    line(&format!(
        "\nThe project \"default\" was made. Its keys are shown this once:\n\n  ingest  {}\n  read    {}\n  admin   {}\n",
        keys.ingest.reveal(),
        keys.read.reveal(),
        keys.admin.reveal(),
    ))
}

fn line(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Runs the process of `role` until it is told to stop.
pub fn main(role: Role) -> ExitCode {
    #[cfg(feature = "failpoints")]
    gosight_application::read_kill_points();
    let command = Args::command().name(role.as_str()).about(role.about());
    let args = match Args::from_arg_matches(&command.get_matches()) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error.into()),
    };
    let done = runtime.block_on(args.run(role));
    // Threads that still wait for a server must not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    // Standard error is all that is left to say it on.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
