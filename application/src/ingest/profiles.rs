use std::borrow::Cow;

use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::{JsonObject, UserId, Violation, ViolationCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::refusals::Refusal;
use super::{Ingest, IngestError, unavailable};
use crate::ports::{MAX_PROFILE_BYTES, ProfileKind};
use crate::telemetry::Metric;

/// What a client says of a user or an item. Nothing of it is checked.
#[derive(Debug, Clone, Serialize)]
pub struct ProfileDraft<'a> {
    /// Whom or what it is about.
    #[serde(serialize_with = "by_name")]
    pub kind: ProfileKind,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// What is known now. The other properties stay as they are; `null` takes one away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Cow<'a, RawValue>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn by_name<S: serde::Serializer>(kind: &ProfileKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

/// A profile with its place among the items of a request.
pub type PlacedProfile<'d, 'a> = (usize, &'d ProfileDraft<'a>);

impl Ingest {
    /// Checks and stores what one request says of users and items, and gives a verdict for each. Each counts as one event of the
    /// project's allowance. Processors see it once what they have cached of it is too old.
    ///
    /// # Errors
    /// [`IngestError`] when the request as a whole is refused or the store does not take it.
    pub async fn profiles(
        &self,
        scope: &Scoped<IngestScope>,
        drafts: &[PlacedProfile<'_, '_>],
    ) -> Result<Vec<Result<(), Violation>>, IngestError> {
        let project_id = scope.project_id();
        self.take_allowance(project_id, drafts.len()).await?;
        let received_at = self.ports.clock.now();
        let mut verdicts = Vec::with_capacity(drafts.len());
        let (mut users, mut items) = (Vec::new(), Vec::new());
        for (index, (_, draft)) in drafts.iter().enumerate() {
            verdicts.push(self.check_profile(draft).map(|profile| match draft.kind {
                ProfileKind::User => users.push((index, profile)),
                ProfileKind::Item => items.push((index, profile)),
            }));
        }
        for (kind, profiles) in [(ProfileKind::User, users), (ProfileKind::Item, items)] {
            if profiles.is_empty() {
                continue;
            }
            let (indexes, profiles): (Vec<usize>, Vec<(String, JsonObject)>) = profiles.into_iter().unzip();
            let merged = self.ports.profiles.merge(project_id, kind, &profiles).await;
            for refused in merged.map_err(unavailable)? {
                verdicts[indexes[refused]] = Err(too_large());
            }
        }
        for (&(place, draft), verdict) in drafts.iter().zip(&verdicts) {
            if let Err(violation) = verdict {
                self.telemetry.count(Metric::EventsRejected, &[("reason", violation.code.as_str())], 1);
                self.report(&Refusal::new(project_id, received_at, place, violation, Some(draft)));
            }
        }
        Ok(verdicts)
    }

    fn check_profile(&self, draft: &ProfileDraft<'_>) -> Result<(String, JsonObject), Violation> {
        let rules = &self.rules.event;
        let id = draft.id.as_deref().ok_or_else(|| Violation::missing("id"))?;
        let id = UserId::new(id).map_err(|violation| Violation { field: "id".into(), ..violation })?;
        let properties = draft.properties.as_deref().ok_or_else(|| Violation::missing("properties"))?;
        let bytes = properties.get().len();
        if bytes > rules.max_event_bytes {
            let reason = format!("has {bytes} bytes, at most {} are allowed", rules.max_event_bytes);
            return Err(Violation::new("properties", ViolationCode::TooLarge, reason));
        }
        Ok((id.to_string(), JsonObject::parse("properties", properties, rules.max_depth)?))
    }
}

fn too_large() -> Violation {
    let reason = format!("would make the profile larger than {MAX_PROFILE_BYTES} bytes");
    Violation::new("properties", ViolationCode::TooLarge, reason)
}
