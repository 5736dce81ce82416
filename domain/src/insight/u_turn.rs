use super::{Insight, InsightKind, InsightThresholds};
use crate::session::{SharedPath, Signal, Step};

/// Pages that were left and came up again within the window. Reloads of one page count as one view.
pub(super) fn detect(steps: &[Step], thresholds: &InsightThresholds) -> Vec<Insight> {
    let mut views: Vec<(&Step, &SharedPath)> = steps
        .iter()
        .filter_map(|step| match &step.signal {
            Signal::PageView { path } => Some((step, path)),
            _ => None,
        })
        .collect();
    views.dedup_by(|later, earlier| later.1 == earlier.1);
    views
        .iter()
        .enumerate()
        .filter_map(|(index, &(back, path))| {
            let (_, since_left) = views[..index]
                .windows(2)
                .rev()
                .map(|pair| (pair[0].1, pair[1].0))
                .find(|(earlier, _)| *earlier == path)?;
            let quick = back.at.millis_since(since_left.at) <= thresholds.u_turn_window_ms;
            quick.then(|| Insight {
                first_at: since_left.at,
                ..Insight::at_step(InsightKind::UTurn, back, path)
            })
        })
        .collect()
}
