//! Answers in JSON.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gosight_application::surface::Answer;
use serde::Serialize;

use crate::error::ApiError;

/// `value` as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    response(Answer::json(status.as_u16(), value))
}

/// `value` as JSON with status 200.
pub(crate) fn ok<T: Serialize>(value: &T) -> Response {
    json(StatusCode::OK, value)
}

/// `answer` as a response.
pub(crate) fn response(answer: Answer) -> Response {
    let Answer { status, content_type, body, code, retry_after } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    let mut response = (status, content_type, body).into_response();
    if let Some(wait) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(code) = code {
        response.extensions_mut().insert(code);
    }
    response
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        response(Answer::failed(&self.0))
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
