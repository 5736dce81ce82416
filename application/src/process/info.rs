use std::collections::BTreeMap;
use std::sync::Arc;

use super::filter::FilterSet;
use super::skipped::SkippedMeasureStats;
use super::status::{EnrichmentStats, ProcessStatus};

/// What the processors of this process tell about themselves.
#[derive(Debug, Clone)]
pub struct ProcessorInfo {
    /// What each consumer does.
    pub status: Vec<Arc<ProcessStatus>>,
    /// The filter rules in use.
    pub filters: Arc<FilterSet>,
    /// The aggregations that are kept, each with the length of its windows in ms.
    pub aggregations: Arc<BTreeMap<Arc<str>, i64>>,
    /// Which measures of them were skipped.
    pub skipped_measures: Arc<SkippedMeasureStats>,
    /// How profiles are looked up; `None` when they are not.
    pub enrichment: Option<Arc<EnrichmentStats>>,
}
