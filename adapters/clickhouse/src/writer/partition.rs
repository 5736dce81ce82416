//! Taking a partition of the log over, so that nobody else's inserts for it take effect any more.

use std::sync::Arc;
use std::time::Duration;

use clickhouse::Row;
use clickhouse::query::Query;
use gosight_application::ports::{CommitError, PortError};
use serde::Deserialize;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::ADAPTER;
use crate::block::Block;
use crate::client::{Connection, GuardedInsert};
use crate::error::{insert_error, read_error};

/// `None` until the partition is taken over, and after any failure.
pub(super) type PartitionLock = Arc<Mutex<Option<Held>>>;

/// How long to wait for the inserts of older writers to end after they were told to.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Fails an insert whose writer is not the last that took the partition over.
const GUARD: &str = "throwIf((SELECT max((epoch, owner)) FROM writers
    WHERE log = {log:String} AND log_partition = {partition:UInt32}) != ({epoch:UInt64}, {owner:UUID}),
    'another writer has taken this partition over')";

/// A partition that was taken over.
#[derive(Debug)]
pub(crate) struct Held {
    log: Arc<str>,
    partition: u32,
    epoch: u64,
    owner: Uuid,
    /// Inserts so far, which gives each its own name.
    inserts: u64,
    /// Where the ledger ends; `None` when it has no row yet.
    pub ledger_end: Option<u64>,
    /// Rows of events before this offset may be there although the ledger does not reach so far.
    pub doubtful_until: u64,
}

#[derive(Row, Deserialize)]
struct Number {
    number: u64,
}

#[derive(Row, Deserialize)]
struct Top {
    epoch: u64,
    #[serde(with = "clickhouse::serde::uuid")]
    owner: Uuid,
}

impl Held {
    /// Takes `partition` of `log` over.
    pub async fn take_over(
        connection: &Connection,
        log: &Arc<str>,
        partition: u32,
    ) -> Result<Self, PortError> {
        let place = Place { connection, log, partition };
        let epoch = place.number("SELECT max(epoch) AS number FROM writers WHERE log = {log:String} AND log_partition = {partition:UInt32}").await? + 1;
        let owner = Uuid::from_u128(rand::random());
        let mut held = Self {
            log: log.clone(),
            partition,
            epoch,
            owner,
            inserts: 0,
            ledger_end: None,
            doubtful_until: 0,
        };
        held.register(connection).await?;
        place.end_older_inserts().await?;
        held.ledger_end = place.ledger_end().await?;
        held.doubtful_until = place.events_end(held.ledger_end.unwrap_or(0)).await?;
        tracing::info!(%log, partition, epoch, ledger_end = held.ledger_end, doubtful_until = held.doubtful_until, "partition taken over");
        Ok(held)
    }

    /// Writes the epoch down, and makes sure that nobody else wrote it at the same time.
    async fn register(&mut self, connection: &Connection) -> Result<(), PortError> {
        let mut block = Block::new(1);
        block.texts("log", [&*self.log].into_iter());
        block.u32s("log_partition", [self.partition].into_iter());
        block.u64s("epoch", [self.epoch].into_iter());
        block.uuids("owner", [self.owner].into_iter());
        let query_id = format!("gosight-writer/{}", self.owner);
        let insert = GuardedInsert { table: "writers", guard: "0", params: &[], query_id: &query_id };
        connection.insert(&insert, block).await.map_err(read_error)?;
        let top = Place { connection, log: &self.log, partition: self.partition }
            .query("SELECT tupleElement(top, 1) AS epoch, tupleElement(top, 2) AS owner FROM (SELECT max((epoch, owner)) AS top FROM writers WHERE log = {log:String} AND log_partition = {partition:UInt32})")
            .fetch_one::<Top>();
        let top = connection.within(top).await.map_err(read_error)?;
        if (top.epoch, top.owner) == (self.epoch, self.owner) {
            return Ok(());
        }
        let text = format!("another writer takes {}/{} over at this moment", self.log, self.partition);
        Err(PortError::transient(ADAPTER, text))
    }

