use super::{Insight, InsightKind, InsightThresholds, around, clicks};
use crate::session::{Signal, Step};

/// Clicks with an error within the window.
pub(super) fn detect(steps: &[Step], thresholds: &InsightThresholds) -> Vec<Insight> {
    clicks(steps)
        .filter_map(|click| {
            let error = around(steps, &click, thresholds.error_window_ms)
                .find(|step| matches!(step.signal, Signal::Error))?;
            Some(Insight {
                last_at: error.at,
                ..Insight::at_step(InsightKind::ErrorClick, click.step, click.path)
            })
        })
        .collect()
}
