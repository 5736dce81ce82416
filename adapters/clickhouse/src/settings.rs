//! Asks the server whether it can be relied on, instead of assuming it.

use clickhouse::Row;
use gosight_application::ports::PortError;
use serde::Deserialize;

use crate::ADAPTER;
use crate::client::Connection;
use crate::error::read_error;

/// The oldest release whose behaviour the code relies on: projections over expressions, `input()` with filters, query
/// parameters in inserts.
const OLDEST: (u32, u32) = (25, 3);

#[derive(Row, Deserialize)]
struct Version {
    version: String,
}

#[derive(Row, Deserialize)]
struct Table {
    name: String,
    engine: String,
    window: u64,
}

/// Refuses a server that would lose or double rows.
pub(crate) async fn check(connection: &Connection) -> Result<(), PortError> {
    let version = connection.query("SELECT version() AS version").fetch_one::<Version>();
    let version = connection.within(version).await.map_err(read_error)?.version;
    if release(&version).is_none_or(|release| release < OLDEST) {
        let (year, month) = OLDEST;
        let text = format!("ClickHouse {version} is too old: {year}.{month} or later is needed");
        return Err(PortError::fatal(ADAPTER, text));
    }
    let tables = connection
        .query(
            "SELECT name, engine, toUInt64OrZero(extract(engine_full, 'non_replicated_deduplication_window = (\\\\d+)')) AS window
             FROM system.tables
             WHERE database = currentDatabase() AND name IN ('events', 'sessions', 'aggregates', 'replay_chunks', 'ledger')",
        )
        .fetch_all::<Table>();
    for table in connection.within(tables).await.map_err(read_error)? {
        let Table { name, engine, window } = table;
        if !engine.ends_with("MergeTree") {
            let text = format!("table {name} has the engine {engine}, which is not of the MergeTree family");
            return Err(PortError::fatal(ADAPTER, text));
        }
        if !engine.starts_with("Replicated") && !engine.starts_with("Shared") && window == 0 {
            tracing::warn!(table = name, "deduplication window missing, setting it");
            let repair =
                format!("ALTER TABLE {name} MODIFY SETTING non_replicated_deduplication_window = 1000");
            connection.execute(connection.query(&repair)).await.map_err(read_error)?;
        }
    }
    tracing::info!(version, "ClickHouse checked");
    Ok(())
}

/// Year and month of `26.7.2.1`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_year_and_month() {
        assert_eq!(release("26.7.2.1"), Some((26, 7)));
        assert!(release("25.3.1.1") >= Some(OLDEST) && release("24.12.9.9") < Some(OLDEST));
        assert_eq!(release("main"), None);
    }
}
