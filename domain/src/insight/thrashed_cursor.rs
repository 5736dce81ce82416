use super::{Insight, InsightKind, InsightThresholds};
use crate::session::{CursorStep, SharedPath, Signal, Trail};
use crate::time::Timestamp;

/// Stretches in which the pointer turns back so often, so quickly and over such a way that nobody means it.
pub(super) fn detect(trail: &Trail, thresholds: &InsightThresholds) -> Vec<Insight> {
    let turns = turns(trail.cursor());
    let length = thresholds.thrash_turns.max(1);
    let mut insights: Vec<Insight> = Vec::new();
    let mut end = 0;
    for (start, window) in turns.windows(length).enumerate() {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { continue };
        let quick = last.step.at.millis_since(first.step.at) <= thresholds.thrash_window_ms;
        let way_px: f64 = window.iter().map(|turn| turn.way_px).sum();
        if !quick || way_px < f64::from(thresholds.thrash_distance_px) {
            continue;
        }
        match insights.last_mut() {
            Some(open) if start < end => {
                open.count += 1;
                open.last_at = last.step.at;
            }
            _ => insights.push(Insight {
                kind: InsightKind::ThrashedCursor,
                event_id: first.step.event_id,
                first_at: first.step.at,
                last_at: last.step.at,
                path: path_at(trail, first.step.at),
                count: u32::try_from(length).unwrap_or(u32::MAX),
            }),
        }
        end = start + length;
    }
    insights
}

/// A place where the pointer turned back, and the way it came since the place before.
struct Turn {
    step: CursorStep,
    way_px: f64,
}

/// The places where the pointer goes back by more than a right angle.
fn turns(cursor: &[CursorStep]) -> Vec<Turn> {
    cursor
        .windows(3)
        .filter_map(|way| {
            let (a, b, c) = (way[0], way[1], way[2]);
            let came = (i64::from(b.x) - i64::from(a.x), i64::from(b.y) - i64::from(a.y));
            let goes = (i64::from(c.x) - i64::from(b.x), i64::from(c.y) - i64::from(b.y));
            let turned_back = came.0 * goes.0 + came.1 * goes.1 < 0;
            #[expect(clippy::cast_precision_loss, reason = "screens are small")]
            let way_px = ((came.0 * came.0 + came.1 * came.1) as f64).sqrt();
            turned_back.then_some(Turn { step: b, way_px })
        })
        .collect()
}

/// The page that was up at `at`.
fn path_at(trail: &Trail, at: Timestamp) -> SharedPath {
    let views = trail.steps().iter().filter_map(|step| match &step.signal {
        Signal::PageView { path } => Some((step.at, path)),
        _ => None,
    });
    let mut path = None;
    for (since, view) in views {
        if since <= at || path.is_none() {
            path = Some(view);
        }
    }
    path.cloned().unwrap_or_default()
}
