//! Fences: who acquires a partition of the log makes sure that nobody else's inserts for it take effect any more.

use std::cmp::Ordering;
use std::time::Duration;

use clickhouse::Row;
use clickhouse::query::Query;
use gosight_application::ports::{CommitError, Fence, FencedOff, LogPartition, PortError};
use serde::Deserialize;
use uuid::Uuid;

use crate::ADAPTER;
use crate::block::Block;
use crate::client::{Connection, GuardedInsert};
use crate::error::{insert_error, read_error};

/// How long to wait for the inserts of older writers to end after they are cancelled.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Fails an insert whose writer is not the last that acquired the partition.
const GUARD: &str = "throwIf((SELECT max((epoch, owner)) FROM writers
    WHERE log = {log:String} AND log_partition = {partition:UInt32}) != ({epoch:UInt64}, {owner:UUID}),
    'another writer has taken this partition over')";

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

/// Acquires `place`.
pub(crate) async fn acquire(connection: &Connection, place: &LogPartition) -> Result<Fence, PortError> {
    let epoch = last_epoch(connection, place).await? + 1;
    let fence = Fence::granted(place.clone(), epoch, Uuid::from_u128(rand::random()));
    register(connection, &fence).await?;
    end_older_writes(connection, place).await?;
    Ok(fence)
}

/// Keeps writes behind older fences than this one away, also when another ledger gave it.
pub(crate) async fn adopt(connection: &Connection, fence: &Fence) -> Result<(), PortError> {
    let (found, newest) = ((fence.epoch(), fence.owner()), top(connection, fence.place()).await?);
    match found.cmp(&newest) {
        Ordering::Less => Err(PortError::transient(ADAPTER, FencedOff(fence.place().clone()))),
        Ordering::Equal => Ok(()),
        Ordering::Greater => {
            register(connection, fence).await?;
            end_older_writes(connection, fence.place()).await
        }
    }
}

/// Under which name the data directory is written down that stores here.
const DIRECTORY: &str = "data directory";

/// Writes down that the data directory `id` stores here, if none does, or if `is_forced`. Gives the one that does.
pub(crate) async fn claim(connection: &Connection, id: Uuid, is_forced: bool) -> Result<Uuid, PortError> {
    let place = LogPartition { log: DIRECTORY.into(), partition: 0 };
    let (epoch, owner) = top(connection, &place).await?;
    if owner == id || (epoch > 0 && !is_forced) {
        return Ok(owner);
    }
    register(connection, &Fence::granted(place, epoch + 1, id)).await?;
    Ok(id)
}

/// Inserts rows of the fence's partition, unless somebody else has acquired it.
pub(crate) async fn insert(
    connection: &Connection,
    fence: &Fence,
    table: &'static str,
    block: Block,
) -> Result<(), CommitError> {
    let query_id = format!(
        "{}{}/{}/{}",
        prefix(connection, fence.place()),
        fence.epoch(),
        fence.owner(),
        fence.next_write()
    );
    let params = [
        ("log", fence.log().to_string()),
        ("partition", fence.partition().to_string()),
        ("epoch", fence.epoch().to_string()),
        ("owner", fence.owner().to_string()),
    ];
    let insert = GuardedInsert { table, guard: GUARD, params: &params, query_id: &query_id };
    connection.insert(&insert, block).await.map_err(insert_error)
}

