//! How failures look in this surface.

use std::borrow::Cow;
use std::time::Duration;

use gosight_application::access::AccessError;
use gosight_application::ports::QueryError;
use gosight_application::replay::ReplayReadError;
use gosight_application::surface::{Failure, FailureCode, FailureDetail, Overloaded};
use utoipa::ToSchema;

/// One thing that is wrong with a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents `FailureDetail`")]
pub(crate) struct Detail {
    /// Place of the event in its request.
    pub index: Option<usize>,
    /// The field or parameter.
    pub field: String,
    /// Which rule it breaks.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What was found and what is allowed.
    pub message: String,
}

/// An error as it is answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents `Failure`")]
pub(crate) struct ErrorBody {
    /// Which error, stable across releases.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What is wrong and what to do, for a person.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
    /// What is wrong in particular.
    #[schema(required = false)]
    pub details: Vec<Detail>,
}

/// The whole answer when a request failed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents `Answer::failed`")]
pub(crate) struct ErrorAnswer {
    /// Why.
    pub error: ErrorBody,
}

/// A [`Failure`] that a handler returns.
#[derive(Debug)]
pub(crate) struct ApiError(pub Failure);

impl ApiError {
    pub(crate) fn new(code: FailureCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Failure::new(code, message))
    }

    pub(crate) fn with_details(self, details: Vec<FailureDetail>) -> Self {
        Self(self.0.with_details(details))
    }

    pub(crate) fn with_retry_after(self, wait: Option<Duration>) -> Self {
        Self(self.0.with_retry_after(wait))
    }
}

macro_rules! from_failures {
    ($($error:ty),+) => {
        $(impl From<$error> for ApiError {
            fn from(error: $error) -> Self {
                Self(error.into())
            }
        })+
    };
}

from_failures!(Failure, Overloaded, AccessError, QueryError, ReplayReadError);
