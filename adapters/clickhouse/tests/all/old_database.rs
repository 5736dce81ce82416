//! A database as version 09ea4e6 left it, before payloads had columns.

use std::fs;
use std::path::PathBuf;

use gosight_application::ports::ProcessedBatch;
use gosight_conformance::factory::batch;
use gosight_domain::Event;

use crate::database::Database;

/// Tables with the rows that a test looks at.
const WITH_ROWS: [&str; 3] = ["events", "sessions", "schema_migrations"];

/// A batch of a partition of which version 09ea4e6 has stored nothing.
pub fn new_batch(first: u64, events: &[Event]) -> ProcessedBatch {
    let mut batch = batch(first, events);
    batch.ledger.span.partition = 1_000;
    batch
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/09ea4e6/clickhouse").join(name)
}

impl Database {
    /// A database with the tables of version 09ea4e6, and its events and sessions.
    pub async fn of_version_09ea4e6() -> Self {
        let database = Self::shared();
        let server = database.client().with_database("default");
        let create = format!("CREATE DATABASE {}", database.config.database);
        server.query_raw(&create).execute().await.unwrap();
        let files = fs::read_dir(fixture("")).unwrap().map(|file| file.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "sql")) {
            let statement = fs::read_to_string(file).unwrap();
            if statement.starts_with("CREATE TABLE") {
                database.run(&statement).await;
            }
        }
        for table in WITH_ROWS {
            database.insert_native(table, fs::read(fixture(&format!("{table}.native.gz"))).unwrap()).await;
        }
        database
    }

    async fn insert_native(&self, table: &str, rows: Vec<u8>) {
        let mut url = reqwest::Url::parse(&self.config.url).unwrap();
        let insert = format!("INSERT INTO {}.{table} FORMAT Native", self.config.database);
        url.query_pairs_mut().append_pair("query", &insert).append_pair("optimize_on_insert", "0");
        let request = reqwest::Client::new().post(url).header("Content-Encoding", "gzip").body(rows);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{table}: {}", answer.text().await.unwrap());
    }
}
