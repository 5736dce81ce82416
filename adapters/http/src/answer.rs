//! Answers in JSON.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{ApiError, ErrorAnswer, ErrorCode};

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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (code, retry_after) = (self.code, self.retry_after);
        let mut response = json(code.http_status(), &ErrorAnswer { error: self.body() });
        if let Some(wait) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if code.http_status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(code);
        response
    }
}

/// Rounded up, and at least 1: a client that waits too little only comes in vain.
fn whole_seconds(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(more).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_rounded_up() {
        for (wait, seconds) in
            [(Duration::ZERO, 1), (Duration::from_millis(1_001), 2), (Duration::from_secs(7), 7)]
        {
            assert_eq!(whole_seconds(wait), seconds);
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }
}
