//! What the enrichers of this process tell about themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use gosight_application::enrich::EnricherStatus;
use gosight_application::enrichers::{ProfileEnricher, ProfileStats};
use gosight_application::process::EnrichmentInfo;
use serde::Serialize;
use utoipa::ToSchema;

/// What the enrichers do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnrichmentAnswer {
    /// Whether profiles are looked up; all numbers of this object are theirs, and 0 otherwise.
    enabled: bool,
    /// Events that got a context from profiles.
    enriched: u64,
    /// Look-ups that the cache of the process answered.
    cache_hits: u64,
    /// Look-ups that went to the source.
    cache_misses: u64,
    /// Part of look-ups that the cache answered, 0 to 1.
    cache_hit_ratio: f64,
    /// Look-ups that gave nothing because they failed.
    failures: u64,
    /// Each enricher, in the order in which events are given to them.
    enrichers: Vec<EnricherAnswer>,
}

/// What one enricher does and has done since the process started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnricherAnswer {
    /// Its name.
    #[schema(value_type = String)]
    name: Arc<str>,
    /// `ingest` while events are taken in, `process` while they are processed.
    #[schema(value_type = String)]
    stage: &'static str,
    /// The worst state of its circuit breakers, one for each project: `closed`, `half_open` or `open`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Projects whose events go on without it at the moment.
    open_circuits: usize,
    /// Calls that were given up and are not over.
    overdue_calls: usize,
    /// Calls that were made.
    calls: u64,
    /// Calls that gave nothing or were not made, by reason: `timeout`, `panic`, `error`, `rubbish`, `open`.
    #[schema(value_type = BTreeMap<String, u64>)]
    failures: BTreeMap<&'static str, u64>,
    /// Events, or requests while events are taken in, of which it knew something.
    enriched: u64,
}

impl EnrichmentAnswer {
    pub(crate) fn of(info: &EnrichmentInfo) -> Self {
        let events = info.events.status();
        let profiles = events.iter().find(|enricher| &*enricher.name == ProfileEnricher::NAME);
        let (enriched, failures) = profiles
            .map_or((0, 0), |profiles| (profiles.enriched, profiles.failures.values().copied().sum()));
        let stats = info.profiles.as_deref();
        let number = |of: fn(&ProfileStats) -> u64| stats.map_or(0, of);
        let clients = info.clients.status().into_iter().map(|status| EnricherAnswer::of(status, "ingest"));
        Self {
            enabled: stats.is_some(),
            enriched,
            cache_hits: number(ProfileStats::cache_hits),
            cache_misses: number(ProfileStats::cache_misses),
            cache_hit_ratio: stats.map_or(0.0, ProfileStats::cache_hit_ratio),
            failures,
            enrichers: clients
                .chain(events.into_iter().map(|status| EnricherAnswer::of(status, "process")))
                .collect(),
        }
    }
}

impl EnricherAnswer {
    fn of(status: EnricherStatus, stage: &'static str) -> Self {
        let EnricherStatus { name, state, open_circuits, overdue_calls, calls, failures, enriched } = status;
        let state = state.as_str();
        Self { name, stage, state, open_circuits, overdue_calls, calls, failures, enriched }
    }
}
