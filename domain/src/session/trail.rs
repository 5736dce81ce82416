//! What a session remembers of its events so that insights come out right whatever order they arrive in.

mod stored;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::SharedPath;
use crate::details::Details;
use crate::event::Event;
use crate::identity::EventId;
use crate::rollup::{Dimension, cut};
use crate::time::Timestamp;

/// The earliest steps of a session in time order, bounded.
///
/// Keeping the *earliest* of a bounded number is commutative and associative where keeping the latest to arrive is
/// not: the trail is the same function of the set of events in whatever order they came. Insights after the bound
/// are not found; counts are not affected.
///
/// Paths are cut at [`MAX_PATH_CHARS`](Self::MAX_PATH_CHARS), and equal ones are kept once, also where a trail is
/// stored: a client decides how long a path is and how often it comes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trail {
    steps: Vec<Step>,
    cursor: Vec<CursorStep>,
}

/// One event as far as insights care.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When it happened.
    pub at: Timestamp,
    /// Which of those that happened then, as of [`Event::sequence`].
    pub sequence: u64,
    /// The event.
    pub event_id: EventId,
    /// What it was.
    pub signal: Signal,
}

/// What an event means to the detectors.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A click.
    Click {
        /// Where in the viewport, as `(x, y)` in CSS px, when the client reported it.
        place: Option<(i16, i16)>,
        /// Whether the target looks as if a click does something.
        interactive: bool,
        /// Page it happened on.
        path: SharedPath,
    },
    /// An error in the page.
    Error,
    /// A page came up.
    PageView {
        /// Its path.
        path: SharedPath,
    },
    /// Measured times of a page load.
    Vitals {
        /// Largest contentful paint, in ms.
        lcp_ms: Option<u32>,
        /// Time to first byte, in ms.
        ttfb_ms: Option<u32>,
        /// Page that was loaded.
        path: SharedPath,
    },
    /// Anything else: a sign of life.
    Other,
}

/// Where the pointer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CursorStep {
    /// When it was there.
    pub at: Timestamp,
    /// The event that tells.
    pub event_id: EventId,
    /// Horizontal place in CSS px.
    pub x: i16,
    /// Vertical place in CSS px.
    pub y: i16,
}

/// Targets that look as if a click does something. Fields for text are left out: to be focused is their answer.
const INTERACTIVE_TAGS: [&str; 3] = ["a", "button", "summary"];
const INTERACTIVE_ROLES: [&str; 5] = ["button", "link", "menuitem", "switch", "tab"];

impl Trail {
    /// Most events that are remembered for insights.
    pub const MAX_STEPS: usize = 1_000;
    /// Most places of the pointer that are remembered.
    pub const MAX_CURSOR_STEPS: usize = 500;
    /// Paths longer than this are cut, in characters, as in the rollup.
    pub const MAX_PATH_CHARS: usize = Dimension::MAX_VALUE_CHARS;

    /// The steps, earliest first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The places of the pointer, earliest first.
    pub fn cursor(&self) -> &[CursorStep] {
        &self.cursor
    }

    pub(super) fn add(&mut self, event: &Event, details: &Details<'_>) {
        let signal = Signal::of(event, details, |path| self.shared(path));
        let step = Step { at: event.timestamp, sequence: event.sequence, event_id: event.event_id, signal };
        let at = self.steps.partition_point(|other| other.key() < step.key());
        if at < Self::MAX_STEPS && self.steps.get(at).is_none_or(|other| other.key() != step.key()) {
            self.steps.insert(at, step);
            self.steps.truncate(Self::MAX_STEPS);
        }
        for point in &details.cursor {
            let at = event.timestamp.plus_millis(point.offset_ms.into());
            let step = CursorStep { at, event_id: event.event_id, x: point.x, y: point.y };
            if let Err(place) = self.cursor.binary_search(&step)
                && place < Self::MAX_CURSOR_STEPS
            {
                self.cursor.insert(place, step);
                self.cursor.truncate(Self::MAX_CURSOR_STEPS);
            }
        }
    }

    /// `path` as the steps share it.
    fn shared(&self, path: &str) -> SharedPath {
        let path = cut(path, Self::MAX_PATH_CHARS);
        let known =
            self.steps.iter().rev().filter_map(|step| step.signal.path()).find(|known| ***known == *path);
        known.map_or_else(|| path.into(), SharedPath::clone)
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        share_paths(&self.steps, &mut other.steps);
        let mine = std::mem::take(&mut self.steps);
        self.steps = merged(mine, other.steps, Self::MAX_STEPS, Step::key);
        let mine = std::mem::take(&mut self.cursor);
        self.cursor = merged(mine, other.cursor, Self::MAX_CURSOR_STEPS, |step| *step);
    }
}

/// The first `max` of two sorted lists together; equal keys count once.
fn merged<T, K: Ord>(mine: Vec<T>, theirs: Vec<T>, max: usize, key: impl Fn(&T) -> K) -> Vec<T> {
    let overlaps = match (mine.last(), theirs.first()) {
        (Some(last), Some(first)) => key(last) >= key(first),
        _ => false,
    };
    let mut all = mine;
    all.extend(theirs);
    if overlaps {
        // The sort is made for runs that are sorted already, which these are.
        all.sort_by_key(&key);
        all.dedup_by_key(|item| key(item));
    }
    all.truncate(max);
    all
}

/// Lets `others` have the paths of `steps` where they are equal.
fn share_paths(steps: &[Step], others: &mut [Step]) {
    let paths: HashSet<SharedPath> = steps.iter().filter_map(|step| step.signal.path().cloned()).collect();
    for path in others.iter_mut().filter_map(|step| step.signal.path_mut()) {
        if let Some(known) = paths.get(path) {
            *path = known.clone();
        }
    }
}

impl Step {
    fn key(&self) -> (Timestamp, u64, EventId) {
        (self.at, self.sequence, self.event_id)
    }
}

impl Signal {
    fn of(event: &Event, details: &Details<'_>, shared: impl Fn(&str) -> SharedPath) -> Self {
        let path = || shared(&event.page.path);
        match event.event_type.as_str() {
            "click" => Self::Click {
                place: details.click_x.zip(details.click_y),
                interactive: looks_interactive(details),
                path: path(),
            },
            "js_error" => Self::Error,
            "page_view" => Self::PageView { path: path() },
            "web_vitals" => Self::Vitals { lcp_ms: details.lcp_ms, ttfb_ms: details.ttfb_ms, path: path() },
            _ => Self::Other,
        }
    }

    fn path(&self) -> Option<&SharedPath> {
        match self {
            Self::Click { path, .. } | Self::PageView { path } | Self::Vitals { path, .. } => Some(path),
            Self::Error | Self::Other => None,
        }
    }

    fn path_mut(&mut self) -> Option<&mut SharedPath> {
        match self {
            Self::Click { path, .. } | Self::PageView { path } | Self::Vitals { path, .. } => Some(path),
            Self::Error | Self::Other => None,
        }
    }
}

fn looks_interactive(details: &Details<'_>) -> bool {
    let is_one_of = |text: Option<&str>, known: &[&str]| {
        text.is_some_and(|text| known.iter().any(|known| text.eq_ignore_ascii_case(known)))
    };
    is_one_of(details.target_tag.as_deref(), &INTERACTIVE_TAGS)
        || is_one_of(details.target_role.as_deref(), &INTERACTIVE_ROLES)
}
