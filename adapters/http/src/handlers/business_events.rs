//! `POST /api/v1/events` and `/api/v1/events/bulk`: business events from backends.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use gosight_application::ingest::IngestReceipt;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ingest::{Incoming, accept, details};
use super::sdk_events::none_accepted;
use crate::answer;
use crate::error::{ApiError, Detail, ErrorAnswer, ErrorBody, ErrorCode};
use crate::state::IngestState;
use crate::wire::batch::{Batch, WireBatch, read_batch, read_single};
use crate::wire::event::{Door, WireEvent};

/// An event that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuedAnswer {
    /// Its identity, the same whenever it is sent again.
    event_id: Uuid,
    /// Always `queued`: it is logged durably and will be seen in answers within seconds.
    #[schema(value_type = String)]
    status: &'static str,
}

/// What became of a bulk request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkAnswer {
    /// Events that were accepted, durably.
    accepted_count: usize,
    /// Events that were refused.
    rejected_count: usize,
    /// What became of each event, in order.
    results: Vec<BulkResult>,
    /// Only when no event was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum BulkResult {
    /// It was accepted.
    Queued {
        /// Its place in the request.
        index: usize,
        /// Its identity.
        event_id: Uuid,
    },
    /// It was refused.
    Rejected {
        /// Its place in the request, and why.
        #[serde(flatten)]
        detail: Detail,
    },
}

const QUEUED: &str = "queued";

/// Send one event
///
/// The body is the event itself, with `project_key` and `sent_at` beside its fields. `user_id` is required.
#[utoipa::path(
    post, path = "/api/v1/events", tag = "ingest", request_body = WireEvent,
    responses(
        (status = 202, description = "The event was accepted", body = QueuedAnswer),
        (status = "4XX", description = "The event was refused", body = ErrorAnswer),
        (status = 503, description = "Events cannot be taken right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = []), ()),
)]
pub(crate) async fn send(State(state): State<IngestState>, request: Request) -> Result<Response, ApiError> {
    let Incoming { sender, text, mut reservation } = Incoming::read_events(&state, request).await?;
    let batch = read_single(&text)?;
    let receipt = accept(&state, &sender, &mut reservation, &batch, true).await?;
    match receipt.verdicts.first() {
        Some(Ok(id)) => {
            let answer = QueuedAnswer { event_id: id.as_uuid(), status: QUEUED };
            Ok(answer::json(StatusCode::ACCEPTED, &answer))
        }
        _ => Err(ApiError::new(ErrorCode::InvalidEvent, "the event is not valid")
            .with_details(details(&batch, &receipt))),
    }
}

/// Send many events
///
/// Up to 1,000. The good ones are accepted; the answer says of each what became of it.
#[utoipa::path(
    post, path = "/api/v1/events/bulk", tag = "ingest", request_body = WireBatch,
    responses(
        (status = 202, description = "At least one event was accepted", body = BulkAnswer),
        (status = 400, description = "No event was accepted, or the body cannot be read", body = BulkAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "Events cannot be taken right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = []), ()),
)]
pub(crate) async fn send_bulk(
    State(state): State<IngestState>,
    request: Request,
) -> Result<Response, ApiError> {
    let Incoming { sender, text, mut reservation } = Incoming::read_events(&state, request).await?;
    let batch = read_batch(&text, Door::Business, state.ingest.rules().max_events)?;
    let receipt = accept(&state, &sender, &mut reservation, &batch, true).await?;
    let accepted_count = receipt.accepted();
    let none = (accepted_count == 0).then(|| none_accepted(&details(&batch, &receipt)).body());
    let answer = BulkAnswer {
        accepted_count,
        rejected_count: receipt.verdicts.len() - accepted_count,
        results: results(&batch, &receipt),
        error: none,
    };
    Ok(match answer.error {
        None => answer::json(StatusCode::ACCEPTED, &answer),
        Some(_) => answer::refused(StatusCode::BAD_REQUEST, ErrorCode::InvalidEvents, &answer),
    })
}

fn results(batch: &Batch<'_>, receipt: &IngestReceipt) -> Vec<BulkResult> {
    let result = |(index, verdict): (usize, &Result<_, _>)| match verdict {
        Ok(id) => BulkResult::Queued { index, event_id: gosight_domain::EventId::as_uuid(*id) },
        Err(violation) => {
            let field = batch.field(index, violation);
            BulkResult::Rejected { detail: Detail::of(Some(index), field, violation) }
        }
    };
    receipt.verdicts.iter().enumerate().map(result).collect()
}
