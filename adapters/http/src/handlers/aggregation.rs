//! `GET /processor/aggregation`: window aggregates of one key.

use gosight_application::surface::FailureCode;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gosight_application::ports::{SkippedMeasure, WindowQuery};
use gosight_application::process::SkippedSince;
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
    /// Measures of the aggregation that were skipped for events of the project since this process started, whatever the
    /// key. Absent when there are none, and where events are not processed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<SkippedAnswer>,
}

/// A measure that was skipped for some events, because it failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SkippedMeasure)]
pub(crate) struct SkippedAnswer {
    /// Name of the measure; empty when the key was too long, so that none of them was asked.
    #[schema(value_type = String)]
    measure: Arc<str>,
    /// Why, in one word.
    #[schema(value_type = String)]
    reason: &'static str,
    /// For how many events.
    events: u64,
    /// What was said last.
    #[schema(value_type = String)]
    last_error: Arc<str>,
    /// When it was said, in epoch ms.
    last_at: i64,
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
    /// Events for which a measure was skipped because it failed, by measure.
    #[schema(value_type = BTreeMap<String, u64>)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    skipped: BTreeMap<Arc<str>, u64>,
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
    let skipped = state.processor.iter().flat_map(|processor| {
        processor.skipped_measures.of(scope.project_id(), &aggregator).into_iter().map(SkippedAnswer::of)
    });
    let skipped = skipped.collect();
    Ok(answer::ok(&AggregationAnswer { aggregator, key, windows, skipped }))
}

/// The start of the window that `from` lies in: a window that has begun is asked for too. Where the aggregations are
/// known, others than these are not found.
fn from_window(state: &ReadState, aggregator: &str, from: Timestamp) -> Result<Timestamp, ApiError> {
    let Some(processor) = &state.processor else { return Ok(from) };
    let known = &processor.aggregations;
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
        Self { window_start: start.as_millis(), count: value.count, measures, skipped: value.skipped }
    }
}

impl SkippedAnswer {
    fn of((SkippedMeasure { measure, reason, .. }, since): (SkippedMeasure, SkippedSince)) -> Self {
        let SkippedSince { events, last_error, last_at } = since;
        Self { measure, reason, events, last_error, last_at: last_at.as_millis() }
    }
}

impl MeasureAnswer {
    fn number(stats: &NumberStats) -> Self {
        Self::Number { count: stats.count, sum: stats.sum, avg: stats.avg(), min: stats.min, max: stats.max }
    }
}
