//! Suite of `Ledger`.

use gosight_application::ports::{ChunkId, Fence};
use gosight_domain::Hour;
use gosight_domain::ledger::{BatchSpan, LedgerRow, Outcome};

use crate::factory::{LOG, NOON, batch, chunk, click, project, shared, span};
use crate::steps::{self, StepsFixture, assert_fenced_off, stored};
use crate::suite;

suite! { $ ledger_suite, ledger(StepsFixture):
    next_offsets_are_by_log_and_partition
    an_older_fence_appends_nothing
    what_was_begun_before_takes_no_effect_after
    no_table_takes_a_write_behind_an_older_fence
    the_end_is_that_of_the_last_row
    a_row_survives_a_crash_whole
    a_batch_without_records_has_a_row
    logs_and_partitions_have_rows_and_fences_of_their_own
}

/// A row of a batch, all of whose records were stored.
fn row(span: &BatchSpan) -> LedgerRow {
    let mut row = LedgerRow::new(span.clone());
    for _ in span.first..span.next() {
        row.record(Some(&project("p")), NOON.hour(), &Outcome::Stored);
    }
    row
}

fn span_of(fence: &Fence, first: u64, count: u64) -> BatchSpan {
    BatchSpan { log: fence.log().clone(), partition: fence.partition(), ..span(first, count) }
}

async fn append(fixture: &StepsFixture, fence: &Fence, first: u64, count: u64) {
    fixture.ledger.append(fence, &row(&span_of(fence, first, count))).await.expect("appended");
}

async fn polled(fixture: &StepsFixture) -> u64 {
    let (from, to) = (NOON.hour(), Hour::from_index(NOON.hour().index() + 1));
    let balances = fixture.ledger_query.balances(None, from, to).await.expect("read");
    balances.iter().map(|balance| balance.counts.polled).sum()
}

pub async fn next_offsets_are_by_log_and_partition(fixture: StepsFixture) {
    assert!(fixture.ledger.next_offsets(LOG).await.expect("read").is_empty());
    let (zero, four) = (fixture.fence().await, fixture.fence_of(LOG, 4).await);
    append(&fixture, &zero, 0, 2).await;
    append(&fixture, &zero, 2, 3).await;
    append(&fixture, &four, 70, 1).await;
    append(&fixture, &fixture.fence_of("another.log", 0).await, 900, 1).await;
    let offsets = fixture.ledger.next_offsets(LOG).await.expect("read");
    assert_eq!(offsets.into_iter().collect::<Vec<_>>(), [(0, 5), (4, 71)]);
}

pub async fn an_older_fence_appends_nothing(fixture: StepsFixture) {
    let old = fixture.fence().await;
    append(&fixture, &old, 0, 2).await;
    let new = fixture.fence().await;
    assert!(new.epoch() > old.epoch(), "{old:?} {new:?}");
    assert_fenced_off(&fixture.ledger.append(&old, &row(&span(2, 3))).await);
    assert_eq!(fixture.ledger.end(&new).await.expect("read"), Some(2));
    assert_eq!(polled(&fixture).await, 2);
    append(&fixture, &new, 2, 1).await;
    assert_eq!(fixture.ledger.end(&new).await.expect("read"), Some(3));
    // A new process has a newer fence than any before it.
    let fixture = fixture.crashed().await;
    let newest = fixture.fence().await;
    assert_fenced_off(&fixture.ledger.append(&new, &row(&span(3, 1))).await);
    assert_eq!(fixture.ledger.end(&newest).await.expect("read"), Some(3));
}

/// How often two race.
const RACES: u64 = 20;

pub async fn what_was_begun_before_takes_no_effect_after(fixture: StepsFixture) {
    let mut fence = fixture.fence().await;
    let mut end = 0;
    for _ in 0..RACES {
        let old = &fence;
        let begun_before = row(&span_of(old, end, 1));
        let take_over = async {
            let new = fixture.fence().await;
            let end = fixture.ledger.end(&new).await.expect("read");
            (new, end)
        };
        let (appended, (new, then)) = tokio::join!(fixture.ledger.append(old, &begun_before), take_over);
        match appended {
            Ok(()) => assert_eq!(then, Some(end + 1), "it took effect after another had the partition"),
            Err(_) => assert_fenced_off(&appended),
        }
        // What the new holder saw stays so.
        assert_eq!(fixture.ledger.end(&new).await.expect("read"), then);
        end = then.unwrap_or(0);
        fence = new;
    }
}

