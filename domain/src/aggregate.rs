//! Window aggregates: counts and measures of events by a key and a window of time, as configured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decoded::DecodedEvent;
use crate::field::{EventFields, FieldPath};
use crate::rollup::Visitor;
use crate::text::{EventName, ProjectId};
use crate::time::Timestamp;
use crate::violation::{Violation, ViolationCode};

/// One aggregation: which events, by what key, over what window, and what is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregation {
    /// Names it in requests.
    pub name: Arc<str>,
    /// The events it takes; all when empty.
    pub event_types: Vec<EventName>,
    /// What its values are kept by.
    pub key: KeyTemplate,
    /// Length of a window, in ms; windows start at multiples of it.
    pub window_ms: i64,
    /// What is measured besides the number of events, by name.
    pub measures: BTreeMap<Arc<str>, Measure>,
}

/// What is measured of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Measure {
    /// Sum, average, least and greatest of a number.
    Number(FieldPath),
    /// How many different values.
    Distinct(FieldPath),
    /// What a measure of one's own takes from the event, by the name that it was given to the builder with.
    Custom(Arc<str>),
}

/// A key made of text and fields, such as `user:{user_id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(FieldPath),
}

/// Longest key, in characters; events with a longer one are not aggregated by it.
const MAX_KEY_CHARS: usize = 200;

