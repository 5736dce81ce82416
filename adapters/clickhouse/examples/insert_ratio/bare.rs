//! The bare client: bytes over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use gosight_application::ports::{BatchStore, BoxError, ProcessedBatch};

use crate::database::Database;

/// An insert as it is posted.
pub struct Insert {
    pub table: &'static str,
    sql: String,
    body: Bytes,
}

/// Posts to one database.
pub struct Client {
    http: reqwest::Client,
    url: String,
    database: String,
}

impl Client {
    pub fn new(database: &Database) -> Self {
        let config = &database.config;
        Self { http: reqwest::Client::new(), url: config.url.clone(), database: config.database.clone() }
    }

    pub async fn post(&self, insert: &Insert) -> Result<(), BoxError> {
        self.send(&insert.sql, insert.body.clone()).await.map(drop)
    }

    /// The statement is `sql` and then `body`.
    async fn send(&self, sql: &str, body: Bytes) -> Result<Bytes, BoxError> {
        // Texts as the store sends them: plain, not as dictionaries.
        let settings = [
            ("database", self.database.as_str()),
            ("async_insert", "0"),
            ("low_cardinality_allow_in_native_format", "0"),
            ("query", sql),
        ];
        let mut url = reqwest::Url::parse(&self.url)?;
        url.query_pairs_mut().extend_pairs(settings);
        let response = self.http.post(url).body(body).send().await?;
        let is_done = response.status().is_success();
        let answer = response.bytes().await?;
        if is_done { Ok(answer) } else { Err(String::from_utf8_lossy(&answer).into_owned().into()) }
    }
}

/// The inserts that the store makes of `batches`, by partition: each batch is stored, and what came of it read back.
pub async fn record(
    database: &Database,
    batches: &[Arc<Vec<ProcessedBatch>>],
) -> Result<Vec<Arc<Vec<Insert>>>, BoxError> {
    let writer = database.writer().await?;
    let client = Client::new(database);
    let mut inserts = Vec::new();
    for partition in batches {
        let mut of_partition = Vec::new();
        for batch in partition.iter() {
            writer.commit(batch).await?;
            for (table, rows) in rows(batch) {
                let columns = columns(&client, table).await?;
                let read = format!("SELECT {columns} FROM {table} WHERE {rows} FORMAT Native");
                let body = client.send("", read.into()).await?;
                let sql = format!("INSERT INTO {table} ({columns}) FORMAT Native");
                of_partition.push(Insert { table, sql, body });
            }
        }
        inserts.push(Arc::new(of_partition));
    }
    Ok(inserts)
}

/// Tables, in the order in which the store fills them, and which rows are the batch's.
fn rows(batch: &ProcessedBatch) -> [(&'static str, String); 3] {
    let span = &batch.ledger.span;
    let of_partition = format!("log_partition = {}", span.partition);
    let names: Vec<String> =
        batch.sessions.iter().map(|session| format!("'{}'", session.session_id)).collect();
    [
        (
            "events",
            format!(
                "{of_partition} AND log_offset BETWEEN {} AND {} ORDER BY log_offset",
                span.first, span.last
            ),
        ),
        (
            "sessions",
            format!(
                "{of_partition} AND session_id IN ({}) ORDER BY event_count DESC LIMIT 1 BY session_id",
                names.join(",")
            ),
        ),
        ("ledger", format!("{of_partition} AND first_offset = {}", span.first)),
    ]
}

/// The columns that an insert names.
async fn columns(client: &Client, table: &str) -> Result<String, BoxError> {
    let sql = format!(
        "SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns
         WHERE database = currentDatabase() AND table = '{table}'
           AND (default_kind = '' OR default_kind = 'DEFAULT' AND table = 'events') FORMAT TSVRaw"
    );
    let names = client.send("", sql.into()).await?;
    Ok(String::from_utf8(names.to_vec())?.trim().to_owned())
}
