//! Answers that count what was accepted and name what was not.

use gosight_application::surface::{
    Answer, Failure, FailureCode, FailureDetail, IntakeReceipt, IntakeRequest,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Detail, ErrorBody};

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
    #[schema(value_type = Vec<Detail>)]
    errors: Vec<FailureDetail>,
    /// Only when no event was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ErrorBody>)]
    error: Option<Failure>,
}

impl EventsAnswer {
    /// The answer to `request`.
    pub(crate) fn of(request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer {
        let errors = request.details(receipt);
        let accepted_count = receipt.accepted();
        let answer = Self {
            success: errors.is_empty(),
            accepted_count,
            rejected_count: errors.len(),
            error: (accepted_count == 0).then(|| none_accepted(errors.clone())),
            errors,
        };
        match answer.error {
            None => Answer::json(200, &answer),
            Some(_) => Answer::refused(FailureCode::InvalidEvents, &answer),
        }
    }
}

/// The error of a request without a good event.
pub(crate) fn none_accepted(details: Vec<FailureDetail>) -> Failure {
    Failure::new(FailureCode::InvalidEvents, "no event of the request is valid").with_details(details)
}
