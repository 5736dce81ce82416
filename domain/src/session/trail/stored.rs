//! A trail as it is stored: each path once, and steps that say which one is theirs.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CursorStep, SharedPath, Signal, Step, Trail};
use crate::identity::EventId;
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct StoredTrail<'a> {
    paths: Vec<Cow<'a, str>>,
    steps: Vec<StoredStep>,
    cursor: Cow<'a, [CursorStep]>,
}

#[derive(Serialize, Deserialize)]
struct StoredStep {
    at: Timestamp,
    event_id: EventId,
    signal: StoredSignal,
    #[serde(default, skip_serializing_if = "is_no_sequence")]
    sequence: u64,
}

/// A [`Signal`] whose path is a place in the list of paths.
#[derive(Serialize, Deserialize)]
enum StoredSignal {
    Click { place: Option<(i16, i16)>, interactive: bool, path: usize },
    Error,
    PageView { path: usize },
    Vitals { lcp_ms: Option<u32>, ttfb_ms: Option<u32>, path: usize },
    Other,
}

/// The paths of a trail in order of their first step.
#[derive(Default)]
struct Paths<'a> {
    places: HashMap<&'a str, usize>,
    list: Vec<Cow<'a, str>>,
}

impl<'a> Paths<'a> {
    fn place(&mut self, path: &'a str) -> usize {
        *self.places.entry(path).or_insert_with(|| {
            self.list.push(Cow::Borrowed(path));
            self.list.len() - 1
        })
    }
}

impl Serialize for Trail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut paths = Paths::default();
        let steps = self.steps.iter().map(|step| StoredStep::of(step, &mut paths)).collect();
        StoredTrail { paths: paths.list, steps, cursor: Cow::Borrowed(&self.cursor) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Trail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredTrail::deserialize(deserializer)?;
        let paths: Vec<SharedPath> = stored.paths.into_iter().map(SharedPath::from).collect();
        let steps: Option<Vec<Step>> = stored.steps.into_iter().map(|step| step.into_step(&paths)).collect();
        let steps = steps.ok_or_else(|| D::Error::custom("a step names a path that is not in the list"))?;
        Ok(Self { steps, cursor: stored.cursor.into_owned() })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_no_sequence(sequence: &u64) -> bool {
    *sequence == 0
}

impl StoredStep {
    fn of<'a>(step: &'a Step, paths: &mut Paths<'a>) -> Self {
        let signal = match &step.signal {
            Signal::Click { place, interactive, path } => {
                StoredSignal::Click { place: *place, interactive: *interactive, path: paths.place(path) }
            }
            Signal::Error => StoredSignal::Error,
            Signal::PageView { path } => StoredSignal::PageView { path: paths.place(path) },
            Signal::Vitals { lcp_ms, ttfb_ms, path } => {
                StoredSignal::Vitals { lcp_ms: *lcp_ms, ttfb_ms: *ttfb_ms, path: paths.place(path) }
            }
            Signal::Other => StoredSignal::Other,
        };
        Self { at: step.at, event_id: step.event_id, signal, sequence: step.sequence }
    }

    fn into_step(self, paths: &[SharedPath]) -> Option<Step> {
        let signal = match self.signal {
            StoredSignal::Click { place, interactive, path } => {
                Signal::Click { place, interactive, path: paths.get(path)?.clone() }
            }
            StoredSignal::Error => Signal::Error,
            StoredSignal::PageView { path } => Signal::PageView { path: paths.get(path)?.clone() },
            StoredSignal::Vitals { lcp_ms, ttfb_ms, path } => {
                Signal::Vitals { lcp_ms, ttfb_ms, path: paths.get(path)?.clone() }
            }
            StoredSignal::Other => Signal::Other,
        };
        Some(Step { at: self.at, sequence: self.sequence, event_id: self.event_id, signal })
    }
}
