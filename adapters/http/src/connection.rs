//! One connection: HTTP/1 or HTTP/2 without TLS, with limits on what a slow or hostile client can hold.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::activity::Activity;
use crate::config::HttpConfig;
use crate::lingering_close::LingeringClose;
use crate::write_timeout::WriteTimeout;

/// How often a peer on HTTP/2 is asked whether it is still there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Requests that one peer on HTTP/2 may have in flight.
const MAX_STREAMS: u32 = 200;

/// Serves connections.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    header_timeout: Duration,
    write_timeout: Duration,
    /// Cancelled once connections should end as soon as they can.
    draining: CancellationToken,
    /// Cancelled once they must end at once.
    kill: CancellationToken,
}

impl Connections {
    pub(crate) fn new(
        config: &HttpConfig,
        router: Router,
        draining: CancellationToken,
        kill: CancellationToken,
    ) -> Self {
        let builder = Arc::new(builder(config));
        let HttpConfig { header_timeout, write_timeout, .. } = *config;
        Self { builder, router, header_timeout, write_timeout, draining, kill }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        tokio::select! {
            () = self.kill.cancelled() => {}
            () = self.serve_to_end(stream, peer) => {}
        }
    }

    async fn serve_to_end(&self, stream: TcpStream, peer: SocketAddr) {
        let has_request = CancellationToken::new();
        let activity = Activity::new();
        let service = {
            let (router, has_request) = (self.router.clone(), has_request.clone());
            let activity = activity.clone();
            hyper::service::service_fn(move |mut request: Request<Incoming>| {
                has_request.cancel();
                let open = activity.request(request.version());
                request.extensions_mut().insert(ConnectInfo(peer));
                let (mut router, activity) = (router.clone(), activity.clone());
                async move {
                    let response = router.call(request).await;
                    drop(open);
                    response.map(|response| response.map(|body| activity.watched(body)))
                }
            })
        };
        let io = LingeringClose::new(WriteTimeout::new(TokioIo::new(stream), self.write_timeout));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        // The protocol is found out from the first bytes, for which hyper waits as long as it takes.
        tokio::select! {
            result = connection.as_mut() => return ended(result),
            () = has_request.cancelled() => {}
            () = self.draining.cancelled() => {}
            () = tokio::time::sleep(self.header_timeout) => {
                tracing::debug!("a connection was closed: no request came");
                return;
            }
        }
        tokio::select! {
            result = connection.as_mut() => return ended(result),
            () = self.draining.cancelled() => connection.as_mut().graceful_shutdown(),
            () = activity.ceased(self.write_timeout) => {
                tracing::debug!("a connection was closed: nothing happened on it");
                return;
            }
        }
        tokio::select! {
            result = connection.as_mut() => ended(result),
            () = activity.ceased(self.write_timeout) => {}
        }
    }
}

fn ended(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn builder(config: &HttpConfig) -> Builder<TokioExecutor> {
    let head = config.max_header_bytes.as_u64();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(usize::try_from(head).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
