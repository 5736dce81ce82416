//! Answers in JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{ApiError, ErrorCode};

/// `value` as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let content_type = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

/// `value` as JSON with status 200.
pub(crate) fn ok<T: Serialize>(value: &T) -> Response {
    json(StatusCode::OK, value)
}

/// `value` as JSON for a request that was refused for the reason `code`.
pub(crate) fn refused<T: Serialize>(status: StatusCode, code: ErrorCode, value: &T) -> Response {
    let mut response = json(status, value);
    response.extensions_mut().insert(code);
    response
}
