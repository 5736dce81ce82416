use super::{Insight, InsightKind, InsightThresholds};
use crate::session::{Signal, Step};

/// Page loads that were slow to answer or to paint.
pub(super) fn detect(steps: &[Step], thresholds: &InsightThresholds) -> Vec<Insight> {
    steps
        .iter()
        .filter_map(|step| match &step.signal {
            Signal::Vitals { lcp_ms, ttfb_ms, path }
                if lcp_ms.is_some_and(|ms| ms > thresholds.slow_lcp_ms)
                    || ttfb_ms.is_some_and(|ms| ms > thresholds.slow_ttfb_ms) =>
            {
                Some(Insight::at_step(InsightKind::SlowPage, step, path))
            }
            _ => None,
        })
        .collect()
}
