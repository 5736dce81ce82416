//! The ledger as readers see it, and the bounds of every answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{
    AggregateStore, AggregateStoreError, BatchStore, CommitError, EventCursor, EventQuery, Fence, IdleQuery,
    LedgerBalance, LedgerQuery, Metrics, MetricsQuery, PartitionCoverage, QueryError, SessionDetail,
    SessionQuery, SessionStore, SessionStoreError, SessionSummary, WindowQuery,
};
use gosight_application::query::{LedgerReport, MAX_LIMIT, Query, QueryPorts};
use gosight_application::replay::Replays;
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_conformance::factory::{LOG, NOON, batch, click, project, session_id};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::key::{Admin, Read, Scoped};
use gosight_domain::ledger::{BatchSpan, Coverage, OutcomeCounts};
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, Hour, ProjectId, Session, SessionId, Timestamp};
use gosight_memory::MemoryStore;
use mockall::mock;

use crate::support::{Bench, GROUP};

/// A ledger that says what it is set to.
#[derive(Debug)]
struct Told {
    balances: Vec<LedgerBalance>,
    coverage: Vec<PartitionCoverage>,
}

#[async_trait]
impl LedgerQuery for Told {
    async fn balances(
        &self,
        _: Option<&ProjectId>,
        _: Hour,
        _: Hour,
    ) -> Result<Vec<LedgerBalance>, QueryError> {
        Ok(self.balances.clone())
    }

    async fn coverage(&self, _: &str) -> Result<Vec<PartitionCoverage>, QueryError> {
        Ok(self.coverage.clone())
    }
}

mock! {
    #[derive(Debug)]
    Events {}

    #[async_trait]
    impl EventQuery for Events {
        async fn metrics(&self, project_id: &ProjectId, query: &MetricsQuery) -> Result<Metrics, QueryError>;
        async fn session_events(
            &self,
            project_id: &ProjectId,
            session_id: &SessionId,
            after: Option<EventCursor>,
            limit: usize,
        ) -> Result<Vec<Event>, QueryError>;
    }
}

mock! {
    #[derive(Debug)]
    Sessions {}

    #[async_trait]
    impl SessionStore for Sessions {
        async fn load(
            &self,
            fence: &Fence,
            at: u64,
            sessions: &[SessionKey],
        ) -> Result<Vec<Option<Session>>, SessionStoreError>;
        async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError>;
        async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError>;
        async fn get(
            &self,
            rules: &SessionRules,
            project_id: &ProjectId,
            session_id: &SessionId,
        ) -> Result<Option<SessionDetail>, SessionStoreError>;
        async fn list(
            &self,
            rules: &SessionRules,
            project_id: &ProjectId,
            query: &SessionQuery,
        ) -> Result<Vec<SessionSummary>, SessionStoreError>;
        async fn list_idle(
            &self,
            rules: &SessionRules,
            project_id: &ProjectId,
            query: &IdleQuery,
        ) -> Result<Vec<SessionSummary>, SessionStoreError>;
    }
}

