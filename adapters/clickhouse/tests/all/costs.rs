//! What questions cost: each reads what it needs by an index or a projection, not the whole table.

use std::sync::Arc;
use std::time::Duration;

use clickhouse::Row;
use gosight_application::ports::{
    AggregateStore, ChunkId, Claim, EventQuery, GroupBy, LedgerQuery, LogPosition, MetricsQuery, ReplayStore,
    SessionFlagFilter, SessionQuery, SessionStore, StoredEvents, WindowQuery,
};
use gosight_application::sessions::SessionRules;
use gosight_clickhouse::ClickHouseStore;
use gosight_conformance::factory::{
    LOG, NOON, batch, chunk, click, event_id, project, put_chunks, replay_session, session_id,
};
use gosight_domain::rollup::Dimension;
use gosight_domain::time::DAY_MS;
use gosight_domain::{Event, EventName, Hour, Page, UserId};
use serde::Deserialize;

use crate::database::Database;

/// Events that go through the store, of which all others are copies.
const ORIGINALS: u64 = 2_000;
const SESSIONS: u64 = 100;
const CHUNKS: u16 = 3;
/// Copies of each, over 15 days and two projects.
const COPIES: u64 = 500;
/// Copies of the rows of the ledger and of the aggregates, which have one for each batch.
const BATCHES: u64 = 100_000;

// What grows with a whole table, each row read at most twice: a page of sessions is found by small columns of all sessions
// of the project, and the ledger's ends and gaps by all of its rows. A processor that takes a partition over looks for
// aggregates that a crash has left, which are not sorted by that.
const ALL_SESSIONS: u64 = 2 * SESSIONS * (COPIES + 1);
const ALL_CHUNKS: u64 = 2 * CHUNKS as u64 * SESSIONS * (COPIES + 1);
const ALL_BATCHES: u64 = BATCHES + 1_000;

/// How long the server may take to note what it was asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server noted about the questions of one step.
#[derive(Debug, Row, Deserialize)]
struct Noted {
    queries: u64,
    read_rows: u64,
    read_bytes: u64,
    projections: Vec<String>,
}

/// Reads in the server's log what questions cost.
struct Costs {
    database: Database,
    /// When the last question had been noted, in µs of the server's clock.
    since: i64,
    table: Vec<String>,
}

impl Costs {
    async fn new(database: Database) -> Self {
        let mut costs = Self { database, since: 0, table: Vec::new() };
        costs.begin().await;
        costs
    }

    async fn begin(&mut self) {
        let now = self.server().query_raw("SELECT toUnixTimestamp64Micro(now64(6))").fetch_one::<i64>();
        self.since = now.await.unwrap();
    }

    /// Notes what the `queries` asked since the last time cost; of the rows of the table `of`, they may have read
    /// `at_most`.
    async fn note(&mut self, what: &str, queries: u64, of: &str, at_most: u64) {
        // The server notes a query a moment after it has answered.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut noted = self.noted().await;
        while noted.queries < queries && tokio::time::Instant::now() < deadline {
            noted = self.noted().await;
        }
        let there = self.rows(of).await;
        let by = if noted.projections.is_empty() { "order".to_owned() } else { noted.projections.join(", ") };
        let Noted { read_rows, read_bytes, .. } = noted;
        self.table.push(format!("| {what} | {by} | {read_rows} of {there} {of} | {read_bytes} |"));
        assert!(noted.queries >= queries, "{what}: {noted:?}");
        assert!(
            read_rows <= at_most,
            "{what} read {read_rows} rows, of {there} {of}; {at_most} would do\n{noted:?}"
        );
        self.begin().await;
    }

    async fn noted(&self) -> Noted {
        let server = self.server();
        server.query_raw("SYSTEM FLUSH LOGS query_log").execute().await.unwrap();
        server
            .query_raw(
                "SELECT count() AS queries, sum(read_rows) AS read_rows, sum(read_bytes) AS read_bytes,
                   arrayMap(name -> arrayElement(splitByChar('.', name), -1),
                     groupUniqArrayArray(projections)) AS projections
                 FROM system.query_log
                 WHERE current_database = {database:String} AND type = 'QueryFinish' AND query_kind = 'Select'
                   AND toUnixTimestamp64Micro(query_start_time_microseconds) >= {since:Int64}",
            )
            .param("database", &self.database.config.database)
            .param("since", self.since)
            .fetch_one::<Noted>()
            .await
            .unwrap()
    }

