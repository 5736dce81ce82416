use super::{Click, Insight, InsightKind, InsightThresholds, clicks};
use crate::session::Step;

/// Runs of clicks in which every `rage_clicks` in a row fit the window and the radius. A run is one insight.
pub(super) fn detect(steps: &[Step], thresholds: &InsightThresholds) -> Vec<Insight> {
    let clicks: Vec<Click<'_>> = clicks(steps).filter(|click| click.place.is_some()).collect();
    let length = thresholds.rage_clicks.max(2);
    let mut insights: Vec<Insight> = Vec::new();
    // One past the last click of the latest insight.
    let mut end = 0;
    for (start, window) in clicks.windows(length).enumerate() {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { continue };
        if !fits(window, thresholds) {
            continue;
        }
        match insights.last_mut() {
            Some(open) if start < end => {
                open.count += 1;
                open.last_at = last.step.at;
            }
            _ => insights.push(Insight {
                last_at: last.step.at,
                count: u32::try_from(length).unwrap_or(u32::MAX),
                ..Insight::at_step(InsightKind::RageClick, first.step, first.path)
            }),
        }
        end = start + length;
    }
    insights
}

fn fits(window: &[Click<'_>], thresholds: &InsightThresholds) -> bool {
    let (Some(first), Some(last)) = (window.first(), window.last()) else { return false };
    last.step.at.millis_since(first.step.at) <= thresholds.rage_window_ms
        && window.iter().all(|click| near(first, click, thresholds.rage_radius_px))
}

fn near(a: &Click<'_>, b: &Click<'_>, radius_px: i32) -> bool {
    let (Some((ax, ay)), Some((bx, by))) = (a.place, b.place) else { return false };
    let dx = i64::from(ax) - i64::from(bx);
    let dy = i64::from(ay) - i64::from(by);
    dx * dx + dy * dy <= i64::from(radius_px).pow(2)
}
