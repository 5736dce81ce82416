//! `POST /v1/events`: batches from SDKs.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::ingest::{Incoming, accept, details};
use crate::answer;
use crate::error::{ApiError, Detail, ErrorAnswer, ErrorBody, ErrorCode};
use crate::state::IngestState;
use crate::wire::batch::{WireBatch, read_batch};
use crate::wire::event::Door;

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventsAnswer {
    /// Whether every event was accepted.
    success: bool,
    /// Events that were accepted, durably.
    accepted_count: usize,
    /// Events that were refused.
    rejected_count: usize,
    /// Why, for each refused event.
    errors: Vec<Detail>,
    /// Only when no event was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// Send events
///
/// The good events of a batch are accepted, each bad one is named with its place, field and reason. An event without
/// `event_id` gets one made from its content.
#[utoipa::path(
    post, path = "/v1/events", tag = "ingest", request_body = WireBatch,
    responses(
        (status = 200, description = "At least one event was accepted", body = EventsAnswer),
        (status = 400, description = "No event was accepted, or the body cannot be read", body = EventsAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "Events cannot be taken right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = []), ()),
)]
pub(crate) async fn send(State(state): State<IngestState>, request: Request) -> Result<Response, ApiError> {
    let Incoming { sender, text, mut reservation } = Incoming::read_events(&state, request).await?;
    let batch = read_batch(&text, Door::Sdk, state.ingest.rules().max_events)?;
    let receipt = accept(&state, &sender, &mut reservation, &batch, false).await?;
    let errors = details(&batch, &receipt);
    let accepted_count = receipt.accepted();
    let answer = EventsAnswer {
        success: errors.is_empty(),
        accepted_count,
        rejected_count: errors.len(),
        error: (accepted_count == 0).then(|| none_accepted(&errors).body()),
        errors,
    };
    Ok(match answer.error {
        None => answer::ok(&answer),
        Some(_) => answer::refused(StatusCode::BAD_REQUEST, ErrorCode::InvalidEvents, &answer),
    })
}

/// The error of a batch without a good event.
pub(super) fn none_accepted(details: &[Detail]) -> ApiError {
    ApiError::new(ErrorCode::InvalidEvents, "no event of the request is valid").with_details(details.to_vec())
}
