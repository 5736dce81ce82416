//! Enriches events that are processed.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{FuturesUnordered, StreamExt as _};
use gosight_domain::ProjectId;
use gosight_domain::decoded::DecodedEvent;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::apply::{Room, apply, check};
use super::guarded::{Guarded, Used};
use super::{ChosenEnricher, EnricherStatus};
use crate::ports::{Clock, Enrichment, Health, HealthCheck};
use crate::telemetry::{Metric, Telemetry};

/// Most projects of a batch that one enricher is asked about at the same time.
const CALLS_AT_ONCE: usize = 16;

/// The enrichers of events that are processed, in order. By default there are none.
#[derive(Debug, Default)]
pub struct EventEnrichers {
    enrichers: Vec<Guarded>,
    telemetry: Telemetry,
}

/// The events of one project of a batch.
struct Group {
    project_id: ProjectId,
    /// Where each of them stands in the batch.
    places: Vec<usize>,
    /// Shared with a call. Cloned when the next enrichment is put into them while a call that was given up still reads them.
    events: Arc<Vec<DecodedEvent>>,
    is_enriched: Vec<bool>,
}

impl EventEnrichers {
    /// Asks `enrichers` one after the other. They take the time of their circuit breakers from `clock`.
    pub fn new(enrichers: Vec<ChosenEnricher>, clock: &Arc<dyn Clock>, telemetry: &Telemetry) -> Self {
        let guard = |chosen| Guarded::new(chosen, clock.clone(), telemetry.clone());
        Self { enrichers: enrichers.into_iter().map(guard).collect(), telemetry: telemetry.clone() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.enrichers.is_empty()
    }

    /// What each of them does and has done.
    pub fn status(&self) -> Vec<EnricherStatus> {
        self.enrichers.iter().map(Guarded::status).collect()
    }

    /// Gives the same events in the same order, with what the enrichers know of them. Takes at most as long as all their time
    /// limits together.
    pub async fn enrich(&self, events: Vec<DecodedEvent>) -> Vec<DecodedEvent> {
        if self.enrichers.is_empty() || events.is_empty() {
            return events;
        }
        let room = Room::default();
        let mut groups = by_project(events);
        for enricher in &self.enrichers {
            enrich_groups(enricher, &mut groups, &room).await;
        }
        let enriched = groups.iter().flat_map(|group| &group.is_enriched).filter(|is| **is).count();
        self.telemetry.count(Metric::EventsEnriched, &[], enriched as u64);
        in_order(groups)
    }
}

fn by_project(events: Vec<DecodedEvent>) -> Vec<Group> {
    let mut numbers: HashMap<ProjectId, usize> = HashMap::new();
    let mut groups: Vec<(ProjectId, Vec<usize>, Vec<DecodedEvent>)> = Vec::new();
    for (place, event) in events.into_iter().enumerate() {
        let project_id = &event.event().project_id;
        let number = numbers.get(project_id).copied().unwrap_or_else(|| {
            numbers.insert(project_id.clone(), groups.len());
            groups.push((project_id.clone(), Vec::new(), Vec::new()));
            groups.len() - 1
        });
        let (_, places, of_project) = &mut groups[number];
        places.push(place);
        of_project.push(event);
    }
    let group = |(project_id, places, events): (_, _, Vec<_>)| Group {
        project_id,
        places,
        is_enriched: vec![false; events.len()],
        events: Arc::new(events),
    };
    groups.into_iter().map(group).collect()
}

fn in_order(groups: Vec<Group>) -> Vec<DecodedEvent> {
    let mut placed: Vec<(usize, DecodedEvent)> = groups
        .into_iter()
        .flat_map(|group| {
            let events = Arc::try_unwrap(group.events).unwrap_or_else(|shared| (*shared).clone());
            group.places.into_iter().zip(events)
        })
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, event)| event).collect()
}

/// Asks one enricher about all projects of a batch. They share its time limit, so that a batch waits for it once.
async fn enrich_groups(enricher: &Guarded, groups: &mut [Group], room: &Room) {
    let deadline = Instant::now() + enricher.limits.timeout;
    let turns = Semaphore::new(CALLS_AT_ONCE);
    let calls: FuturesUnordered<_> =
        groups.iter_mut().map(|group| enrich_group(enricher, group, deadline, &turns, room)).collect();
    calls.for_each(|()| std::future::ready(())).await;
    enricher.show_circuits();
}

async fn enrich_group(
    enricher: &Guarded,
    group: &mut Group,
    deadline: Instant,
    turns: &Semaphore,
    room: &Room,
) {
    let Some(admission) = enricher.admit(&group.project_id) else { return };
    // A semaphore that is never closed always gives a turn.
    let _turn = turns.acquire().await;
    let (plug_in, events) = (enricher.enricher.clone(), group.events.clone());
    let work = async move { plug_in.enrich(&events).await };
    enricher.call(admission, deadline, work, |found| use_enrichments(group, found, room)).await;
}

/// Puts what can be used into the events.
fn use_enrichments(group: &mut Group, found: Vec<Enrichment>, room: &Room) -> Used {
    let mut used = Used::default();
    if found.len() != group.events.len() {
        used.rubbish = Some(format!("gave {} enrichments for {} events", found.len(), group.events.len()));
        return used;
    }
    if found.iter().all(Enrichment::is_empty) {
        return used;
    }
    let events = Arc::make_mut(&mut group.events);
    for ((event, is_enriched), found) in events.iter_mut().zip(&mut group.is_enriched).zip(found) {
        if found.is_empty() {
            continue;
        }
        match check(&found, room) {
            Ok(()) => {
                apply(found, event);
                used.enriched += 1;
                *is_enriched = true;
            }
            Err(reason) => used.rubbish = Some(reason),
        }
    }
    used
}

#[async_trait]
impl HealthCheck for EventEnrichers {
    fn name(&self) -> &'static str {
        "enrichers"
    }

    async fn check(&self) -> Health {
        self.enrichers.iter().for_each(Guarded::show_circuits);
        let troubles: Vec<String> = self.enrichers.iter().filter_map(Guarded::trouble).collect();
        if troubles.is_empty() { Health::Up } else { Health::Degraded(troubles.join("; ")) }
    }
}
