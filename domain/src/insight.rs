//! What a session shows about its visitor: frustration, confusion, slowness.
//!
//! Each detector is a pure function of the session's [`Trail`], one file each. An insight is named by its kind and
//! the event it starts with, so finding it again after a late event changes nothing.

mod dead_click;
mod error_click;
mod rage_click;
mod slow_page;
mod thrashed_cursor;
mod u_turn;

use serde::{Deserialize, Serialize};

use crate::identity::EventId;
use crate::session::{SharedPath, Signal, Step, Trail};
use crate::time::Timestamp;

/// One thing that a session shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insight {
    /// What kind of thing.
    pub kind: InsightKind,
    /// The event it starts with.
    pub event_id: EventId,
    /// Time of its first event.
    pub first_at: Timestamp,
    /// Time of its last event.
    pub last_at: Timestamp,
    /// Page it happened on.
    pub path: SharedPath,
    /// How many events make it: clicks of a rage click, changes of direction of a thrashed cursor, else 1.
    pub count: u32,
}

/// The kinds of insight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsightKind {
    /// Many quick clicks on one spot.
    RageClick,
    /// A click on something that looks interactive, and nothing happens.
    DeadClick,
    /// A click, and an error right after it.
    ErrorClick,
    /// The pointer goes back and forth.
    ThrashedCursor,
    /// Back on the same page within seconds.
    UTurn,
    /// A page that was slow to answer or to paint.
    SlowPage,
}

impl InsightKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::RageClick,
        Self::DeadClick,
        Self::ErrorClick,
        Self::ThrashedCursor,
        Self::UTurn,
        Self::SlowPage,
    ];

    /// The name in rows and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RageClick => "rage_click",
            Self::DeadClick => "dead_click",
            Self::ErrorClick => "error_click",
            Self::ThrashedCursor => "thrashed_cursor",
            Self::UTurn => "u_turn",
            Self::SlowPage => "slow_page",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// When a detector speaks up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InsightThresholds {
    /// Rage click: so many clicks.
    pub rage_clicks: usize,
    /// Rage click: within so many ms.
    pub rage_window_ms: i64,
    /// Rage click: within so many px of each other.
    pub rage_radius_px: i32,
    /// Dead click: no response within so many ms.
    pub dead_window_ms: i64,
    /// Error click: an error within so many ms.
    pub error_window_ms: i64,
    /// Thrashed cursor: so many changes of direction.
    pub thrash_turns: usize,
    /// Thrashed cursor: within so many ms.
    pub thrash_window_ms: i64,
    /// Thrashed cursor: over a way of at least so many px.
    pub thrash_distance_px: i32,
    /// U-turn: back within so many ms.
    pub u_turn_window_ms: i64,
    /// Slow page: largest contentful paint above so many ms.
    pub slow_lcp_ms: u32,
    /// Slow page: time to first byte above so many ms.
    pub slow_ttfb_ms: u32,
}

impl Default for InsightThresholds {
    fn default() -> Self {
        Self {
            rage_clicks: 5,
            rage_window_ms: 2_000,
            rage_radius_px: 50,
            dead_window_ms: 1_000,
            error_window_ms: 1_000,
            thrash_turns: 8,
            thrash_window_ms: 2_000,
            thrash_distance_px: 1_000,
            u_turn_window_ms: 10_000,
            slow_lcp_ms: 3_000,
            slow_ttfb_ms: 800,
        }
    }
}

/// Everything that `trail` shows, by kind and time.
pub fn detect(trail: &Trail, thresholds: &InsightThresholds) -> Vec<Insight> {
    let steps = trail.steps();
    let mut insights = rage_click::detect(steps, thresholds);
    insights.extend(dead_click::detect(steps, thresholds));
    insights.extend(error_click::detect(steps, thresholds));
    insights.extend(thrashed_cursor::detect(trail, thresholds));
    insights.extend(u_turn::detect(steps, thresholds));
    insights.extend(slow_page::detect(steps, thresholds));
    insights
}

impl Insight {
    fn at_step(kind: InsightKind, step: &Step, path: &SharedPath) -> Self {
        Self {
            kind,
            event_id: step.event_id,
            first_at: step.at,
            last_at: step.at,
            path: path.clone(),
            count: 1,
        }
    }
}

/// A click with what the detectors of clicks look at.
struct Click<'a> {
    /// Where it stands among the steps.
    index: usize,
    step: &'a Step,
    place: Option<(i16, i16)>,
    interactive: bool,
    path: &'a SharedPath,
}

fn clicks(steps: &[Step]) -> impl Iterator<Item = Click<'_>> {
    steps.iter().enumerate().filter_map(|(index, step)| match &step.signal {
        Signal::Click { place, interactive, path } => {
            Some(Click { index, step, place: *place, interactive: *interactive, path })
        }
        _ => None,
    })
}

/// The steps from `click` on that happened within `window_ms` of it, and those of the same millisecond before it:
/// the order inside a millisecond says nothing.
fn around<'a>(steps: &'a [Step], click: &Click<'_>, window_ms: i64) -> impl Iterator<Item = &'a Step> {
    let at = click.step.at;
    let before = steps[..click.index].iter().rev().take_while(move |step| step.at == at);
    let after = steps[click.index + 1..].iter().take_while(move |step| step.at.millis_since(at) <= window_ms);
    before.chain(after)
}

#[cfg(test)]
mod tests;
