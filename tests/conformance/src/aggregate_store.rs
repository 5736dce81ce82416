//! Suite of `AggregateStore`.

use std::collections::BTreeMap;

use gosight_application::ports::{Fence, WindowQuery};
use gosight_domain::Timestamp;
use gosight_domain::aggregate::{AggregateKey, AggregateValue, DistinctSketch, NumberStats};
use gosight_domain::ledger::{BatchSpan, LedgerRow};

use crate::factory::{LOG, NOON, aggregate_key, project, shared, span};
use crate::steps::{StepsFixture, assert_fenced_off, foreign};
use crate::suite;

suite! { $ aggregate_store_suite, aggregate_store(StepsFixture):
    values_are_added_to_what_is_there
    forgetting_takes_back_what_came_from_there_on
    an_older_fence_changes_nothing
    fences_of_another_ledger_count_once_they_are_known
    windows_come_in_order_and_the_latest_are_kept
    projects_do_not_share_values
}

fn value(count: u64, number: f64, text: &str) -> AggregateValue {
    let mut sketch = DistinctSketch::default();
    sketch.add(text);
    AggregateValue {
        count,
        numbers: [(shared("price"), NumberStats { count, sum: number, min: number, max: number })].into(),
        distinct: [(shared("users"), sketch)].into(),
        skipped: [(shared("value"), count)].into(),
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

async fn windows(fixture: &StepsFixture, query: &WindowQuery) -> Vec<(Timestamp, AggregateValue)> {
    fixture.aggregates.windows(&project("p"), query).await.expect("read")
}

/// Puts what a batch of one record gives.
async fn put(
    fixture: &StepsFixture,
    fence: &Fence,
    first: u64,
    values: &BTreeMap<AggregateKey, AggregateValue>,
) {
    fixture.aggregates.put(fence, &span_of(fence, first), values).await.expect("put");
}

async fn commit_row(fixture: &StepsFixture, fence: &Fence, first: u64) {
    fixture.ledger.append(fence, &LedgerRow::new(span_of(fence, first))).await.expect("appended");
}

fn span_of(fence: &Fence, first: u64) -> BatchSpan {
    BatchSpan { partition: fence.partition(), ..span(first, 1) }
}

pub async fn values_are_added_to_what_is_there(fixture: StepsFixture) {
    let key = aggregate_key("clicks", "all");
    let fence = fixture.fence().await;
    put(&fixture, &fence, 0, &one(key.clone(), value(1, 5.0, "a"))).await;
    put(&fixture, &fence, 1, &one(key.clone(), value(2, 3.0, "b"))).await;
    let fixture = fixture.crashed().await;
    let found = windows(&fixture, &query("all")).await;
    let mut expected = value(1, 5.0, "a");
    expected.merge(&value(2, 3.0, "b"));
    assert_eq!(found, [(NOON, expected)]);
    assert_eq!(windows(&fixture, &query("other")).await, []);
}

pub async fn forgetting_takes_back_what_came_from_there_on(fixture: StepsFixture) {
    let key = aggregate_key("clicks", "all");
    let (fence, other) = (fixture.fence().await, fixture.fence_of(LOG, 1).await);
    // Of the batches of a partition, the ledger covers the first.
    put(&fixture, &fence, 0, &one(key.clone(), value(1, 5.0, "a"))).await;
    commit_row(&fixture, &fence, 0).await;
    put(&fixture, &fence, 1, &one(key.clone(), value(10, 1.0, "b"))).await;
    put(&fixture, &other, 1, &one(key.clone(), value(100, 2.0, "c"))).await;
    let fixture = fixture.crashed().await;
    let fence = fixture.fence().await;
    fixture.aggregates.forget(&fence, 1).await.expect("forgotten");
    let mut expected = value(1, 5.0, "a");
    expected.merge(&value(100, 2.0, "c"));
    assert_eq!(windows(&fixture, &query("all")).await, [(NOON, expected.clone())]);
    // The batch comes again, cut in another way.
    put(&fixture, &fence, 1, &one(key, value(20, 7.0, "d"))).await;
    expected.merge(&value(20, 7.0, "d"));
    assert_eq!(windows(&fixture, &query("all")).await, [(NOON, expected)]);
}

pub async fn an_older_fence_changes_nothing(fixture: StepsFixture) {
    let values = one(aggregate_key("clicks", "all"), value(1, 5.0, "a"));
    let old = fixture.fence().await;
    put(&fixture, &old, 0, &values).await;
    let new = fixture.fence().await;
    assert_fenced_off(&fixture.aggregates.put(&old, &span(1, 1), &values).await);
    assert_fenced_off(&fixture.aggregates.forget(&old, 0).await);
    assert_eq!(windows(&fixture, &query("all")).await, [(NOON, value(1, 5.0, "a"))]);
    put(&fixture, &new, 1, &values).await;
    assert_eq!(windows(&fixture, &query("all")).await[0].1.count, 2);
}

pub async fn fences_of_another_ledger_count_once_they_are_known(fixture: StepsFixture) {
    let (old, new) = (foreign(70), foreign(71));
    fixture.aggregates.acquired(&old).await.expect("known");
    let values = one(aggregate_key("clicks", "all"), value(1, 5.0, "a"));
    fixture.aggregates.put(&old, &span_of(&old, 0), &values).await.expect("put");
    fixture.aggregates.acquired(&new).await.expect("known");
    assert_fenced_off(&fixture.aggregates.acquired(&old).await);
    assert_fenced_off(&fixture.aggregates.put(&old, &span_of(&old, 1), &values).await);
    fixture.aggregates.put(&new, &span_of(&new, 1), &values).await.expect("put");
    assert_eq!(windows(&fixture, &query("all")).await[0].1.count, 2);
}

pub async fn windows_come_in_order_and_the_latest_are_kept(fixture: StepsFixture) {
    let at = |n: i64| AggregateKey { window_start: NOON.plus_millis(n), ..aggregate_key("clicks", "all") };
    let values = [3, 1, 2, 10].map(|n| (at(n), value(1, 1.0, "a"))).into();
    put(&fixture, &fixture.fence().await, 0, &values).await;
    let starts = async |query: WindowQuery| -> Vec<i64> {
        windows(&fixture, &query).await.iter().map(|(start, _)| start.millis_since(NOON)).collect()
    };
    assert_eq!(starts(query("all")).await, [1, 2, 3, 10]);
    assert_eq!(starts(WindowQuery { limit: 2, ..query("all") }).await, [3, 10]);
    let part = WindowQuery { from: NOON.plus_millis(2), to: NOON.plus_millis(10), ..query("all") };
    assert_eq!(starts(part).await, [2, 3]);
}

pub async fn projects_do_not_share_values(fixture: StepsFixture) {
    let theirs = AggregateKey { project_id: project("q"), ..aggregate_key("clicks", "all") };
    put(&fixture, &fixture.fence().await, 0, &one(theirs, value(1, 5.0, "a"))).await;
    assert_eq!(windows(&fixture, &query("all")).await, []);
}
