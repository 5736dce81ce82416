//! `/processor/*` and `/metrics/processor`: what the processors of this process do and have done since they started,
//! for all projects together, and so for operators only.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gosight_application::process::{PartitionStatus, ProcessStatus, WorkerState};
use gosight_domain::ledger::OutcomeCounts;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Operator;
use crate::answer;
use crate::error::{ApiError, ErrorAnswer};
use crate::handlers::enrichment::EnrichmentAnswer;
use crate::query_params::Params;
use crate::state::ProcessorState;

/// What the processors do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusAnswer {
    /// `running`, or `blocked` when a partition waits for its store.
    #[schema(value_type = String)]
    status: &'static str,
    /// By log.
    consumers: Vec<ConsumerAnswer>,
}

/// What one consumer does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsumerAnswer {
    /// Name of the log.
    #[schema(value_type = String)]
    log: Arc<str>,
    /// `running` or `blocked`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Batches stored.
    batches: u64,
    /// The partitions that are read.
    partitions: Vec<PartitionAnswer>,
}

/// How far a partition is processed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProcessorPartition)]
pub(crate) struct PartitionAnswer {
    /// Number of the partition.
    partition: u32,
    /// `running` or `blocked`.
    #[schema(value_type = String)]
    status: &'static str,
    /// The next offset to process.
    next_offset: u64,
    /// Since when it waits, in epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_since: Option<i64>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What the filter rules did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FiltersAnswer {
    /// The rules in order.
    rules: Vec<RuleAnswer>,
}

/// What one filter rule did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleAnswer {
    /// Name of the rule.
    #[schema(value_type = String)]
    name: Arc<str>,
    /// Events that it was tried on.
    evaluated: u64,
    /// Events that it matched.
    matched: u64,
    /// Events on which it could not be evaluated.
    errors: u64,
}

/// What became of records since the processors started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProcessorMetricsAnswer {
    /// By log.
    consumers: Vec<ConsumerMetricsAnswer>,
    /// What the enrichers do.
    enrichment: EnrichmentAnswer,
}

/// What became of the records of one log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsumerMetricsAnswer {
    /// Name of the log.
    #[schema(value_type = String)]
    log: Arc<str>,
    /// Batches stored.
    batches: u64,
    /// Records taken from the log.
    polled: u64,
    /// Records whose event is in the store because of them.
    stored: u64,
    /// Records whose event was in the store already.
    duplicate: u64,
    /// Records that a filter rule blocked, by rule.
    #[schema(value_type = BTreeMap<String, u64>)]
    filtered: BTreeMap<Arc<str>, u64>,
    /// Records that were refused, by reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    rejected: BTreeMap<Arc<str>, u64>,
    /// Records that were put aside, by reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    dead_lettered: BTreeMap<Arc<str>, u64>,
}

const RUNNING: &str = "running";
const BLOCKED: &str = "blocked";

/// Show what the processors do
///
/// For all projects together, so the key needs the scope `admin`.
#[utoipa::path(
    get, path = "/processor/status", tag = "processor",
    responses(
        (status = 200, description = "What they do", body = StatusAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn status(
    State(state): State<ProcessorState>,
    _: Operator,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let consumers: Vec<_> = state.processor.status.iter().map(|status| ConsumerAnswer::of(status)).collect();
    let status = worst(consumers.iter().map(|consumer| consumer.status));
    Ok(answer::ok(&StatusAnswer { status, consumers }))
}

/// Show what the enrichers do
///
/// For all projects together, so the key needs the scope `admin`.
#[utoipa::path(
    get, path = "/processor/enrichment", tag = "processor",
    responses(
        (status = 200, description = "What they do", body = EnrichmentAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn enrichment(
    State(state): State<ProcessorState>,
    _: Operator,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    Ok(answer::ok(&EnrichmentAnswer::of(&state.processor.enrichment)))
}

/// Show what the filter rules did
///
/// For all projects together, so the key needs the scope `admin`.
#[utoipa::path(
    get, path = "/processor/filters", tag = "processor",
    responses(
        (status = 200, description = "What they did", body = FiltersAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn filters(
    State(state): State<ProcessorState>,
    _: Operator,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let rules = state.processor.filters.stats().into_iter().map(|(name, stats)| RuleAnswer {
        name,
        evaluated: stats.evaluated,
        matched: stats.matched,
        errors: stats.errors,
    });
    Ok(answer::ok(&FiltersAnswer { rules: rules.collect() }))
}

/// Show what became of records
///
/// Since the processors started, for all projects together, so the key needs the scope `admin`. The ledger has the same
/// for good.
#[utoipa::path(
    get, path = "/metrics/processor", tag = "processor",
    responses(
        (status = 200, description = "What became of them", body = ProcessorMetricsAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn metrics(
    State(state): State<ProcessorState>,
    _: Operator,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let consumers = state.processor.status.iter().map(|status| ConsumerMetricsAnswer::of(status));
    Ok(answer::ok(&ProcessorMetricsAnswer {
        consumers: consumers.collect(),
        enrichment: EnrichmentAnswer::of(&state.processor.enrichment),
    }))
}

fn worst(mut statuses: impl Iterator<Item = &'static str>) -> &'static str {
    if statuses.any(|status| status == BLOCKED) { BLOCKED } else { RUNNING }
}

impl ConsumerAnswer {
    fn of(status: &ProcessStatus) -> Self {
        let partitions: Vec<_> = status.partitions().into_iter().map(PartitionAnswer::of).collect();
        Self {
            log: status.log().clone(),
            status: worst(partitions.iter().map(|partition| partition.status)),
            batches: status.batches(),
            partitions,
        }
    }
}

impl PartitionAnswer {
    fn of((partition, status): (u32, PartitionStatus)) -> Self {
        let next_offset = status.next_offset;
        match status.state {
            WorkerState::Running => {
                Self { partition, status: RUNNING, next_offset, blocked_since: None, error: None }
            }
            WorkerState::Blocked { since, error } => {
                let blocked_since = Some(since.as_millis());
                Self { partition, status: BLOCKED, next_offset, blocked_since, error: Some(error) }
            }
        }
    }
}

impl ConsumerMetricsAnswer {
    fn of(status: &ProcessStatus) -> Self {
        let OutcomeCounts { polled, stored, duplicate, filtered, rejected, dead_lettered } = status.counts();
        let (log, batches) = (status.log().clone(), status.batches());
        Self { log, batches, polled, stored, duplicate, filtered, rejected, dead_lettered }
    }
}
