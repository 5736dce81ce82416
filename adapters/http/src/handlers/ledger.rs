//! `GET /api/v1/ledger`: what became of every record.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gosight_application::ports::LedgerBalance;
use gosight_application::query::{LedgerReport, LogCoverage, PartitionReport};
use gosight_domain::key::{Admin, Read};
use serde::Serialize;
use utoipa::ToSchema;

use super::metrics::hours;
use crate::access::KeyGrant;
use crate::answer;
use crate::error::{ApiError, ErrorAnswer};
use crate::query_params::Params;
use crate::state::ReadState;
use crate::times;

/// What became of records.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerAnswer {
    /// Whether everything adds up and joins.
    balanced: bool,
    /// By log and hour.
    hours: Vec<HourAnswer>,
    /// How the ledger covers the logs; empty for those who see one project only.
    logs: Vec<LogAnswer>,
}

/// What became of the records of one log that the server received in one hour.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HourAnswer {
    /// Name of the log.
    #[schema(value_type = String)]
    log: Arc<str>,
    /// Start of the hour, RFC 3339.
    hour: String,
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
    /// Records that were dead-lettered, by reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    dead_lettered: BTreeMap<Arc<str>, u64>,
    /// Whether every record became exactly one thing.
    balanced: bool,
}

/// How the ledger covers a log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogAnswer {
    /// Name of the log.
    #[schema(value_type = String)]
    log: Arc<str>,
    /// Its partitions.
    partitions: Vec<PartitionAnswer>,
    /// Records that are logged and not processed yet.
    in_flight: u64,
}

/// How the ledger covers a partition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartitionAnswer {
    /// Number of the partition.
    partition: u32,
    /// First offset that was processed.
    start: u64,
    /// The offset after the last that was processed.
    end: u64,
    /// Records that were counted between the two; as many as there are offsets, unless the ledger is wrong.
    polled: u64,
    /// The offset after the last record of the log.
    log_end: u64,
    /// Records that are logged and not processed yet.
    in_flight: u64,
    /// Stretches that were left out, as first and last offset.
    gaps: Vec<(u64, u64)>,
    /// Stretches that were processed more than once, as first and last offset.
    overlaps: Vec<(u64, u64)>,
}

/// Show the ledger
///
/// Every record that was taken from a log became exactly one thing. A key with the scope `admin` sees all projects and
/// how the ledger covers the logs; a key with the scope `read` sees the hours of its own project.
#[utoipa::path(
    get, path = "/api/v1/ledger", tag = "read",
    params(
        ("from" = Option<String>, Query, description = "Start, in epoch s or ms or RFC 3339, rounded down to the hour; a day before `to` by default"),
        ("to" = Option<String>, Query, description = "End, rounded up to the hour; now by default"),
    ),
    responses(
        (status = 200, description = "The ledger", body = LedgerAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn show(
    State(state): State<ReadState>,
    KeyGrant(grant): KeyGrant,
    mut params: Params,
) -> Result<Response, ApiError> {
    // Who may not read learns nothing about parameters.
    let proof = match grant.require::<Admin>() {
        Ok(admin) => Ok(admin),
        Err(_) => Err(grant.require::<Read>().map_err(gosight_application::access::AccessError::from)?),
    };
    let (from, to) = hours(&mut params, state.app.clock.now())?;
    params.finish()?;
    let report = match proof {
        Ok(admin) => state.query.whole_ledger(&admin, from, to).await?,
        Err(reader) => state.query.project_ledger(&reader, from, to).await?,
    };
    Ok(answer::ok(&LedgerAnswer::from(report)))
}

impl From<LedgerReport> for LedgerAnswer {
    fn from(report: LedgerReport) -> Self {
        Self {
            balanced: report.balances(),
            hours: report.balances.into_iter().map(HourAnswer::from).collect(),
            logs: report.logs.into_iter().map(LogAnswer::from).collect(),
        }
    }
}

impl From<LedgerBalance> for HourAnswer {
    fn from(balance: LedgerBalance) -> Self {
        Self {
            log: balance.log,
            hour: times::rfc3339(balance.hour.start()),
            balanced: balance.counts.balances(),
            polled: balance.counts.polled,
            stored: balance.counts.stored,
            duplicate: balance.counts.duplicate,
            filtered: balance.counts.filtered,
            rejected: balance.counts.rejected,
            dead_lettered: balance.counts.dead_lettered,
        }
    }
}

impl From<LogCoverage> for LogAnswer {
    fn from(log: LogCoverage) -> Self {
        Self {
            log: log.log,
            in_flight: log.partitions.iter().map(PartitionReport::in_flight).sum(),
            partitions: log.partitions.into_iter().map(PartitionAnswer::from).collect(),
        }
    }
}

impl From<PartitionReport> for PartitionAnswer {
    fn from(report: PartitionReport) -> Self {
        Self {
            partition: report.partition,
            in_flight: report.in_flight(),
            polled: report.polled,
            log_end: report.log_end,
            start: report.coverage.start,
            end: report.coverage.end,
            gaps: report.coverage.gaps,
            overlaps: report.coverage.overlaps,
        }
    }
}
