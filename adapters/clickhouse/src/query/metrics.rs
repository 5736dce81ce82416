use clickhouse::Row;
use clickhouse::query::Query;
use gosight_application::ports::{GroupBy, GroupKey, Metrics, MetricsGroup, MetricsQuery, QueryError};
use gosight_domain::rollup::Dimension;
use gosight_domain::{Channel, Hour, ProjectId};
use serde::Deserialize;

use crate::client::Connection;
use crate::error::read_error;

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
    let total = bind(connection.query(&sql), project_id, query).fetch_one::<Total>();
    let total = connection.within(total).await.map_err(read_error)?;
    let groups = match query.group_by {
        Some(group_by) => groups(connection, project_id, query, group_by).await?,
        None => Vec::new(),
    };
    Ok(Metrics { total_count: total.total_count, unique_users: total.unique_users, groups })
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
    let groups = connection.within(groups.fetch_all::<Group>()).await.map_err(read_error)?;
    let group = |Group { key, total_count, unique_users }| {
        let key = match key.parse::<i64>() {
            Ok(seconds) if group_by.is_time() => GroupKey::Time(Hour::from_index(seconds / 3_600)),
            _ => GroupKey::Value(key),
        };
        MetricsGroup { key, total_count, unique_users }
    };
    Ok(groups.into_iter().map(group).collect())
}

/// What groups are told apart by, as the projections have it.
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
        // Fails, instead of reading every event, should no projection answer.
        .with_setting("force_optimize_projection", "1")
}

/// Hours before 1970 and after 2106 have no events.
fn seconds(hour: Hour) -> u32 {
    let seconds = hour.start().as_millis().max(0) / 1_000;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
