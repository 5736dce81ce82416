use gosight_application::backoff::{Backoff, BackoffPolicy};
use gosight_application::ports::PortError;

use super::{ConnectError, Connecting};

/// Opens what a server has, once the server is there.
pub(super) async fn connect_with_retry<T>(
    connecting: &Connecting<'_>,
    server: &'static str,
    open: impl AsyncFn() -> Result<T, PortError>,
) -> Result<T, ConnectError> {
    let Connecting { stop, telemetry, .. } = connecting;
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
                let waiting = telemetry.backing_off("connect");
                tokio::select! {
                    () = stop.cancelled() => return Err(ConnectError::Stopped),
                    () = tokio::time::sleep(wait) => waiting.retry(),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
