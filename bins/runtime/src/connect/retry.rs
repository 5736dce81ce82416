use gosight_application::backoff::{Backoff, BackoffPolicy};
use gosight_application::ports::PortError;
use tokio_util::sync::CancellationToken;

use super::ConnectError;

/// Opens what a server has, once the server is there.
pub(super) async fn connect_with_retry<T>(
    stop: &CancellationToken,
    server: &'static str,
    open: impl AsyncFn() -> Result<T, PortError>,
) -> Result<T, ConnectError> {
    let mut backoff = Backoff::new(BackoffPolicy::default());
    loop {
        let opened = tokio::select! {
            () = stop.cancelled() => return Err(ConnectError::Stopped),
            opened = open() => opened,
        };
        match opened {
            Ok(opened) => return Ok(opened),
            Err(error) if error.is_transient() => {
                let wait = backoff.next_wait(error.retry_after());
                tracing::warn!(server, %error, ?wait, "not there yet, trying again");
                tokio::select! {
                    () = stop.cancelled() => return Err(ConnectError::Stopped),
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
