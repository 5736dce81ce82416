//! Measures of one's own, good ones and bad ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosight_application::Telemetry;
use gosight_application::pipeline::{BuildError, Pipeline, PipelineSettings, ReplaceParts as _};
use gosight_application::ports::{
    AggregateStore, BoxError, EventMeasure, MeasurePart, Measurements, WindowQuery,
};
use gosight_application::process::{AggregationSet, CustomMeasures, LogConsumer, MeasureError};
use gosight_conformance::factory::{NOON, event, object, project};
use gosight_domain::Event;
use gosight_domain::aggregate::{AggregateValue, Aggregation, KeyTemplate, Measure};
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::field::FieldPath;
use gosight_memory::MemoryParts;

use crate::support::{Bench, JudgedStore, unavailable};

/// The value of a cart, and how many kinds of things are in it.
#[derive(Debug)]
struct Cart;

impl EventMeasure for Cart {
    fn parts(&self) -> Vec<MeasurePart> {
        vec![MeasurePart::number(""), MeasurePart::distinct("items")]
    }

    fn measure(&self, event: &DecodedEvent, found: &mut Measurements<'_>) -> Result<(), BoxError> {
        for item in event.payload()["items"].as_array().into_iter().flatten() {
            found.value("items", item["name"].as_str().ok_or("an item has no name")?);
            found.number("", item["price"].as_f64().unwrap_or_default());
        }
        Ok(())
    }
}

/// Fails as the payload says.
#[derive(Debug)]
struct Faulty;

impl EventMeasure for Faulty {
    fn parts(&self) -> Vec<MeasurePart> {
        vec![MeasurePart::number("n"), MeasurePart::distinct("v")]
    }

    fn measure(&self, event: &DecodedEvent, found: &mut Measurements<'_>) -> Result<(), BoxError> {
        found.number("n", 1.0);
        match event.payload()["fault"].as_str() {
            Some("error") => return Err("no idea".into()),
            Some("panic") => panic!("out of ideas"),
            Some("not_finite") => found.number("n", f64::NAN),
            Some("value_too_long") => found.value("v", &"v".repeat(1_001)),
            Some("undeclared_part") => found.value("n", "declared as a number"),
            Some("too_many") => (0..100).for_each(|_| found.number("n", 1.0)),
            _ => {}
        }
        Ok(())
    }
}

const FAULTS: [&str; 6] = ["error", "panic", "not_finite", "value_too_long", "undeclared_part", "too_many"];

fn aggregation(key: &str, measures: &[(&str, Measure)]) -> Aggregation {
    Aggregation {
        name: "carts".into(),
        event_types: Vec::new(),
        key: KeyTemplate::parse(key).unwrap(),
        window_ms: 3_600_000,
        measures: measures.iter().map(|(name, measure)| ((*name).into(), measure.clone())).collect(),
    }
}

fn custom(name: &str) -> Measure {
    Measure::Custom(name.into())
}

fn with(n: u128, payload: &str) -> Event {
    Event { payload: object(payload), ..event(n, "cart", 0) }
}

async fn value(store: &dyn AggregateStore) -> AggregateValue {
    let query = WindowQuery {
        aggregation: "carts".into(),
        key: "all".into(),
        from: NOON,
        to: NOON.plus_millis(3_600_000),
        limit: 2,
    };
    let windows = store.windows(&project("p"), &query).await.unwrap();
    assert_eq!(windows.len(), 1);
    windows.into_iter().next().unwrap().1
}

fn bench() -> Bench {
    let mut bench = Bench::new(1);
    bench.measures = measures();
    bench
}

fn measures() -> CustomMeasures {
    CustomMeasures::from([("cart".into(), Arc::new(Cart) as _), ("faulty".into(), Arc::new(Faulty) as _)])
}

