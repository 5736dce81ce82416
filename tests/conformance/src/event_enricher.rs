//! Suite of `EventEnricher`.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures::future::join_all;
use gosight_application::enrich::check_names;
use gosight_application::ports::{Client, Enrichment, EventEnricher};
use gosight_domain::Event;
use gosight_domain::decoded::DecodedEvent;

use crate::{Keep, factory::project, suite};

suite! { $ event_enricher_suite, event_enricher(EventEnricherFixture):
    each_event_gets_its_enrichment_in_the_order_of_the_events
    what_is_said_of_an_event_does_not_depend_on_the_others
    calls_at_the_same_time_get_their_own_answers
    a_call_that_was_given_up_is_as_if_it_had_not_been
    what_could_not_be_looked_up_is_an_error
    it_has_a_name
    what_is_said_at_once_of_a_client_is_what_is_said
}

/// An enricher.
pub struct EventEnricherFixture {
    /// The port.
    pub enricher: Arc<dyn EventEnricher>,
    /// Events of one project: two of which it knows different things, and one of which it knows nothing. `None` where it is
    /// asked about clients only.
    pub events: Option<[Event; 3]>,
    /// Takes away what it looks things up in, if that can be; the event is one that it was not asked about before.
    pub outage: Option<Outage>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

/// Takes away what an enricher looks things up in, and gives an event that it was not asked about.
pub type Outage = Box<dyn FnOnce() -> Event + Send + Sync>;

fn decoded(events: &[&Event]) -> Vec<DecodedEvent> {
    events.iter().map(|event| DecodedEvent::new((*event).clone()).expect("a valid event")).collect()
}

async fn enrich(fixture: &EventEnricherFixture, events: &[&Event]) -> Vec<Enrichment> {
    fixture.enricher.enrich(&decoded(events)).await.expect("enriched")
}

pub async fn each_event_gets_its_enrichment_in_the_order_of_the_events(fixture: EventEnricherFixture) {
    assert!(enrich(&fixture, &[]).await.is_empty());
    let Some([one, other, unknown]) = &fixture.events else { return };
    let found = enrich(&fixture, &[one, unknown, other, one]).await;
    assert_eq!(found.len(), 4);
    assert!(found[1].is_empty(), "{found:?}");
    assert!(!found[0].is_empty() && !found[2].is_empty(), "{found:?}");
    assert_eq!(found[0], found[3]);
    assert_ne!(found[0], found[2]);
}

pub async fn what_is_said_of_an_event_does_not_depend_on_the_others(fixture: EventEnricherFixture) {
    let Some([one, other, unknown]) = &fixture.events else { return };
    let mut alone = Vec::new();
    for event in [one, other, unknown] {
        alone.extend(enrich(&fixture, &[event]).await);
    }
    assert_eq!(enrich(&fixture, &[one, other, unknown]).await, alone);
    alone.reverse();
    assert_eq!(enrich(&fixture, &[unknown, other, one]).await, alone);
}

pub async fn calls_at_the_same_time_get_their_own_answers(fixture: EventEnricherFixture) {
    let Some([one, other, unknown]) = &fixture.events else { return };
    let alone = [enrich(&fixture, &[one]).await, enrich(&fixture, &[other]).await].concat();
    let calls = (0..20).map(async |n| {
        let (event, wanted) = if n % 2 == 0 { (one, &alone[0]) } else { (other, &alone[1]) };
        let found = enrich(&fixture, &[unknown, event]).await;
        assert_eq!(found.len(), 2);
        assert!(found[0].is_empty() && found[1] == *wanted, "{found:?}");
    });
    join_all(calls).await;
}

pub async fn a_call_that_was_given_up_is_as_if_it_had_not_been(fixture: EventEnricherFixture) {
    let Some([one, other, _]) = &fixture.events else { return };
    // One that comes to its end would tidy up after the others.
    for polls in [3, 2, 1] {
        let events = decoded(&[other, other]);
        let mut call = pin!(fixture.enricher.enrich(&events));
        for _ in 0..polls {
            if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
        }
    }
    let found = enrich(&fixture, &[one, other]).await;
    assert_eq!(found.len(), 2);
    assert!(!found[0].is_empty() && !found[1].is_empty() && found[0] != found[1], "{found:?}");
}

pub async fn what_could_not_be_looked_up_is_an_error(mut fixture: EventEnricherFixture) {
    let Some(outage) = fixture.outage.take() else { return };
    let event = outage();
    let said = fixture.enricher.enrich(&decoded(&[&event])).await;
    assert!(said.is_err(), "{said:?}");
}

pub async fn it_has_a_name(fixture: EventEnricherFixture) {
    let name = fixture.enricher.name().to_owned();
    check_names([&*name]).expect("a name");
    assert_eq!(fixture.enricher.name(), name);
}

pub async fn what_is_said_at_once_of_a_client_is_what_is_said(fixture: EventEnricherFixture) {
    let project_id = project("p");
    let user_agent = Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    for ip in [None, Some([81, 2, 69, 160].into())] {
        for user_agent in [None, user_agent] {
            let client = Client { project_id: &project_id, ip, user_agent };
            if let Some(found) = fixture.enricher.client_at_once(&client) {
                assert_eq!(fixture.enricher.enrich_client(&client).await.expect("enriched"), found);
            }
        }
    }
}