mock! {
    #[derive(Debug)]
    Aggregates {}

    #[async_trait]
    impl AggregateStore for Aggregates {
        async fn put(
            &self,
            fence: &Fence,
            span: &BatchSpan,
            values: &BTreeMap<AggregateKey, AggregateValue>,
        ) -> Result<(), CommitError>;
        async fn forget(&self, fence: &Fence, from: u64) -> Result<(), AggregateStoreError>;
        async fn windows(
            &self,
            project_id: &ProjectId,
            query: &WindowQuery,
        ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError>;
    }
}

const ALWAYS: (Hour, Hour) = (Hour::from_index(0), Hour::from_index(1_000_000));

fn ports(store: &Arc<MemoryStore>) -> QueryPorts {
    QueryPorts {
        events: store.clone(),
        sessions: store.clone(),
        rules: SessionRules::default(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: Replays::new(store.clone(), None),
        logs: Vec::new(),
    }
}

fn may_read(project_id: &str) -> Scoped<Read> {
    Scoped::vouched(project(project_id))
}

async fn whole_ledger(bench: &Bench, ledger: Arc<dyn LedgerQuery>) -> LedgerReport {
    let logs: Vec<Arc<dyn gosight_application::ports::LogEnds>> =
        vec![Arc::new(bench.log.source(GROUP, LOG))];
    let query = Query::new(QueryPorts { ledger, logs, ..ports(&bench.store) });
    let may_manage = Scoped::<Admin>::vouched(project("p"));
    query.whole_ledger(&may_manage, ALWAYS.0, ALWAYS.1).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_logged_and_not_processed_is_in_flight() {
    let bench = Bench::new(2);
    bench.append(&[click(1, 0), click(2, 0)]).await;
    bench.drain(bench.consumer()).await;
    bench.append(&[click(3, 0), click(4, 0), click(5, 0)]).await;
    let report = whole_ledger(&bench, bench.store.clone()).await;
    assert!(report.balances());
    assert_eq!(report.total(LOG).stored, 2);
    assert_eq!(report.total("another"), OutcomeCounts::default());
    // All clicks are of one session, so the other partition has none.
    let partitions = &report.logs[0].partitions;
    let mut in_flight: Vec<(u64, u64)> =
        partitions.iter().map(|partition| (partition.log_end, partition.in_flight())).collect();
    in_flight.sort_unstable();
    assert_eq!(in_flight, [(0, 0), (5, 3)]);
    assert_eq!(&*report.logs[0].log, LOG);
}

#[tokio::test]
async fn a_project_sees_its_own_records_and_no_offsets() {
    let bench = Bench::new(1);
    let of_other_project = Event { project_id: project("q"), ..click(3, 0) };
    bench.store.commit(&batch(0, &[click(1, 0), click(2, 0), of_other_project])).await.unwrap();
    let query = Query::new(ports(&bench.store));
    for (project_id, stored) in [("p", 2), ("q", 1), ("r", 0)] {
        let report = query.project_ledger(&may_read(project_id), ALWAYS.0, ALWAYS.1).await.unwrap();
        assert_eq!(report.total(LOG).stored, stored, "{project_id}");
        assert!(report.logs.is_empty());
    }
    let before = query.project_ledger(&may_read("p"), ALWAYS.0, NOON.hour()).await.unwrap();
    assert_eq!(before.total(LOG).polled, 0);
}

#[tokio::test]
async fn a_ledger_that_does_not_add_up_or_join_does_not_balance() {
    let whole = || OutcomeCounts { polled: 2, stored: 1, duplicate: 1, ..OutcomeCounts::default() };
    let lost = OutcomeCounts { polled: 3, ..whole() };
    for (counts, spans, polled, balances) in [
        (whole(), [(0, 4), (5, 9)], 10, true),
        (lost, [(0, 4), (5, 9)], 10, false),
        (whole(), [(0, 4), (6, 9)], 9, false),
        (whole(), [(0, 4), (4, 9)], 11, false),
        // Offsets are covered that no record was counted for, and the other way round.
        (whole(), [(0, 4), (5, 9)], 7, false),
        (whole(), [(0, 4), (5, 9)], 11, false),
    ] {
        let ledger = Told {
            balances: vec![LedgerBalance { log: LOG.into(), hour: NOON.hour(), counts }],
            coverage: vec![PartitionCoverage { partition: 0, coverage: Coverage::of(spans), polled }],
        };
        let report = whole_ledger(&Bench::new(1), Arc::new(ledger)).await;
        assert_eq!(report.balances(), balances, "{spans:?} {polled}");
    }
}

#[tokio::test]
async fn a_partition_that_the_log_no_longer_has_ends_where_the_ledger_does() {
    let coverage = vec![PartitionCoverage { partition: 7, coverage: Coverage::of([(0, 9)]), polled: 10 }];
    let ledger = Told { balances: Vec::new(), coverage };
    let report = whole_ledger(&Bench::new(1), Arc::new(ledger)).await;
    let told: Vec<_> = report.logs[0]
        .partitions
        .iter()
        .map(|partition| (partition.partition, partition.log_end, partition.in_flight()))
        .collect();
    assert_eq!(told, [(0, 0, 0), (7, 10, 0)]);
}

#[tokio::test]
async fn no_answer_has_more_entries_than_the_most_whatever_is_asked() {
    let mut events = MockEvents::new();
    events
        .expect_metrics()
        .times(1)
        .withf(|_, query| query.limit == MAX_LIMIT)
        .returning(|_, _| Ok(Metrics::default()));
    let mut sessions = MockSessions::new();
    sessions
        .expect_list()
        .times(1)
        .withf(|_, _, query| query.limit == MAX_LIMIT)
        .returning(|_, _, _| Ok(Vec::new()));
    events
        .expect_session_events()
        .times(1)
        .withf(|_, _, _, limit| *limit == MAX_LIMIT)
        .returning(|_, _, _, _| Ok(Vec::new()));
    let mut aggregates = MockAggregates::new();
    aggregates
        .expect_windows()
        .times(1)
        .withf(|_, query| query.limit == MAX_LIMIT)
        .returning(|_, _| Ok(Vec::new()));
    let store = Arc::new(MemoryStore::default());
    let (events, sessions, aggregates) = (Arc::new(events), Arc::new(sessions), Arc::new(aggregates));
    let query = Query::new(QueryPorts { events, sessions, aggregates, ..ports(&store) });

    let limit = usize::MAX;
    let (scope, (from, to)) = (may_read("p"), ALWAYS);
    let metrics = MetricsQuery { event_name: None, from, to, channel: None, group_by: None, limit };
    query.metrics(&scope, metrics).await.unwrap();
    query.sessions(&scope, SessionQuery { limit, ..SessionQuery::default() }).await.unwrap();
    query.session_events(&scope, &session_id("s"), None, limit).await.unwrap();
    let (aggregation, key) = (String::new(), String::new());
    let windows = WindowQuery { aggregation, key, from: from.start(), to: to.start(), limit };
    query.aggregates(&scope, windows).await.unwrap();
}
