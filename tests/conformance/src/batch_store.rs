//! Suite of `BatchStore`, with what readers see of it.

use std::sync::Arc;

use gosight_application::ports::{
    AggregateStore, BatchStore, ChunkId, Claim, ClaimVerdict, Committed, DeadLetter, DeadLetters,
    Deduplicator, EventQuery, LedgerQuery, LogPosition, MetricsQuery, PortError, ProcessedBatch, ReplayStore,
    SessionDetail, SessionStore, WindowQuery,
};
use gosight_application::sessions::SessionRules;
use gosight_domain::insight::InsightKind;
use gosight_domain::ledger::{LedgerRow, Outcome};
use gosight_domain::{Event, Hour};

use crate::{
    Keep, Reopen,
    factory::{LOG, NOON, batch, bytes, chunk, click, event, fold, project, session_id, shared, span},
    suite,
};

suite! { $ batch_store_suite, batch_store(StoreFixture):
    a_batch_becomes_visible_whole
    a_batch_survives_a_crash_whole
    the_same_batch_again_changes_nothing
    what_the_ledger_covers_is_done_however_it_is_cut
    a_span_that_does_not_join_is_refused
    the_first_span_may_start_anywhere
    next_offsets_are_by_log_and_partition
    batches_in_any_order_give_the_same_session
    insights_are_found_again_and_replaced
    projects_share_nothing
    stored_events_stay_known
    chunks_and_dead_letters_come_with_the_batch
    every_outcome_is_in_the_ledger
    an_empty_batch_moves_the_ledger
    many_partitions_at_once_lose_nothing
}

/// How often a commit that is `Transient` is tried.
const ATTEMPTS: usize = 10;
/// A store, seen through all of its ports.
#[expect(missing_docs, reason = "the fields are named by their ports")]
pub struct StoreFixture {
    pub store: Arc<dyn BatchStore>,
    pub deduplicator: Arc<dyn Deduplicator>,
    pub query: Arc<dyn EventQuery>,
    pub sessions: Arc<dyn SessionStore>,
    pub ledger: Arc<dyn LedgerQuery>,
    pub aggregates: Arc<dyn AggregateStore>,
    pub replays: Arc<dyn ReplayStore>,
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Gives the same store as a new process finds it after a crash.
    pub reopen: Reopen<Box<StoreFixture>>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

impl StoreFixture {
    /// Commits a batch that must be new.
    pub async fn commit(&self, batch: &ProcessedBatch) {
        assert_eq!(self.commit_again(batch).await, Committed::Now);
    }

