//! What the bodies of any wire format bring.

use std::borrow::Cow;

use bytes::Bytes;
use gosight_domain::key::PresentedKey;
use gosight_domain::replay::ReplayDraft;
use gosight_domain::validate::EventDraft;
use gosight_domain::{EventId, Timestamp, Violation};
use serde_json::value::RawValue;

use super::failure::FailureDetail;
use crate::ingest::{ProfileDraft, Receipt, ReplayReceipt};

/// One item of a request. Nothing of it is checked.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are events, and a box for each costs more")]
pub enum Intake<'a> {
    /// Something that happened.
    Event(EventDraft<'a>),
    /// What is known of a user or an item from now on.
    Profile(ProfileDraft<'a>),
    /// Two ids that mean one person.
    Alias(AliasDraft<'a>),
    /// A chunk of a recording: all but its events, and these.
    Replay(ReplayDraft<'a>, ReplayEvents<'a>),
}

/// Two ids that mean one person. It is logged as an event of the type `alias`, which has both.
#[derive(Debug, Clone, Default)]
pub struct AliasDraft<'a> {
    /// Identity of the event, if the client gives one.
    pub event_id: Option<Cow<'a, str>>,
    /// When it was found out: epoch seconds or milliseconds.
    pub timestamp: Option<f64>,
    /// The id by which the person was known before; `anonymous_id` of the event.
    pub previous_id: Option<Cow<'a, str>>,
    /// The id by which the person is known now.
    pub user_id: Option<Cow<'a, str>>,
}

impl<'a> AliasDraft<'a> {
    /// The event that says it.
    pub(super) fn into_event(self) -> Result<EventDraft<'a>, Violation> {
        let present = |id: &Option<Cow<'_, str>>| id.as_deref().is_some_and(|id| !id.is_empty());
        if !present(&self.previous_id) {
            return Err(Violation::missing("anonymous_id"));
        }
        if !present(&self.user_id) {
            return Err(Violation::missing("user_id"));
        }
        Ok(EventDraft {
            event_id: self.event_id,
            event_type: Some(Cow::Borrowed("alias")),
            timestamp: self.timestamp,
            user_id: self.user_id,
            anonymous_id: self.previous_id,
            ..EventDraft::default()
        })
    }
}

/// How a chunk carries its events.
#[derive(Debug)]
pub enum ReplayEvents<'a> {
    /// Not at all.
    Missing,
    /// As a JSON array.
    Json(&'a RawValue),
    /// As a JSON array, compressed with gzip.
    Gzip(Bytes),
}

/// What the sender of an item calls its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldNames {
    /// `event_id`.
    pub event_id: &'static str,
    /// `event_type`.
    pub event_type: &'static str,
    /// `payload`.
    pub payload: &'static str,
    /// Others: first the name here, then the sender's.
    pub others: &'static [(&'static str, &'static str)],
}

impl FieldNames {
    /// The names as they are here. Also those of an item of which nothing could be read but what is wrong, which is in its sender's
    /// words already.
    pub const AS_SENT: Self =
        Self { event_id: "event_id", event_type: "event_type", payload: "payload", others: &[] };

    /// The field of `violation` in the words of the sender.
    pub fn of(&self, violation: &Violation) -> String {
        let field = violation.field.as_ref();
        let (first, rest) = field.split_at(field.find(['.', '[']).unwrap_or(field.len()));
        let first = match first {
            "event_id" => self.event_id,
            "event_type" => self.event_type,
            "payload" => self.payload,
            other => {
                let renamed = self.others.iter().find(|(name, _)| *name == other);
                renamed.map_or(other, |(_, sent)| sent)
            }
        };
        format!("{first}{rest}")
    }
}

/// What a body brings.
#[derive(Debug)]
pub struct IntakeRequest<'a> {
    /// The key, when the body has it.
    pub key: Option<PresentedKey>,
    /// When the client says that it sent the request.
    pub sent_at: Option<Timestamp>,
    /// Whether each event must name its user.
    pub user_required: bool,
    /// For each item what could be read of it, or why it could not be read.
    pub items: Vec<Result<Intake<'a>, Violation>>,
    /// For each item what its sender calls the fields.
    pub names: Vec<FieldNames>,
    /// Items in the body. Only as many as a request may have are among `items`.
    pub found: usize,
}

impl IntakeRequest<'_> {
    /// What is wrong with the item at `index`, in the words of who sent it.
    pub fn detail(&self, index: usize, violation: &Violation) -> FailureDetail {
        let field = self.names.get(index).map_or_else(|| violation.field.to_string(), |n| n.of(violation));
        FailureDetail::of(Some(index), field, violation)
    }

    /// Why items were refused, in the words of who sent them.
    pub fn details(&self, receipt: &IntakeReceipt) -> Vec<FailureDetail> {
        receipt.refused().map(|(index, violation)| self.detail(index, violation)).collect()
    }
}

/// What became of an item that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// An event, or an alias, is in the log under this identity.
    Event(EventId),
    /// The profile is stored.
    Profile,
    /// The chunk is in the log.
    Replay(ReplayReceipt),
}

/// What became of each item of a request, in order.
pub type IntakeReceipt = Receipt<Accepted>;
