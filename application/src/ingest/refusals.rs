//! Reports of what was refused, for the errors log.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gosight_domain::replay::ReplayChunk;
use gosight_domain::validate::RequestFacts;
use gosight_domain::{ProjectId, Timestamp, Violation, ViolationCode};
use serde::{Serialize, Serializer};

use super::{Ingest, PlacedDraft};
use crate::ports::Record;

/// One item that was refused by the ingest API, as the errors log keeps it.
#[derive(Debug, Serialize)]
pub(super) struct Refusal<'a, T> {
    project_id: &'a ProjectId,
    received_at: Timestamp,
    /// Place in its request.
    index: usize,
    field: &'a str,
    code: &'static str,
    reason: &'a str,
    /// The item as far as it could be read; left out when it was refused for its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a T>,
}

/// A replay chunk that is kept with its refusal.
#[derive(Debug, Serialize)]
pub(super) struct RefusedChunk<'a> {
    #[serde(flatten)]
    chunk: &'a ReplayChunk,
    /// The JSON array of events, compressed with gzip, in base64: as a client may send it.
    #[serde(serialize_with = "base64")]
    pub data: &'a [u8],
}

impl<'a> RefusedChunk<'a> {
    pub(super) fn of(chunk: &'a ReplayChunk) -> Self {
        Self { chunk, data: &chunk.data }
    }
}

fn base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(data, &STANDARD))
}

impl<'a, T: Serialize> Refusal<'a, T> {
    pub(super) fn new(
        project_id: &'a ProjectId,
        received_at: Timestamp,
        index: usize,
        violation: &'a Violation,
        item: Option<&'a T>,
    ) -> Self {
        let too_large = violation.code == ViolationCode::TooLarge;
        Self {
            project_id,
            received_at,
            index,
            field: &violation.field,
            code: violation.code.as_str(),
            reason: &violation.reason,
            item: item.filter(|_| !too_large),
        }
    }

    fn to_record(&self) -> Option<Record> {
        let value = serde_json::to_vec(self).ok()?;
        let key = Bytes::copy_from_slice(self.project_id.as_str().as_bytes());
        Some(Record { key, value: value.into() })
    }
}

impl Ingest {
    pub(super) fn report_refused<T>(
        &self,
        facts: &RequestFacts,
        drafts: &[PlacedDraft<'_, '_>],
        verdicts: &[Result<T, Violation>],
    ) {
        for (&(place, draft), verdict) in drafts.iter().zip(verdicts) {
            if let Err(violation) = verdict {
                let refusal =
                    Refusal::new(&facts.project_id, facts.received_at, place, violation, draft.ok());
                self.report(&refusal);
            }
        }
    }

    pub(super) fn report<T: Serialize>(&self, refusal: &Refusal<'_, T>) {
        if let Some(record) = refusal.to_record() {
            self.errors.push(record);
        }
    }
}
