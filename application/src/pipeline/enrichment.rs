//! Enrichers from what was chosen.

use std::sync::Arc;

use super::{EnricherPart, PipelinePorts, Replacements};
use crate::enrich::{ChosenEnricher, ClientEnrichers, EnricherNameError, EventEnrichers, check_names};
use crate::enrichers::{ProfileEnricher, ProfileStats};
use crate::ports::HealthCheck;
use crate::process::EnrichmentInfo;

/// The enrichers of a pipeline.
pub(super) struct Enrichment {
    /// Those of events that are processed, with a log and without.
    pub events: Arc<EventEnrichers>,
    /// Those of events that are taken in.
    pub clients: ClientEnrichers,
    profiles: Option<Arc<ProfileStats>>,
}

impl Enrichment {
    pub fn of(ports: &PipelinePorts, own: &Replacements) -> Result<Self, EnricherNameError> {
        let PipelinePorts { accounts, clock, telemetry, intake, enrichers, .. } = ports;
        let mut profiles = None;
        let chosen = enrichers.iter().map(|part| match part {
            EnricherPart::PlugIn(chosen) => chosen.clone(),
            EnricherPart::Profiles { cache, limits } => {
                let enricher = ProfileEnricher::new(accounts.profiles.clone(), *cache, telemetry.clone());
                profiles = Some(enricher.stats().clone());
                ChosenEnricher { enricher: Arc::new(enricher), limits: *limits }
            }
        });
        let events: Vec<ChosenEnricher> = chosen.collect();
        let events = named(events.into_iter().chain(own.enrichers.clone()))?;
        let clients = intake.iter().flat_map(|intake| intake.enrichers.clone());
        let clients =
            if intake.is_some() { named(clients.chain(own.client_enrichers.clone()))? } else { Vec::new() };
        Ok(Self {
            events: Arc::new(EventEnrichers::new(events, clock, telemetry)),
            clients: ClientEnrichers::new(clients, clock, telemetry),
            profiles,
        })
    }

    /// What is reported to readiness about them.
    pub fn health(&self) -> Vec<Arc<dyn HealthCheck>> {
        let mut health: Vec<Arc<dyn HealthCheck>> = Vec::new();
        if !self.events.is_empty() {
            health.push(self.events.clone());
        }
        if !self.clients.is_empty() {
            health.push(Arc::new(self.clients.clone()));
        }
        health
    }

    /// What they tell about themselves.
    pub fn info(&self) -> EnrichmentInfo {
        let Self { events, clients, profiles } = self;
        EnrichmentInfo { events: events.clone(), clients: clients.clone(), profiles: profiles.clone() }
    }
}

fn named(chosen: impl Iterator<Item = ChosenEnricher>) -> Result<Vec<ChosenEnricher>, EnricherNameError> {
    let chosen: Vec<ChosenEnricher> = chosen.collect();
    check_names(chosen.iter().map(|chosen| chosen.enricher.name()))?;
    Ok(chosen)
}
