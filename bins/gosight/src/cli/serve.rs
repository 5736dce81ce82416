use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use gosight_runtime::flags::{KeyArgs, parse_address};
use gosight_runtime::terminal as output;
use gosight_runtime::{ConnectError, StartError, init_logs, raise_open_files, stop_on_signals};
use tokio_util::sync::CancellationToken;

use super::ConfigArgs;
use crate::NewKeys;
use crate::{Gosight, RunError};

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
        let data_dir = config.data_dir.clone();
        let builder = Gosight::builder().config(config).bootstrap_keys(self.keys.into());
        let mut gosight = match builder.start_unless(&shutdown).await {
            Err(StartError::Connect(ConnectError::Stopped)) => return Ok(ExitCode::SUCCESS),
            started => started?,
        };
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
    let next = match gosight.new_keys() {
        Some(keys) => first_start(&url, keys),
        None => format!(
            "requests are described at {url}/swagger/; a new key is made by `gosight keys create --scope ingest --data-dir {}`",
            data_dir.display()
        ),
    };
    Ok(output::line(next)?)
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
