use std::time::Instant;

use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::validate::{EventDraft, RequestFacts};
use gosight_domain::{Event, Violation, ViolationCode};

use super::{ClientFacts, Ingest, IngestError, IngestReceipt, unavailable};
use crate::kill_point;
use crate::ports::{Client, PortError, RefusedEvent};
use crate::telemetry::Metric;

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
        if drafts.is_empty() {
            return Err(IngestError::Empty);
        }
        if drafts.len() > self.rules.max_events {
            return Err(IngestError::TooManyEvents { found: drafts.len(), max: self.rules.max_events });
        }
        self.take_allowance(scope.project_id(), drafts.len()).await?;

        let facts = self.facts(scope, client).await;
        let mut receipt = IngestReceipt { verdicts: Vec::with_capacity(drafts.len()) };
        let mut events = Vec::with_capacity(drafts.len());
        let mut places = Vec::with_capacity(drafts.len());
        for (place, verdict) in self.rules.event.validate_all(&facts, drafts).into_iter().enumerate() {
            receipt.verdicts.push(verdict.map(|event| {
                let event_id = event.event_id;
                events.push(event);
                places.push(place);
                event_id
            }));
        }
        for refused in self.append(&events).await? {
            if let Some(&place) = places.get(refused.index) {
                receipt.verdicts[place] =
                    Err(Violation::new("event", ViolationCode::TooLarge, refused.reason));
            }
        }
        self.count(&receipt);
        self.report_refused(&facts, drafts, &receipt);
        Ok(receipt)
    }

    async fn facts(&self, scope: &Scoped<IngestScope>, client: &ClientFacts<'_>) -> RequestFacts {
        let client_of_project =
            Client { project_id: scope.project_id(), ip: client.ip, user_agent: client.user_agent };
        let context = self.ports.enrichers.context(&client_of_project).await;
        RequestFacts {
            project_id: scope.project_id().clone(),
            received_at: self.ports.clock.now(),
            sent_at: client.sent_at,
            user_required: client.user_required,
            device: context.device,
            geo: context.geo,
        }
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

    fn count(&self, receipt: &IngestReceipt) {
        self.telemetry.count(Metric::EventsAccepted, &[], receipt.accepted() as u64);
        for (_, violation) in receipt.refused() {
            self.telemetry.count(Metric::EventsRejected, &[("reason", violation.code.as_str())], 1);
        }
    }
}
