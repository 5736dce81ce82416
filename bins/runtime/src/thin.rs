//! The command line of the binaries that do a part of the work.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser};
use tokio_util::sync::CancellationToken;

use crate::config::{Sources, load_valid, to_yaml};
use crate::connect::ConnectError;
use crate::flags::{KEY_VARIABLES, KeyArgs, parse_address};
use crate::gosight::{Gosight, StartError};
use crate::logs::init_logs;
use crate::{Config, Role, raise_open_files, stop_on_signals, terminal};

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
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    http: Option<SocketAddr>,
    /// Print the settings in effect, with secrets masked, and end.
    #[arg(long)]
    check_config: bool,
    #[command(flatten)]
    keys: KeyArgs,
}

impl Args {
    fn load(&self, role: Role) -> anyhow::Result<Config> {
        let address = self.http.map(|address| ("--http", "http.listen", address.to_string().into()));
        let sources = Sources {
            file: self.config.clone(),
            env: std::env::vars().collect(),
            other_variables: KEY_VARIABLES.to_vec(),
            flags: address.into_iter().collect(),
        };
        Ok(load_valid(&Config::on_servers(), &sources, |config| config.validate(role.is_shared()))?)
    }

    async fn run(self, role: Role) -> anyhow::Result<()> {
        let config = self.load(role)?;
        if self.check_config {
            return Ok(terminal::line(to_yaml(&config).map_err(anyhow::Error::msg)?)?);
        }
        Box::pin(run(role, config, self.keys)).await
    }
}

/// Runs a process with `config` until a signal stops it, or it fails.
///
/// # Errors
/// Why it did not start or go on.
pub async fn run(role: Role, config: Config, keys: KeyArgs) -> anyhow::Result<()> {
    init_logs(&config.logs).context("logs.filter")?;
    raise_open_files();
    let shutdown = CancellationToken::new();
    stop_on_signals(shutdown.clone())?;
    let builder = Gosight::builder().role(role).config(config).bootstrap_keys(keys.into());
    let mut gosight = match builder.start_unless(&shutdown).await {
        Err(StartError::Connect(ConnectError::Stopped)) => return Ok(()),
        started => started?,
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), role = role.as_str(), "started");
    announce(role, &gosight)?;
    let failure = tokio::select! {
        () = shutdown.cancelled() => None,
        error = gosight.failed() => Some(error),
    };
    let stopped = gosight.stop().await;
    tracing::info!("stopped");
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(stopped?),
    }
}

fn announce(role: Role, gosight: &Gosight) -> anyhow::Result<()> {
    if let Some(address) = gosight.local_addr() {
        terminal::line(format!("{} listens on http://{address}", role.as_str()))?;
    }
    let Some(keys) = gosight.new_keys() else { return Ok(()) };
    Ok(terminal::line(format!(
        "\nThe project \"default\" was made. Its keys are shown this once:\n\n  ingest  {}\n  read    {}\n  admin   {}\n",
        keys.ingest.reveal(),
        keys.read.reveal(),
        keys.admin.reveal(),
    ))?)
}

/// Runs the process of `role` until shutdown.
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
        Err(error) => return terminal::failure(&error),
    };
    let done = runtime.block_on(args.run(role));
    // Threads that still wait for a server must not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => terminal::failure(error.as_ref()),
    }
}
