//! What the SDKs of gosight speak: `POST /v1/events` and `POST /v1/replay`.

mod replay;

use gosight_application::surface::{
    Answer, Dialect, Failure, Head, IntakeReceipt, IntakeRequest, ReadLimits, utf8,
};
use utoipa::OpenApi;

use super::batch::{WireBatch, read_batch};
use super::event::EventStyle;
use super::verdicts::EventsAnswer;
use crate::error::ErrorAnswer;

pub(crate) use replay::{ReplayDocument, SdkReplay};

/// How the SDKs write events.
pub(crate) const STYLE: EventStyle = EventStyle {
    type_names: ["type", "event_type", "event_name"],
    has_metadata: false,
    passes_on_clients: false,
};

/// `POST /v1/events`.
#[derive(Debug)]
pub(crate) struct SdkEvents;

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
#[expect(dead_code, reason = "documents `SdkEvents`")]
fn send() {}

#[derive(OpenApi)]
#[openapi(paths(send))]
pub(crate) struct EventsDocument;

impl Dialect for SdkEvents {
    fn name(&self) -> &'static str {
        "sdk"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/v1/events"]
    }

    fn read<'a>(
        &self,
        _: &Head<'_>,
        body: &'a [u8],
        limits: ReadLimits,
    ) -> Result<IntakeRequest<'a>, Failure> {
        read_batch(utf8(body)?, STYLE, limits.max_items)
    }

    fn answer(&self, request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer {
        EventsAnswer::of(request, receipt)
    }
}
