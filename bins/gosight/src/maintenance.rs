//! What has to be done now and then while an instance runs.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{BoxError, Clock};
use gosight_application::sessions::SessionRules;
use gosight_embedded::{EmbeddedLog, EmbeddedStore};
use gosight_runtime::chores::Ticks;
use tokio_util::sync::CancellationToken;

/// How often old records, rows and segments are looked for.
const INTERVAL: Duration = Duration::from_mins(1);

/// Deletes what is past its retention.
pub(crate) async fn delete_old(
    log: Arc<EmbeddedLog>,
    store: Arc<EmbeddedStore>,
    clock: Arc<dyn Clock>,
    rules: SessionRules,
    shutdown: CancellationToken,
) {
    let mut ticks = Ticks::every(INTERVAL, shutdown);
    while ticks.next().await {
        let log = log.clone();
        let deleted = tokio::task::spawn_blocking(move || log.delete_old_segments()).await;
        if let Err(error) =
            deleted.map_err(BoxError::from).and_then(|deleted| deleted.map_err(BoxError::from))
        {
            tracing::warn!(%error, "old log segments could not be deleted");
        }
        if let Err(error) = store.maintain(clock.now(), &rules).await {
            tracing::warn!(%error, "old rows could not be deleted");
        }
    }
}