    fn server(&self) -> clickhouse::Client {
        self.database.client().with_database("default")
    }

    async fn rows(&self, table: &str) -> u64 {
        let count = "SELECT sum(total_rows) FROM system.tables WHERE database = {database:String} AND name = {table:String}";
        let count = self
            .server()
            .query_raw(count)
            .param("database", &self.database.config.database)
            .param("table", table);
        count.fetch_one::<Option<u64>>().await.unwrap().unwrap_or_default()
    }
}

fn original(n: u64) -> Event {
    let name = EventName::new(["page_view", "click", "scroll", "search"][usize::try_from(n % 4).unwrap()]);
    let path = format!("/page/{}", n % 20);
    Event {
        event_type: name.unwrap(),
        session_id: Some(session_id(&format!("s{}", n % SESSIONS))),
        user_id: Some(UserId::new(format!("u{}", n % SESSIONS)).unwrap()),
        page: Page { path: path.clone(), url: format!("https://shop.example{path}"), ..Page::default() },
        ..click(u128::from(n), i64::try_from(n).unwrap() * 1_000)
    }
}

/// A million events with all that belongs to them.
async fn fill(database: &Database, store: &ClickHouseStore) {
    let events: Vec<Event> = (0..ORIGINALS).map(original).collect();
    database.writer().await.commit(&batch(0, &events)).await.unwrap();
    let chunks: Vec<_> =
        (0..SESSIONS).flat_map(|n| (0..CHUNKS).map(move |i| chunk(&format!("s{n}"), i, "data"))).collect();
    put_chunks(store, &chunks).await.unwrap();
    let id = "session_id || '-' || toString(n) AS session_id, ['p', 'q'][n % 2 + 1] AS project_id";
    let copies = [
        ("events", format!("{id}, generateUUIDv4() AS event_id, timestamp - toIntervalHour(n % 360) AS timestamp, log_offset + 2000 * n AS log_offset")),
        ("sessions", format!("{id}, started_at - toIntervalHour(n % 360) AS started_at, ended_at - toIntervalHour(n % 360) AS ended_at")),
        ("replay_chunks", id.to_owned()),
        ("ledger", "first_offset + 2000 * n AS first_offset, last_offset + 2000 * n AS last_offset, hour - toIntervalHour(n % 360) AS hour".to_owned()),
        ("aggregates", "key || toString(n % 50) AS key, window_start - toIntervalMinute(n) AS window_start".to_owned()),
    ];
    for (table, changes) in copies {
        let copies = if matches!(table, "ledger" | "aggregates") { BATCHES } else { COPIES };
        let sql = format!(
            "INSERT INTO {table} SELECT {table}.* REPLACE({changes}) FROM {table} CROSS JOIN (SELECT number AS n FROM numbers(1, {copies})) AS copy
             SETTINGS prefer_column_name_to_alias = 1"
        );
        database.client().query_raw(&sql).execute().await.unwrap();
    }
}

