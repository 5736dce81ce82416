//! Suite of `EventMeasure`.

use std::collections::BTreeSet;
use std::sync::Arc;

use gosight_application::ports::{EventMeasure, MeasureFault, MeasurePart, Measurement, Measurements};
use gosight_domain::Event;
use gosight_domain::decoded::DecodedEvent;

use crate::factory::event;
use crate::suite;

suite! { $ event_measure_suite, event_measure(EventMeasureFixture):
    parts_have_names_of_their_own
    parts_are_the_same_at_each_call
    it_gives_only_its_parts_as_they_are_declared
    what_it_gives_is_within_the_limits
    the_same_event_gives_the_same_whatever_came_before
    an_event_of_no_concern_gives_nothing
    what_it_measures_gives_something
    no_event_makes_it_panic
}

/// A measure, and events that it has something to say of.
pub struct EventMeasureFixture {
    /// The port.
    pub measure: Arc<dyn EventMeasure>,
    /// Events that are measured: at least two, of which it does not say the same.
    pub events: Vec<Event>,
    /// Events that should be measured and cannot be, if there are any.
    pub broken: Vec<Event>,
}

type Found = Result<Vec<(usize, Measurement)>, MeasureFault>;

fn found(measure: &dyn EventMeasure, event: &Event) -> Found {
    let decoded = DecodedEvent::new(event.clone()).expect("a valid event");
    Measurements::of(measure, &measure.parts(), &decoded)
}

/// Events that no measure has heard of: bare, and with a payload of odd things.
fn unknown_events() -> Vec<Event> {
    let of = |payload: &str| Event { payload: crate::factory::object(payload), ..event(90, "stranger", 0) };
    let bare = of("{}");
    vec![Event { session_id: None, user_id: None, ..bare.clone() }, bare]
}

pub async fn parts_have_names_of_their_own(fixture: EventMeasureFixture) {
    let parts = fixture.measure.parts();
    assert!((1..=MeasurePart::MAX).contains(&parts.len()), "{} parts", parts.len());
    for part in &parts {
        assert!(part.is_named(), "{:?} is no name", part.name);
    }
    let names: BTreeSet<&str> = parts.iter().map(|part| &*part.name).collect();
    assert_eq!(names.len(), parts.len(), "two parts have one name: {parts:?}");
}

pub async fn parts_are_the_same_at_each_call(fixture: EventMeasureFixture) {
    let parts = fixture.measure.parts();
    for event in &fixture.events {
        let _ = found(&*fixture.measure, event);
        assert_eq!(fixture.measure.parts(), parts);
    }
}

pub async fn it_gives_only_its_parts_as_they_are_declared(fixture: EventMeasureFixture) {
    for event in fixture.events.iter().chain(&fixture.broken) {
        let found = found(&*fixture.measure, event);
        assert!(!matches!(found, Err(MeasureFault::Undeclared { .. })), "{found:?}");
    }
}

pub async fn what_it_gives_is_within_the_limits(fixture: EventMeasureFixture) {
    for event in fixture.events.iter().chain(&fixture.broken) {
        let found = found(&*fixture.measure, event);
        let is_beyond = matches!(
            found,
            Err(MeasureFault::NotFinite { .. } | MeasureFault::ValueTooLong { .. } | MeasureFault::TooMany)
        );
        assert!(!is_beyond, "{found:?}");
    }
}

/// What each event gives; `None` for an error.
fn given<'e>(
    measure: &dyn EventMeasure,
    events: impl Iterator<Item = &'e Event>,
) -> Vec<Option<Vec<(usize, Measurement)>>> {
    events.map(|event| found(measure, event).ok()).collect()
}

pub async fn the_same_event_gives_the_same_whatever_came_before(fixture: EventMeasureFixture) {
    let EventMeasureFixture { measure, events, broken } = fixture;
    let all = || events.iter().chain(&broken);
    let first = given(&*measure, all());
    assert_eq!(given(&*measure, all()), first);
    let mut backwards = given(&*measure, all().collect::<Vec<_>>().into_iter().rev());
    backwards.reverse();
    assert_eq!(backwards, first);
}

pub async fn an_event_of_no_concern_gives_nothing(fixture: EventMeasureFixture) {
    for event in unknown_events() {
        match found(&*fixture.measure, &event) {
            Ok(found) => assert_eq!(found, [], "{event:?}"),
            Err(fault) => panic!("{fault}"),
        }
    }
}

pub async fn what_it_measures_gives_something(fixture: EventMeasureFixture) {
    let given = given(&*fixture.measure, fixture.events.iter());
    assert!(given.iter().all(|found| found.as_ref().is_some_and(|found| !found.is_empty())), "{given:?}");
    assert!(given.iter().any(|found| *found != given[0]), "it says the same of all events: {given:?}");
    for event in &fixture.broken {
        let found = found(&*fixture.measure, event);
        assert!(matches!(found, Err(MeasureFault::Failed(_))), "{found:?}");
    }
}

pub async fn no_event_makes_it_panic(fixture: EventMeasureFixture) {
    for event in fixture.events.iter().chain(&fixture.broken).chain(&unknown_events()) {
        let found = found(&*fixture.measure, event);
        assert!(!matches!(found, Err(MeasureFault::Panicked(_))), "{found:?}");
    }
}
