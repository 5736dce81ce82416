//! What deleting archived replays costs: a statement for many sessions, and no parts that stay.

use std::time::Instant;

use gosight_application::ports::{ChunkId, ReplayStore};
use gosight_clickhouse::ClickHouseStore;
use gosight_conformance::factory::{project, session_id};
use gosight_domain::replay::ReplaySession;

use crate::database::Database;

const SESSIONS: u64 = 10_000;
const CHUNKS: u16 = 10;
const CHUNK_BYTES: u64 = 200;
const ROWS: u64 = SESSIONS * CHUNKS as u64;
/// Sessions that are archived, every fifth, in batches as large as those of a pass.
const ARCHIVED: u64 = 2_000;
const BATCH: usize = 100;
const BATCHES: u64 = ARCHIVED / BATCH as u64;

/// Names as long as those of real sessions.
fn session(n: u64) -> ReplaySession {
    let name = format!("{n:08}-0000-4000-8000-000000000000");
    ReplaySession { project_id: project("p"), session_id: session_id(&name) }
}

fn chunks(sessions: &[ReplaySession]) -> Vec<ChunkId> {
    let of_session = |session: &ReplaySession| {
        let ReplaySession { project_id, session_id } = session.clone();
        (0..CHUNKS).map(move |chunk_index| ChunkId {
            project_id: project_id.clone(),
            session_id: session_id.clone(),
            chunk_index,
        })
    };
    sessions.iter().flat_map(of_session).collect()
}

/// Stores all chunks, in one part.
async fn fill(database: &Database) {
    let insert = format!(
        "INSERT INTO replay_chunks SELECT 'p', format('{{}}-0000-4000-8000-000000000000', leftPad(toString(intDiv(number, {CHUNKS})), 8, '0')),
           number % {CHUNKS}, now(), now(), now(), 3, 1, 100, '', randomString({CHUNK_BYTES}) FROM numbers({ROWS})"
    );
    for sql in [insert.as_str(), "OPTIMIZE TABLE replay_chunks FINAL"] {
        database.client().query_raw(sql).execute().await.unwrap();
    }
}

/// What the server says of a table.
struct Table<'a> {
    database: &'a Database,
    name: &'a str,
}

impl Table<'_> {
    async fn number(&self, what: &str, of: &str) -> u64 {
        let Self { database, name } = self;
        let database_name = &database.config.database;
        let condition = format!("database = '{database_name}' AND table = '{name}'");
        database.number(&format!("SELECT toUInt64({what}) FROM system.{of} WHERE {condition}")).await
    }

    async fn active_parts(&self) -> u64 {
        self.number("countIf(active)", "parts").await
    }

    /// Rows on the disk, deleted or not.
    async fn rows(&self) -> u64 {
        self.number("sumIf(rows, active)", "parts").await
    }

    async fn mutations(&self) -> u64 {
        self.number("count()", "mutations").await
    }

    async fn unfinished(&self) -> u64 {
        self.number("countIf(NOT is_done OR latest_fail_reason != '')", "mutations").await
    }

    async fn figures(&self) -> String {
        let (parts, rows, mutations) = (self.active_parts().await, self.rows().await, self.mutations().await);
        let name = self.name;
        format!("{name}: {parts} active parts with {rows} rows; {mutations} mutations so far")
    }
}

async fn archive(store: &ClickHouseStore, sessions: &[ReplaySession]) {
    store.mark_archived(sessions, true).await.unwrap();
    let deleted = store.delete(&chunks(sessions)).await.unwrap();
    assert_eq!(deleted, sessions.len() as u64 * u64::from(CHUNKS));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_replays_are_deleted_in_twenty_statements() {
    let database = Database::shared();
    let store = database.open().await;
    fill(&database).await;
    let replays = Table { database: &database, name: "replay_chunks" };
    let marks = Table { database: &database, name: "archived_replays" };
    println!("before, {}", replays.figures().await);
    assert_eq!((replays.active_parts().await, replays.rows().await), (1, ROWS));
    let old: Vec<ReplaySession> = (0..ARCHIVED).map(|n| session(5 * n)).collect();
    let since = Instant::now();
    for batch in old.chunks(BATCH) {
        archive(&store, batch).await;
    }
    println!("{BATCHES} batches of {BATCH} sessions took {:.1?}", since.elapsed());
    println!("after, {}", replays.figures().await);
    println!("after, {}", marks.figures().await);
    // Rows are marked in the part where they are; none is added, and nothing is left to be done.
    assert_eq!((replays.active_parts().await, replays.rows().await), (1, ROWS));
    assert_eq!((replays.mutations().await, replays.unfinished().await), (BATCHES, 0));
    assert!(marks.active_parts().await <= BATCHES);
    assert_eq!(marks.mutations().await, 0);
    assert_left(&database, &store).await;

    // The disk has them until the part is merged for another reason, or this is asked for.
    database.client().query_raw("OPTIMIZE TABLE replay_chunks FINAL").execute().await.unwrap();
    println!("once merged, {}", replays.figures().await);
    assert_eq!(replays.rows().await, ROWS - ARCHIVED * u64::from(CHUNKS));
    assert_left(&database, &store).await;
    // What is not there costs nothing.
    assert_eq!(store.delete(&chunks(&old)).await.unwrap(), 0);
    assert_eq!(replays.mutations().await, BATCHES);
}

/// The sessions that were archived have no chunk, and are marked; all others have all of theirs.
async fn assert_left(database: &Database, store: &ClickHouseStore) {
    for n in [0, 4_995, 9_995] {
        assert!(store.headers(&session(n)).await.unwrap().is_empty(), "{n}");
        assert_eq!(store.headers(&session(n + 1)).await.unwrap().len(), usize::from(CHUNKS));
    }
    let left = database.number("SELECT count() FROM replay_chunks").await;
    assert_eq!(left, ROWS - ARCHIVED * u64::from(CHUNKS));
    let marked = "SELECT uniqExact(session_id) FROM archived_replays FINAL WHERE is_archived";
    assert_eq!(database.number(marked).await, ARCHIVED);
}
