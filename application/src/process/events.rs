use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::ledger::{LedgerRow, Outcome};
use gosight_domain::{Event, ProjectId, Session, SessionId, ViolationCode};

use super::aggregations::AggregationSet;
use super::filter::{FilterSet, Verdict};
use super::handler::{BatchHandler, HandlerError, Refusals};
use crate::codec::decode_event;
use crate::enrich::EventEnrichers;
use crate::ports::{
    Claim, ClaimVerdict, Clock, DeadLetter, Deduplicator, LogPosition, PolledBatch, ProcessedBatch,
    StoredEvent,
};
use crate::sessions::SessionRules;

/// What event processing is made of.
#[derive(Debug, Clone)]
pub struct EventHandlerPorts {
    /// Tells which events were seen before.
    pub deduplicator: Arc<dyn Deduplicator>,
    /// Tell more about events than they say themselves.
    pub enrichers: Arc<EventEnrichers>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Turns batches of the event log into stored events, sessions, counts and aggregates:
/// decode, deduplicate, enrich, filter, fold.
#[derive(Debug)]
pub struct EventHandler {
    ports: EventHandlerPorts,
    filters: Arc<FilterSet>,
    aggregations: Arc<AggregationSet>,
    sessions: SessionRules,
    max_record_bytes: usize,
}

/// A record on its way, with its disposition once that is known.
struct Item {
    offset: u64,
    disposition: Disposition,
}

enum Disposition {
    Pending(Box<DecodedEvent>),
    Settled(Box<DecodedEvent>, Outcome),
    /// To be dead-lettered, for this reason and with what was said; with the event, if it is one.
    DeadLetter(Option<Box<DecodedEvent>>, Arc<str>, String),
}

impl Disposition {
    fn too_large(bytes: usize, max: usize) -> Self {
        let detail = format!("has {bytes} bytes, at most {max} are allowed");
        Self::DeadLetter(None, ViolationCode::TooLarge.as_str().into(), detail)
    }
}

impl EventHandler {
    /// Handles events with these rules and aggregations.
    pub fn new(ports: EventHandlerPorts, filters: Arc<FilterSet>, aggregations: Arc<AggregationSet>) -> Self {
        let sessions = SessionRules::default();
        Self { ports, filters, aggregations, sessions, max_record_bytes: usize::MAX }
    }

    /// Joins sessions, and finds what they show, by these rules in place of the default ones.
    #[must_use]
    pub fn with_session_rules(self, sessions: SessionRules) -> Self {
        Self { sessions, ..self }
    }

    /// Dead-letters larger records: more than the ingest API can have written came by another way, and would come out as large.
    #[must_use]
    pub fn with_max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.max_record_bytes = max_record_bytes;
        self
    }

    fn decode(&self, batch: &PolledBatch, refused: &Refusals) -> Vec<Item> {
        let decode = |value: &[u8], offset: u64| {
            if value.len() > self.max_record_bytes {
                return Disposition::too_large(value.len(), self.max_record_bytes);
            }
            match (decode_event(value), refused.get(&offset)) {
                (event, Some(said)) => {
                    Disposition::DeadLetter(event.ok().map(Box::new), "store_refused".into(), said.clone())
                }
                (Ok(event), None) => Disposition::Pending(Box::new(event)),
                (Err(error), None) => Disposition::DeadLetter(None, error.reason().into(), error.to_string()),
            }
        };
        batch
            .records
            .iter()
            .map(|record| Item { offset: record.offset, disposition: decode(&record.value, record.offset) })
            .collect()
    }

    /// Gives up what refused records have claimed: repaired, or once the cause is gone, their events come back as other
    /// records.
    async fn release_refused(&self, refused: Vec<Claim>) -> Result<(), HandlerError> {
        if refused.is_empty() {
            return Ok(());
        }
        self.ports.deduplicator.release(&refused).await
    }

    async fn deduplicate(&self, batch: &PolledBatch, items: &mut [Item]) -> Result<(), HandlerError> {
        let claims = claims(batch, items, |disposition| match disposition {
            Disposition::Pending(event) => Some(event),
            _ => None,
        });
        let mut verdicts = self.ports.deduplicator.claim(&claims).await?.into_iter();
        for item in items.iter_mut().filter(|item| matches!(item.disposition, Disposition::Pending(_))) {
            if verdicts.next() == Some(ClaimVerdict::Duplicate) {
                item.settle(Outcome::Duplicate);
            }
        }
        Ok(())
    }

    /// Lets the enrichers have the events that are still open, and puts them back where they were.
    async fn enrich(&self, items: &mut [Item]) {
        if self.ports.enrichers.is_empty() {
            return;
        }
        let (places, events): (Vec<usize>, Vec<DecodedEvent>) = items
            .iter_mut()
            .enumerate()
            .filter_map(|(place, item)| Some((place, item.take_pending()?)))
            .unzip();
        for (place, event) in places.into_iter().zip(self.ports.enrichers.enrich(events).await) {
            items[place].disposition = Disposition::Pending(Box::new(event));
        }
    }

    fn filter(&self, items: &mut [Item]) {
        if self.filters.is_empty() {
            return;
        }
        for item in items {
            if let Disposition::Pending(event) = &mut item.disposition
                && let Verdict::Block { rule } = self.filters.apply(event)
            {
                item.settle(Outcome::Filtered(rule));
            }
        }
    }

