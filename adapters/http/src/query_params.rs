//! Query parameters: each is taken by name, and what nobody took is refused.

use gosight_application::surface::{FailureCode, FailureDetail};
use std::fmt::Display;
use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gosight_domain::{Timestamp, Violation, ViolationCode};

use crate::error::ApiError;
use crate::times;

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Params {
    /// Those that were not taken yet.
    left: Vec<(String, String)>,
    /// The names that were asked for: all that there are.
    known: Vec<&'static str>,
}

/// Characters of a bad value that are shown.
const SHOWN_CHARS: usize = 100;

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let left = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(Self { left, known: Vec::new() })
    }
}

impl Params {
    /// Takes the parameter `name` and reads it. `allowed` says what it may be, for who sends something else.
    pub(crate) fn take<T>(
        &mut self,
        name: &'static str,
        allowed: impl Display,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take_text(name)? else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| not_allowed(name, &value, allowed))
    }

    /// Takes the parameter `name` as the text it is.
    pub(crate) fn take_text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        self.known.push(name);
        let Some(at) = self.left.iter().position(|(other, _)| other == name) else { return Ok(None) };
        let (_, value) = self.left.swap_remove(at);
        match self.left.iter().find(|(other, _)| other == name) {
            Some((_, again)) => Err(not_allowed(name, again, "a parameter that is given once")),
            None => Ok(Some(value)),
        }
    }

    /// Takes the parameter `name`, which must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<String, ApiError> {
        let value = self.take_text(name)?.filter(|value| !value.is_empty());
        value.ok_or_else(|| not_allowed(name, "", "text that is not empty"))
    }

    /// Takes the parameter `name` as a value of the domain, which says itself what is allowed.
    pub(crate) fn checked<T>(
        &mut self,
        name: &'static str,
        check: impl FnOnce(String) -> Result<T, Violation>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take_text(name)? else { return Ok(None) };
        let shown = shown(&value);
        check(value).map(Some).map_err(|violation| refused(name, &shown, violation.reason))
    }

    /// Takes a time.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
        self.take(name, times::ALLOWED, times::parse)
    }

    /// Takes a flag.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        self.take(name, "true or false", |text| match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    /// Takes how many entries an answer may have; `default` when nothing is said.
    pub(crate) fn limit(
        &mut self,
        allowed: RangeInclusive<usize>,
        default: usize,
    ) -> Result<usize, ApiError> {
        let words = format!("a whole number of {} to {}", allowed.start(), allowed.end());
        let limit =
            self.take("limit", words, |text| text.parse().ok().filter(|number| allowed.contains(number)))?;
        Ok(limit.unwrap_or(default))
    }

    /// Takes a cursor that [`cursor`] made.
    pub(crate) fn cursor<T>(
        &mut self,
        read: impl FnOnce(i64, &str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        self.take("cursor", "a next_cursor of the answer before", |text| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (number, rest) = text.split_once(':')?;
            read(number.parse().ok()?, rest)
        })
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let name = shown(name);
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        let message = format!("there is no parameter {name:?} here; there are: {known}");
        let detail = FailureDetail {
            index: None,
            field: name,
            code: FailureCode::UnknownParameter.as_str(),
            message: message.clone(),
        };
        Err(ApiError::new(FailureCode::UnknownParameter, message).with_details(vec![detail]))
    }
}

/// The place after an entry with this time and id, as text that means nothing to who passes it on.
pub(crate) fn cursor(at: Timestamp, id: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{id}", at.as_millis()))
}

/// The error for a parameter with a value that is not allowed.
pub(crate) fn not_allowed(name: &str, value: &str, allowed: impl Display) -> ApiError {
    refused(name, &shown(value), format!("must be {allowed}"))
}

fn refused(name: &str, value: &str, reason: impl Display) -> ApiError {
    let message = format!("{name} is {value:?}: {reason}");
    let detail = FailureDetail {
        index: None,
        field: name.to_owned(),
        code: ViolationCode::NotAllowed.as_str(),
        message: message.clone(),
    };
    ApiError::new(FailureCode::InvalidParameter, message).with_details(vec![detail])
}

fn shown(value: &str) -> String {
    value.chars().take(SHOWN_CHARS).collect()
}
