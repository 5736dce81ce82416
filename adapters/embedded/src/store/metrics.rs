//! Metrics, from the hourly rollup alone.

use gosight_application::ports::{GroupBy, GroupKey, Metrics, MetricsGroup, MetricsQuery};
use gosight_domain::{Channel, Hour, ProjectId};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row, SqliteConnection, SqlitePool};

use super::codec::unsigned;

pub(super) async fn read(
    readers: &SqlitePool,
    project_id: &ProjectId,
    query: &MetricsQuery,
) -> sqlx::Result<Metrics> {
    // One snapshot, so that the groups add up to the total.
    let mut snapshot = readers.begin().await?;
    let total = total(&mut snapshot, project_id, query).await?;
    let groups = match query.group_by {
        Some(group_by) => groups(&mut snapshot, project_id, query, group_by).await?,
        None => Vec::new(),
    };
    Ok(Metrics { groups, ..total })
}

async fn total(
    connection: &mut SqliteConnection,
    project_id: &ProjectId,
    query: &MetricsQuery,
) -> sqlx::Result<Metrics> {
    let mut sql = counts("''", project_id, query, "");
    let row = sql.build().fetch_one(connection).await?;
    Ok(Metrics { total_count: count(&row, 1)?, unique_users: count(&row, 2)?, groups: Vec::new() })
}

async fn groups(
    connection: &mut SqliteConnection,
    project_id: &ProjectId,
    query: &MetricsQuery,
    group_by: GroupBy,
) -> sqlx::Result<Vec<MetricsGroup>> {
    let (key, dimension) = match group_by {
        GroupBy::Channel => ("channel", ""),
        GroupBy::Hour => ("hour", ""),
        // Hours before 1970 do not come in.
        GroupBy::Day => ("hour / 24 * 24", ""),
        GroupBy::EventType => ("event_type", ""),
        GroupBy::Dimension(dimension) => ("value", dimension.as_str()),
    };
    let mut sql = counts(key, project_id, query, dimension);
    sql.push(" GROUP BY 1 ORDER BY ");
    sql.push(if group_by.is_time() { "1" } else { "2 DESC, 1" });
    sql.push(" LIMIT ").push_bind(i64::try_from(query.limit).unwrap_or(i64::MAX));
    let rows = sql.build().fetch_all(connection).await?;
    rows.iter().map(|row| group(row, group_by)).collect()
}

fn group(row: &SqliteRow, group_by: GroupBy) -> sqlx::Result<MetricsGroup> {
    let key = if group_by.is_time() {
        GroupKey::Time(Hour::from_index(row.try_get(0)?))
    } else {
        GroupKey::Value(row.try_get(0)?)
    };
    Ok(MetricsGroup { key, total_count: count(row, 1)?, unique_users: count(row, 2)? })
}

fn count(row: &SqliteRow, column: usize) -> sqlx::Result<u64> {
    Ok(unsigned(row.try_get(column)?))
}

/// Sums events and counts visitors of the lines that `query` asks for, by `key`, which is one of ours.
fn counts(
    key: &'static str,
    project_id: &ProjectId,
    query: &MetricsQuery,
    dimension: &'static str,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("WITH lines AS (SELECT id, ");
    sql.push(key).push(" AS key, total_count FROM events_hourly WHERE project = ");
    sql.push("(SELECT id FROM projects WHERE project_id = ").push_bind(project_id.to_string());
    sql.push(") AND dimension = ").push_bind(dimension);
    sql.push(" AND hour >= ").push_bind(query.from.index());
    sql.push(" AND hour < ").push_bind(query.to.index());
    if let Some(event_name) = &query.event_name {
        sql.push(" AND event_type = ").push_bind(event_name.to_string());
    }
    if let Some(channel) = query.channel {
        sql.push(" AND channel = ").push_bind(Channel::as_str(channel));
    }
    // Visitors are counted apart, or each would multiply the line that it is counted in.
    sql.push(
        "), visitors AS (
            SELECT key, count(DISTINCT visitor) AS visitors
            FROM lines JOIN hourly_visitors ON slot = id GROUP BY key
        )
        SELECT lines.key, coalesce(sum(total_count), 0), coalesce(max(visitors.visitors), 0)
        FROM lines LEFT JOIN visitors ON visitors.key = lines.key",
    );
    sql
}
