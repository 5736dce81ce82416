use std::collections::BTreeSet;

use super::{Click, Insight, InsightKind, InsightThresholds, clicks};
use crate::session::Step;

/// Runs of clicks on one page in which `rage_clicks` of them fit the window, each within the radius of each other,
/// whatever else was clicked between them. Spots that share a click are one run, and a run is one insight.
pub(super) fn detect(steps: &[Step], thresholds: &InsightThresholds) -> Vec<Insight> {
    let clicks: Vec<Click<'_>> = clicks(steps).filter(|click| click.place.is_some()).collect();
    let mut insights: Vec<Insight> = Vec::new();
    // The clicks of the latest insight.
    let mut run = BTreeSet::new();
    for start in 0..clicks.len() {
        let Some(spot) = spot(&clicks, start, thresholds) else { continue };
        let goes_on = spot.iter().any(|index| run.contains(index));
        if !goes_on {
            run.clear();
        }
        run.extend(spot);
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let (first, last) = (&clicks[*first], &clicks[*last]);
        let insight = Insight {
            last_at: last.step.at,
            count: u32::try_from(run.len()).unwrap_or(u32::MAX),
            ..Insight::at_step(InsightKind::RageClick, first.step, first.path)
        };
        match insights.last_mut() {
            Some(open) if goes_on => *open = insight,
            _ => insights.push(insight),
        }
    }
    insights
}

/// The first clicks from `start` on that make a spot with it; `None` when there are too few.
fn spot(clicks: &[Click<'_>], start: usize, thresholds: &InsightThresholds) -> Option<Vec<usize>> {
    let first = clicks.get(start)?;
    let wanted = thresholds.rage_clicks.max(2);
    let mut spot = vec![start];
    for (index, click) in clicks.iter().enumerate().skip(start + 1) {
        if click.step.at.millis_since(first.step.at) > thresholds.rage_window_ms {
            return None;
        }
        let is_near = |other: &usize| near(&clicks[*other], click, thresholds.rage_radius_px);
        if click.path == first.path && spot.iter().all(is_near) {
            spot.push(index);
        }
        if spot.len() == wanted {
            return Some(spot);
        }
    }
    None
}

fn near(a: &Click<'_>, b: &Click<'_>, radius_px: i32) -> bool {
    let (Some((ax, ay)), Some((bx, by))) = (a.place, b.place) else { return false };
    let dx = i64::from(ax) - i64::from(bx);
    let dy = i64::from(ay) - i64::from(by);
    dx * dx + dy * dy <= i64::from(radius_px).pow(2)
}
