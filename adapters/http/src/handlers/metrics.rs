//! `GET /api/v1/metrics`: counts from the hourly rollup.

use axum::extract::State;
use axum::response::Response;
use gosight_application::ports::{GroupBy, GroupKey, Metrics, MetricsGroup, MetricsQuery};
use gosight_application::query::MAX_LIMIT;
use gosight_domain::time::DAY_MS;
use gosight_domain::{Channel, EventName, Hour, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Reader;
use crate::answer;
use crate::error::{ApiError, ErrorAnswer};
use crate::query_params::{Params, not_allowed};
use crate::state::ReadState;
use crate::times;

/// Counts of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MetricsAnswer {
    /// Start of the first hour that was counted, RFC 3339.
    from: String,
    /// End of the last hour that was counted, RFC 3339.
    to: String,
    /// Events.
    total_count: u64,
    /// Different visitors, exact.
    unique_users: u64,
    /// The same by group; only with `group_by`. Times come in order, others by size.
    #[serde(skip_serializing_if = "Option::is_none")]
    grouped_data: Option<Vec<GroupAnswer>>,
    /// Whether there are more groups than `limit`; only with `group_by`. Of times the latest are missing then.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

/// Counts of one group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupAnswer {
    /// The value; of an hour its start in RFC 3339, of a day `YYYY-MM-DD`. Empty for events without one.
    key: String,
    /// Events.
    total_count: u64,
    /// Different visitors, exact.
    unique_users: u64,
}

const DEFAULT_GROUPS: usize = 1_000;
/// One fewer than the use case gives, which tells whether there are more.
const MAX_GROUPS: usize = MAX_LIMIT - 1;

/// Count events
///
/// Counts come from the hourly rollup, so `from` is rounded down and `to` up to whole hours; the answer says to which.
#[utoipa::path(
    get, path = "/api/v1/metrics", tag = "read",
    params(
        ("event_name" = Option<String>, Query, description = "Only events of this type"),
        ("from" = Option<String>, Query, description = "Start, in epoch s or ms or RFC 3339; a day before `to` by default"),
        ("to" = Option<String>, Query, description = "End, exclusive; now by default"),
        ("channel" = Option<String>, Query, description = "`web`, `mobile_app` or `api`"),
        ("group_by" = Option<String>, Query, description = "`channel`, `hour`, `day`, `event_type`, `path`, `browser`, `os`, `device` or `country`"),
        ("limit" = Option<usize>, Query, description = "Most groups, 1 to 9,999; 1,000 by default"),
    ),
    responses(
        (status = 200, description = "The counts", body = MetricsAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn count(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    mut params: Params,
) -> Result<Response, ApiError> {
    let (from, to) = hours(&mut params, state.app.clock.now())?;
    let channels = [Channel::Web, Channel::MobileApp, Channel::Api];
    let mut query = MetricsQuery {
        event_name: params.checked("event_name", EventName::new)?,
        from,
        to,
        channel: one_of(&mut params, "channel", &channels, Channel::as_str)?,
        group_by: one_of(&mut params, "group_by", &GroupBy::ALL, GroupBy::as_str)?,
        limit: params.limit(1..=MAX_GROUPS, DEFAULT_GROUPS)?,
    };
    params.finish()?;
    let (group_by, limit) = (query.group_by, query.limit);
    // One more than asked for tells whether there are more.
    query.limit += 1;
    let Metrics { total_count, unique_users, mut groups } = state.query.metrics(&scope, query).await?;
    let truncated = group_by.map(|_| groups.len() > limit);
    groups.truncate(limit);
    Ok(answer::ok(&MetricsAnswer {
        from: times::rfc3339(from.start()),
        to: times::rfc3339(to.start()),
        total_count,
        unique_users,
        grouped_data: group_by.map(|by| groups.into_iter().map(|group| GroupAnswer::of(by, group)).collect()),
        truncated,
    }))
}

/// Takes `from` and `to` and rounds them to whole hours.
pub(super) fn hours(params: &mut Params, now: Timestamp) -> Result<(Hour, Hour), ApiError> {
    let (from, to) = times(params, now)?;
    Ok((from.hour(), times::ceil_hour(to)))
}

/// Takes `from` and `to`: the last day when nothing is said.
pub(super) fn times(params: &mut Params, now: Timestamp) -> Result<(Timestamp, Timestamp), ApiError> {
    let (from, to) = (params.time("from")?, params.time("to")?);
    let to = to.unwrap_or(now);
    let from = from.unwrap_or_else(|| to.plus_millis(-DAY_MS));
    if from >= to {
        let allowed = format!("before to, which is {}", times::rfc3339(to));
        return Err(not_allowed("from", &times::rfc3339(from), allowed));
    }
    Ok((from, to))
}

fn one_of<T: Copy>(
    params: &mut Params,
    name: &'static str,
    known: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Result<Option<T>, ApiError> {
    let names: Vec<&str> = known.iter().map(|value| name_of(*value)).collect();
    let allowed = format!("one of {}", names.join(", "));
    params.take(name, allowed, |text| known.iter().copied().find(|value| name_of(*value) == text))
}

impl GroupAnswer {
    fn of(by: GroupBy, group: MetricsGroup) -> Self {
        let key = match group.key {
            GroupKey::Time(hour) if by == GroupBy::Day => times::day(hour),
            GroupKey::Time(hour) => times::rfc3339(hour.start()),
            GroupKey::Value(value) => value,
        };
        Self { key, total_count: group.total_count, unique_users: group.unique_users }
    }
}
