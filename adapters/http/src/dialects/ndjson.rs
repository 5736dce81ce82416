//! `POST /v1/ndjson`: one JSON object on each line, for tools that write lines, such as log shippers and `jq -c`.

use std::borrow::Cow;
use std::marker::PhantomData;

use gosight_application::ingest::ProfileDraft;
use gosight_application::ports::ProfileKind;
use gosight_application::surface::{
    AliasDraft, Answer, Credential, Dialect, Failure, FieldNames, Head, Intake, IntakeReceipt, IntakeRequest,
    ReadLimits,
};
use gosight_domain::{Violation, ViolationCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::OpenApi;

use super::business::STYLE;
use super::event::{Defaults, EventStyle, WireEvent};
use super::json::{self, Number, Object, Text};
use super::verdicts::EventsAnswer;
use crate::error::ErrorAnswer;

/// A line that is no event.
#[derive(Default, Deserialize)]
struct OtherLine<'a> {
    #[serde(default, borrow)]
    profile: Option<Object<WireProfile<'a>>>,
    #[serde(default, borrow)]
    alias: Option<Object<WireAlias<'a>>>,
}

/// What is known of a user or an item.
#[derive(Default, Deserialize)]
struct WireProfile<'a> {
    #[serde(default, borrow)]
    user_id: Text<'a>,
    #[serde(default, borrow)]
    item_id: Text<'a>,
    #[serde(default, borrow)]
    properties: Option<&'a RawValue>,
}

/// Two ids of one person.
#[derive(Default, Deserialize)]
struct WireAlias<'a> {
    #[serde(default, borrow)]
    event_id: Text<'a>,
    #[serde(default)]
    timestamp: Number,
    #[serde(default, borrow)]
    previous_id: Text<'a>,
    #[serde(default, borrow)]
    user_id: Text<'a>,
}

const PROFILE: FieldNames = FieldNames {
    others: &[("id", "profile.user_id or profile.item_id"), ("properties", "profile.properties")],
    ..FieldNames::AS_SENT
};
const ALIAS: FieldNames = FieldNames {
    event_id: "alias.event_id",
    others: &[
        ("timestamp", "alias.timestamp"),
        ("anonymous_id", "alias.previous_id"),
        ("user_id", "alias.user_id"),
    ],
    ..FieldNames::AS_SENT
};
const EVENT: EventStyle = EventStyle { type_names: ["type", "event_type", "event_name"], ..STYLE };

/// Newline-delimited JSON.
#[derive(Debug)]
pub(crate) struct Ndjson;

/// Send lines
///
/// Each line is a JSON object: an event as in `/v1/events`; or `{"profile": {"user_id" or "item_id", "properties": {…}}}`, which
/// changes what is known of a user or an item; or `{"alias": {"previous_id", "user_id", "timestamp"}}`, which says that two ids
/// are one person. Empty lines are skipped. A bad line never costs its neighbours; `index` counts the lines that are not empty, from 0.
/// The key is in `X-Project-Key`, in `Authorization` (Bearer, or the user of Basic), or in the parameter `project_key`.
#[utoipa::path(
    post, path = "/v1/ndjson", tag = "ingest",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "At least one line was accepted", body = EventsAnswer),
        (status = 400, description = "No line was accepted", body = EventsAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "Events cannot be taken right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
#[expect(dead_code, reason = "documents `Ndjson`")]
fn send() {}

#[derive(OpenApi)]
#[openapi(paths(send))]
pub(crate) struct Document;

impl Dialect for Ndjson {
    fn name(&self) -> &'static str {
        "ndjson"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/v1/ndjson"]
    }

    fn credentials(&self) -> &'static [Credential] {
        &[
            Credential::Header("x-project-key"),
            Credential::Bearer,
            Credential::BasicUser,
            Credential::Query("project_key"),
        ]
    }

    fn media_types(&self) -> &'static [&'static str] {
        &[
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/json",
            "text/plain",
            "application/octet-stream",
        ]
    }

    fn most_items(&self, body: &[u8]) -> usize {
        memchr::memchr_iter(b'\n', body).count() + 1
    }

    fn read<'a>(
        &self,
        _: &Head<'_>,
        body: &'a [u8],
        limits: ReadLimits,
    ) -> Result<IntakeRequest<'a>, Failure> {
        let lines =
            || body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let (items, names) = lines().take(limits.max_items).map(read_line).unzip();
        let found = lines().count();
        Ok(IntakeRequest { key: None, sent_at: None, user_required: false, items, names, found })
    }

    fn answer(&self, request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer {
        EventsAnswer::of(request, receipt)
    }
}

fn read_line(line: &[u8]) -> (Result<Intake<'_>, Violation>, FieldNames) {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            let reason = format!("is not UTF-8 at byte {}", error.valid_up_to());
            let violation = Violation::new("line", ViolationCode::InvalidJson, reason);
            return (Err(violation), FieldNames::AS_SENT);
        }
    };
    let read = || -> Result<(Intake<'_>, FieldNames), Violation> {
        // Most lines are events, and are read once.
        if text.contains("\"profile\"") || text.contains("\"alias\"") {
            let Object(other): Object<OtherLine<'_>> = parse(text)?;
            if let Some(Object(profile)) = other.profile {
                return Ok((profile.into_intake()?, PROFILE));
            }
            if let Some(Object(alias)) = other.alias {
                return Ok((alias.into_intake(), ALIAS));
            }
        }
        let Object(event): Object<WireEvent<'_>> = parse(text)?;
        let (draft, names) = event.into_draft(EVENT, &Defaults::default());
        Ok((Intake::Event(draft), names))
    };
    match read() {
        Ok((intake, names)) => (Ok(intake), names),
        Err(violation) => (Err(violation), FieldNames::AS_SENT),
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Violation> {
    serde_json::from_str(text).or_else(|_| {
        json::read_with_path(text, PhantomData)
            .map_err(|(path, error)| json::violation(&path, "line", &error))
    })
}

impl<'a> WireProfile<'a> {
    fn into_intake(self) -> Result<Intake<'a>, Violation> {
        let (kind, id) = match (self.user_id.0, self.item_id.0) {
            (Some(id), None) => (ProfileKind::User, id),
            (None, Some(id)) => (ProfileKind::Item, id),
            _ => {
                let reason = "must have either user_id or item_id";
                return Err(Violation::new("profile", ViolationCode::Inconsistent, reason));
            }
        };
        let properties = self.properties.map(Cow::Borrowed);
        Ok(Intake::Profile(ProfileDraft { kind, id: Some(id), properties }))
    }
}

impl<'a> WireAlias<'a> {
    fn into_intake(self) -> Intake<'a> {
        Intake::Alias(AliasDraft {
            event_id: self.event_id.0,
            timestamp: self.timestamp.0,
            previous_id: self.previous_id.0,
            user_id: self.user_id.0,
        })
    }
}