fn metrics(group_by: Option<GroupBy>, hours: i64) -> MetricsQuery {
    let to = NOON.hour().index() + 1;
    MetricsQuery {
        event_name: None,
        from: Hour::from_index(to - hours),
        to: Hour::from_index(to),
        channel: None,
        group_by,
        limit: 100,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_read_a_small_part_of_the_tables() {
    let database = Database::shared();
    let store = database.open().await;
    fill(&database, &store).await;
    let mut costs = Costs::new(database).await;
    ask_for_metrics(&store, &mut costs).await;
    ask_for_sessions(&store, &mut costs).await;
    ask_for_the_rest(&store, &mut costs).await;
    ask_as_a_processor(&mut costs).await;
    println!("| question | by | rows read | bytes read |\n|---|---|---|---|");
    println!("{}", costs.table.join("\n"));
}

async fn ask_for_metrics(store: &ClickHouseStore, costs: &mut Costs) {
    for (what, group_by, hours) in [
        ("metrics, a day", None, 24),
        ("metrics, 15 days", None, 360),
        ("metrics, 15 days by day", Some(GroupBy::Day), 360),
        ("metrics, a day by event type", Some(GroupBy::EventType), 24),
        ("metrics, a day by path", Some(GroupBy::Dimension(Dimension::Path)), 24),
        ("metrics, a day by country", Some(GroupBy::Dimension(Dimension::Country)), 24),
    ] {
        store.metrics(&project("p"), &metrics(group_by, hours)).await.unwrap();
        costs.note(what, if group_by.is_some() { 2 } else { 1 }, "events", 30_000).await;
    }
}

async fn ask_for_sessions(store: &ClickHouseStore, costs: &mut Costs) {
    let p = project("p");
    let id = session_id("s7-42");
    assert!(store.get(&SessionRules::default(), &p, &id).await.unwrap().is_some());
    costs.note("one session", 1, "sessions", 10_000).await;
    assert_eq!(store.session_events(&p, &id, None, 100).await.unwrap().len(), 20);
    costs.note("events of a session", 1, "events", 60_000).await;
    let page = SessionQuery { limit: 50, ..SessionQuery::default() };
    store.list(&SessionRules::default(), &p, &page).await.unwrap();
    costs.note("the latest 50 sessions", 2, "sessions", ALL_SESSIONS).await;
    let day = SessionQuery { from: Some(NOON.plus_millis(-DAY_MS)), to: Some(NOON), ..page.clone() };
    store.list(&SessionRules::default(), &p, &day).await.unwrap();
    costs.note("50 sessions of a day", 2, "sessions", ALL_SESSIONS).await;
    let flags = SessionFlagFilter { has_replay: Some(true), ..SessionFlagFilter::default() };
    store.list(&SessionRules::default(), &p, &SessionQuery { flags, ..page }).await.unwrap();
    costs.note("50 sessions with a replay", 2, "sessions", ALL_SESSIONS + ALL_CHUNKS).await;
}

async fn ask_for_the_rest(store: &ClickHouseStore, costs: &mut Costs) {
    let p = project("p");
    let id = session_id("s7-42");
    assert_eq!(store.headers(&replay_session("p", "s7-42")).await.unwrap().len(), 3);
    costs.note("the chunks of a replay", 1, "replay_chunks", 2_000).await;
    let chunk = ChunkId { project_id: p.clone(), session_id: id, chunk_index: 1 };
    assert!(store.data(&[chunk]).await.unwrap()[0].is_some());
    costs.note("a chunk's data", 1, "replay_chunks", 2_000).await;
    let windows = WindowQuery {
        aggregation: "clicks".into(),
        key: "all7".into(),
        from: NOON.plus_millis(-DAY_MS),
        to: NOON.plus_millis(1),
        limit: 100,
    };
    assert!(!store.windows(&p, &windows).await.unwrap().is_empty());
    costs.note("windows of an aggregation", 1, "aggregates", 50_000).await;
    let hour = NOON.hour().index();
    let day = (Hour::from_index(hour - 24), Hour::from_index(hour + 1));
    assert!(!store.balances(Some(&p), day.0, day.1).await.unwrap().is_empty());
    costs.note("the ledger of a project, a day", 1, "ledger", 5_000).await;
    assert!(!store.balances(None, day.0, day.1).await.unwrap().is_empty());
    costs.note("the ledger of all, a day", 1, "ledger", 5_000).await;
    store.coverage(LOG).await.unwrap();
    costs.note("coverage of a log", 1, "ledger", ALL_BATCHES).await;
}

/// What a processor asks between its inserts.
async fn ask_as_a_processor(costs: &mut Costs) {
    let store: Arc<ClickHouseStore> = costs.database.open().await;
    let writer = costs.database.writer().await;
    costs.begin().await;
    writer.next_offsets(LOG).await.unwrap();
    costs.note("where the ledger ends", 1, "ledger", ALL_BATCHES).await;
    let claim = |n: u64| Claim {
        project_id: project("p"),
        event_id: event_id(u128::from(n)),
        session_id: Some(session_id(&format!("s{}", n % SESSIONS))),
        timestamp: NOON,
        position: LogPosition { log: LOG.into(), partition: 0, offset: n },
    };
    let claims: Vec<Claim> = (0..200).map(claim).collect();
    assert!(store.positions(&claims).await.unwrap().iter().all(Option::is_some));
    costs.note("200 events, whether they are known", 1, "events", 800_000).await;
    let next = (BATCHES + 1) * ORIGINALS;
    let events: Vec<Event> = (next..next + 20).map(original).collect();
    writer.commit(&batch(next, &events)).await.unwrap();
    costs.note("taking over, and a batch of 20 sessions", 8, "events", 60_000 + ALL_BATCHES).await;
}