#[tokio::test(start_paused = true)]
async fn a_measure_of_one_s_own_gives_numbers_and_values_that_are_folded_as_any_other() {
    let bench = bench();
    let carts = [
        with(1, r#"{"items": [{"name": "pen", "price": 2}, {"name": "ink", "price": 8}]}"#),
        with(2, r#"{"items": [{"name": "pen", "price": 3}]}"#),
        with(3, "{}"),
    ];
    // Of different batches, so that they are merged.
    bench.append(&carts[..1]).await;
    let handler = || bench.handler_with(&[], &[aggregation("all", &[("cart", custom("cart"))])], None);
    bench.drain(LogConsumer { handler: Arc::new(handler()), ..bench.consumer() }).await;
    bench.append(&carts[1..]).await;
    bench.drain(LogConsumer { handler: Arc::new(handler()), ..bench.consumer() }).await;

    let value = value(&*bench.store).await;
    let price = value.numbers["cart"];
    assert_eq!((value.count, price.count, price.sum, price.min, price.max), (3, 3, 13.0, 2.0, 8.0));
    assert_eq!(value.distinct["cart.items"].estimate(), 2);
    assert!(value.skipped.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_measure_that_fails_is_skipped_counted_once_and_costs_nobody_anything() {
    let bench = bench();
    let number = Measure::Number(FieldPath::parse("payload.n").unwrap());
    let measures = [("bad", custom("faulty")), ("cart", custom("cart")), ("n", number)];
    let set =
        AggregationSet::new(&[aggregation("all", &measures)], &bench.measures, bench.numbers.telemetry());
    let set = Arc::new(set.unwrap());
    let faulty = |(n, fault): (u128, &&str)| {
        with(n, &format!(r#"{{"fault": "{fault}", "items": [{{"name": "pen", "price": 1}}], "n": 5}}"#))
    };
    let mut events: Vec<Event> = (1..).zip(&FAULTS).map(faulty).collect();
    events.push(with(10, r#"{"fault": "error", "n": "five"}"#));
    events.push(with(11, r#"{"items": [{}]}"#));
    bench.append(&events).await;

    // What is handled again is counted once.
    let is_unavailable = AtomicBool::new(true);
    let store = JudgedStore::new(&bench.store, move |_| {
        if is_unavailable.swap(false, Ordering::SeqCst) { Err(unavailable()) } else { Ok(()) }
    });
    let handler = Arc::new(bench.handler_of(set.clone()));
    bench.drain(LogConsumer { handler, store, ..bench.consumer() }).await;

    assert_eq!(bench.stored().len(), 8, "the events are stored");
    let value = value(&*bench.store).await;
    assert_eq!(value.count, 8);
    assert_eq!(
        value.numbers["bad.n"].count, 1,
        "only what did not fail, and nothing of what failed half-way"
    );
    assert_eq!((value.numbers["cart"].count, value.numbers["n"].count), (6, 6));
    let skipped: Vec<_> = value.skipped.iter().map(|(name, events)| (&**name, *events)).collect();
    assert_eq!(skipped, [("bad", 7), ("cart", 1), ("n", 1)]);

    for fault in FAULTS {
        let name = format!(
            r#"aggregation_measures_skipped_total{{aggregation="carts",measure="bad",reason="{fault}"}}"#
        );
        assert_eq!(bench.numbers.count(&name), if fault == "error" { 2 } else { 1 }, "{name}");
    }
    let of = |project_id: &str| {
        let found = set.stats().of(&project(project_id), "carts");
        found
            .into_iter()
            .map(|(skipped, since)| ((skipped.measure, skipped.reason), since))
            .collect::<Vec<_>>()
    };
    let told = of("p");
    assert_eq!(told.len(), 8);
    let last_error = |measure: &str, reason: &str| {
        let found = told.iter().find(|((name, why), _)| (&**name, *why) == (measure, reason));
        found.map(|(_, since)| (since.events, since.last_error.to_string())).unwrap()
    };
    assert_eq!(last_error("bad", "error"), (2, "no idea".to_owned()));
    assert_eq!(last_error("bad", "panic"), (1, "it panicked: out of ideas".to_owned()));
    assert_eq!(last_error("cart", "error"), (1, "an item has no name".to_owned()));
    assert_eq!(last_error("n", "not_a_number").0, 1);
    assert!(of("q").is_empty(), "what is said of a project's events is for nobody else");
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_key_is_too_long_is_stored_and_counted_as_skipped() {
    let bench = bench();
    let keyed = aggregation("{payload.key}", &[]);
    let set = AggregationSet::new(&[keyed], &bench.measures, bench.numbers.telemetry()).unwrap();
    bench.append(&[with(1, &format!(r#"{{"key": "{}"}}"#, "k".repeat(201))), with(2, "{}")]).await;
    let handler = Arc::new(bench.handler_of(Arc::new(set)));
    bench.drain(LogConsumer { handler, ..bench.consumer() }).await;
    assert_eq!(bench.stored(), [1, 2]);
    let name = r#"aggregation_measures_skipped_total{aggregation="carts",measure="",reason="key_too_long"}"#;
    assert_eq!(bench.numbers.count(name), 1, "an event without the field is none of its business");
}

#[tokio::test]
async fn the_builder_says_which_measure_is_missing() {
    let settings = || PipelineSettings {
        aggregations: vec![aggregation("all", &[("value", custom("cart"))])],
        ..PipelineSettings::default()
    };
    let builder = || Pipeline::builder(MemoryParts::default().ports()).settings(settings());
    builder().with_measure("cart", Arc::new(Cart)).build().unwrap();
    let error = builder().with_measure("other", Arc::new(Cart)).build().unwrap_err();
    assert!(matches!(error, BuildError::Measure(MeasureError::Unknown { .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("\"value\"") && text.contains("\"carts\"") && text.ends_with("other"), "{text}");
}

/// Has these parts.
#[derive(Debug)]
struct Parts(Vec<MeasurePart>);

impl EventMeasure for Parts {
    fn parts(&self) -> Vec<MeasurePart> {
        self.0.clone()
    }

    fn measure(&self, _: &DecodedEvent, _: &mut Measurements<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn parts_have_names_of_their_own() {
    let check = |parts: Vec<MeasurePart>, others: &[(&str, Measure)]| {
        let measures = [&[("a", custom("parts"))], others].concat();
        let known = CustomMeasures::from([("parts".into(), Arc::new(Parts(parts)) as _)]);
        AggregationSet::new(&[aggregation("all", &measures)], &known, Telemetry::default())
    };
    let number = |name: &'static str| MeasurePart::number(name);
    check(vec![number(""), number("b")], &[]).unwrap();
    for bad in [vec![], vec![number("b"); 2], vec![number("B")], vec![number("b.c")]] {
        let error = check(bad.clone(), &[]).unwrap_err();
        assert!(matches!(error, MeasureError::BadParts { .. }), "{bad:?}: {error}");
    }
    let many = (0..17).map(|n| MeasurePart::number(format!("p{n}"))).collect();
    assert!(matches!(check(many, &[]), Err(MeasureError::BadParts { .. })));
    let taken = [("a.b", Measure::Distinct(FieldPath::parse("user_id").unwrap()))];
    let error = check(vec![number("b")], &taken).unwrap_err();
    assert!(matches!(error, MeasureError::TakenName { ref name, .. } if &**name == "a.b"), "{error}");
}
