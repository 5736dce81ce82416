//! `GET /processor/aggregation`: window aggregates of one key.

use gosight_application::surface::FailureCode;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use gosight_application::ports::WindowQuery;
use gosight_application::query::MAX_LIMIT;
use gosight_domain::Timestamp;
use gosight_domain::aggregate::{AggregateValue, NumberStats};
use serde::Serialize;
use utoipa::ToSchema;

use super::metrics::times;
use crate::access::Reader;
use crate::answer;
use crate::error::{ApiError, ErrorAnswer};
use crate::query_params::Params;
use crate::state::ReadState;

/// Windows of an aggregation, earliest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AggregationAnswer {
    /// Name of the aggregation.
    aggregator: String,
    /// The key.
    key: String,
    /// The windows that have events.
    windows: Vec<WindowAnswer>,
}

/// One window.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WindowAnswer {
    /// Start of the window, in epoch ms.
    window_start: i64,
    /// Events.
    count: u64,
    /// What was measured, by name.
    measures: BTreeMap<String, MeasureAnswer>,
}

/// What was measured of a field.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum MeasureAnswer {
    /// A number.
    Number {
        /// Events that had it.
        count: u64,
        /// Sum.
        sum: f64,
        /// Average.
        avg: f64,
        /// Least.
        min: f64,
        /// Greatest.
        max: f64,
    },
    /// Different values.
    Distinct {
        /// How many; exact up to 1,024, then estimated.
        distinct: u64,
    },
}

/// Read an aggregation
///
/// Without `from` and `to` the windows of the last day: those that have begun in it, and the one that it begins in.
#[utoipa::path(
    get, path = "/processor/aggregation", tag = "processor",
    params(
        ("aggregator" = String, Query, description = "Name of the aggregation, as configured"),
        ("key" = String, Query, description = "The key, such as `user:123`"),
        ("from" = Option<String>, Query, description = "Windows that end after this time, in epoch s or ms or RFC 3339; a day before `to` by default"),
        ("to" = Option<String>, Query, description = "Windows that start before; now by default"),
        ("limit" = Option<usize>, Query, description = "Most windows, 1 to 10,000; 1,000 by default. The latest are given"),
    ),
    responses(
        (status = 200, description = "The windows", body = AggregationAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn windows(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    mut params: Params,
) -> Result<Response, ApiError> {
    let aggregator = params.required("aggregator")?;
    let key = params.required("key")?;
    let (from, to) = times(&mut params, state.app.clock.now())?;
    let limit = params.limit(1..=MAX_LIMIT, 1_000)?;
    params.finish()?;
    let from = from_window(&state, &aggregator, from)?;
    let query = WindowQuery { aggregation: aggregator.clone(), key: key.clone(), from, to, limit };
    let windows = state.query.aggregates(&scope, query).await?;
    let windows = windows.into_iter().map(WindowAnswer::of).collect();
    Ok(answer::ok(&AggregationAnswer { aggregator, key, windows }))
}

/// The start of the window that `from` lies in: a window that has begun is asked for too. Where the aggregations are
/// known, others than these are not found.
fn from_window(state: &ReadState, aggregator: &str, from: Timestamp) -> Result<Timestamp, ApiError> {
    let Some(known) = &state.aggregations else { return Ok(from) };
    let Some(window_ms) = known.get(aggregator) else {
        let names: Vec<&str> = known.keys().map(|name| &**name).collect();
        let message = format!("there is no such aggregator; there are: {}", names.join(", "));
        return Err(ApiError::new(FailureCode::NotFound, message));
    };
    let into_window = from.as_millis().checked_rem_euclid(*window_ms).unwrap_or(0);
    Ok(from.plus_millis(-into_window))
}

impl WindowAnswer {
    fn of((start, value): (Timestamp, AggregateValue)) -> Self {
        let numbers = value.numbers.iter().map(|(name, stats)| (name, MeasureAnswer::number(stats)));
        let distinct = value
            .distinct
            .iter()
            .map(|(name, sketch)| (name, MeasureAnswer::Distinct { distinct: sketch.estimate() }));
        let measures = numbers.chain(distinct).map(|(name, measure)| (name.to_string(), measure)).collect();
        Self { window_start: start.as_millis(), count: value.count, measures }
    }
}

impl MeasureAnswer {
    fn number(stats: &NumberStats) -> Self {
        Self::Number { count: stats.count, sum: stats.sum, avg: stats.avg(), min: stats.min, max: stats.max }
    }
}
