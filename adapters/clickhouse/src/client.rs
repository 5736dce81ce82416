//! The connection: questions with a deadline, and inserts of whole blocks.

use std::time::Duration;

use clickhouse::query::Query;
use clickhouse::{Client, Compression};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::block::Block;
use crate::config::ClickHouseConfig;

/// Idle connections are closed before the server does it (after 3 s by default).
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_mins(1);
/// An insert is sent in pieces of this many bytes, each compressed on its own.
const PIECE_BYTES: usize = 1024 * 1024;

/// A connection to one database.
#[derive(Clone)]
pub(crate) struct Connection {
    client: Client,
    insert_timeout: Duration,
    query_timeout: Duration,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("database", &self.client.database()).finish_non_exhaustive()
    }
}

/// An insert that looks, where it runs, whether it may.
pub(crate) struct GuardedInsert<'a> {
    pub table: &'static str,
    /// An expression that fails the insert when it must not happen, or is 0.
    pub guard: &'a str,
    /// Values of the guard's parameters.
    pub params: &'a [(&'static str, String)],
    /// Names the running insert.
    pub query_id: &'a str,
}

impl Connection {
    pub fn new(config: &ClickHouseConfig) -> Self {
        let mut connector = HttpConnector::new();
        // A small insert would wait 40 ms for an acknowledgement otherwise.
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_TIMEOUT).build(connector);
        let compression = if config.compress { Compression::Lz4 } else { Compression::None };
        let client = Client::with_http_client(http)
            .with_url(&config.url)
            .with_database(&config.database)
            .with_user(&config.user)
            .with_password(&config.password)
            .with_compression(compression)
            // What was inserted is there when the insert ends.
            .with_setting("async_insert", "0");
        Self { client, insert_timeout: config.insert_timeout, query_timeout: config.query_timeout }
    }

    /// The same server, without a database.
    pub fn without_database(config: &ClickHouseConfig) -> Self {
        let mut connection = Self::new(config);
        connection.client = connection.client.with_database("default");
        connection
    }

    /// Name of the database.
    pub fn database(&self) -> &str {
        self.client.database().unwrap_or_default()
    }

    /// A question, which the server gives up after the configured time.
    pub fn query(&self, sql: &str) -> Query {
        self.client
            .query_raw(sql)
            .with_setting("max_execution_time", self.query_timeout.as_secs().to_string())
            .with_setting("timeout_overflow_mode", "throw")
            // `toX(time) AS time` does not change what `time` means in conditions.
            .with_setting("prefer_column_name_to_alias", "1")
    }

    /// Waits for an answer, but not for ever.
    pub async fn within<T>(
        &self,
        answer: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> clickhouse::error::Result<T> {
        // The server's own limit comes first, and says more.
        let deadline = self.query_timeout + Duration::from_secs(2);
        tokio::time::timeout(deadline, answer).await.unwrap_or(Err(clickhouse::error::Error::TimedOut))
    }

    /// Runs a statement that gives nothing.
    pub async fn execute(&self, query: Query) -> clickhouse::error::Result<()> {
        self.within(query.execute()).await
    }

    /// Inserts `block`, as one part of the table if it lies in one of its partitions.
    pub async fn insert(&self, insert: &GuardedInsert<'_>, block: Block) -> clickhouse::error::Result<()> {
        let names = block.names();
        let structure = block.structure().replace('\\', "\\\\").replace('\'', "\\'");
        let GuardedInsert { table, guard, params, query_id } = insert;
        let sql = format!(
            "INSERT INTO {table} ({names}) SELECT {names} FROM input('{structure}') WHERE ({guard}) = 0 FORMAT Native"
        );
        let mut request = self
            .client
            .insert_formatted_with(sql)
            .with_timeouts(Some(self.insert_timeout), Some(self.insert_timeout))
            .with_setting("query_id", *query_id)
            .with_setting("insert_deduplication_token", *query_id)
            .with_setting("insert_deduplicate", "1")
            // One block, so one part: it is stored whole or not at all.
            .with_setting("max_insert_threads", "1")
            .with_setting("min_insert_block_size_rows", "1000000")
            .with_setting("min_insert_block_size_bytes", "1073741824");
        for (name, value) in *params {
            request = request.with_setting(format!("param_{name}"), value);
        }
        let [head, mut data] = block.encode();
        request.send(head).await?;
        while !data.is_empty() {
            let piece = data.split_to(PIECE_BYTES.min(data.len()));
            request.send(piece).await?;
        }
        request.end().await
    }
}
