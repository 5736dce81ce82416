//! Wrong enrichers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gosight_application::ports::{Client, EnricherError, Enrichment, EventEnricher};
use gosight_conformance::event_enricher::{EventEnricherFixture, cases};
use gosight_conformance::factory::event;
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::{Device, Event, UserId};
use serde_json::{Map, json};

use crate::harness::wrong;

wrong! { cases(), fixture:
    1 an_enricher_that_leaves_out_what_it_does_not_know_is_noticed(Fault::LeavesOutTheUnknown):
        each_event_gets_its_enrichment_in_the_order_of_the_events;
    1 an_enricher_that_sorts_is_noticed(Fault::Sorts):
        each_event_gets_its_enrichment_in_the_order_of_the_events;
    2 an_enricher_that_looks_at_the_first_event_is_noticed(Fault::LooksAtTheFirst):
        what_is_said_of_an_event_does_not_depend_on_the_others;
    3 an_enricher_with_one_place_for_answers_is_noticed(Fault::HasOnePlace):
        calls_at_the_same_time_get_their_own_answers;
    4 an_enricher_that_keeps_a_queue_is_noticed(Fault::KeepsAQueue):
        a_call_that_was_given_up_is_as_if_it_had_not_been;
    5 an_outage_that_knows_nothing_is_noticed(Fault::AnOutageKnowsNothing):
        what_could_not_be_looked_up_is_an_error;
    6 a_name_for_people_is_noticed(Fault::HasANameForPeople): it_has_a_name;
    7 a_hasty_answer_is_noticed(Fault::IsHasty): what_is_said_at_once_of_a_client_is_what_is_said;
}

/// What is wrong with an enricher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `filter_map`.
    LeavesOutTheUnknown,
    /// `SELECT … ORDER BY user_id`.
    Sorts,
    /// One look-up for the whole call.
    LooksAtTheFirst,
    /// A field of the enricher has the answer while it waits.
    HasOnePlace,
    /// What is to be asked is put into a queue first, and taken out after the wait.
    KeepsAQueue,
    /// `unwrap_or_default`.
    AnOutageKnowsNothing,
    HasANameForPeople,
    /// What is reported at once leaves out what takes time.
    IsHasty,
}

/// Knows users by their names, unless these begin with a dash.
#[derive(Debug)]
struct WrongEnricher {
    fault: Option<Fault>,
    is_away: Arc<AtomicBool>,
    place: Mutex<Vec<Enrichment>>,
    queue: Mutex<Vec<Enrichment>>,
}

fn known(event: &DecodedEvent) -> Enrichment {
    let user = event.event().user_id.as_ref().map_or("-", UserId::as_str);
    let context =
        if user.starts_with('-') { Map::new() } else { Map::from_iter([("user".to_owned(), json!(user))]) };
    Enrichment { context, ..Enrichment::default() }
}

#[async_trait]
impl EventEnricher for WrongEnricher {
    fn name(&self) -> &str {
        if self.fault == Some(Fault::HasANameForPeople) { "Our CRM" } else { "crm" }
    }

    async fn enrich(&self, events: &[DecodedEvent]) -> Result<Vec<Enrichment>, EnricherError> {
        let mut found: Vec<Enrichment> = events.iter().map(known).collect();
        if self.fault == Some(Fault::KeepsAQueue) {
            self.queue.lock().unwrap().extend(found.clone());
        }
        if self.fault == Some(Fault::HasOnePlace) {
            self.place.lock().unwrap().clone_from(&found);
        }
        tokio::task::yield_now().await;
        if self.is_away.load(Ordering::SeqCst) && self.fault != Some(Fault::AnOutageKnowsNothing) {
            return Err(EnricherError::transient("crm", "unavailable"));
        }
        match self.fault {
            Some(Fault::LeavesOutTheUnknown) => found.retain(|found| !found.is_empty()),
            Some(Fault::Sorts) => {
                found.sort_by_key(|found| found.context.get("user").map(ToString::to_string));
            }
            Some(Fault::LooksAtTheFirst) => {
                let first = found.first().cloned().unwrap_or_default();
                found.fill(first);
            }
            Some(Fault::HasOnePlace) => found.clone_from(&self.place.lock().unwrap()),
            Some(Fault::KeepsAQueue) => found = std::mem::take(&mut *self.queue.lock().unwrap()),
            Some(Fault::AnOutageKnowsNothing) if self.is_away.load(Ordering::SeqCst) => {
                found.fill(Enrichment::default());
            }
            _ => {}
        }
        Ok(found)
    }

    fn client_at_once(&self, client: &Client<'_>) -> Option<Enrichment> {
        let os = client.user_agent.filter(|_| self.fault != Some(Fault::IsHasty)).map(Into::into);
        Some(Enrichment { device: Device { os, ..Device::default() }, ..Enrichment::default() })
    }

    async fn enrich_client(&self, client: &Client<'_>) -> Result<Enrichment, EnricherError> {
        let os = client.user_agent.map(Into::into);
        Ok(Enrichment { device: Device { os, ..Device::default() }, ..Enrichment::default() })
    }
}

fn of_user(n: u128, user: &str) -> Event {
    Event { user_id: Some(UserId::new(user).unwrap()), ..event(n, "click", 0) }
}

fn fixture(fault: Option<Fault>) -> EventEnricherFixture {
    let is_away = Arc::new(AtomicBool::new(false));
    let enricher =
        WrongEnricher { fault, is_away: is_away.clone(), place: Mutex::default(), queue: Mutex::default() };
    EventEnricherFixture {
        enricher: Arc::new(enricher),
        events: Some([of_user(1, "b"), of_user(2, "a"), of_user(3, "-")]),
        outage: Some(Box::new(move || {
            is_away.store(true, Ordering::SeqCst);
            of_user(4, "c")
        })),
        keep: Box::new(()),
    }
}
