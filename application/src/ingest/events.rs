use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::validate::{ClientContext, Drafted, EventDraft, RequestFacts};
use gosight_domain::{Event, EventId, Violation, ViolationCode};

use super::{ClientFacts, Ingest, IngestError, IngestReceipt, unavailable};
use crate::kill_point;
use crate::ports::{Client, PortError, RefusedEvent};
use crate::telemetry::Metric;

/// How many clients of one request the enrichers are asked about at a time.
const CLIENTS_AT_ONCE: usize = 32;

/// An event of a request with its place among the items: what could be read of it, or why it could not be read.
pub type PlacedDraft<'d, 'a> = (usize, Result<&'d EventDraft<'a>, &'d Violation>);

impl Ingest {
    /// Checks, enriches and logs the events of one request, and gives a verdict for each.
    ///
    /// `drafts` holds, for each event, what could be read of it or why it could not be read.
    ///
    /// # Errors
    /// [`IngestError`] when the request as a whole is refused or the log does not take it.
    pub async fn events(
        &self,
        scope: &Scoped<IngestScope>,
        client: &ClientFacts<'_>,
        drafts: &[Result<EventDraft<'_>, Violation>],
    ) -> Result<IngestReceipt, IngestError> {
        let placed: Vec<PlacedDraft<'_, '_>> = drafts.iter().map(Result::as_ref).enumerate().collect();
        Ok(IngestReceipt { verdicts: self.placed_events(scope, client, &placed).await? })
    }

    /// The same for events that stand among other items of their request. The verdicts are in the order of `drafts`.
    ///
    /// # Errors
    /// [`IngestError`] when the request as a whole is refused or the log does not take it.
    pub async fn placed_events(
        &self,
        scope: &Scoped<IngestScope>,
        client: &ClientFacts<'_>,
        drafts: &[PlacedDraft<'_, '_>],
    ) -> Result<Vec<Result<EventId, Violation>>, IngestError> {
        if drafts.is_empty() {
            return Err(IngestError::Empty);
        }
        if drafts.len() > self.rules.max_events {
            return Err(IngestError::TooManyEvents { found: drafts.len(), max: self.rules.max_events });
        }
        self.take_allowance(scope.project_id(), drafts.len()).await?;

        let facts = RequestFacts {
            project_id: scope.project_id().clone(),
            received_at: self.ports.clock.now(),
            sent_at: client.sent_at,
            user_required: client.user_required,
        };
        let contexts = self.contexts(scope, client, drafts).await;
        let drafted: Vec<Drafted<'_, '_>> = drafts
            .iter()
            .map(|&(place, draft)| Drafted { place, draft, client: contexts.of(place) })
            .collect();
        let mut verdicts = Vec::with_capacity(drafts.len());
        let mut events = Vec::with_capacity(drafts.len());
        let mut places = Vec::with_capacity(drafts.len());
        for (place, verdict) in self.rules.event.validate_all(&facts, &drafted).into_iter().enumerate() {
            verdicts.push(verdict.map(|event| {
                let event_id = event.event_id;
                events.push(event);
                places.push(place);
                event_id
            }));
        }
        for refused in self.append(&events).await? {
            if let Some(&place) = places.get(refused.index) {
                verdicts[place] = Err(Violation::new("event", ViolationCode::TooLarge, refused.reason));
            }
        }
        self.count(&verdicts);
        self.report_refused(&facts, drafts, &verdicts);
        Ok(verdicts)
    }

    /// What is known of the client of the request, and of those of events that were passed on for others.
    async fn contexts(
        &self,
        scope: &Scoped<IngestScope>,
        client: &ClientFacts<'_>,
        drafts: &[PlacedDraft<'_, '_>],
    ) -> Contexts {
        let of_request = self.context(scope, client.ip, client.user_agent).await;
        let mut contexts = Contexts { of_request, ..Contexts::default() };
        let mut clients = HashMap::new();
        for &(place, draft) in drafts {
            // One that is too large is refused, so nobody reads its user agent.
            let is_small = |draft: &&EventDraft<'_>| draft.size_bytes() <= self.rules.event.max_event_bytes;
            let passed_on = draft.ok().filter(|draft| !draft.client.is_empty()).filter(is_small);
            let Some(client) = passed_on.map(|draft| &draft.client) else { continue };
            let index = client.address().map(|ip| {
                let next = clients.len();
                *clients.entry((ip, client.user_agent.as_deref())).or_insert(next)
            });
            contexts.places.insert(place, index);
        }
        let mut clients: Vec<_> = clients.into_iter().collect();
        clients.sort_unstable_by_key(|(_, index)| *index);
        let mut asked: Vec<BoxFuture<'_, ClientContext>> = Vec::with_capacity(clients.len());
        for ((ip, user_agent), _) in clients {
            asked.push(self.context(scope, ip, user_agent).boxed());
        }
        contexts.of_events = futures::stream::iter(asked).buffered(CLIENTS_AT_ONCE).collect().await;
        contexts
    }

    async fn context(
        &self,
        scope: &Scoped<IngestScope>,
        ip: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> ClientContext {
        let client = Client { project_id: scope.project_id(), ip, user_agent };
        self.ports.enrichers.context(&client).await
    }

    /// Logs `events` durably; gives the ones that the log can never take.
    async fn append(&self, events: &[Event]) -> Result<Vec<RefusedEvent>, IngestError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let start = Instant::now();
        let result = self.ports.events.append(events).await;
        self.telemetry.observe_time(Metric::LogAppendSeconds, &[], start.elapsed());
        match result {
            Ok(()) => {
                kill_point("log-appended");
                Ok(Vec::new())
            }
            Err(PortError::Rejected { refused, .. }) => Ok(refused.0),
            Err(error) => {
                tracing::error!(%error, events = events.len(), "events could not be logged");
                Err(unavailable(error))
            }
        }
    }

    fn count(&self, verdicts: &[Result<EventId, Violation>]) {
        let accepted = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
        self.telemetry.count(Metric::EventsAccepted, &[], accepted as u64);
        for violation in verdicts.iter().filter_map(|verdict| verdict.as_ref().err()) {
            self.telemetry.count(Metric::EventsRejected, &[("reason", violation.code.as_str())], 1);
        }
    }
}

/// What is known of clients.
#[derive(Default)]
struct Contexts {
    of_request: ClientContext,
    /// Of clients that events were passed on for.
    of_events: Vec<ClientContext>,
    /// By the place of such an event: which of `of_events`, or what is wrong with the address.
    places: BTreeMap<usize, Result<usize, Violation>>,
}

impl Contexts {
    fn of(&self, place: usize) -> Result<&ClientContext, &Violation> {
        match self.places.get(&place) {
            None => Ok(&self.of_request),
            Some(index) => index.as_ref().map(|index| self.of_events.get(*index).unwrap_or(&self.of_request)),
        }
    }
}
