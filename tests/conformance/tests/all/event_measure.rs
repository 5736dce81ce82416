//! Wrong measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gosight_application::ports::{BoxError, EventMeasure, MeasurePart, Measurements};
use gosight_conformance::event_measure::{EventMeasureFixture, cases};
use gosight_conformance::factory::{event, object};
use gosight_domain::Event;
use gosight_domain::decoded::DecodedEvent;

use crate::harness::wrong;

wrong! { cases(), fixture:
    1 parts_that_change_are_noticed(Fault::PartsChange): parts_are_the_same_at_each_call;
    1 two_parts_of_one_name_are_noticed(Fault::PartsOfOneName): parts_have_names_of_their_own;
    1 a_name_with_a_dot_is_noticed(Fault::NameWithADot): parts_have_names_of_their_own;
    1 a_measure_without_parts_is_noticed(Fault::NoParts): parts_have_names_of_their_own;
    1 a_part_for_each_country_is_noticed(Fault::TooManyParts): parts_have_names_of_their_own;
    2 a_part_that_was_not_declared_is_noticed(Fault::Undeclared): it_gives_only_its_parts_as_they_are_declared;
    2 a_number_given_as_a_value_is_noticed(Fault::OtherKind): it_gives_only_its_parts_as_they_are_declared;
    3 a_division_by_nothing_is_noticed(Fault::DividesByNothing): what_it_gives_is_within_the_limits;
    3 a_value_as_long_as_a_page_is_noticed(Fault::LongValue): what_it_gives_is_within_the_limits;
    3 as_many_values_as_there_are_is_noticed(Fault::TooManyValues): what_it_gives_is_within_the_limits;
    4 a_measure_that_numbers_events_is_noticed(Fault::NumbersEvents):
        the_same_event_gives_the_same_whatever_came_before;
    5 an_error_for_every_other_event_is_noticed(Fault::ErrsOnOthers): an_event_of_no_concern_gives_nothing;
    5 a_nought_for_every_other_event_is_noticed(Fault::NoughtForOthers): an_event_of_no_concern_gives_nothing;
    5 an_error_that_is_kept_quiet_is_noticed(Fault::KeepsErrorsQuiet): what_it_measures_gives_something;
    6 an_index_out_of_bounds_is_noticed(Fault::Panics): no_event_makes_it_panic;
}

/// What is wrong with a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A part is added once there was an event for it.
    PartsChange,
    PartsOfOneName,
    NameWithADot,
    NoParts,
    TooManyParts,
    /// The name is misspelled where it is given.
    Undeclared,
    /// What is declared a number is given as a value.
    OtherKind,
    /// An average of no items.
    DividesByNothing,
    /// The value is the whole payload.
    LongValue,
    /// One value for each item, however many there are.
    TooManyValues,
    /// It counts by itself.
    NumbersEvents,
    /// What it does not know is an error.
    ErrsOnOthers,
    /// What is not there is 0.
    NoughtForOthers,
    /// What cannot be measured is left out.
    KeepsErrorsQuiet,
    /// The first item is taken, whether there is one or not.
    Panics,
}

/// The price of a cart, and what is in it.
#[derive(Debug)]
struct WrongMeasure {
    fault: Option<Fault>,
    calls: AtomicUsize,
}

impl WrongMeasure {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl EventMeasure for WrongMeasure {
    fn parts(&self) -> Vec<MeasurePart> {
        let mut parts = vec![MeasurePart::number("price"), MeasurePart::distinct("items")];
        match self.fault {
            Some(Fault::PartsChange) if self.calls.load(Ordering::SeqCst) > 0 => {
                parts.push(MeasurePart::number("late"));
            }
            Some(Fault::PartsOfOneName) => parts.push(MeasurePart::distinct("price")),
            Some(Fault::NameWithADot) => parts.push(MeasurePart::number("price.net")),
            Some(Fault::NoParts) => parts.clear(),
            Some(Fault::TooManyParts) => {
                parts.extend((0..200).map(|n| MeasurePart::number(format!("country_{n}"))));
            }
            _ => {}
        }
        parts
    }

    fn measure(&self, event: &DecodedEvent, found: &mut Measurements<'_>) -> Result<(), BoxError> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        let payload = event.payload();
        let Some(items) = payload["items"].as_array() else {
            match self.fault {
                Some(Fault::ErrsOnOthers) => return Err("no items".into()),
                Some(Fault::NoughtForOthers) => found.number("price", 0.0),
                Some(Fault::Panics) => panic!("no items"),
                _ => {}
            }
            return Ok(());
        };
        let prices: Option<Vec<f64>> = items.iter().map(|item| item["price"].as_f64()).collect();
        let price: f64 = match prices {
            Some(prices) => prices.iter().sum(),
            None if self.has(Fault::KeepsErrorsQuiet) => return Ok(()),
            None => return Err("an item has no price".into()),
        };
        match self.fault {
            Some(Fault::OtherKind) => found.value("price", &price.to_string()),
            Some(Fault::Undeclared) => found.number("prise", price),
            #[expect(clippy::cast_precision_loss, reason = "there are few")]
            Some(Fault::NumbersEvents) => found.number("price", calls as f64),
            Some(Fault::DividesByNothing) => found.number("price", price / 0.0),
            _ => found.number("price", price),
        }
        match self.fault {
            Some(Fault::LongValue) => found.value("items", &payload.to_string().repeat(50)),
            Some(Fault::TooManyValues) => (0..100).for_each(|n| found.value("items", &n.to_string())),
            _ => found.value("items", &payload["items"][0]["name"].to_string()),
        }
        Ok(())
    }
}

fn with(n: u128, payload: &str) -> Event {
    Event { payload: object(payload), ..event(n, "cart", 0) }
}

fn fixture(fault: Option<Fault>) -> EventMeasureFixture {
    EventMeasureFixture {
        measure: Arc::new(WrongMeasure { fault, calls: AtomicUsize::new(0) }),
        events: vec![
            with(1, r#"{"items": [{"name": "pen", "price": 2}]}"#),
            with(2, r#"{"items": [{"name": "ink", "price": 8}, {"name": "pen", "price": 1}]}"#),
        ],
        broken: vec![with(3, r#"{"items": [{"name": "pen"}]}"#)],
    }
}
