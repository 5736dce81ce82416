//! A processed batch into `SQLite`, against a bare loop that inserts the same rows in one transaction.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use gosight_application::logs;
use gosight_application::ports::{BatchStore, PolledBatch, PolledRecord, ProcessedBatch, SystemClock};
use gosight_application::process::{BatchHandler, EventHandler, EventHandlerPorts};
use gosight_domain::ledger::BatchSpan;
use gosight_embedded::{DataDir, Embedded, LogConfig, StoreConfig};
use gosight_memory::MemoryStore;
use gosight_performance::Comparison;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tokio::runtime::Runtime;

use crate::log::records;

/// Requests of 100 events in the batch.
const REQUESTS: usize = 50;

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let batch = runtime.block_on(batch(dir.path()));
    let filled = dir.path().join("filled");
    runtime.block_on(commit(&filled, &batch));
    let empty = dir.path().join("empty");
    runtime.block_on(opened(&empty));
    let rows = Rows::read(&filled.join(DATABASE), &empty.join(DATABASE));
    let comparison = Comparison {
        name: "batch into SQLite",
        throughput: Throughput::Elements(batch.events.len() as u64),
        limit_name: "bare inserts of the same rows",
    };
    let ours = |iterations| {
        let each = |_| runtime.block_on(commit(tempfile::tempdir().expect("a directory").path(), &batch));
        (0..iterations).map(each).sum()
    };
    comparison
        .run(criterion, ours, |iterations| (0..iterations).map(|_| rows.insert(&empty.join(DATABASE))).sum());
}

const DATABASE: &str = "gosight.db";

/// What processing makes of the recorded sessions' records.
async fn batch(dir: &Path) -> ProcessedBatch {
    let records: Vec<PolledRecord> = (0..)
        .zip(records(dir, REQUESTS).await)
        .map(|(offset, record)| PolledRecord { offset, value: record.value })
        .collect();
    let last = records.last().expect("records").offset;
    let polled =
        PolledBatch { span: BatchSpan { log: logs::EVENTS.into(), partition: 0, first: 0, last }, records };
    let ports = EventHandlerPorts {
        deduplicator: Arc::new(MemoryStore::default()).deduplicator(),
        enrichers: Arc::default(),
        clock: Arc::new(SystemClock),
    };
    let handler = EventHandler::new(ports, Arc::default(), Arc::default());
    handler.handle(&polled, &BTreeMap::new()).await.expect("handled")
}

async fn opened(path: &Path) -> (DataDir, Embedded) {
    let dir = DataDir::open(path).expect("a data directory");
    let config = StoreConfig { retention_days: 0, ..StoreConfig::default() };
    let embedded =
        Embedded::open(&dir, Arc::new(SystemClock), LogConfig::default(), config, &[]).await.expect("opened");
    (dir, embedded)
}

/// How long `batch` takes to be stored in a new directory.
async fn commit(path: &Path, batch: &ProcessedBatch) -> Duration {
    let (_dir, embedded) = opened(path).await;
    let start = Instant::now();
    embedded.store.commit(batch).await.expect("committed");
    let took = start.elapsed();
    embedded.store.close().await;
    took
}

/// The rows that a batch became, table by table.
struct Rows(Vec<(String, Vec<Vec<Value>>)>);

impl Rows {
    /// The rows of all tables in `filled` that have more of them than in `empty`.
    fn read(filled: &Path, empty: &Path) -> Self {
        let (filled, empty) = (open(filled), open(empty));
        let mut tables = filled
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .expect("a query");
        let tables = tables.query_map([], |row| row.get::<_, String>(0)).expect("tables");
        let tables = tables
            .map(|name| name.expect("a name"))
            .filter(|table| count(&filled, table) > count(&empty, table));
        Self(tables.map(|table| (table.clone(), rows(&filled, &table))).collect())
    }

    /// How long it takes to insert all rows with prepared statements in one transaction.
    fn insert(&self, database: &Path) -> Duration {
        let copy = tempfile::NamedTempFile::new().expect("a file");
        std::fs::copy(database, copy.path()).expect("an empty database");
        let mut connection = open(copy.path());
        let start = Instant::now();
        let transaction = connection.transaction().expect("a transaction");
        for (table, rows) in &self.0 {
            let places = vec!["?"; rows[0].len()].join(",");
            let mut insert =
                transaction.prepare(&format!("INSERT INTO {table} VALUES ({places})")).expect("a statement");
            for row in rows {
                insert.execute(params_from_iter(row)).expect("inserted");
            }
        }
        transaction.commit().expect("committed");
        start.elapsed()
    }
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection.pragma_update(None, "journal_mode", "wal").expect("a pragma");
    connection.pragma_update(None, "synchronous", "full").expect("a pragma");
    connection.pragma_update(None, "cache_size", -65_536).expect("a pragma");
    connection
}

fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
}

fn rows(connection: &Connection, table: &str) -> Vec<Vec<Value>> {
    let mut select = connection.prepare(&format!("SELECT * FROM {table}")).expect("a query");
    let columns = select.column_count();
    let rows = select.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}
