//! Whether anything happens on a connection of HTTP/2, whose peer can hold everything up and still answer pings.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Version;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// What happens on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    /// When something happened last, in ms after the start.
    last_ms: AtomicU64,
    /// Requests that are not answered yet.
    open_requests: AtomicUsize,
    is_http2: AtomicBool,
}

/// A request that is not answered yet.
pub(crate) struct OpenRequest(Activity);

impl Activity {
    /// A connection that begins now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
            open_requests: AtomicUsize::new(0),
            is_http2: AtomicBool::new(false),
        }))
    }

    /// A request has come.
    pub(crate) fn request(&self, version: Version) -> OpenRequest {
        self.0.is_http2.store(version == Version::HTTP_2, Ordering::Relaxed);
        self.0.open_requests.fetch_add(1, Ordering::Relaxed);
        self.touch();
        OpenRequest(self.clone())
    }

    /// `body`, each step of which is noted.
    pub(crate) fn watched(&self, body: Body) -> Body {
        Body::new(Watched { body, activity: self.clone() })
    }

    /// Waits until for `limit` no request was open and nothing of any answer was taken. For HTTP/1 that never ends: there
    /// it is seen where it is written.
    pub(crate) async fn ceased(&self, limit: Duration) {
        loop {
            let idle = self.0.start.elapsed().saturating_sub(self.last());
            let watched = self.0.is_http2.load(Ordering::Relaxed);
            let waits = self.0.open_requests.load(Ordering::Relaxed) == 0;
            if watched && waits && idle >= limit {
                return;
            }
            // At least a part of it, for connections that are not watched.
            tokio::time::sleep(limit.saturating_sub(idle).max(limit / 4)).await;
        }
    }

    fn last(&self) -> Duration {
        Duration::from_millis(self.0.last_ms.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        let now = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_ms.fetch_max(now, Ordering::Relaxed);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.touch();
        self.0.0.open_requests.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Watched {
    body: Body,
    activity: Activity,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.activity.touch();
        pin!(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
