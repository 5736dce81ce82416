//! What backends speak: `POST /api/v1/events` and `POST /api/v1/events/bulk`.

use gosight_application::surface::{
    Accepted, Answer, Dialect, Failure, FailureCode, FailureDetail, Head, IntakeReceipt, IntakeRequest,
    ReadLimits, utf8,
};
use gosight_domain::Violation;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::batch::{WireBatch, read_batch, read_single};
use super::event::{EventStyle, WireEvent};
use super::verdicts::none_accepted;
use crate::error::{Detail, ErrorAnswer, ErrorBody};

/// How backends write events.
pub(crate) const STYLE: EventStyle = EventStyle {
    type_names: ["event_name", "event_type", "type"],
    has_metadata: true,
    passes_on_clients: true,
};

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
    #[schema(value_type = Option<ErrorBody>)]
    error: Option<Failure>,
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
        #[schema(value_type = Detail)]
        detail: FailureDetail,
    },
}

const QUEUED: &str = "queued";

/// `POST /api/v1/events`.
#[derive(Debug)]
pub(crate) struct BusinessEvent;

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
#[expect(dead_code, reason = "documents `BusinessEvent`")]
fn send() {}

/// `POST /api/v1/events/bulk`.
#[derive(Debug)]
pub(crate) struct BusinessBulk;

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
#[expect(dead_code, reason = "documents `BusinessBulk`")]
fn send_bulk() {}

#[derive(OpenApi)]
#[openapi(paths(send))]
pub(crate) struct EventDocument;

#[derive(OpenApi)]
#[openapi(paths(send_bulk))]
pub(crate) struct BulkDocument;

impl Dialect for BusinessEvent {
    fn name(&self) -> &'static str {
        "business"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/api/v1/events"]
    }

    fn most_items(&self, _body: &[u8]) -> usize {
        1
    }

    fn read<'a>(&self, _: &Head<'_>, body: &'a [u8], _: ReadLimits) -> Result<IntakeRequest<'a>, Failure> {
        Ok(IntakeRequest { user_required: true, ..read_single(utf8(body)?, STYLE)? })
    }

    fn answer(&self, request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer {
        if let Some(Ok(Accepted::Event(id))) = receipt.verdicts.first() {
            return Answer::json(202, &QueuedAnswer { event_id: id.as_uuid(), status: QUEUED });
        }
        let failure = Failure::new(FailureCode::InvalidEvent, "the event is not valid");
        Answer::failed(&failure.with_details(request.details(receipt)))
    }
}

impl Dialect for BusinessBulk {
    fn name(&self) -> &'static str {
        "business_bulk"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/api/v1/events/bulk"]
    }

    fn read<'a>(
        &self,
        _: &Head<'_>,
        body: &'a [u8],
        limits: ReadLimits,
    ) -> Result<IntakeRequest<'a>, Failure> {
        let request = read_batch(utf8(body)?, STYLE, limits.max_items)?;
        Ok(IntakeRequest { user_required: true, ..request })
    }

    fn answer(&self, request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer {
        let accepted_count = receipt.accepted();
        let answer = BulkAnswer {
            accepted_count,
            rejected_count: receipt.verdicts.len() - accepted_count,
            results: results(request, receipt),
            error: (accepted_count == 0).then(|| none_accepted(request.details(receipt))),
        };
        match answer.error {
            None => Answer::json(202, &answer),
            Some(_) => Answer::refused(FailureCode::InvalidEvents, &answer),
        }
    }
}

fn results(request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Vec<BulkResult> {
    let result = |(index, verdict): (usize, &Result<Accepted, Violation>)| match verdict {
        Ok(Accepted::Event(id)) => Some(BulkResult::Queued { index, event_id: id.as_uuid() }),
        // A batch of this dialect has nothing but events.
        Ok(_) => None,
        Err(violation) => Some(BulkResult::Rejected { detail: request.detail(index, violation) }),
    };
    receipt.verdicts.iter().enumerate().filter_map(result).collect()
}
