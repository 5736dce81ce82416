use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio_util::sync::CancellationToken;

/// The numbers of one instance, in the form of Prometheus. Nothing of it is global, so several instances can live in
/// one process.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Upper bounds of histogram buckets: times in seconds from 0.5 ms to a minute.
const TIME_BUCKETS: [f64; 15] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// Upper bounds of histogram buckets of record counts.
const RECORD_BUCKETS: [f64; 8] = [1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0];
/// How often histograms are tidied up.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// Never with the buckets above.
    pub fn new() -> Result<Self, BuildError> {
        let records = metrics_exporter_prometheus::Matcher::Suffix("_records".to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets(&TIME_BUCKETS)?
            .set_buckets_for_metric(records, &RECORD_BUCKETS)?
            .build_recorder();
        let handle = recorder.handle();
        Ok(Self { recorder: Arc::new(recorder), handle })
    }

    /// Where numbers go.
    pub fn recorder(&self) -> Arc<PrometheusRecorder> {
        self.recorder.clone()
    }

    /// Writes all numbers as text for Prometheus.
    pub fn renderer(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let handle = self.handle.clone();
        Arc::new(move || handle.render())
    }

    /// Keeps the memory of histograms bounded until `shutdown`.
    pub async fn upkeep(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => self.handle.run_upkeep(),
            }
        }
    }
}
