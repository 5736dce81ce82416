use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use gosight_application::access::Access;
use gosight_application::ingest::Ingest;
use gosight_application::keys::{BootstrapError, BootstrapKeys, NewKeys, bootstrap};
use gosight_application::ports::{BoxError, Clock, EventSink, SystemClock};
use gosight_application::query::Query;
use gosight_application::sessions::SessionRules;
use gosight_embedded::{DataDir, DataDirError, EmbeddedAccounts, EmbeddedLog, EmbeddedStore};
use gosight_http::{BindError, BoundPort, HttpServer};
use gosight_runtime::chores;
use gosight_runtime::settings::ArchiveSettings;
use gosight_runtime::{RunError, Tasks, fit_connections};

use crate::assembly::{Parts, assemble};
use crate::config::{Config, InvalidSetting};
use crate::maintenance;

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot work.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The port cannot be used.
    #[error(transparent)]
    Http(#[from] BindError),
    /// The first project could not be made.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Something that should not happen.
    #[error(transparent)]
    Internal(BoxError),
}

/// Makes an instance.
#[derive(Debug)]
pub struct GosightBuilder {
    config: Config,
    clock: Arc<dyn Clock>,
    sinks: Vec<Arc<dyn EventSink>>,
    keys: BootstrapKeys,
    serve_http: bool,
}

impl GosightBuilder {
    /// Uses these settings in place of the defaults.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Keeps everything in this directory.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.data_dir = path.into();
        self
    }

    /// Listens on this address; port 0 takes a free one.
    #[must_use]
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.config.http.listen = address;
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Gives accepted events to `sink` too, before they are acknowledged. A sink that fails makes the request fail.
    ///
    /// A sink sees what clients send, again when they send it again: it stands before the log, and duplicates are found
    /// behind it. Tell events apart by their `event_id`, which is the same each time.
    #[must_use]
    pub fn also_send_to(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Adds these keys to the project `default`, instead of making new ones at the first start.
    #[must_use]
    pub fn bootstrap_keys(self, keys: BootstrapKeys) -> Self {
        Self { keys, ..self }
    }

    /// Serves no HTTP: events come in through [`Gosight::ingest`].
    #[must_use]
    pub fn without_http(self) -> Self {
        Self { serve_http: false, ..self }
    }

    /// Binds the port, opens the storage, and starts to work.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(self) -> Result<Gosight, StartError> {
        self.config.validate()?;
        let port = self
            .serve_http
            .then(|| BoundPort::bind(fit_connections(self.config.http.clone())))
            .transpose()?;
        let parts = assemble(&self.config, self.clock, self.sinks).await?;
        let server = port.map(|port| port.server(parts.http.clone()));
        // Last of all that can fail: the keys that it makes are shown once.
        let new_keys = bootstrap(&parts.accounts, &*parts.clock, &self.keys).await?;
        Ok(Gosight::run(parts, server, new_keys, &self.config.archive, self.config.session_rules()))
    }
}

/// An instance that runs. Dropping it ends it at once; [`stop`](Self::stop) lets it finish.
#[derive(Debug)]
pub struct Gosight {
    ingest: Arc<Ingest>,
    query: Query,
    access: Access,
    store: Arc<EmbeddedStore>,
    new_keys: Option<NewKeys>,
    local_addr: Option<SocketAddr>,
    tasks: Tasks,
    log: Arc<EmbeddedLog>,
    /// Given back last.
    _data_dir: DataDir,
}

impl Gosight {
    /// Makes an instance with the default settings, in `./gosight-data`.
    pub fn builder() -> GosightBuilder {
        GosightBuilder {
            config: Config::default(),
            clock: Arc::new(SystemClock),
            sinks: Vec::new(),
            keys: BootstrapKeys::default(),
            serve_http: true,
        }
    }

    fn run(
        parts: Parts,
        server: Option<HttpServer>,
        new_keys: Option<NewKeys>,
        archive: &ArchiveSettings,
        rules: SessionRules,
    ) -> Self {
        let local_addr = server.as_ref().map(HttpServer::local_addr);
        let Parts { log, store, enricher, clock, .. } = &parts;
        let (log, store, enricher, clock) = (log.clone(), store.clone(), enricher.clone(), clock.clone());
        let mut tasks = Tasks::start(server, &parts.consumers, parts.keys, parts.metrics, parts.telemetry);
        tasks.chore(|stop| enricher.watch(stop));
        tasks.chore(|stop| maintenance::delete_old(log, store, clock, rules, stop));
        if archive.enabled {
            tasks.chore(|stop| chores::archive_replays(parts.archiver, archive.interval, stop));
        }
        Self {
            ingest: parts.ingest,
            query: parts.query,
            access: parts.access,
            store: parts.store,
            new_keys,
            local_addr,
            tasks,
            log: parts.log,
            _data_dir: parts.data_dir,
        }
    }

    /// Address of the HTTP server, with the port that it got.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Takes events and replay chunks.
    pub fn ingest(&self) -> &Arc<Ingest> {
        &self.ingest
    }

    /// Answers questions.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Checks keys.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Projects, keys and profiles.
    pub fn accounts(&self) -> EmbeddedAccounts {
        self.store.accounts()
    }

    /// The keys that this start made, if it was the first.
    pub fn new_keys(&self) -> Option<&NewKeys> {
        self.new_keys.as_ref()
    }

    /// Waits until a part fails for good. Otherwise it never returns.
    pub async fn failed(&mut self) -> RunError {
        self.tasks.failed().await
    }

    /// Stops: no new requests, requests in flight finish, workers finish the batch they are at, everything is written
    /// and closed. What is not processed stays in the log for the next start.
    ///
    /// # Errors
    /// The first failure of a part; everything is stopped all the same.
    pub async fn stop(self) -> Result<(), RunError> {
        let stopped = self.tasks.stop().await;
        self.store.close().await;
        drop(self.log);
        stopped
    }
}
