//! Everything that a log has, processed as the product does it.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::backoff::BackoffPolicy;
use gosight_application::ports::{BatchStore, Clock, Deduplicator, EventSource, PollLimits};
use gosight_application::process::{
    ConsumerConfig, EventHandler, EventHandlerPorts, LogConsumer, ProcessStatus,
};
use gosight_domain::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::factory::NOON;

/// A clock that stands at [`NOON`].
#[derive(Debug)]
pub struct AtNoon;

impl Clock for AtNoon {
    fn now(&self) -> Timestamp {
        NOON
    }
}

/// Stores everything that the log of `source` has at this moment in `store`, each event once.
pub async fn process_all(
    source: Arc<dyn EventSource>,
    store: Arc<dyn BatchStore>,
    deduplicator: Arc<dyn Deduplicator>,
) {
    let ports = EventHandlerPorts { deduplicator, enrichers: Arc::default(), clock: Arc::new(AtNoon) };
    let status = Arc::new(ProcessStatus::new("conformance", source.log().clone()));
    let limits = PollLimits { max_records: 1_000, max_bytes: 1 << 20, linger: Duration::ZERO };
    let consumer = LogConsumer {
        source: source.clone(),
        store,
        handler: Arc::new(EventHandler::new(ports, Arc::default(), Arc::default())),
        clock: Arc::new(AtNoon),
        status: status.clone(),
        telemetry: Telemetry::default(),
        config: ConsumerConfig { limits, backoff: BackoffPolicy::default(), accept_lost: false },
    };
    let shutdown = CancellationToken::new();
    let run = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { consumer.run(shutdown).await }
    });
    let caught_up = async {
        loop {
            let ends = source.end_offsets().await.expect("the log's ends");
            let partitions = status.partitions();
            let is_done = |(partition, end): &(u32, u64)| {
                *end == 0 || partitions.get(partition).is_some_and(|status| status.next_offset >= *end)
            };
            if ends.iter().all(is_done) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), caught_up).await.expect("processed in time");
    shutdown.cancel();
    run.await.expect("no panic").expect("processed");
}
