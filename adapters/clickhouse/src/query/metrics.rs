use clickhouse::query::Query;
use clickhouse::{Row, RowOwned, RowRead};
use gosight_application::ports::{GroupBy, GroupKey, Metrics, MetricsGroup, MetricsQuery, QueryError};
use gosight_domain::rollup::Dimension;
use gosight_domain::{Channel, Hour, ProjectId};
use serde::Deserialize;

use crate::client::Connection;
use crate::error::{is_no_projection, read_error};

#[derive(Row, Deserialize)]
struct Total {
    total_count: u64,
    unique_users: u64,
}

#[derive(Row, Deserialize)]
struct Group {
    key: String,
    total_count: u64,
    unique_users: u64,
}

/// Only what the hourly projections are grouped by may stand in a question, or rows would be counted one by one.
const COUNTED: &str = "project_id = {project:String}
    AND hour >= {from:UInt32} AND hour < {to:UInt32}
    AND ({event_type:String} = '' OR event_type = {event_type:String})
    AND ({channel:String} = '' OR channel = {channel:String})";

/// Counts, from the hourly projections.
pub(super) async fn read(
    connection: &Connection,
    project_id: &ProjectId,
    query: &MetricsQuery,
) -> Result<Metrics, QueryError> {
    let sql = format!(
        "SELECT count() AS total_count, uniqExact(visitor) AS unique_users FROM events WHERE {COUNTED}"
    );
    let total: Vec<Total> = ask(connection, bind(connection.query(&sql), project_id, query)).await?;
    let (total_count, unique_users) =
        total.first().map_or((0, 0), |total| (total.total_count, total.unique_users));
    let groups = match query.group_by {
        Some(group_by) => groups(connection, project_id, query, group_by).await?,
        None => Vec::new(),
    };
    Ok(Metrics { total_count, unique_users, groups })
}

async fn groups(
    connection: &Connection,
    project_id: &ProjectId,
    query: &MetricsQuery,
    group_by: GroupBy,
) -> Result<Vec<MetricsGroup>, QueryError> {
    let key = expression(group_by);
    let order = if group_by.is_time() { "key" } else { "total_count DESC, key" };
    let sql = format!(
        "SELECT toString({key}) AS key, count() AS total_count, uniqExact(visitor) AS unique_users
         FROM events WHERE {COUNTED} GROUP BY {key} ORDER BY {order} LIMIT {{limit:UInt64}}"
    );
    let groups = bind(connection.query(&sql), project_id, query).param("limit", query.limit as u64);
    let groups: Vec<Group> = ask(connection, groups).await?;
    let group = |Group { key, total_count, unique_users }| {
        let key = match key.parse::<i64>() {
            Ok(seconds) if group_by.is_time() => GroupKey::Time(Hour::from_index(seconds / 3_600)),
            _ => GroupKey::Value(key),
        };
        MetricsGroup { key, total_count, unique_users }
    };
    Ok(groups.into_iter().map(group).collect())
}

/// What groups are formed by, as the projections have it.
const fn expression(group_by: GroupBy) -> &'static str {
    match group_by {
        GroupBy::Channel => "channel",
        GroupBy::Hour => "toUnixTimestamp(hour)",
        GroupBy::Day => "toUnixTimestamp(toStartOfDay(hour))",
        GroupBy::EventType => "event_type",
        GroupBy::Dimension(Dimension::Path) => "substringUTF8(path, 1, 255)",
        GroupBy::Dimension(Dimension::Browser) => "browser",
        GroupBy::Dimension(Dimension::Os) => "os",
        GroupBy::Dimension(Dimension::Device) => "device_type",
        GroupBy::Dimension(Dimension::Country) => "country",
    }
}

fn bind(sql: Query, project_id: &ProjectId, query: &MetricsQuery) -> Query {
    sql.param("project", project_id.as_str())
        .param("from", seconds(query.from))
        .param("to", seconds(query.to))
        .param("event_type", query.event_name.as_ref().map_or("", |name| name.as_str()))
        .param("channel", query.channel.map_or("", Channel::as_str))
}

/// Rows that are read at most where no projection answers.
const FEW_ROWS: u64 = 100_000;

/// Asks the projections. Where the index leaves nothing to be read, as for a project without events or a month without
/// any, the server uses no projection: then, and only then, the rows are asked, and never many of them.
async fn ask<T>(connection: &Connection, query: Query) -> Result<Vec<T>, QueryError>
where
    T: RowOwned + RowRead,
{
    // Fails, instead of reading every event, should no projection answer.
    let projected = query.clone().with_setting("force_optimize_projection", "1").fetch_all::<T>();
    match connection.within(projected).await {
        Err(error) if is_no_projection(&error) => {
            let rows = query.with_setting("max_rows_to_read", FEW_ROWS.to_string()).fetch_all::<T>();
            connection.within(rows).await.map_err(read_error)
        }
        answer => answer.map_err(read_error),
    }
}

/// Hours before 1970 and after 2106 have no events.
fn seconds(hour: Hour) -> u32 {
    let seconds = hour.start().as_millis().max(0) / 1_000;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
