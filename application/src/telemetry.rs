//! What the use cases say about themselves in numbers.
//!
//! Built on the `metrics` facade but not on its global recorder: each instance has its own, so that several pipelines
//! can run in one process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Gauge, Key, Label, Level, Metadata, Recorder, SharedString, Unit};

/// A recorder that many threads share.
pub type SharedRecorder = Arc<dyn Recorder + Send + Sync>;

/// Where numbers go.
#[derive(Clone)]
pub struct Telemetry {
    recorder: SharedRecorder,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

impl Default for Telemetry {
    /// Numbers go nowhere.
    fn default() -> Self {
        Self { recorder: Arc::new(metrics::NoopRecorder) }
    }
}

macro_rules! metrics {
    ($($name:ident = $text:literal ($kind:ident $(, $unit:ident)?) $doc:literal,)+) => {
        /// Every metric, by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric { $(#[doc = $doc] $name,)+ }

        impl Metric {
            /// Every metric, for documentation and its test.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name in Prometheus.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// What it says.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $doc.trim_ascii()),+ }
            }

            fn describe(self, recorder: &dyn Recorder) {
                let name = metrics::KeyName::from_const_str(self.name());
                let help = SharedString::const_str(self.help());
                match self { $(Self::$name => metrics!(@describe recorder, name, help, $kind $(, $unit)?),)+ }
            }
        }
    };
    (@describe $r:ident, $n:ident, $h:ident, counter) => { $r.describe_counter($n, Some(Unit::Count), $h) };
    (@describe $r:ident, $n:ident, $h:ident, gauge) => { $r.describe_gauge($n, None, $h) };
    (@describe $r:ident, $n:ident, $h:ident, histogram, $unit:ident) => {
        $r.describe_histogram($n, Some(Unit::$unit), $h)
    };
}

metrics! {
    EventsAccepted = "events_accepted_total" (counter) " Events that were logged and acknowledged.",
    EventsRejected = "events_rejected_total" (counter) " Events that the ingest API refused, by reason.",
    ReplayChunksAccepted = "replay_chunks_accepted_total" (counter) " Replay chunks that were logged and acknowledged.",
    ReplayChunksRejected = "replay_chunks_rejected_total" (counter) " Replay chunks that the ingest API refused, by reason.",
    RefusalReportsLost = "refusal_reports_lost_total" (counter) " Reports of refused items that did not reach the errors log, by reason.",
    RequestsRefused = "requests_refused_total" (counter) " Requests that were refused as a whole, by reason.",
    SinkSeconds = "sink_append_seconds" (histogram, Seconds) " Time that a sink took to append, by sink and outcome.",
    LogAppendSeconds = "log_append_seconds" (histogram, Seconds) " Time to append a request's records durably.",
    EventsProcessed = "events_processed_total" (counter) " Records taken from a log and done with, by log.",
    EventsEnriched = "events_enriched_total" (counter) " Events of which an enricher knew something.",
    EventsFiltered = "events_filtered_total" (counter) " Events that a filter rule blocked, by rule.",
    EventsDeduplicated = "events_deduplicated_total" (counter) " Records whose event was known already.",
    DeadLetters = "dead_letters_total" (counter) " Records that were dead-lettered, by reason.",
    ReplaysArchived = "replays_archived_total" (counter) " Replays that were archived, cleaned up after it, expired, put into quarantine or failed, by outcome.",
    RecordsLost = "records_lost_total" (counter) " Records that were gone from a log before they were processed, by log.",
    ProcessingSeconds = "processing_duration_seconds" (histogram, Seconds) " Time from polling a batch to having it stored.",
    BatchRecords = "batch_records" (histogram, Count) " Records in a polled batch.",
    BatchAgeSeconds = "batch_age_seconds" (histogram, Seconds) " Age of the oldest record of a batch when it was stored.",
    CommitSeconds = "store_commit_seconds" (histogram, Seconds) " Time to store a batch.",
    Retries = "retries_total" (counter) " Attempts that were made again after one that failed, by what failed.",
    BackoffWaits = "backoff_waits_total" (counter) " Waits before an attempt is made again, by what failed.",
    BackoffWaiting = "backoff_waiting" (gauge) " Workers and requests that wait before they try again, by what failed.",
    RateLimiterUnavailable = "rate_limiter_unavailable_total" (counter) " Requests that the rate limiter did not judge, by what was done instead.",
    AcceptedChunksUnavailable = "accepted_chunks_unavailable_total" (counter) " Questions about accepted replay chunks that were not answered, by call.",
    MeasuresSkipped = "aggregation_measures_skipped_total" (counter) " Measures of events that were skipped, by aggregation, measure and reason.",
    LogLagRecords = "log_lag_records" (gauge) " Records in the log that are not processed, by log and partition.",
    EnrichmentCacheHitRatio = "enrichment_cache_hit_ratio" (gauge) " Part of profile lookups that the cache answered.",
    ProfileCacheLookups = "profile_cache_lookups_total" (counter) " Look-ups of profiles in the cache that processes share, by outcome: hit, miss, failed.",
    EnrichmentFailures = "enrichment_failures_total" (counter) " Calls of enrichers that gave nothing or were not made, by enricher and reason: timeout, panic, error, rubbish, open.",
    RecordsInHand = "records_in_hand" (gauge) " Records that were polled and are not stored yet, by log and partition.",
    WorkerUtilizationPercent = "worker_utilization_percent" (gauge) " Part of the last minute in which a partition's worker handled or stored records, by log and partition.",
    CircuitBreakersOpen = "circuit_breakers_open" (gauge) " Circuit breakers that are open, by dependency and by what it is asked for.",
    KeyCacheHits = "key_cache_hits_total" (counter) " Keys that were answered from the cache.",
    KeyCacheMisses = "key_cache_misses_total" (counter) " Keys that had to be looked up.",
    HttpRequests = "http_requests_total" (counter) " Requests by route and status.",
    HttpSeconds = "http_request_duration_seconds" (histogram, Seconds) " Time to answer a request, by route.",
}

