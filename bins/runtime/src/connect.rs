//! Adapters from settings: the ports of a process, each of the backend that was chosen for it.

mod accounts;
mod archive;
mod enrichers;
mod log;
mod retry;
mod state;
mod store;

use std::sync::Arc;

use gosight_application::Telemetry;
use gosight_application::pipeline::{IntakePorts, PipelinePorts};
use gosight_application::ports::{Clock, DeadLetters, HealthCheck, Maintenance, PortError, RecordLog};
#[cfg(feature = "embedded")]
use gosight_embedded::{DataDir, DataDirError, DataDirParts};
use gosight_enrich::PlaceEnricher;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::role::Role;
use crate::settings::{Config, InvalidSetting};
#[cfg(feature = "embedded")]
use crate::settings::{LogBackend, StoreBackend};
use accounts::accounts;
use archive::archive;
use log::Log;
pub(crate) use state::State;
use store::Store;

/// Why the parts of a process could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting cannot work.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// A server cannot be used as it is.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The data directory cannot be used.
    #[cfg(feature = "embedded")]
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Asked to stop before the servers were there.
    #[error("stopped before the servers were there")]
    Stopped,
}

/// A setting that the checks have let through, although this build cannot do it.
fn not_built(key: &str) -> ConnectError {
    InvalidSetting::new(key, "is not in this build").into()
}

/// What opening needs, whatever it opens.
pub(crate) struct Connecting<'a> {
    config: &'a Config,
    role: Role,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    stop: &'a CancellationToken,
}

/// The parts of a process, open.
pub(crate) struct Connected {
    pub ports: PipelinePorts,
    /// What tells places, to be kept up to date.
    pub places: Option<Arc<PlaceEnricher>>,
    pub open: Open,
}

/// What is closed last.
#[derive(Debug, Default)]
pub(crate) struct Open {
    #[cfg(feature = "kafka")]
    kafka: Option<Arc<gosight_kafka::KafkaLog>>,
    /// The database of the directory, by one of those that use it.
    #[cfg(feature = "embedded")]
    database: Option<gosight_embedded::EmbeddedAccounts>,
    #[cfg(feature = "embedded")]
    log: Option<Arc<gosight_embedded::EmbeddedLog>>,
    /// Given back after everything in it is closed.
    #[cfg(feature = "embedded")]
    data_dir: Option<DataDir>,
}

impl Open {
    /// Closes everything. Whatever used it has to be gone.
    pub(crate) async fn close(self) -> Result<(), PortError> {
        #[cfg(feature = "embedded")]
        if let Some(database) = self.database {
            database.close().await;
        }
        #[cfg(feature = "embedded")]
        drop((self.log, self.data_dir));
        #[cfg(feature = "kafka")]
        if let Some(log) = self.kafka {
            log.close().await?;
        }
        Ok(())
    }
}

/// The directory that parts are in, if any is.
#[cfg(feature = "embedded")]
type Parts<'a> = Option<DataDirParts<'a>>;
/// Nothing is in a directory.
#[cfg(not(feature = "embedded"))]
type Parts<'a> = Option<std::convert::Infallible>;

