//! Suite of `AggregateStore`.

use std::collections::BTreeMap;
use std::sync::Arc;

use gosight_application::ports::{AggregateStore, WindowQuery};
use gosight_domain::Timestamp;
use gosight_domain::aggregate::{AggregateKey, AggregateValue, DistinctSketch, NumberStats};

use crate::{
    Keep,
    factory::{NOON, aggregate_key, project, shared, span},
    suite,
};

suite! { $ aggregate_store_suite, aggregate_store:
    values_are_added_to_what_is_there
    a_span_counts_once
    windows_come_in_order_and_the_latest_are_kept
    projects_do_not_share_values
}

/// An aggregate store.
pub struct AggregateStoreFixture {
    /// The port.
    pub aggregates: Arc<dyn AggregateStore>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

fn value(count: u64, number: f64, text: &str) -> AggregateValue {
    let mut sketch = DistinctSketch::default();
    sketch.add(text);
    AggregateValue {
        count,
        numbers: [(shared("price"), NumberStats { count, sum: number, min: number, max: number })].into(),
        distinct: [(shared("users"), sketch)].into(),
    }
}

fn one(key: AggregateKey, value: AggregateValue) -> BTreeMap<AggregateKey, AggregateValue> {
    [(key, value)].into()
}

fn query(key: &str) -> WindowQuery {
    WindowQuery {
        aggregation: "clicks".into(),
        key: key.into(),
        from: NOON,
        to: NOON.plus_millis(86_400_000),
        limit: 100,
    }
}

async fn windows(fixture: &AggregateStoreFixture, query: &WindowQuery) -> Vec<(Timestamp, AggregateValue)> {
    fixture.aggregates.windows(&project("p"), query).await.expect("read")
}

pub async fn values_are_added_to_what_is_there(fixture: AggregateStoreFixture) {
    let key = aggregate_key("clicks", "all");
    fixture.aggregates.merge(&span(0, 1), &one(key.clone(), value(1, 5.0, "a"))).await.expect("merged");
    fixture.aggregates.merge(&span(1, 2), &one(key, value(2, 3.0, "b"))).await.expect("merged");
    let found = windows(&fixture, &query("all")).await;
    let mut expected = value(1, 5.0, "a");
    expected.merge(&value(2, 3.0, "b"));
    assert_eq!(found, [(NOON, expected)]);
    assert_eq!(windows(&fixture, &query("other")).await, []);
}

pub async fn a_span_counts_once(fixture: AggregateStoreFixture) {
    let values = one(aggregate_key("clicks", "all"), value(1, 5.0, "a"));
    for _ in 0..3 {
        fixture.aggregates.merge(&span(0, 1), &values).await.expect("merged");
    }
    assert_eq!(windows(&fixture, &query("all")).await[0].1.count, 1);
}

pub async fn windows_come_in_order_and_the_latest_are_kept(fixture: AggregateStoreFixture) {
    let at = |n: i64| AggregateKey { window_start: NOON.plus_millis(n), ..aggregate_key("clicks", "all") };
    let values = [3, 1, 2, 10].map(|n| (at(n), value(1, 1.0, "a"))).into();
    fixture.aggregates.merge(&span(0, 1), &values).await.expect("merged");
    let starts = async |query: WindowQuery| -> Vec<i64> {
        windows(&fixture, &query).await.iter().map(|(start, _)| start.millis_since(NOON)).collect()
    };
    assert_eq!(starts(query("all")).await, [1, 2, 3, 10]);
    assert_eq!(starts(WindowQuery { limit: 2, ..query("all") }).await, [3, 10]);
    let part = WindowQuery { from: NOON.plus_millis(2), to: NOON.plus_millis(10), ..query("all") };
    assert_eq!(starts(part).await, [2, 3]);
}

pub async fn projects_do_not_share_values(fixture: AggregateStoreFixture) {
    let theirs = AggregateKey { project_id: project("q"), ..aggregate_key("clicks", "all") };
    fixture.aggregates.merge(&span(0, 1), &one(theirs, value(1, 5.0, "a"))).await.expect("merged");
    assert_eq!(windows(&fixture, &query("all")).await, []);
}
