use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use gosight_domain::key::PresentedKey;
use gosight_runtime::{init_logs, raise_open_files, stop_on_signals};
use tokio_util::sync::CancellationToken;

use super::{ConfigArgs, output};
use crate::running::{Gosight, RunError};
use crate::{BootstrapKeys, NewKeys};

/// Flags of `gosight serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address to listen on [default: 127.0.0.1:8080]; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", env = "GOSIGHT_HTTP", value_parser = parse_address)]
    http: Option<SocketAddr>,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Keys that are chosen instead of made. They stand in the process's environment or command line, so keep them for
/// tests and trials.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Chosen keys of the project `default`, in place of those made at the first start"
)]
#[expect(clippy::struct_field_names, reason = "the names of the flags")]
struct KeyArgs {
    /// A key that may send.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_INGEST_KEY", hide_env_values = true)]
    bootstrap_ingest_key: Option<PresentedKey>,
    /// A key that may ask.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_READ_KEY", hide_env_values = true)]
    bootstrap_read_key: Option<PresentedKey>,
    /// A key that may do everything.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_ADMIN_KEY", hide_env_values = true)]
    bootstrap_admin_key: Option<PresentedKey>,
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(
        |_| "must be an address such as 127.0.0.1:8080; 0.0.0.0:8080 is every network of the machine",
    )
}

impl ServeArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let flags = self
            .http
            .map(|address| ("--http", "http.listen", address.to_string().into()))
            .into_iter()
            .collect();
        let config = self.config.load(flags)?;
        init_logs(&config.logs).context("logs.filter")?;
        raise_open_files();
        let shutdown = CancellationToken::new();
        stop_on_signals(shutdown.clone())?;
        let keys = BootstrapKeys {
            ingest: self.keys.bootstrap_ingest_key,
            read: self.keys.bootstrap_read_key,
            admin: self.keys.bootstrap_admin_key,
        };
        let data_dir = config.data_dir.clone();
        let mut gosight = Gosight::builder().config(config).bootstrap_keys(keys).start().await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %data_dir.display(), "started");
        announce(&gosight, &data_dir)?;
        let failure: Option<RunError> = tokio::select! {
            () = shutdown.cancelled() => None,
            error = gosight.failed() => Some(error),
        };
        let stopped = gosight.stop().await;
        tracing::info!("stopped");
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(stopped.map(|()| ExitCode::SUCCESS)?),
        }
    }
}

fn announce(gosight: &Gosight, data_dir: &Path) -> anyhow::Result<()> {
    let Some(address) = gosight.local_addr() else { return Ok(()) };
    let url = format!("http://{address}");
    output::line(format!("gosight listens on {url}"))?;
    match gosight.new_keys() {
        Some(keys) => output::line(first_start(&url, keys)),
        None => output::line(format!(
            "requests are described at {url}/swagger/; a new key is made by `gosight keys create --scope ingest --data-dir {}`",
            data_dir.display()
        )),
    }
}

fn first_start(url: &str, keys: &NewKeys) -> String {
    format!(
        r#"
The project "default" was made. Its keys are shown this once:

  ingest  {ingest}
  read    {read}
  admin   {admin}

Send an event:

  curl -s {url}/api/v1/events -H 'X-Project-Key: {ingest}' -H 'Content-Type: application/json' \
    -d '{{"event_name":"hello","user_id":"me","timestamp":'$(date +%s)'}}'

and count it, a second later:

  curl -s '{url}/api/v1/metrics?event_name=hello' -H 'X-Project-Key: {read}'

All requests are described at {url}/swagger/
"#,
        ingest = keys.ingest.reveal(),
        read = keys.read.reveal(),
        admin = keys.admin.reveal(),
    )
}