/// Opens what `role` needs, waiting for servers that are not there yet: processes and servers start in any order.
///
/// # Errors
/// [`ConnectError`] for what no waiting heals, and `Stopped` when `stop` is cancelled first.
pub(crate) async fn connect(
    config: &Config,
    role: Role,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<Connected, ConnectError> {
    let connecting = Connecting { config, role, clock, telemetry: Telemetry::new(metrics.recorder()), stop };
    #[cfg(feature = "embedded")]
    let data_dir = config.backends().use_directory().then(|| DataDir::open(&config.data_dir)).transpose()?;
    #[cfg(feature = "embedded")]
    let mut parts = data_dir.as_ref().map(|dir| DataDirParts::new(dir, connecting.clock.clone()));
    #[cfg(not(feature = "embedded"))]
    let mut parts: Parts<'_> = None;
    let connected = connecting.connect(&mut parts).await?;
    drop(parts);
    #[cfg(feature = "embedded")]
    let connected = Connected { open: Open { data_dir, ..connected.open }, ..connected };
    Ok(connected)
}

/// Records that were dead-lettered, and the log that they came from.
pub(crate) struct Letters {
    pub log: Arc<dyn RecordLog>,
    pub records: Arc<dyn DeadLetters>,
    pub open: Open,
}

/// Opens what is needed to put records back into their log.
///
/// # Errors
/// [`ConnectError`].
pub(crate) async fn open_letters(config: &Config, clock: Arc<dyn Clock>) -> Result<Letters, ConnectError> {
    // A role that says nothing to the servers of how long they keep what they have.
    let (stop, role, telemetry) = (CancellationToken::new(), Role::Ingestor, Telemetry::default());
    let connecting = Connecting { config, role, clock, telemetry, stop: &stop };
    let backends = config.backends();
    #[cfg(feature = "embedded")]
    let needs_directory = backends.log == LogBackend::Embedded || backends.store == StoreBackend::Embedded;
    #[cfg(feature = "embedded")]
    let data_dir = needs_directory.then(|| DataDir::open(&config.data_dir)).transpose()?;
    #[cfg(feature = "embedded")]
    let mut parts = data_dir.as_ref().map(|dir| DataDirParts::new(dir, connecting.clock.clone()));
    #[cfg(not(feature = "embedded"))]
    let mut parts: Parts<'_> = None;
    let store = Store::open(&connecting, &mut parts).await?;
    let log = Log::open(&connecting, &mut parts, Some(&store)).await?;
    let dead_letters = log::dead_letters(config, Some(&log), &store, &mut parts).await?;
    let dead_letters = dead_letters.ok_or_else(|| not_built("log.backend"))?;
    let (records, mut open) = (log.records(), Open::default());
    log.join(&mut Vec::new(), &mut Vec::new(), &mut open);
    #[cfg(feature = "embedded")]
    if let Some(parts) = &mut parts {
        open.database = parts.opened_database();
    }
    drop(parts);
    #[cfg(feature = "embedded")]
    let open = Open { data_dir, ..open };
    Ok(Letters { log: records, records: dead_letters, open })
}

impl Connecting<'_> {
    async fn connect(&self, parts: &mut Parts<'_>) -> Result<Connected, ConnectError> {
        let Self { config, role, .. } = *self;
        let processed = role.logs();
        let mut open = Open::default();
        let mut health: Vec<Arc<dyn HealthCheck>> = Vec::new();
        let mut maintenance: Vec<Arc<dyn Maintenance>> = Vec::new();
        let needs_store = role.answers() || !processed.is_empty();
        let store = if needs_store { Some(Store::open(self, parts).await?) } else { None };
        let needs_log = role.takes() || !processed.is_empty();
        let log = if needs_log { Some(Log::open(self, parts, store.as_ref()).await?) } else { None };
        let accounts = accounts(self, parts, &mut health).await?;
        let state = State::open(config, &self.telemetry)?;
        let ends = if role.answers() { Some(log::ends(config, log.as_ref())?) } else { None };
        let (mut intake, mut places) = (None, None);
        if let Some(log) = log.as_ref().filter(|_| role.takes()) {
            let (enrichers, opened) = enrichers::of_clients(config)?;
            health.extend(opened.clone().map(|places| places as Arc<dyn HealthCheck>));
            intake = Some(IntakePorts {
                events: log.events(),
                records: log.records(),
                limiter: state.limiter(config.rate_limit.limits()?, &self.telemetry, &mut health),
                enrichers,
            });
            places = opened;
        }
        let mut ports = PipelinePorts {
            intake,
            sources: log.as_ref().map_or(Ok(Vec::new()), |log| log.sources(self, &processed))?,
            ends,
            store: None,
            chunks: state.chunks(),
            archive: if needs_store { archive(self, parts, &mut health).await? } else { None },
            accounts: state.with_caches(accounts, &self.telemetry),
            enrichers: if role.enriches() { enrichers::of_events(config)? } else { Vec::new() },
            maintenance: Vec::new(),
            health: Vec::new(),
            combination: config.backends().combination(role.is_shared()),
            clock: self.clock.clone(),
            telemetry: self.telemetry.clone(),
        };
        if let Some(store) = &store {
            let dead_letters = log::dead_letters(config, log.as_ref(), store, parts).await?;
            ports.store = Some(store.ports(&state, dead_letters).await);
            store.join(&mut health, &mut maintenance);
        }
        if let Some(log) = log {
            log.join(&mut health, &mut maintenance, &mut open);
        }
        #[cfg(feature = "embedded")]
        if let Some(parts) = parts {
            open.database = parts.opened_database();
        }
        Ok(Connected { ports: PipelinePorts { health, maintenance, ..ports }, places, open })
    }
}
