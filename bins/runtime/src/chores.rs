//! What has to be done now and then while a process runs.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::decorators::CountedKeys;
use gosight_application::process::LogConsumer;
use gosight_application::replay::{Archiver, PassReport};
use gosight_application::telemetry::{Metric, Telemetry};
use tokio_util::sync::CancellationToken;

/// How often the lag is measured and the use of keys is written down.
const SHORT: Duration = Duration::from_secs(5);

/// Comes round every so often until shutdown.
#[derive(Debug)]
pub struct Ticks {
    interval: tokio::time::Interval,
    shutdown: CancellationToken,
}

impl Ticks {
    /// Comes round every `interval`.
    pub fn every(interval: Duration, shutdown: CancellationToken) -> Self {
        let mut interval = tokio::time::interval(interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { interval, shutdown }
    }

    /// Waits for the next time; `false` at shutdown.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}

/// Moves old replays to the archive, and deletes those that are too old there.
pub async fn archive_replays(archiver: Arc<Archiver>, interval: Duration, shutdown: CancellationToken) {
    let mut ticks = Ticks::every(interval, shutdown.clone());
    while ticks.next().await {
        match archiver.pass(&shutdown).await {
            Ok(report) if report == PassReport::default() => {}
            Ok(report) => tracing::info!(?report, "replays archived"),
            Err(error) => tracing::warn!(%error, "replays could not be archived, trying again later"),
        }
    }
}

/// Tells how far each consumer is behind its log.
pub async fn measure_lag(consumers: Vec<LogConsumer>, telemetry: Telemetry, shutdown: CancellationToken) {
    let mut ticks = Ticks::every(SHORT, shutdown);
    while ticks.next().await {
        for consumer in &consumers {
            let Ok(ends) = consumer.source.end_offsets().await else { continue };
            let partitions = consumer.status.partitions();
            for (partition, end) in ends {
                let next = partitions.get(&partition).map_or(end, |status| status.next_offset);
                let labels =
                    [("log", consumer.status.log().as_ref()), ("partition", &*partition.to_string())];
                #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more digits")]
                telemetry.gauge(Metric::LogLagRecords, &labels, end.saturating_sub(next) as f64);
            }
        }
    }
}

/// Writes down how often keys were used; once more at the end.
pub async fn record_key_usage(keys: Arc<CountedKeys>, shutdown: CancellationToken) {
    let mut ticks = Ticks::every(SHORT, shutdown);
    let mut goes_on = true;
    while goes_on {
        goes_on = ticks.next().await;
        if let Err(error) = keys.flush().await {
            tracing::warn!(%error, "the use of keys could not be written down, trying again later");
        }
    }
}