/// The series that `circuit_breakers_open` had when it counted waits: kept for dashboards, until the next version.
const WAITING_AS_BREAKERS: [(&str, &str); 1] = [("alias_of", "backoff_waiting")];

/// A wait that is counted until this is dropped. See [`Telemetry::backing_off`].
#[derive(Debug)]
#[must_use = "the wait is over when it is dropped"]
pub struct BackingOff {
    telemetry: Telemetry,
    what: &'static str,
}

impl BackingOff {
    /// The wait is over, and the attempt is made again.
    pub fn retry(self) {
        self.telemetry.count(Metric::Retries, &[("what", self.what)], 1);
    }
}

impl Drop for BackingOff {
    fn drop(&mut self) {
        self.telemetry.add_waiting(self.what, -1.0);
    }
}

/// Whether one circuit breaker is open. See [`Telemetry::circuit_breaker`].
pub struct BreakerGauge {
    open: Gauge,
    is_open: AtomicBool,
}

impl fmt::Debug for BreakerGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerGauge").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl BreakerGauge {
    /// It is open, or closed; as often as it is said.
    pub fn set(&self, is_open: bool) {
        if self.is_open.swap(is_open, Ordering::Relaxed) != is_open {
            self.open.increment(if is_open { 1.0 } else { -1.0 });
        }
    }
}

impl Drop for BreakerGauge {
    fn drop(&mut self) {
        self.set(false);
    }
}

const METADATA: Metadata<'static> = Metadata::new("gosight", Level::INFO, Some(module_path!()));

/// Counters without labels.
const SHOWN_COUNTERS: [Metric; 5] = [
    Metric::EventsAccepted,
    Metric::ReplayChunksAccepted,
    Metric::EventsEnriched,
    Metric::KeyCacheHits,
    Metric::KeyCacheMisses,
];

impl Telemetry {
    /// Numbers go to `recorder`, which also gets their meanings.
    pub fn new(recorder: SharedRecorder) -> Self {
        for metric in Metric::ALL {
            metric.describe(&*recorder);
        }
        let telemetry = Self { recorder };
        telemetry.show_zeros();
        telemetry
    }

    /// Shows the numbers without labels, and those of dead letters, from the start: an alarm has to tell 0 from nothing.
    /// Others are there once they were counted with their labels.
    fn show_zeros(&self) {
        for metric in SHOWN_COUNTERS {
            self.recorder.register_counter(&key(metric, &[]), &METADATA).increment(0);
        }
        for reason in ["not_json", "invalid_record", "store_refused"] {
            let key = key(Metric::DeadLetters, &[("reason", reason)]);
            self.recorder.register_counter(&key, &METADATA).increment(0);
        }
        self.gauge(Metric::CircuitBreakersOpen, &WAITING_AS_BREAKERS, 0.0);
    }

    /// Counts `n` more of `metric`.
    pub fn count(&self, metric: Metric, labels: &[(&'static str, &str)], n: u64) {
        if n > 0 {
            self.recorder.register_counter(&key(metric, labels), &METADATA).increment(n);
        }
    }

    /// Sets `metric` to `value`.
    pub fn gauge(&self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        self.recorder.register_gauge(&key(metric, labels), &METADATA).set(value);
    }

    /// Adds `by` to `metric`.
    pub fn gauge_add(&self, metric: Metric, labels: &[(&'static str, &str)], by: f64) {
        self.recorder.register_gauge(&key(metric, labels), &METADATA).increment(by);
    }

    /// Counts a wait before `what` failed and is tried again, for as long as the answer lives. What waits may be given up at
    /// any moment.
    pub fn backing_off(&self, what: &'static str) -> BackingOff {
        self.count(Metric::BackoffWaits, &[("what", what)], 1);
        self.add_waiting(what, 1.0);
        BackingOff { telemetry: self.clone(), what }
    }

    fn add_waiting(&self, what: &'static str, by: f64) {
        self.gauge_add(Metric::BackoffWaiting, &[("what", what)], by);
        self.gauge_add(Metric::CircuitBreakersOpen, &WAITING_AS_BREAKERS, by);
    }

    /// Shows whether a circuit breaker before `dependency` is open. `call` is what that is asked for.
    pub fn circuit_breaker(&self, dependency: &str, call: &str) -> BreakerGauge {
        let labels = [("dependency", dependency), ("call", call)];
        let open = self.recorder.register_gauge(&key(Metric::CircuitBreakersOpen, &labels), &METADATA);
        // So that it is there, at 0, from the start.
        open.increment(0.0);
        BreakerGauge { open, is_open: AtomicBool::new(false) }
    }

    /// Notes a value of `metric`.
    pub fn observe(&self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        self.recorder.register_histogram(&key(metric, labels), &METADATA).record(value);
    }

    /// Notes a time of `metric`.
    pub fn observe_time(&self, metric: Metric, labels: &[(&'static str, &str)], time: Duration) {
        self.observe(metric, labels, time.as_secs_f64());
    }
}

fn key(metric: Metric, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(metric.name(), labels)
}