/// Deletes the rows of the fence's partition for which `condition` holds, whose parameters `bind` gives, unless somebody
/// else has acquired it.
pub(crate) async fn delete(
    connection: &Connection,
    fence: &Fence,
    (table, condition): (&'static str, &str),
    bind: impl FnOnce(Query) -> Query,
) -> Result<(), PortError> {
    if top(connection, fence.place()).await? != (fence.epoch(), fence.owner()) {
        return Err(PortError::transient(ADAPTER, FencedOff(fence.place().clone())));
    }
    // Looked at once more where it runs.
    let sql = format!(
        "ALTER TABLE {table} DELETE WHERE log = {{log:String}} AND log_partition = {{partition:UInt32}}
           AND (SELECT max((epoch, owner)) FROM writers
                WHERE log = {{log:String}} AND log_partition = {{partition:UInt32}}) = ({{epoch:UInt64}}, {{owner:UUID}})
           AND ({condition}) SETTINGS mutations_sync = 2"
    );
    let delete = query_of(connection, fence.place(), &sql).param("epoch", fence.epoch());
    let delete = bind(delete.param("owner", fence.owner().to_string()));
    connection.execute(delete).await.map_err(read_error)
}

/// A question about a partition, with its name as parameters.
pub(crate) fn query_of(connection: &Connection, place: &LogPartition, sql: &str) -> Query {
    connection.query(sql).param("log", &*place.log).param("partition", place.partition)
}

/// How the names of all inserts of a partition start.
fn prefix(connection: &Connection, place: &LogPartition) -> String {
    format!("gosight/{}/{}/{}/", connection.database(), place.log, place.partition)
}

async fn last_epoch(connection: &Connection, place: &LogPartition) -> Result<u64, PortError> {
    let sql = "SELECT max(epoch) AS number FROM writers WHERE log = {log:String} AND log_partition = {partition:UInt32}";
    let epoch = query_of(connection, place, sql).fetch_one::<Number>();
    Ok(connection.within(epoch).await.map_err(read_error)?.number)
}

/// The epoch and owner of who acquired the partition last.
async fn top(connection: &Connection, place: &LogPartition) -> Result<(u64, Uuid), PortError> {
    let sql = "SELECT tupleElement(top, 1) AS epoch, tupleElement(top, 2) AS owner FROM (
        SELECT max((epoch, owner)) AS top FROM writers WHERE log = {log:String} AND log_partition = {partition:UInt32})";
    let top = query_of(connection, place, sql).fetch_one::<Top>();
    let Top { epoch, owner } = connection.within(top).await.map_err(read_error)?;
    Ok((epoch, owner))
}

/// Writes the epoch down, and makes sure that nobody else wrote it at the same time.
async fn register(connection: &Connection, fence: &Fence) -> Result<(), PortError> {
    let mut block = Block::new(1);
    block.texts("log", [&**fence.log()].into_iter());
    block.u32s("log_partition", [fence.partition()].into_iter());
    block.u64s("epoch", [fence.epoch()].into_iter());
    block.uuids("owner", [fence.owner()].into_iter());
    let query_id = format!("gosight-writer/{}", fence.owner());
    let insert = GuardedInsert { table: "writers", guard: "0", params: &[], query_id: &query_id };
    connection.insert(&insert, block).await.map_err(read_error)?;
    if top(connection, fence.place()).await? == (fence.epoch(), fence.owner()) {
        return Ok(());
    }
    let text = format!("another writer acquires {} at this moment", fence.place());
    Err(PortError::transient(ADAPTER, text))
}

async fn end_older_writes(connection: &Connection, place: &LogPartition) -> Result<(), PortError> {
    end_older_inserts(connection, place).await?;
    await_older_deletions(connection, place).await
}

/// Waits for deletions that older writers have begun: what one rewrites goes by who was the last writer when it began.
async fn await_older_deletions(connection: &Connection, place: &LogPartition) -> Result<(), PortError> {
    let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
    loop {
        let running = connection
            .query(
                "SELECT count() AS number FROM system.mutations WHERE database = {database:String} AND NOT is_done
                   AND position(command, 'writers') > 0 AND position(command, {log:String}) > 0",
            )
            .param("database", connection.database())
            .param("log", &*place.log);
        let running = connection.within(running.fetch_one::<Number>()).await.map_err(read_error)?.number;
        if running == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            let text = format!("{running} deletions of {place} do not end within {LONGEST_WAIT:?}");
            return Err(PortError::transient(ADAPTER, text));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Ends what older writers still have running. Inserts of theirs that start later fail at the guard.
async fn end_older_inserts(connection: &Connection, place: &LogPartition) -> Result<(), PortError> {
    let prefix = prefix(connection, place);
    let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
    loop {
        let kill = connection
            .query("KILL QUERY WHERE startsWith(query_id, {prefix:String}) ASYNC")
            .param("prefix", &prefix);
        connection.execute(kill).await.map_err(read_error)?;
        let running = connection
            .query(
                "SELECT count() AS number FROM system.processes WHERE startsWith(query_id, {prefix:String})",
            )
            .param("prefix", &prefix)
            .fetch_one::<Number>();
        if connection.within(running).await.map_err(read_error)?.number == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            let text = format!("inserts of {prefix} do not end within {LONGEST_WAIT:?}");
            return Err(PortError::transient(ADAPTER, text));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