    /// Commits a batch, as often as it takes.
    pub(crate) async fn commit_again(&self, batch: &ProcessedBatch) -> Committed {
        for _ in 0..ATTEMPTS {
            match self.store.commit(batch).await {
                Ok(committed) => return committed,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
        panic!("{} was not committed in {ATTEMPTS} attempts", batch.ledger.span)
    }

    /// The same store as a new process finds it after a crash.
    pub(crate) async fn crashed(mut self) -> Self {
        let again: Reopen<Box<Self>> = Box::new(|fixture| Box::pin(async { fixture }));
        let reopen = std::mem::replace(&mut self.reopen, again);
        *reopen(Box::new(self)).await
    }

    async fn events(&self, name: &str) -> Vec<Event> {
        let found = self.query.session_events(&project(name), &session_id("s"), None, 10_000).await;
        found.expect("read")
    }

    /// Whether there is a row of `event`.
    pub(crate) async fn has(&self, event: &Event) -> bool {
        self.events("p").await.contains(event)
    }

    async fn session(&self, name: &str) -> SessionDetail {
        let rules = SessionRules::default();
        let found = self.sessions.get(&rules, &project(name), &session_id("s")).await.expect("read");
        let mut detail = found.expect("a session");
        // Which a store may leave out.
        detail.summary.has_replay = false;
        detail
    }

    async fn total_count(&self, name: &str) -> u64 {
        let query = MetricsQuery {
            event_name: None,
            from: NOON.hour(),
            to: Hour::from_index(NOON.hour().index() + 2),
            channel: None,
            group_by: None,
            limit: 10,
        };
        self.query.metrics(&project(name), &query).await.expect("read").total_count
    }

    async fn aggregated(&self) -> u64 {
        let query = WindowQuery {
            aggregation: "clicks".into(),
            key: "all".into(),
            from: NOON,
            to: NOON.plus_millis(1),
            limit: 10,
        };
        let windows = self.aggregates.windows(&project("p"), &query).await.expect("read");
        windows.iter().map(|(_, value)| value.count).sum()
    }

    /// Checks that exactly these events are stored, each counted once everywhere, with the chunk and the dead letter.
    pub(crate) async fn assert_has(&self, events: &[Event], polled: u64) {
        self.assert_stored(events, polled).await;
        let data = self.replays.data(&[ChunkId::of(&chunk("s", 0, ""))]).await.expect("read");
        assert_eq!(data, [Some(b"data".to_vec())]);
        assert_eq!(self.dead_letters.list(None, 10).await.expect("listed"), [letter(polled - 1)]);
    }

    /// Checks that nothing was stored of what [`with_chunk_and_letter`] adds to a batch.
    pub(crate) async fn assert_has_no_chunk_or_letter(&self) {
        let data = self.replays.data(&[ChunkId::of(&chunk("s", 0, ""))]).await.expect("read");
        assert_eq!(data, [None]);
        assert_eq!(self.dead_letters.list(None, 10).await.expect("listed"), []);
    }

    /// Checks that exactly these events are stored, each counted once everywhere.
    pub(crate) async fn assert_stored(&self, events: &[Event], polled: u64) {
        assert_eq!(self.events("p").await, events);
        assert_eq!(self.session("p").await, SessionRules::default().row(fold(events)).into_detail());
        let count = events.len() as u64;
        assert_eq!((self.total_count("p").await, self.aggregated().await), (count, count));
        self.assert_ledger(polled, polled).await;
    }

    /// Checks that the ledger's rows of partition 0 join, up to `end`, and balance.
    async fn assert_ledger(&self, end: u64, polled: u64) {
        let coverage = self.ledger.coverage(LOG).await.expect("read");
        let partition = coverage.iter().find(|partition| partition.partition == 0).expect("partition 0");
        assert!(partition.coverage.is_whole(), "{:?}", partition.coverage);
        assert_eq!(partition.coverage.end, end);
        assert_eq!(partition.polled, polled);
        let from = NOON.hour();
        let to = Hour::from_index(from.index() + 2);
        let balances = self.ledger.balances(None, from, to).await.expect("read");
        assert!(balances.iter().all(|balance| balance.counts.balances()), "{balances:?}");
        assert_eq!(balances.iter().map(|balance| balance.counts.polled).sum::<u64>(), polled);
    }
}

/// Adds a chunk and a dead letter to a batch, with records at the offsets `at` and after it.
pub(crate) fn with_chunk_and_letter(mut batch: ProcessedBatch, at: u64) -> ProcessedBatch {
    batch.ledger.span.last = at + 1;
    batch.ledger.record(Some(&project("p")), NOON.hour(), &Outcome::Stored);
    batch.ledger.record(None, NOON.hour(), &Outcome::DeadLettered(shared("not_json")));
    batch.replay_chunks.push(chunk("s", 0, "data"));
    batch.dead_letters.push(letter(at + 1));
    batch
}

fn letter(offset: u64) -> DeadLetter {
    DeadLetter {
        position: LogPosition { log: shared(LOG), partition: 0, offset },
        project_id: None,
        reason: shared("not_json"),
        detail: "expected value".into(),
        at: NOON,
        record: bytes("nonsense"),
    }
}

pub async fn a_batch_becomes_visible_whole(fixture: StoreFixture) {
    let events = vec![event(1, "page_view", 0), click(2, 10), event(3, "purchase", 20)];
    fixture.commit(&batch(0, &events)).await;
    assert_eq!(fixture.events("p").await, events);
    let summary = fixture.session("p").await.summary;
    assert_eq!((summary.event_count, summary.page_count, summary.click_count), (3, 1, 1));
    assert_eq!((summary.started_at, summary.ended_at), (NOON, NOON.plus_millis(20)));
    assert_eq!((summary.entry_path.as_str(), summary.exit_path.as_str()), ("/a", "/a"));
    assert_eq!(summary.entry_url, events[0].page.url);
    assert_eq!(summary.referrer, events[0].page.referrer);
    assert_eq!((summary.user_id, summary.channel), (events[0].user_id.clone(), events[0].channel));
    assert_eq!((summary.device, summary.geo), (events[0].device.clone(), events[0].geo.clone()));
    assert_eq!(fixture.total_count("p").await, 3);
    assert_eq!(fixture.aggregated().await, 3);
    fixture.assert_ledger(3, 3).await;
}

pub async fn a_batch_survives_a_crash_whole(fixture: StoreFixture) {
    let events = vec![event(1, "page_view", 0), click(2, 10)];
    let whole = with_chunk_and_letter(batch(0, &events), 2);
    fixture.commit(&whole).await;
    let fixture = fixture.crashed().await;
    fixture.assert_has(&events, 4).await;
    assert_eq!(fixture.commit_again(&whole).await, Committed::Before);
    fixture.assert_has(&events, 4).await;
}

pub async fn the_same_batch_again_changes_nothing(fixture: StoreFixture) {
    let first = batch(0, &[event(1, "page_view", 0), click(2, 10)]);
    let second = batch(2, &[click(3, 20)]);
    fixture.commit(&first).await;
    fixture.commit(&second).await;
    for again in [&first, &second, &first] {
        assert_eq!(fixture.commit_again(again).await, Committed::Before);
    }
    assert_eq!(fixture.events("p").await.len(), 3);
    assert_eq!(fixture.session("p").await.summary.event_count, 3);
    assert_eq!(fixture.total_count("p").await, 3);
    assert_eq!(fixture.aggregated().await, 3);
    fixture.assert_ledger(3, 3).await;
}

pub async fn what_the_ledger_covers_is_done_however_it_is_cut(fixture: StoreFixture) {
    let events = [event(1, "page_view", 0), click(2, 10), click(3, 20), click(4, 30)];
    fixture.commit(&batch(0, &events[..2])).await;
    fixture.commit(&batch(2, &events[2..])).await;
    for (first, end) in [(0, 4), (1, 3), (3, 4), (0, 1)] {
        let cut = batch(first as u64, &events[first..end]);
        assert_eq!(fixture.commit_again(&cut).await, Committed::Before, "{first}..{end}");
    }
    fixture.assert_stored(&events, 4).await;
}

pub async fn a_span_that_does_not_join_is_refused(fixture: StoreFixture) {
    fixture.commit(&batch(0, &[event(1, "page_view", 0), click(2, 10)])).await;
    for first in [1, 3] {
        let other = batch(first, &[click(10, 1), click(11, 2)]);
        let result = fixture.store.commit(&other).await;
        assert!(matches!(result, Err(PortError::Fatal { .. })), "{result:?}");
    }
    assert_eq!(fixture.events("p").await.len(), 2);
    assert_eq!(fixture.total_count("p").await, 2);
    fixture.assert_ledger(2, 2).await;
}

pub async fn the_first_span_may_start_anywhere(fixture: StoreFixture) {
    fixture.commit(&batch(1_000, &[event(1, "page_view", 0)])).await;
    fixture.assert_ledger(1_001, 1).await;
}

pub async fn next_offsets_are_by_log_and_partition(fixture: StoreFixture) {
    assert!(fixture.store.next_offsets(LOG).await.expect("read").is_empty());
    fixture.commit(&batch(0, &[event(1, "page_view", 0), click(2, 5)])).await;
    let mut other = batch(7, &[click(3, 5)]);
    other.ledger.span.partition = 4;
    fixture.commit(&other).await;
    let mut elsewhere = batch(70, &[click(4, 5)]);
    elsewhere.ledger.span.log = shared("another.log");
    fixture.commit(&elsewhere).await;
    let offsets = fixture.store.next_offsets(LOG).await.expect("read");
    assert_eq!(offsets.into_iter().collect::<Vec<_>>(), [(0, 2), (4, 8)]);
}

pub async fn batches_in_any_order_give_the_same_session(fixture: StoreFixture) {
    let late = [event(4, "page_view", 40_000), click(5, 50_000)];
    let early = [event(1, "page_view", 0), click(2, 10_000)];
    fixture.commit(&batch(0, &late)).await;
    fixture.commit(&batch(2, &early)).await;
    let summary = fixture.session("p").await.summary;
    assert_eq!((summary.started_at, summary.ended_at), (NOON, NOON.plus_millis(50_000)));
    assert_eq!((summary.event_count, summary.page_count, summary.click_count), (4, 2, 2));
    let ids: Vec<_> = fixture.events("p").await.iter().map(|event| event.event_id).collect();
    assert_eq!(ids, [1, 2, 4, 5].map(crate::factory::event_id), "events are read by time");
}

pub async fn insights_are_found_again_and_replaced(fixture: StoreFixture) {
    let kinds = async || -> Vec<InsightKind> {
        fixture.session("p").await.insights.iter().map(|insight| insight.kind).collect()
    };
    fixture.commit(&batch(0, &[click(1, 0), event(2, "page_view", 5_000)])).await;
    assert_eq!(kinds().await, [InsightKind::DeadClick]);
    assert!(fixture.session("p").await.summary.has_dead_click);
    fixture.commit(&batch(2, &[event(3, "add_to_cart", 400)])).await;
    assert_eq!(kinds().await, [], "the answer to the click came late");
    assert!(!fixture.session("p").await.summary.has_dead_click);
    let rage: Vec<Event> =
        (10..16).map(|n| click(n, 6_000 + 10 * i64::try_from(n).expect("small"))).collect();
    fixture.commit(&batch(3, &rage[..3])).await;
    assert_eq!(kinds().await, [], "it takes more clicks than a batch has");
    fixture.commit(&batch(6, &rage[3..])).await;
    assert_eq!(kinds().await, [InsightKind::RageClick]);
    let rage_click = &fixture.session("p").await.insights[0];
    assert_eq!((rage_click.count, &*rage_click.path), (6, "/a"));
    assert!(fixture.session("p").await.summary.has_rage_click);
}

pub async fn projects_share_nothing(fixture: StoreFixture) {
    let theirs = Event { project_id: project("q"), ..event(1, "page_view", 0) };
    fixture.commit(&batch(0, &[event(1, "page_view", 0), click(2, 10), theirs.clone()])).await;
    assert_eq!(fixture.events("q").await, [theirs]);
    assert_eq!(fixture.session("q").await.summary.event_count, 1);
    assert_eq!(fixture.session("p").await.summary.event_count, 2);
    assert_eq!((fixture.total_count("p").await, fixture.total_count("q").await), (2, 1));
    let (from, to) = (NOON.hour(), Hour::from_index(NOON.hour().index() + 2));
    let balances = fixture.ledger.balances(Some(&project("q")), from, to).await.expect("read");
    assert_eq!(balances.iter().map(|balance| balance.counts.stored).collect::<Vec<_>>(), [1]);
}

pub async fn stored_events_stay_known(fixture: StoreFixture) {
    let claim = |partition, offset| Claim {
        project_id: project("p"),
        event_id: crate::factory::event_id(1),
        session_id: event(1, "page_view", 0).session_id,
        timestamp: NOON,
        position: LogPosition { log: shared(LOG), partition, offset },
    };
    let verdict = async |claim| fixture.deduplicator.claim(&[claim]).await.expect("a verdict")[0];
    assert_eq!(verdict(claim(0, 0)).await, ClaimVerdict::Granted);
    let batch = batch(0, &[event(1, "page_view", 0)]);
    fixture.commit(&batch).await;
    fixture.deduplicator.committed(&batch.ledger.span);
    assert_eq!(verdict(claim(1, 5)).await, ClaimVerdict::Duplicate);
    assert_eq!(verdict(claim(0, 1)).await, ClaimVerdict::Duplicate);
    assert_eq!(verdict(claim(0, 0)).await, ClaimVerdict::Granted, "its own position");
}

pub async fn chunks_and_dead_letters_come_with_the_batch(fixture: StoreFixture) {
    fixture.commit(&with_chunk_and_letter(ProcessedBatch::empty(LedgerRow::new(span(0, 2))), 0)).await;
    let data = fixture.replays.data(&[ChunkId::of(&chunk("s", 0, ""))]).await.expect("read");
    assert_eq!(data, [Some(b"data".to_vec())]);
    assert_eq!(fixture.dead_letters.list(None, 10).await.expect("listed"), [letter(1)]);
    fixture.assert_ledger(2, 2).await;
}

pub async fn every_outcome_is_in_the_ledger(fixture: StoreFixture) {
    let mut batch = batch(0, &[event(1, "page_view", 0)]);
    batch.ledger.span = span(0, 6);
    let outcomes = [
        Outcome::Duplicate,
        Outcome::Filtered(shared("bots")),
        Outcome::Filtered(shared("bots")),
        Outcome::Rejected(shared("conflict")),
        Outcome::DeadLettered(shared("not_json")),
    ];
    for outcome in &outcomes {
        batch.ledger.record(Some(&project("p")), NOON.hour(), outcome);
    }
    fixture.commit(&batch).await;
    let (from, to) = (NOON.hour(), Hour::from_index(NOON.hour().index() + 1));
    let balances = fixture.ledger.balances(Some(&project("p")), from, to).await.expect("read");
    let counts = &balances[0].counts;
    assert_eq!((counts.polled, counts.stored, counts.duplicate), (6, 1, 1));
    assert_eq!(counts.filtered[&shared("bots")], 2);
    assert_eq!(counts.rejected[&shared("conflict")], 1);
    assert_eq!(counts.dead_lettered[&shared("not_json")], 1);
    fixture.assert_ledger(6, 6).await;
}

pub async fn an_empty_batch_moves_the_ledger(fixture: StoreFixture) {
    fixture.commit(&ProcessedBatch::empty(LedgerRow::new(span(0, 5)))).await;
    fixture.commit(&batch(5, &[event(1, "page_view", 0)])).await;
    fixture.assert_ledger(6, 1).await;
}

pub async fn many_partitions_at_once_lose_nothing(fixture: StoreFixture) {
    let store = fixture.store.clone();
    let writers = (0..6u32).map(|partition| {
        let store = store.clone();
        tokio::spawn(async move {
            for part in 0..10u64 {
                let events: Vec<Event> = (0..5)
                    .map(|n| event(u128::from(partition) * 1_000 + u128::from(part) * 10 + n, "click", 1))
                    .collect();
                let mut batch = batch(part * 5, &events);
                batch.ledger.span.partition = partition;
                assert_eq!(store.commit(&batch).await.expect("committed"), Committed::Now);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("joined");
    }
    assert_eq!(fixture.events("p").await.len(), 300);
    assert_eq!(fixture.total_count("p").await, 300);
    assert_eq!(fixture.session("p").await.summary.event_count, 300);
    assert_eq!(fixture.aggregated().await, 300);
    let coverage = fixture.ledger.coverage(LOG).await.expect("read");
    assert_eq!(coverage.len(), 6);
    assert!(coverage.iter().all(|partition| partition.coverage.is_whole() && partition.coverage.end == 50));
    assert!(coverage.iter().all(|partition| partition.polled == 50), "{coverage:?}");
}
