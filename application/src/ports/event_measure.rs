use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gosight_domain::ProjectId;
use gosight_domain::decoded::DecodedEvent;

use super::BoxError;

/// A measure of one's own: takes numbers and values from events, for aggregations to fold.
///
/// It does not keep anything: what it gives is added to the states that built-in measures have (count, sum, least and
/// greatest of a number; different values), which are stored and merged in any order. It is called for each event of each
/// aggregation that names it, on the thread that processes events, so it neither blocks nor asks anybody.
///
/// A measure that breaks the contract for an event is skipped for that event: other measures go on, and the event is
/// stored and counted.
///
/// # Contract
/// 1. `parts` are the same at each call: 1 to 16, each with a name of its own. A name has 1 to 40 of `a-z`, `0-9` and `_`, or
///    is empty: then it stands for the measure as a whole.
/// 2. `measure` gives its parts only, each as what it is declared.
/// 3. Numbers are finite. Values have at most 1,000 bytes. One event gives at most 64 of both together.
/// 4. The same event gives the same, whatever came before: a batch is handled again after a failure.
/// 5. An event that it has nothing to say of gives nothing. An error is for an event that should be measured and cannot be.
/// 6. It does not panic.
pub trait EventMeasure: fmt::Debug + Send + Sync {
    /// What it gives.
    fn parts(&self) -> Vec<MeasurePart>;

    /// Takes from `event` what is to be measured.
    ///
    /// # Errors
    /// Why the event cannot be measured. People read it; it should not quote what is secret.
    fn measure(&self, event: &DecodedEvent, found: &mut Measurements<'_>) -> Result<(), BoxError>;
}

/// One of the things that a measure gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasurePart {
    /// Its name; empty for the measure as a whole.
    pub name: Cow<'static, str>,
    /// What it is.
    pub kind: MeasureKind,
}

/// What a part of a measure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureKind {
    /// A number, of which count, sum, average, least and greatest are kept.
    Number,
    /// A value, of which is kept how many different ones there were.
    Distinct,
}

impl MeasurePart {
    /// Most parts of one measure.
    pub const MAX: usize = 16;

    /// A number.
    pub fn number(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), kind: MeasureKind::Number }
    }

    /// A value, of which different ones are counted.
    pub fn distinct(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), kind: MeasureKind::Distinct }
    }

    /// Whether the name is one.
    pub fn is_named(&self) -> bool {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        self.name.len() <= 40 && self.name.bytes().all(is_allowed)
    }
}

/// One thing that a measure has found in an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Measurement {
    /// A number.
    Number(f64),
    /// A value.
    Distinct(String),
}

/// What a measure finds in one event. Bounded, whatever the measure does.
#[derive(Debug)]
pub struct Measurements<'p> {
    parts: &'p [MeasurePart],
    found: Vec<(usize, Measurement)>,
    fault: Option<MeasureFault>,
}

/// Most measurements of one event.
const MAX_FOUND: usize = 64;
/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 1_000;

impl<'p> Measurements<'p> {
    /// What `measure`, which has these `parts`, finds in `event`: each with the place of its part.
    ///
    /// # Errors
    /// [`MeasureFault`] when it breaks its contract.
    pub fn of(
        measure: &dyn EventMeasure,
        parts: &'p [MeasurePart],
        event: &DecodedEvent,
    ) -> Result<Vec<(usize, Measurement)>, MeasureFault> {
        let mut found = Self { parts, found: Vec::new(), fault: None };
        // What it has found until then is dropped, and an event's cells are filled or empty.
        let measured = catch_unwind(AssertUnwindSafe(|| measure.measure(event, &mut found)));
        measured
            .map_err(|payload| MeasureFault::Panicked(text_of(&*payload)))?
            .map_err(MeasureFault::Failed)?;
        found.fault.map_or(Ok(found.found), Err)
    }

    /// Gives a number for the part `part`.
    pub fn number(&mut self, part: &str, number: f64) {
        if !number.is_finite() {
            return self.note(MeasureFault::NotFinite { part: shown(part), number });
        }
        self.add(part, MeasureKind::Number, || Measurement::Number(number));
    }

