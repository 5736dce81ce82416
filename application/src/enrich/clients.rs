//! Enriches events while they are taken in, by who sends them.

use std::sync::Arc;

use async_trait::async_trait;
pub use gosight_domain::validate::ClientContext;
use tokio::time::Instant;

use super::apply::{Room, check, join_device, join_geo};
use super::guarded::{Admission, Guarded, Used};
use super::{ChosenEnricher, EnricherStatus};
use crate::ports::{Client, Clock, Enrichment, Health, HealthCheck};
use crate::telemetry::Telemetry;

/// The enrichers of clients, in order. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct ClientEnrichers(Arc<Vec<Guarded>>);

impl ClientEnrichers {
    /// Asks `enrichers` one after the other. They take the time of their circuit breakers from `clock`.
    pub fn new(enrichers: Vec<ChosenEnricher>, clock: &Arc<dyn Clock>, telemetry: &Telemetry) -> Self {
        let guard = |chosen| Guarded::new(chosen, clock.clone(), telemetry.clone());
        Self(Arc::new(enrichers.into_iter().map(guard).collect()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each of them does and has done.
    pub fn status(&self) -> Vec<EnricherStatus> {
        self.0.iter().map(Guarded::status).collect()
    }

    /// What is known about `client`. Takes at most as long as all their time limits together, and no time at all where they
    /// answer from memory.
    pub async fn context(&self, client: &Client<'_>) -> ClientContext {
        let mut context = ClientContext::default();
        for enricher in self.0.iter() {
            let Some(admission) = enricher.admit(client.project_id) else { continue };
            if let Some(admission) = at_once(enricher, admission, client, &mut context) {
                ask(enricher, admission, client, &mut context).await;
            }
            enricher.show_circuits();
        }
        context
    }
}

/// Asks an enricher that may know it from memory; gives the admission back if it does not.
fn at_once(
    enricher: &Guarded,
    admission: Admission,
    client: &Client<'_>,
    context: &mut ClientContext,
) -> Option<Admission> {
    let answer = std::panic::AssertUnwindSafe(|| enricher.enricher.client_at_once(client));
    match std::panic::catch_unwind(answer) {
        Ok(None) => Some(admission),
        Ok(Some(found)) => {
            enricher.answered(admission, join(context, found));
            None
        }
        Err(_) => {
            enricher.panicked(admission);
            None
        }
    }
}

async fn ask(enricher: &Guarded, admission: Admission, client: &Client<'_>, context: &mut ClientContext) {
    let deadline = Instant::now() + enricher.limits.timeout;
    let plug_in = enricher.enricher.clone();
    let (project_id, ip) = (client.project_id.clone(), client.ip);
    let user_agent = client.user_agent.map(str::to_owned);
    let work = async move {
        let client = Client { project_id: &project_id, ip, user_agent: user_agent.as_deref() };
        plug_in.enrich_client(&client).await
    };
    enricher.call(admission, deadline, work, |found| join(context, found)).await;
}

fn join(context: &mut ClientContext, found: Enrichment) -> Used {
    if found.is_empty() {
        return Used::default();
    }
    if let Err(reason) = check(&found, &Room::default()) {
        return Used { enriched: 0, rubbish: Some(reason) };
    }
    let before = std::mem::take(context);
    *context = ClientContext {
        device: join_device(before.device, found.device),
        geo: join_geo(before.geo, found.geo),
    };
    Used { enriched: 1, rubbish: None }
}

#[async_trait]
impl HealthCheck for ClientEnrichers {
    fn name(&self) -> &'static str {
        "client enrichers"
    }

    async fn check(&self) -> Health {
        self.0.iter().for_each(Guarded::show_circuits);
        let troubles: Vec<String> = self.0.iter().filter_map(Guarded::trouble).collect();
        if troubles.is_empty() { Health::Up } else { Health::Degraded(troubles.join("; ")) }
    }
}
