use std::collections::BTreeMap;
use std::sync::Arc;

use super::filter::FilterSet;
use super::skipped::SkippedMeasureStats;
use super::status::ProcessStatus;
use crate::enrich::{ClientEnrichers, EventEnrichers};
use crate::enrichers::ProfileStats;

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
    /// What the enrichers do.
    pub enrichment: EnrichmentInfo,
}

/// What the enrichers of this process tell about themselves.
#[derive(Debug, Clone)]
pub struct EnrichmentInfo {
    /// Those of events that are processed.
    pub events: Arc<EventEnrichers>,
    /// Those of events that are taken in, if any are here.
    pub clients: ClientEnrichers,
    /// How the cache of profiles does; `None` when they are not looked up.
    pub profiles: Option<Arc<ProfileStats>>,
}