    fn fold(&self, batch: &PolledBatch, items: Vec<Item>) -> ProcessedBatch {
        let now = self.ports.clock.now();
        let mut processed = ProcessedBatch::empty(LedgerRow::new(batch.span.clone()));
        let mut sessions = Folds::default();
        let records = items.into_iter().zip(&batch.records);
        for (Item { offset, disposition }, record) in records {
            match disposition {
                Disposition::Pending(decoded) => {
                    let event = decoded.event();
                    let outcome = Outcome::Stored;
                    processed.ledger.record(Some(&event.project_id), event.received_at.hour(), &outcome);
                    sessions.add(&decoded);
                    let ProcessedBatch { aggregates, skipped_measures, .. } = &mut processed;
                    self.aggregations.fold(&decoded, aggregates, skipped_measures);
                    processed.events.push(StoredEvent::of_record(offset, *decoded, &record.value));
                }
                Disposition::Settled(decoded, outcome) => {
                    let event = decoded.event();
                    processed.ledger.record(Some(&event.project_id), event.received_at.hour(), &outcome);
                }
                Disposition::DeadLetter(decoded, reason, detail) => {
                    let event = decoded.map(|decoded| decoded.into_event());
                    let hour = event.as_ref().map_or(now, |event| event.received_at).hour();
                    let project_id = event.map(|event| event.project_id);
                    let outcome = Outcome::DeadLettered(reason.clone());
                    processed.ledger.record(project_id.as_ref(), hour, &outcome);
                    processed.dead_letters.push(DeadLetter {
                        position: position(batch, offset),
                        project_id,
                        reason,
                        detail,
                        at: now,
                        record: record.value.clone(),
                    });
                }
            }
        }
        processed.sessions = sessions.into_sessions();
        processed.rules = self.sessions.clone();
        processed
    }
}

impl Item {
    fn settle(&mut self, outcome: Outcome) {
        self.disposition = match self.take() {
            Disposition::Pending(event) => Disposition::Settled(event, outcome),
            settled => settled,
        };
    }

    /// Its event, if its disposition is pending. Until it is put back there is none.
    fn take_pending(&mut self) -> Option<DecodedEvent> {
        match self.take() {
            Disposition::Pending(event) => Some(*event),
            settled => {
                self.disposition = settled;
                None
            }
        }
    }

    fn take(&mut self) -> Disposition {
        std::mem::replace(&mut self.disposition, Disposition::DeadLetter(None, Arc::default(), String::new()))
    }
}

/// Claims of the events that `pick` finds.
fn claims(
    batch: &PolledBatch,
    items: &[Item],
    pick: impl Fn(&Disposition) -> Option<&DecodedEvent>,
) -> Vec<Claim> {
    let claim = |item: &Item| Some(claim(pick(&item.disposition)?.event(), position(batch, item.offset)));
    items.iter().filter_map(claim).collect()
}

fn claim(event: &Event, position: LogPosition) -> Claim {
    Claim {
        project_id: event.project_id.clone(),
        event_id: event.event_id,
        session_id: event.session_id.clone(),
        timestamp: event.timestamp,
        position,
    }
}

fn position(batch: &PolledBatch, offset: u64) -> LogPosition {
    LogPosition { log: batch.span.log.clone(), partition: batch.span.partition, offset }
}

/// The folds of a batch by session, in order of first appearance.
#[derive(Default)]
struct Folds {
    places: HashMap<(ProjectId, SessionId), usize>,
    sessions: Vec<Session>,
    /// The session of the last event, which is mostly that of the next one too.
    last: usize,
}

impl Folds {
    fn add(&mut self, decoded: &DecodedEvent) {
        let (event, details) = (decoded.event(), decoded.details());
        let Some(session_id) = &event.session_id else { return };
        if let Some(session) = self.sessions.get_mut(self.last)
            && session.session_id == *session_id
            && session.project_id == event.project_id
        {
            session.apply(event, details);
            return;
        }
        match self.places.entry((event.project_id.clone(), session_id.clone())) {
            hash_map::Entry::Occupied(place) => {
                self.last = *place.get();
                self.sessions[self.last].apply(event, details);
            }
            hash_map::Entry::Vacant(place) => {
                if let Some(session) = Session::of(event, details) {
                    self.last = self.sessions.len();
                    place.insert(self.last);
                    self.sessions.push(session);
                }
            }
        }
    }

    fn into_sessions(self) -> Vec<Session> {
        self.sessions
    }
}

#[async_trait]
impl BatchHandler for EventHandler {
    async fn handle(&self, batch: &PolledBatch, refused: &Refusals) -> Result<ProcessedBatch, HandlerError> {
        let mut items = self.decode(batch, refused);
        let refused = claims(batch, &items, |disposition| match disposition {
            Disposition::DeadLetter(Some(event), ..) => Some(event),
            _ => None,
        });
        self.release_refused(refused).await?;
        self.deduplicate(batch, &mut items).await?;
        self.enrich(&mut items).await;
        self.filter(&mut items);
        Ok(self.fold(batch, items))
    }

    fn committed(&self, batch: &ProcessedBatch) {
        self.ports.deduplicator.committed(&batch.ledger.span);
        self.aggregations.stats().record(&batch.skipped_measures, self.ports.clock.now());
    }
}