    /// Gives a value for the part `part`. Several of one event are counted each.
    pub fn value(&mut self, part: &str, value: &str) {
        if value.len() > MAX_VALUE_BYTES {
            return self.note(MeasureFault::ValueTooLong { part: shown(part), bytes: value.len() });
        }
        self.add(part, MeasureKind::Distinct, || Measurement::Distinct(value.to_owned()));
    }

    fn add(&mut self, part: &str, kind: MeasureKind, measurement: impl FnOnce() -> Measurement) {
        let is_it = |declared: &MeasurePart| declared.name == part && declared.kind == kind;
        match self.parts.iter().position(is_it) {
            None => self.note(MeasureFault::Undeclared { part: shown(part) }),
            Some(_) if self.found.len() == MAX_FOUND => self.note(MeasureFault::TooMany),
            Some(place) => self.found.push((place, measurement())),
        }
    }

    /// The first fault is the one that is reported.
    fn note(&mut self, fault: MeasureFault) {
        self.fault.get_or_insert(fault);
    }
}

/// Why a measure is skipped for an event.
#[derive(Debug, thiserror::Error)]
pub enum MeasureFault {
    /// It says that it cannot measure the event.
    #[error("{0}")]
    Failed(#[source] BoxError),
    /// It panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// It gave a part that it has not declared as that.
    #[error("it gave {part:?}, which is none of its parts of this kind")]
    Undeclared {
        /// The part.
        part: String,
    },
    /// It gave a number that is none.
    #[error("it gave {number} for {part:?}, which is not finite")]
    NotFinite {
        /// The part.
        part: String,
        /// What it gave.
        number: f64,
    },
    /// It gave a value that is too long.
    #[error("it gave a value of {bytes} bytes for {part:?}, at most 1000 are allowed")]
    ValueTooLong {
        /// The part.
        part: String,
        /// How long the value was.
        bytes: usize,
    },
    /// It gave too many numbers and values.
    #[error("it gave more than 64 numbers and values for one event")]
    TooMany,
    /// A built-in measure of a number met something else.
    #[error("the field is there and is no number")]
    NotANumber,
    /// The key of the aggregation is too long, so none of its measures was asked.
    #[error("the key of the aggregation is longer than 200 characters")]
    KeyTooLong,
}

impl MeasureFault {
    /// The fault in one word, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Failed(_) => "error",
            Self::Panicked(_) => "panic",
            Self::Undeclared { .. } => "undeclared_part",
            Self::NotFinite { .. } => "not_finite",
            Self::ValueTooLong { .. } => "value_too_long",
            Self::TooMany => "too_many",
            Self::NotANumber => "not_a_number",
            Self::KeyTooLong => "key_too_long",
        }
    }
}

/// What people read of a text that a measure made: no measure fills the memory with it.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    shown(text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text"))
}

/// The measures that were skipped for events of one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkippedMeasures(BTreeMap<SkippedMeasure, Skips>);

/// A measure that was skipped, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkippedMeasure {
    /// Whose events.
    pub project_id: ProjectId,
    /// Name of the aggregation.
    pub aggregation: Arc<str>,
    /// Name of the measure in it; empty when all of them were skipped.
    pub measure: Arc<str>,
    /// Why, in one word.
    pub reason: &'static str,
}

/// How often a measure was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skips {
    /// For how many events.
    pub events: u64,
    /// What was said last.
    pub last_error: String,
}

impl SkippedMeasures {
    /// Notes that a measure was skipped for an event because of `fault`.
    pub fn add(
        &mut self,
        project_id: &ProjectId,
        aggregation: &Arc<str>,
        measure: &Arc<str>,
        fault: &MeasureFault,
    ) {
        let skipped = SkippedMeasure {
            project_id: project_id.clone(),
            aggregation: aggregation.clone(),
            measure: measure.clone(),
            reason: fault.reason(),
        };
        let skips = self.0.entry(skipped).or_insert(Skips { events: 0, last_error: String::new() });
        skips.events += 1;
        skips.last_error = shown(&fault.to_string());
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (&SkippedMeasure, &Skips)> {
        self.0.iter()
    }
}
