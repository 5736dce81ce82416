//! A process of gosight: its parts, by its role and its settings, running, and stopped in order.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use gosight_application::Pipeline;
use gosight_application::access::Access;
use gosight_application::ingest::Ingest;
use gosight_application::keys::{BootstrapError, BootstrapKeys, Keys, NewKeys, bootstrap};
use gosight_application::pipeline::{self, BuildError, ReplaceParts, Replacements, Running};
use gosight_application::ports::{BoxError, PortError, SystemClock};
use gosight_application::projects::Projects;
use gosight_application::query::Query;
use gosight_application::surface::Surface;
use gosight_http::{BindError, BoundPort, HttpPorts};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connect::{ConnectError, Connected, Open, connect};
use crate::files::fit_connections;
use crate::metrics::Metrics;
use crate::role::Role;
use crate::settings::{Config, InvalidSetting};

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot work.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// A part could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The parts do not go together.
    #[error(transparent)]
    Build(#[from] BuildError),
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

/// Why a process stopped although nobody asked it to. Nothing that was acknowledged is lost: it is in the log, and is
/// processed at the next start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Processing failed for good.
    #[error(transparent)]
    Pipeline(#[from] pipeline::RunError),
    /// A surface failed.
    #[error("the {name} server failed: {source}")]
    Surface {
        /// Its name, such as `http`.
        name: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A surface panicked.
    #[error("a server died: {0}")]
    Died(#[from] tokio::task::JoinError),
    /// A part could not be closed.
    #[error(transparent)]
    Close(#[from] PortError),
}

/// Makes a process. Each part may be replaced by one of your own: see [`ReplaceParts`].
#[derive(Debug)]
pub struct GosightBuilder {
    config: Config,
    role: Role,
    replacements: Replacements,
    keys: BootstrapKeys,
    serve_http: bool,
}

impl ReplaceParts for GosightBuilder {
    fn replacements(&mut self) -> &mut Replacements {
        &mut self.replacements
    }
}

impl GosightBuilder {
    /// Uses these settings in place of the defaults.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Does a part of the work, and leaves the rest to other processes.
    #[must_use]
    pub fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Keeps everything in this directory that is in a directory.
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

    /// Binds the port, opens all parts, waiting for servers that are not there yet, and starts to work.
    ///
    /// # Errors
    /// [`StartError`] for what no waiting heals.
    pub async fn start(self) -> Result<Gosight, StartError> {
        self.start_unless(&CancellationToken::new()).await
    }

    /// The same, but gives up with [`ConnectError::Stopped`] when `stop` is cancelled while a server is waited for.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_unless(self, stop: &CancellationToken) -> Result<Gosight, StartError> {
        let Self { config, role, replacements, keys, serve_http } = self;
        config.validate(role.is_shared())?;
        let bind = || BoundPort::bind(fit_connections(config.http.clone()));
        // While servers are waited for, nobody is to be kept waiting at the port.
        let binds_first = serve_http && !config.backends().use_servers();
        let port = binds_first.then(bind).transpose()?;
        let metrics = Metrics::new().map_err(|error| StartError::Internal(error.into()))?;
        let clock = replacements.clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let Connected { ports, places, open } = connect(&config, role, clock, &metrics, stop).await?;
        let mut settings = config.pipeline()?;
        settings.archive_interval = settings.archive_interval.filter(|_| role.archives());
        let admin = ports.accounts.admin.clone();
        let pipeline = Pipeline::builder(ports).settings(settings).replace(replacements).build()?;
        let port = if serve_http && !binds_first { Some(bind()?) } else { port };
        // One budget for all surfaces: they share one memory.
        let in_flight = config.http.in_flight();
        let mut surfaces: Vec<Box<dyn Surface>> = Vec::new();
        if let Some(port) = port {
            surfaces.push(Box::new(port.server(HttpPorts::of(&pipeline, in_flight, metrics.renderer()))));
        }
        // Last of all that can fail: the keys that it makes are shown once. Only processes that people talk to make them.
        let new_keys = if role.takes() || role.answers() {
            bootstrap(&*admin, &*pipeline.clock, &keys).await?
        } else {
            None
        };
        let mut running = pipeline.start();
        running.spawn(|stop| metrics.upkeep(stop));
        if let Some(places) = places {
            running.spawn(|stop| places.watch(stop));
        }
        Ok(Gosight::run(pipeline, running, surfaces, new_keys, open))
    }
}

/// A process that runs. Dropping it ends it at once; [`stop`](Self::stop) lets it finish.
pub struct Gosight {
    pipeline: Pipeline,
    running: Running,
    surfaces: JoinSet<Result<(), RunError>>,
    drain: CancellationToken,
    local_addr: Option<SocketAddr>,
    new_keys: Option<NewKeys>,
    open: Open,
}

impl fmt::Debug for Gosight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gosight").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl Gosight {
    /// Makes a process with the default settings: everything, in the directory `gosight-data`.
    pub fn builder() -> GosightBuilder {
        GosightBuilder {
            config: Config::default(),
            role: Role::Everything,
            replacements: Replacements::default(),
            keys: BootstrapKeys::default(),
            serve_http: true,
        }
    }

    fn run(
        pipeline: Pipeline,
        running: Running,
        surfaces: Vec<Box<dyn Surface>>,
        new_keys: Option<NewKeys>,
        open: Open,
    ) -> Self {
        let local_addr = surfaces.iter().find(|one| one.name() == "http").map(|http| http.local_addr());
        let (drain, mut serving) = (CancellationToken::new(), JoinSet::new());
        for surface in surfaces {
            let (name, drain) = (surface.name(), drain.clone());
            serving.spawn(async move {
                surface.serve(drain).await.map_err(|source| RunError::Surface { name, source })
            });
        }
        Self { pipeline, running, surfaces: serving, drain, local_addr, new_keys, open }
    }

    /// Address of the HTTP server, with the port that it got.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Takes events and replay chunks, unless the [`Role`] leaves that to others.
    pub fn ingest(&self) -> Option<&Arc<Ingest>> {
        self.pipeline.ingest.as_ref()
    }

    /// Answers questions, unless the [`Role`] leaves that to others.
    pub fn query(&self) -> Option<&Query> {
        self.pipeline.query.as_ref()
    }

    /// Checks keys.
    pub fn access(&self) -> &Access {
        &self.pipeline.access
    }

    /// Manages keys.
    pub fn keys(&self) -> &Keys {
        &self.pipeline.keys
    }

    /// Manages projects, and what is known of their users and items.
    pub fn projects(&self) -> &Projects {
        &self.pipeline.projects
    }

    /// All use cases.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The keys that this start made, if it was the first of all.
    pub fn new_keys(&self) -> Option<&NewKeys> {
        self.new_keys.as_ref()
    }

    /// Waits until a part fails for good. Otherwise it never returns.
    pub async fn failed(&mut self) -> RunError {
        let failed = async |surfaces: &mut JoinSet<Result<(), RunError>>| loop {
            match surfaces.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => return error,
                Some(Err(died)) => return died.into(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = failed(&mut self.surfaces) => error,
            error = self.running.failed() => error.into(),
        }
    }

    /// Stops: no new requests, requests in flight finish, workers finish the batch they are at, everything is written
    /// and closed. What is not processed stays in the log for the next start.
    ///
    /// # Errors
    /// The first failure of a part; everything is stopped all the same.
    pub async fn stop(mut self) -> Result<(), RunError> {
        self.drain.cancel();
        let mut result = Ok(());
        while let Some(ended) = self.surfaces.join_next().await {
            result = result.and(ended.unwrap_or_else(|died| Err(died.into())));
        }
        let stopped = self.running.stop().await.map_err(RunError::from);
        drop(self.pipeline);
        let closed = self.open.close().await.map_err(RunError::from);
        result.and(stopped).and(closed)
    }
}