    /// Deletes what a batch that did not come to its end added to the aggregates.
    pub async fn forget_aggregates(&self, connection: &Connection) -> Result<(), PortError> {
        const LEFT: &str =
            "log = {log:String} AND log_partition = {partition:UInt32} AND first_offset >= {from:UInt64}";
        let place = Place { connection, log: &self.log, partition: self.partition };
        let from = self.ledger_end.unwrap_or(0);
        let left = place
            .query(&format!("SELECT count() AS number FROM aggregates WHERE {LEFT}"))
            .param("from", from)
            .fetch_one::<Number>();
        if connection.within(left).await.map_err(read_error)?.number == 0 {
            return Ok(());
        }
        let delete = format!("ALTER TABLE aggregates DELETE WHERE {LEFT} SETTINGS mutations_sync = 2");
        connection.execute(place.query(&delete).param("from", from)).await.map_err(read_error)
    }

    /// Log and partition.
    pub fn place(&self) -> (Arc<str>, u32) {
        (self.log.clone(), self.partition)
    }

    /// Inserts rows of this partition.
    pub async fn insert(
        &mut self,
        connection: &Connection,
        table: &'static str,
        block: Block,
    ) -> Result<(), CommitError> {
        self.inserts += 1;
        let query_id = format!(
            "{}{}/{}/{}",
            prefix(connection, &self.log, self.partition),
            self.epoch,
            self.owner,
            self.inserts
        );
        let params = [
            ("log", self.log.to_string()),
            ("partition", self.partition.to_string()),
            ("epoch", self.epoch.to_string()),
            ("owner", self.owner.to_string()),
        ];
        let insert = GuardedInsert { table, guard: GUARD, params: &params, query_id: &query_id };
        connection.insert(&insert, block).await.map_err(insert_error)
    }
}

/// How the names of all inserts of a partition start.
fn prefix(connection: &Connection, log: &str, partition: u32) -> String {
    format!("gosight/{}/{log}/{partition}/", connection.database())
}

struct Place<'a> {
    connection: &'a Connection,
    log: &'a Arc<str>,
    partition: u32,
}

impl Place<'_> {
    fn query(&self, sql: &str) -> Query {
        self.connection.query(sql).param("log", &**self.log).param("partition", self.partition)
    }

    async fn number(&self, sql: &str) -> Result<u64, PortError> {
        let number = self.query(sql).fetch_one::<Number>();
        Ok(self.connection.within(number).await.map_err(read_error)?.number)
    }

    /// Ends what older writers still have running. Inserts of theirs that start later fail at the guard.
    async fn end_older_inserts(&self) -> Result<(), PortError> {
        let prefix = prefix(self.connection, self.log, self.partition);
        let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
        loop {
            let kill = self
                .connection
                .query("KILL QUERY WHERE startsWith(query_id, {prefix:String}) ASYNC")
                .param("prefix", &prefix);
            self.connection.execute(kill).await.map_err(read_error)?;
            let running = self
                .connection
                .query("SELECT count() AS number FROM system.processes WHERE startsWith(query_id, {prefix:String})")
                .param("prefix", &prefix)
                .fetch_one::<Number>();
            if self.connection.within(running).await.map_err(read_error)?.number == 0 {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let text = format!("inserts of {prefix} do not end within {LONGEST_WAIT:?}");
                return Err(PortError::transient(ADAPTER, text));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn ledger_end(&self) -> Result<Option<u64>, PortError> {
        let end = self
            .query(
                "SELECT last_offset + 1 AS number FROM ledger
                 WHERE log = {log:String} AND log_partition = {partition:UInt32}
                 ORDER BY log DESC, log_partition DESC, first_offset DESC LIMIT 1",
            )
            .fetch_optional::<Number>();
        Ok(self.connection.within(end).await.map_err(read_error)?.map(|end| end.number))
    }

    /// The offset after the last record that has a row although the ledger does not reach it; 0 when there is none.
    async fn events_end(&self, from: u64) -> Result<u64, PortError> {
        let end = self
            .query(
                "SELECT if(count() = 0, 0, max(log_offset) + 1) AS number FROM events
                 WHERE log = {log:String} AND log_partition = {partition:UInt32} AND log_offset >= {from:UInt64}",
            )
            .param("from", from)
            .fetch_one::<Number>();
        Ok(self.connection.within(end).await.map_err(read_error)?.number)
    }
}