pub async fn no_table_takes_a_write_behind_an_older_fence(fixture: StepsFixture) {
    let old = fixture.fence().await;
    let new = fixture.fence().await;
    let (event, chunk) = (click(1, 0), chunk("s", 0, "late"));
    let rows = stored(0, std::slice::from_ref(&event));
    let aggregates = batch(0, std::slice::from_ref(&event)).aggregates;
    let sessions = [steps::row(&[event])];
    assert_fenced_off(&fixture.events.insert(&old, &rows.iter().collect::<Vec<_>>()).await);
    assert_fenced_off(&fixture.sessions.put(&old, &sessions).await);
    assert_fenced_off(&fixture.aggregates.put(&old, &span(0, 1), &aggregates).await);
    assert_fenced_off(&fixture.replays.put(&old, std::slice::from_ref(&chunk)).await);
    assert_eq!(fixture.events.end(&new, 0).await.expect("read"), None);
    let loaded = fixture.sessions.load(&new, 0, &[sessions[0].session.key()]).await;
    assert_eq!(loaded.expect("loaded"), [None]);
    assert_eq!(fixture.aggregated().await, 0);
    assert_eq!(fixture.replays.contents(&[ChunkId::of(&chunk)]).await.expect("read"), [None]);
}

pub async fn the_end_is_that_of_the_last_row(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    assert_eq!(fixture.ledger.end(&fence).await.expect("read"), None);
    append(&fixture, &fence, 1_000, 10).await;
    assert_eq!(fixture.ledger.end(&fence).await.expect("read"), Some(1_010));
    append(&fixture, &fence, 1_010, 1).await;
    assert_eq!(fixture.ledger.end(&fence).await.expect("read"), Some(1_011));
    assert_eq!(fixture.ledger.end(&fixture.fence_of(LOG, 1).await).await.expect("read"), None);
}

pub async fn a_row_survives_a_crash_whole(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    let mut row = row(&span(0, 1));
    row.span = span(0, 5);
    row.record(Some(&project("q")), NOON.hour(), &Outcome::Stored);
    for outcome in
        [Outcome::Duplicate, Outcome::Filtered(shared("bots")), Outcome::DeadLettered(shared("not_json"))]
    {
        row.record(Some(&project("p")), NOON.hour(), &outcome);
    }
    fixture.ledger.append(&fence, &row).await.expect("appended");
    let fixture = fixture.crashed().await;
    let (from, to) = (NOON.hour(), Hour::from_index(NOON.hour().index() + 1));
    let balances = fixture.ledger_query.balances(Some(&project("p")), from, to).await.expect("read");
    let counts = &balances[0].counts;
    assert_eq!((counts.polled, counts.stored, counts.duplicate), (4, 1, 1));
    assert_eq!((counts.filtered[&shared("bots")], counts.dead_lettered[&shared("not_json")]), (1, 1));
    assert_eq!(polled(&fixture).await, 5, "those of the other project too");
    let coverage = fixture.ledger_query.coverage(LOG).await.expect("read");
    assert_eq!((coverage.len(), coverage[0].coverage.end, coverage[0].polled), (1, 5, 5));
    assert!(coverage[0].coverage.is_whole());
}

pub async fn a_batch_without_records_has_a_row(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    fixture.ledger.append(&fence, &LedgerRow::new(span(0, 5))).await.expect("appended");
    let fixture = fixture.crashed().await;
    assert_eq!(fixture.ledger.next_offsets(LOG).await.expect("read").get(&0), Some(&5));
    assert_eq!(polled(&fixture).await, 0);
}

pub async fn logs_and_partitions_have_rows_and_fences_of_their_own(fixture: StepsFixture) {
    let mine = fixture.fence().await;
    let others = [fixture.fence_of(LOG, 1).await, fixture.fence_of("another.log", 0).await];
    // The fences of others are no newer ones of this partition.
    append(&fixture, &mine, 0, 1).await;
    for other in &others {
        assert_eq!(fixture.ledger.end(other).await.expect("read"), None);
        append(&fixture, other, 7, 1).await;
        assert_eq!(fixture.ledger.end(other).await.expect("read"), Some(8));
    }
    assert_eq!(fixture.ledger.end(&mine).await.expect("read"), Some(1));
}
