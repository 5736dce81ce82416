//! From what a body brings to verdicts: the way that all surfaces share.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::replay::ReplayDraft;
use gosight_domain::{Violation, ViolationCode};
use serde_json::value::RawValue;

use super::decompress::{DecompressError, Decompressor, decompress};
use super::failure::Failure;
use super::failure_code::FailureCode;
use super::in_flight::Permit;
use super::intake::{Accepted, Intake, IntakeReceipt, IntakeRequest, ReplayEvents};
use crate::access::Access;
use crate::ingest::{ClientFacts, Ingest, IngestError, PlacedDraft, PlacedProfile};

/// Memory that an item takes while it is checked, besides its text, in bytes: its draft and what becomes of it.
pub const ITEM_BYTES: usize = 2 * 1024;

/// What a gzip decoder holds (RFC 1952: a window of 32 KiB) with its buffers.
const GZIP_WINDOW_BYTES: usize = 64 * 1024;

type Verdict = Result<Accepted, Violation>;

/// How large the events of a replay chunk may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayLimits {
    /// Compressed.
    pub compressed: usize,
    /// Decompressed.
    pub decompressed: usize,
}

/// Takes what surfaces have read.
#[derive(Debug, Clone)]
pub struct Receiver {
    ingest: Arc<Ingest>,
    access: Access,
    replay: ReplayLimits,
}

impl Receiver {
    /// Takes items for `ingest` from senders that `access` knows.
    pub fn new(ingest: Arc<Ingest>, access: Access, replay: ReplayLimits) -> Self {
        Self { ingest, access, replay }
    }

    /// Most items of a request.
    pub fn max_items(&self) -> usize {
        self.ingest.rules().max_events
    }

    /// Judges the items of `request`. `scope` is proof by a key in the head; without it the key in the body counts. What the items
    /// take in memory is added to `permit`, which covers the body already.
    ///
    /// # Errors
    /// [`Failure`] when the request fails as a whole. Then nothing of it was accepted, or nobody knows: the client sends it again
    /// either way, and what is sent twice counts once.
    pub async fn receive(
        &self,
        scope: Option<&Scoped<IngestScope>>,
        client: &ClientFacts<'_>,
        request: &mut IntakeRequest<'_>,
        permit: &mut Permit,
    ) -> Result<IntakeReceipt, Failure> {
        let scope = &match scope {
            Some(scope) => scope.clone(),
            None => self.access.require::<IngestScope>(request.key.as_ref()).await?,
        };
        if request.items.is_empty() {
            return Err(IngestError::Empty.into());
        }
        if request.found > request.items.len() {
            let max = self.max_items();
            return Err(IngestError::TooManyEvents { found: request.found, max }.into());
        }
        aliases_as_events(&mut request.items);
        let mut verdicts: Vec<Option<Verdict>> = Vec::new();
        verdicts.resize_with(request.items.len(), || None);
        // Profiles first: the events of the same request are enriched by them.
        self.profiles(scope, request, &mut verdicts).await?;
        self.events(scope, client, request, &mut verdicts).await?;
        self.replays(scope, request, permit, &mut verdicts).await?;
        // Every item is of one of these three kinds, so each has its verdict; one without is a fault of this file.
        let verdicts: Option<Vec<Verdict>> = verdicts.into_iter().collect();
        let verdicts = verdicts.ok_or_else(|| Failure::internal(&"an item was not judged"))?;
        Ok(IntakeReceipt { verdicts })
    }

    async fn profiles(
        &self,
        scope: &Scoped<IngestScope>,
        request: &IntakeRequest<'_>,
        verdicts: &mut [Option<Verdict>],
    ) -> Result<(), Failure> {
        let profiles = request.items.iter().enumerate().filter_map(|(place, item)| match item {
            Ok(Intake::Profile(profile)) => Some((place, profile)),
            _ => None,
        });
        let profiles: Vec<PlacedProfile<'_, '_>> = profiles.collect();
        if profiles.is_empty() {
            return Ok(());
        }
        let judged = self.ingest.profiles(scope, &profiles).await?;
        for ((place, _), verdict) in profiles.into_iter().zip(judged) {
            verdicts[place] = Some(verdict.map(|()| Accepted::Profile));
        }
        Ok(())
    }

