use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use gosight_application::surface::Surface;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{ConfigError, HttpConfig};
use crate::connection::Connections;
use crate::router::routes;
use crate::state::{App, HttpPorts};

/// Why a server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A setting that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A port that is bound, with the settings of the server that is to listen on it.
///
/// To bind first and make the server after lets a start fail for a taken port before it does anything else.
#[derive(Debug)]
pub struct BoundPort {
    config: HttpConfig,
    listener: StdListener,
    local_addr: SocketAddr,
}

impl BoundPort {
    /// Checks `config` and binds its port. Connections wait from here on.
    ///
    /// # Errors
    /// [`BindError`] when a setting is bad or the address is taken.
    pub fn bind(config: HttpConfig) -> Result<Self, BindError> {
        config.validate()?;
        let address = config.listen;
        let bind = || -> io::Result<_> {
            let listener = StdListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let local_addr = listener.local_addr()?;
            Ok((listener, local_addr))
        };
        let (listener, local_addr) = bind().map_err(|source| BindError::Address { address, source })?;
        Ok(Self { config, listener, local_addr })
    }

    /// The server on this port.
    pub fn server(self, ports: HttpPorts) -> HttpServer {
        let Self { config, listener, local_addr } = self;
        let app = App::new(config, &ports);
        let router = routes(&app, ports);
        HttpServer { listener, local_addr, router, app }
    }
}

/// An HTTP server with its port bound.
///
/// ```no_run
/// use gosight_http::{HttpConfig, HttpPorts, HttpServer};
/// use tokio_util::sync::CancellationToken;
///
/// # async fn example(ports: HttpPorts) -> Result<(), Box<dyn std::error::Error>> {
/// let server = HttpServer::bind(HttpConfig::default(), ports)?;
/// println!("listening on {}", server.local_addr());
/// let shutdown = CancellationToken::new();
/// server.run(shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HttpServer {
    listener: StdListener,
    local_addr: SocketAddr,
    router: Router,
    app: Arc<App>,
}

/// How long to wait when no connection can be accepted, as when there are no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

impl HttpServer {
    /// Checks `config` and binds its port. Connections are accepted, and wait, from here on.
    ///
    /// # Errors
    /// [`BindError`] when a setting is bad or the address is taken.
    pub fn bind(config: HttpConfig, ports: HttpPorts) -> Result<Self, BindError> {
        Ok(BoundPort::bind(config)?.server(ports))
    }

    /// The address that the server listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is cancelled. Then no connection is accepted any more, idle ones are closed, and requests
    /// in flight have `drain_timeout` to finish. Dropping the future ends everything at once.
    ///
    /// # Errors
    /// When the port cannot be used by the runtime.
    pub async fn run(self, shutdown: CancellationToken) -> io::Result<()> {
        let Self { listener, router, app, .. } = self;
        let listener = TcpListener::from_std(listener)?;
        let tasks = TaskTracker::new();
        let kill = CancellationToken::new();
        let _kill_when_dropped = kill.clone().drop_guard();
        let connections = Connections::new(&app.config, router, app.draining.clone(), kill.clone());
        let places = Arc::new(Semaphore::new(app.config.max_connections));
        while let Some((place, stream, peer)) = accept(&listener, &places, &shutdown).await {
            let connections = connections.clone();
            tasks.spawn(async move {
                connections.serve(stream, peer).await;
                drop(place);
            });
        }
        drop(listener);
        app.draining.cancel();
        tasks.close();
        if tokio::time::timeout(app.config.drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "requests did not finish in time and are cut off");
            kill.cancel();
            tasks.wait().await;
        }
        Ok(())
    }
}

type Accepted = (OwnedSemaphorePermit, TcpStream, SocketAddr);

/// The next connection once there is a place for it; `None` once the server is to stop.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<Accepted> {
    let next = async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((place, stream, peer)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = next => accepted,
    }
}

#[async_trait]
impl Surface for HttpServer {
    fn name(&self) -> &'static str {
        "http"
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    async fn serve(self: Box<Self>, drain: CancellationToken) -> io::Result<()> {
        self.run(drain).await
    }
}
