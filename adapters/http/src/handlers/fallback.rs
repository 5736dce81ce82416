//! Answers to what there is no handler for, and to handlers that die.

use gosight_application::surface::{Failure, FailureCode};
use std::any::Any;

use axum::body::Body;
use axum::http::Response;
use axum::response::IntoResponse;

use crate::error::ApiError;

/// There is no such path.
pub(crate) async fn not_found() -> ApiError {
    ApiError::new(FailureCode::NotFound, "there is no such path; see /openapi.json")
}

/// The path does not take this method. Which ones it takes is said in the `Allow` header.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::new(FailureCode::MethodNotAllowed, "the path does not take this method, see the Allow header")
}

/// A handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the payload over")]
pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Response<Body> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    ApiError(Failure::internal(&format_args!("panic: {}", text.unwrap_or("(no message)")))).into_response()
}
