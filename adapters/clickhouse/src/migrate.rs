//! Makes and changes the tables.
//!
//! Each file of `migrations/` is applied once, in order. Its statements can each be run again, because a crash may stop
//! them anywhere and several processes may start at once.

use clickhouse::Row;
use serde::Deserialize;

use crate::client::Connection;
use crate::config::ClickHouseConfig;

/// Number, name, statements.
const MIGRATIONS: [(u32, &str, &str); 3] = [
    (1, "initial", include_str!("../migrations/0001_initial.sql")),
    (2, "archived_replays", include_str!("../migrations/0002_archived_replays.sql")),
    (3, "payload_columns", include_str!("../migrations/0003_payload_columns.sql")),
];

/// What `$payload` stands for in a migration: the payload in a form that the server's JSON parser takes. It refuses a whole
/// object that has an integer of more than 64 bits anywhere. Such a payload is taken apart into texts, numbers and the
/// rest, and its long integers get a `.0`.
const READABLE_PAYLOAD: &str = r#"if(isValidJSON(payload), payload, arrayStringConcat(arrayMap(
            token -> if(match(token, '^-?[0-9]{19,}$'), concat(token, '.0'), token),
            extractAll(payload, '"(?:[^"\\\\]|\\\\.)*"|-?[0-9][0-9.eE+-]*|[^"0-9-]+'))))"#;

#[derive(Row, Deserialize)]
struct Applied {
    version: u32,
}

/// Brings the database up to date.
pub(crate) async fn migrate(config: &ClickHouseConfig) -> clickhouse::error::Result<()> {
    let server = Connection::without_database(config);
    server.execute(server.query(&format!("CREATE DATABASE IF NOT EXISTS {}", config.database))).await?;
    let database = Connection::new(config);
    let table = "CREATE TABLE IF NOT EXISTS schema_migrations (
        version UInt32, name String, applied_at DateTime DEFAULT now()
    ) ENGINE = MergeTree ORDER BY version";
    database.execute(database.query(table)).await?;
    let applied = database.query("SELECT version FROM schema_migrations").fetch_all::<Applied>();
    let applied = database.within(applied).await?;
    for (version, name, sql) in MIGRATIONS {
        if applied.iter().any(|row| row.version == version) {
            continue;
        }
        for statement in statements(sql) {
            let statement = statement.replace("$payload", READABLE_PAYLOAD);
            // On a replicated cluster the next statement may come to another replica, which has to know the columns.
            database.execute(database.query(&statement).with_setting("alter_sync", "2")).await?;
        }
        let note = database
            .query("INSERT INTO schema_migrations (version, name) SELECT {version:UInt32}, {name:String}")
            .param("version", version)
            .param("name", name);
        database.execute(note).await?;
        tracing::info!(version, name, database = config.database, "tables migrated");
    }
    for (table, time) in [("events", "timestamp"), ("sessions", "ended_at"), ("aggregates", "window_start")] {
        keep(&database, table, time, config.retention_days).await?;
    }
    Ok(())
}

/// Sets how long replay chunks are kept.
pub(crate) async fn keep_replays(config: &ClickHouseConfig) -> clickhouse::error::Result<()> {
    keep(&Connection::new(config), "replay_chunks", "received_at", config.replay_retention_days).await
}

/// Sets how long the rows of `table` are kept. Old rows go with the merges of their parts.
async fn keep(database: &Connection, table: &str, time: &str, days: u32) -> clickhouse::error::Result<()> {
    let has_ttl = database
        .query("SELECT toUInt32(countIf(engine_full LIKE '%TTL%')) AS version FROM system.tables WHERE database = currentDatabase() AND name = {table:String}")
        .param("table", table)
        .fetch_one::<Applied>();
    let has_ttl = database.within(has_ttl).await?.version > 0;
    let change = match days {
        0 if !has_ttl => return Ok(()),
        0 => format!("ALTER TABLE {table} REMOVE TTL"),
        days => format!(
            "ALTER TABLE {table} MODIFY TTL toDateTime({time}) + INTERVAL {days} DAY SETTINGS materialize_ttl_after_modify = 0"
        ),
    };
    database.execute(database.query(&change)).await
}

/// The statements of a file, which end with a semicolon at the end of a line, without comments.
fn statements(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let statements = code.join("\n");
    statements
        .split(";\n")
        .chain(None)
        .map(|text| text.trim().trim_end_matches(';').to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_and_comments_dropped() {
        assert_eq!(statements("-- a;\nCREATE a;\n  -- b\nCREATE\n  b;\n"), ["CREATE a", "CREATE\n  b"]);
        for (_, name, sql) in MIGRATIONS {
            let can_be_repeated = |statement: &String| {
                let added = statement.matches("ADD ").count();
                let is_altered = added > 0 && added == statement.matches("ADD COLUMN IF NOT EXISTS ").count();
                statement.contains("IF NOT EXISTS ")
                    && (statement.starts_with("CREATE ")
                        || statement.starts_with("ALTER TABLE ") && is_altered)
            };
            assert!(statements(sql).iter().all(can_be_repeated), "{name}");
        }
    }
}
