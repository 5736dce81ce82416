use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use gosight_application::Telemetry;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// A recorder that can be asked. Numbers are named as Prometheus writes them: `name{label="value"}`.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    observations: BTreeMap<String, u64>,
}

impl Numbers {
    pub fn telemetry(&self) -> Telemetry {
        Telemetry::new(Arc::new(self.clone()))
    }

    /// A counter; 0 when nothing was ever counted.
    pub fn count(&self, name: &str) -> u64 {
        self.0.lock().unwrap().counters.get(name).copied().unwrap_or_default()
    }

    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.0.lock().unwrap().gauges.get(name).copied()
    }

    /// How many values a histogram got.
    pub fn observations(&self, name: &str) -> u64 {
        self.0.lock().unwrap().observations.get(name).copied().unwrap_or_default()
    }

    fn cell(&self, key: &Key) -> Arc<Cell> {
        Arc::new(Cell { numbers: self.clone(), name: name_of(key) })
    }
}

fn name_of(key: &Key) -> String {
    let labels: Vec<String> =
        key.labels().map(|label| format!("{}=\"{}\"", label.key(), label.value())).collect();
    if labels.is_empty() { key.name().to_owned() } else { format!("{}{{{}}}", key.name(), labels.join(",")) }
}

struct Cell {
    numbers: Numbers,
    name: String,
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Cell {
    fn gauge(&self, change: impl FnOnce(&mut f64)) {
        change(self.numbers.0.lock().unwrap().gauges.entry(self.name.clone()).or_default());
    }
}

impl CounterFn for Cell {
    fn increment(&self, by: u64) {
        *self.numbers.0.lock().unwrap().counters.entry(self.name.clone()).or_default() += by;
    }

    fn absolute(&self, value: u64) {
        self.numbers.0.lock().unwrap().counters.insert(self.name.clone(), value);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, by: f64) {
        self.gauge(|value| *value += by);
    }

    fn decrement(&self, by: f64) {
        self.gauge(|value| *value -= by);
    }

    fn set(&self, to: f64) {
        self.gauge(|value| *value = to);
    }
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        *self.numbers.0.lock().unwrap().observations.entry(self.name.clone()).or_default() += 1;
    }
}

impl Recorder for Numbers {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}
