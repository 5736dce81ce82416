//! What is done now and then while a pipeline runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Background, Pipeline, Running};
use crate::decorators::CountedKeys;
use crate::ports::{Clock, Maintenance};
use crate::process::LogConsumer;
use crate::replay::{Archiver, PassReport};
use crate::sessions::SessionRules;
use crate::telemetry::{Metric, Telemetry};

/// How often the lag is measured and the use of keys is written down.
const SHORT: Duration = Duration::from_secs(5);
/// How often what is past its retention is looked for.
const MAINTENANCE: Duration = Duration::from_mins(1);

pub(super) fn start(pipeline: &Pipeline, running: &mut Running) {
    let Background { usage, maintenance, rules, archive_interval } = pipeline.background.clone();
    let Pipeline { consumers, archiver, clock, telemetry, ingest, .. } = pipeline.clone();
    running.spawn(|stop| record_key_usage(usage, stop));
    if let Some(ingest) = ingest {
        running.spawn(async move |stop| ingest.write_refusals(stop).await);
    }
    if !consumers.is_empty() {
        running.spawn(|stop| measure_lag(consumers, telemetry, stop));
    }
    if !maintenance.is_empty() {
        running.spawn(|stop| maintain(maintenance, clock, rules, stop));
    }
    if let Some((archiver, interval)) = archiver.zip(archive_interval) {
        running.spawn(move |stop| archive_replays(archiver, interval, stop));
    }
}

/// Comes round every so often until shutdown.
struct Ticks {
    interval: Interval,
    stop: CancellationToken,
}

impl Ticks {
    fn every(interval: Duration, stop: CancellationToken) -> Self {
        let mut interval = tokio::time::interval(interval);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stop }
    }

    /// Waits for the next time; `false` at shutdown.
    async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}

/// Moves old replays to the archive, and deletes those that are too old there.
async fn archive_replays(archiver: Arc<Archiver>, interval: Duration, stop: CancellationToken) {
    let mut ticks = Ticks::every(interval, stop.clone());
    while ticks.next().await {
        match archiver.pass(&stop).await {
            Ok(report) if report == PassReport::default() => {}
            Ok(report) => tracing::info!(?report, "replays archived"),
            Err(error) => tracing::warn!(%error, "replays could not be archived, trying again later"),
        }
    }
}

/// Tells how far each consumer is behind its log, and how busy it is.
async fn measure_lag(consumers: Vec<LogConsumer>, telemetry: Telemetry, stop: CancellationToken) {
    let mut ticks = Ticks::every(SHORT, stop);
    while ticks.next().await {
        consumers.iter().for_each(LogConsumer::report_loads);
        for consumer in &consumers {
            let Ok(lags) = consumer.lag().await else { continue };
            for (partition, records) in lags {
                let labels =
                    [("log", consumer.status.log().as_ref()), ("partition", &*partition.to_string())];
                #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more digits")]
                telemetry.gauge(Metric::LogLagRecords, &labels, records as f64);
            }
        }
    }
}

/// Writes down how often keys were used; once more at the end.
async fn record_key_usage(keys: Arc<CountedKeys>, stop: CancellationToken) {
    let mut ticks = Ticks::every(SHORT, stop);
    let mut goes_on = true;
    while goes_on {
        goes_on = ticks.next().await;
        if let Err(error) = keys.flush().await {
            tracing::warn!(%error, "the use of keys could not be written down, trying again later");
        }
    }
}

/// Deletes what is past its retention.
async fn maintain(
    parts: Vec<Arc<dyn Maintenance>>,
    clock: Arc<dyn Clock>,
    rules: SessionRules,
    stop: CancellationToken,
) {
    let mut ticks = Ticks::every(MAINTENANCE, stop);
    while ticks.next().await {
        for part in &parts {
            if let Err(error) = part.maintain(clock.now(), &rules).await {
                tracing::warn!(part = part.name(), %error, "what is past its retention could not be deleted");
            }
        }
    }
}