impl KeyTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Violation`] for an unclosed brace or a path that is none.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (path, after) = after.split_once('}').ok_or_else(|| {
                Violation::new("key", ViolationCode::NotAllowed, format!("{text:?} has a `{{` without `}}`"))
            })?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(FieldPath::parse(path)?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The key of an event; `None` when one of its fields is absent.
    fn fill(&self, fields: &EventFields<'_>) -> Option<String> {
        let mut key = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Field(path) => key.push_str(&fields.text(path)?),
            }
        }
        Some(key)
    }
}

/// What one value of an aggregation is kept by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateKey {
    /// The tenant.
    pub project_id: ProjectId,
    /// Name of the aggregation.
    pub aggregation: Arc<str>,
    /// The filled key.
    pub key: String,
    /// Start of the window.
    pub window_start: Timestamp,
}

/// What an aggregation says about one key and window. Merging is commutative and associative (sums of numbers up to
/// rounding).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AggregateValue {
    /// Events.
    pub count: u64,
    /// Number measures by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<Arc<str>, NumberStats>,
    /// Distinct measures by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub distinct: BTreeMap<Arc<str>, DistinctSketch>,
    /// Events for which a measure was skipped because it failed, by measure. They are in `count`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<Arc<str>, u64>,
}

/// What an aggregation did with an event.
#[derive(Debug)]
pub enum Applied<'v> {
    /// It does not take the event, or the event does not have the fields of the key.
    Passed,
    /// The key is longer than keys may be: the event is not aggregated.
    KeyTooLong,
    /// The event is counted here, and its fields are measured.
    Counted {
        /// What the event was added to.
        value: &'v mut AggregateValue,
        /// Measures whose field is there and is no number.
        not_numbers: Vec<Arc<str>>,
    },
}

/// Sum, average, least and greatest of the events that had the number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumberStats {
    /// Events that had it.
    pub count: u64,
    /// Sum.
    pub sum: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

impl NumberStats {
    fn of(number: f64) -> Self {
        Self { count: 1, sum: number, min: number, max: number }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Sum over count.
    pub fn avg(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an average needs no more digits")]
        let count = self.count as f64;
        self.sum / count
    }
}

/// How many different values there were: exact up to 1,024, then estimated with an error of about 3 %.
///
/// Keeps the smallest hashes (a KMV sketch: Bar-Yossef et al., "Counting distinct elements in a data stream", 2002),
/// which is bounded and does not depend on order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DistinctSketch {
    smallest: BTreeSet<u64>,
}

impl DistinctSketch {
    /// Hashes kept.
    pub const MAX_KEPT: usize = 1_024;

    /// Counts a value.
    pub fn add(&mut self, value: &str) {
        self.smallest.insert(Visitor::of(value).0);
        self.shrink();
    }

    fn merge(&mut self, other: &Self) {
        self.smallest.extend(&other.smallest);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.smallest.len() > Self::MAX_KEPT {
            self.smallest.pop_last();
        }
    }

    /// The number of different values.
    pub fn estimate(&self) -> u64 {
        let kept = self.smallest.len();
        match self.smallest.last() {
            Some(&greatest) if kept == Self::MAX_KEPT && greatest > 0 => {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "an estimate of a positive number"
                )]
                let estimate = ((kept - 1) as f64 * (u64::MAX as f64 / greatest as f64)).round() as u64;
                estimate.max(kept as u64)
            }
            _ => kept as u64,
        }
    }
}

impl AggregateValue {
    /// Adds the value of other events.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (name, stats) in &other.numbers {
            self.numbers.entry(name.clone()).and_modify(|mine| mine.merge(stats)).or_insert(*stats);
        }
        for (name, sketch) in &other.distinct {
            self.distinct.entry(name.clone()).or_default().merge(sketch);
        }
        for (name, events) in &other.skipped {
            *self.skipped.entry(name.clone()).or_default() += events;
        }
    }

    /// Adds the `number` of one event.
    pub fn add_number(&mut self, name: &Arc<str>, number: f64) {
        let stats = NumberStats::of(number);
        match self.numbers.get_mut(name) {
            Some(mine) => mine.merge(&stats),
            None => drop(self.numbers.insert(name.clone(), stats)),
        }
    }

    /// Counts a value of one event.
    pub fn add_distinct(&mut self, name: &Arc<str>, value: &str) {
        match self.distinct.get_mut(name) {
            Some(mine) => mine.add(value),
            None => self.distinct.entry(name.clone()).or_default().add(value),
        }
    }

    /// Counts an event for which the measure `name` was skipped.
    pub fn skip(&mut self, name: &Arc<str>) {
        *self.skipped.entry(name.clone()).or_default() += 1;
    }
}

impl Aggregation {
    /// Adds an event to `values`, if the aggregation takes it and it has the key's fields. Measures of one's own are for the
    /// caller to add.
    pub fn apply<'v>(
        &self,
        decoded: &DecodedEvent,
        values: &'v mut BTreeMap<AggregateKey, AggregateValue>,
    ) -> Applied<'v> {
        let (event, fields) = (decoded.event(), decoded.fields());
        if !self.event_types.is_empty() && !self.event_types.contains(&event.event_type) {
            return Applied::Passed;
        }
        let Some(key) = self.key.fill(&fields) else { return Applied::Passed };
        if key.chars().count() > MAX_KEY_CHARS {
            return Applied::KeyTooLong;
        }
        let window = event.timestamp.as_millis().div_euclid(self.window_ms.max(1));
        let key = AggregateKey {
            project_id: event.project_id.clone(),
            aggregation: self.name.clone(),
            key,
            window_start: Timestamp::from_millis(window * self.window_ms.max(1)),
        };
        let value = values.entry(key).or_default();
        value.count += 1;
        let mut not_numbers = Vec::new();
        for (name, measure) in &self.measures {
            match measure {
                Measure::Number(path) => match fields.number(path) {
                    Some(number) => value.add_number(name, number),
                    None if fields.get(path).is_some() => {
                        value.skip(name);
                        not_numbers.push(name.clone());
                    }
                    None => {}
                },
                Measure::Distinct(path) => {
                    if let Some(text) = fields.text(path) {
                        value.add_distinct(name, &text);
                    }
                }
                Measure::Custom(_) => {}
            }
        }
        Applied::Counted { value, not_numbers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_mixes_text_and_fields() {
        assert!(KeyTemplate::parse("user:{user_id}/{page.path}!").is_ok());
        assert!(KeyTemplate::parse("user:{user_id").is_err());
        assert!(KeyTemplate::parse("user:{nobody}").is_err());
    }

    #[test]
    fn distinct_is_exact_when_small_and_close_when_large() {
        let mut small = DistinctSketch::default();
        for n in 0..1_000 {
            small.add(&format!("{}", n % 500));
        }
        assert_eq!(small.estimate(), 500);
        let mut large = DistinctSketch::default();
        for n in 0..50_000 {
            large.add(&format!("{n}"));
        }
        let estimate = large.estimate();
        assert!((45_000..55_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn values_of_versions_that_skipped_nothing_are_read_and_written_as_they_were() {
        let old = r#"{"count":2,"numbers":{"price":{"count":1,"sum":5.0,"min":5.0,"max":5.0}}}"#;
        let mut value: AggregateValue = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), old);
        value.skip(&"price".into());
        value.merge(&value.clone());
        assert_eq!((value.count, value.skipped["price"]), (4, 2));
        let stored = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<AggregateValue>(&stored).unwrap(), value);
    }

    #[test]
    fn sketches_merge_in_any_order() {
        let sketch = |range: std::ops::Range<u32>| {
            let mut sketch = DistinctSketch::default();
            range.for_each(|n| sketch.add(&n.to_string()));
            sketch
        };
        let (mut a, mut b) = (sketch(0..3_000), sketch(2_000..5_000));
        let (copy_a, copy_b) = (a.clone(), b.clone());
        a.merge(&copy_b);
        b.merge(&copy_a);
        assert_eq!(a, b);
        assert_eq!(a, sketch(0..5_000));
    }
}
