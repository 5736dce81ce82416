use super::{Insight, InsightKind, InsightThresholds, around, clicks};
use crate::session::{Signal, Step};

/// Clicks on something that looks interactive with no event but clicks within the window. Whether a click is dead is
/// known only once the session has a later event: until then the page may just have gone away.
pub(super) fn detect(steps: &[Step], thresholds: &InsightThresholds) -> Vec<Insight> {
    let Some(end) = steps.last().map(|step| step.at) else { return Vec::new() };
    clicks(steps)
        .filter(|click| click.interactive && end.millis_since(click.step.at) > thresholds.dead_window_ms)
        .filter(|click| {
            around(steps, click, thresholds.dead_window_ms)
                .all(|step| matches!(step.signal, Signal::Click { .. }))
        })
        .map(|click| Insight::at_step(InsightKind::DeadClick, click.step, click.path))
        .collect()
}