    async fn events(
        &self,
        scope: &Scoped<IngestScope>,
        client: &ClientFacts<'_>,
        request: &IntakeRequest<'_>,
        verdicts: &mut [Option<Verdict>],
    ) -> Result<(), Failure> {
        let events = request.items.iter().enumerate().filter_map(|(place, item)| match item {
            Ok(Intake::Event(draft)) => Some((place, Ok(draft))),
            Err(violation) => Some((place, Err(violation))),
            Ok(_) => None,
        });
        let events: Vec<PlacedDraft<'_, '_>> = events.collect();
        if events.is_empty() {
            return Ok(());
        }
        let client =
            ClientFacts { sent_at: request.sent_at, user_required: request.user_required, ..*client };
        let judged = self.ingest.placed_events(scope, &client, &events).await?;
        for ((place, _), verdict) in events.into_iter().zip(judged) {
            verdicts[place] = Some(verdict.map(Accepted::Event));
        }
        Ok(())
    }

    async fn replays(
        &self,
        scope: &Scoped<IngestScope>,
        request: &mut IntakeRequest<'_>,
        permit: &mut Permit,
        verdicts: &mut [Option<Verdict>],
    ) -> Result<(), Failure> {
        for (item, verdict) in request.items.iter_mut().zip(verdicts) {
            let Ok(Intake::Replay(draft, events)) = item else { continue };
            let (draft, events) = (std::mem::take(draft), std::mem::replace(events, ReplayEvents::Missing));
            *verdict = Some(self.replay(scope, draft, events, permit).await?);
        }
        Ok(())
    }

    async fn replay(
        &self,
        scope: &Scoped<IngestScope>,
        draft: ReplayDraft<'_>,
        events: ReplayEvents<'_>,
        permit: &mut Permit,
    ) -> Result<Verdict, Failure> {
        let (compressed, decompressed);
        let draft = match events {
            ReplayEvents::Missing => Ok(draft),
            ReplayEvents::Json(events) => Ok(ReplayDraft { events: Some(events), ..draft }),
            ReplayEvents::Gzip(data) => {
                compressed = data;
                decompressed = self.decompress(&compressed, permit).await?;
                decompressed.as_deref().map_err(Clone::clone).and_then(|text| {
                    let events = read_array(text)?;
                    let is_all = text.len() == events.get().len();
                    Ok(ReplayDraft { events: Some(events), gzip: is_all.then_some(&*compressed), ..draft })
                })
            }
        };
        // The use case makes one more copy of the events while it checks them.
        let events = draft.as_ref().ok().and_then(|draft| draft.events);
        permit.grow(events.map_or(0, |events| events.get().len())).await?;
        match self.ingest.replay(scope, draft).await {
            Ok(receipt) => Ok(Ok(Accepted::Replay(receipt))),
            Err(IngestError::BadReplay(violation) | IngestError::ConflictingChunk(violation)) => {
                Ok(Err(violation))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// The events out of a gzip, or what is wrong with it. It counts as a body of its own: as much compressed, as much
    /// decompressed.
    async fn decompress(
        &self,
        data: &Bytes,
        permit: &mut Permit,
    ) -> Result<Result<String, Violation>, Failure> {
        let ReplayLimits { compressed, decompressed } = self.replay;
        if data.len() > compressed {
            let message = format!("data may have {compressed} bytes at most once it is no longer base64");
            return Err(Failure::new(FailureCode::BodyTooLarge, message));
        }
        permit.grow(data.len()).await?;
        let reader = Box::new(MultiGzDecoder::new(Cursor::new(data.clone())));
        let decoder = Decompressor::new(reader, GZIP_WINDOW_BYTES, decompressed);
        let bytes = match decompress(decoder, data.len(), permit).await {
            Ok(bytes) => bytes,
            Err(DecompressError::Damaged(reason)) => {
                return Ok(Err(bad_data(format!("is not valid gzip: {reason}"))));
            }
            Err(DecompressError::TooLarge) => {
                let message = format!("data may have {decompressed} bytes at most once decompressed");
                return Err(Failure::new(FailureCode::DecompressedTooLarge, message));
            }
            Err(DecompressError::Overloaded(overloaded)) => return Err(overloaded.into()),
            Err(DecompressError::Failed(cause)) => return Err(Failure::internal(&cause)),
        };
        let text = String::from_utf8(bytes);
        Ok(text.map_err(|_| bad_data("is not UTF-8 once decompressed".to_owned())))
    }
}

fn read_array(text: &str) -> Result<&RawValue, Violation> {
    serde_json::from_str(text).map_err(|error| bad_data(format!("is not JSON once decompressed: {error}")))
}

fn bad_data(reason: String) -> Violation {
    Violation::new("events", ViolationCode::NotAllowed, reason)
}

/// Aliases are logged as events.
fn aliases_as_events(items: &mut [Result<Intake<'_>, Violation>]) {
    for item in items {
        if let Ok(Intake::Alias(alias)) = item {
            *item = std::mem::take(alias).into_event().map(Intake::Event);
        }
    }
}
