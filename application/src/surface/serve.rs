use std::fmt;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

/// A server that a process runs: HTTP, gRPC, a dashboard. Its port is bound when it is made, so that a start fails for a taken
/// port before anything else is done.
#[async_trait]
pub trait Surface: fmt::Debug + Send {
    /// Its name in logs and errors, such as `http`.
    fn name(&self) -> &'static str;

    /// The address that it listens on.
    fn local_addr(&self) -> SocketAddr;

    /// Serves until `drain` is cancelled. Then nothing new is taken, and requests in flight finish within a time of its own.
    /// Dropping the future ends everything at once.
    ///
    /// # Errors
    /// When the port cannot be used by the runtime.
    async fn serve(self: Box<Self>, drain: CancellationToken) -> io::Result<()>;
}
