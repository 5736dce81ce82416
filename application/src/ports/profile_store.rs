use std::collections::{BTreeMap, HashMap};
use std::fmt;

use async_trait::async_trait;
use gosight_domain::{JsonObject, ProjectId};

use super::PortError;

/// Error of [`ProfileStore`].
pub type ProfileStoreError = PortError;

/// Whom or what a profile is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileKind {
    /// A user, by `user_id`.
    User,
    /// An item (product, exercise, article), by `payload.item_id`, else `payload.product_id`.
    Item,
}

impl ProfileKind {
    /// The name in commands and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Item => "item",
        }
    }
}

/// Largest profile that [`merge`](ProfileStore::merge) makes, in bytes: it goes into the context of every event.
pub const MAX_PROFILE_BYTES: usize = 64 * 1024;

/// Changes `known` by `patches`, one after the other, and gives the places of those that would have made a profile too large: for
/// stores that read, patch and write in a transaction.
pub fn patch_profiles(
    known: &mut BTreeMap<String, JsonObject>,
    patches: &[(String, JsonObject)],
) -> Vec<usize> {
    let mut refused = Vec::new();
    for (place, (id, patch)) in patches.iter().enumerate() {
        let profile = known.entry(id.clone()).or_default();
        let patched = profile.patched(patch);
        if patched.as_str().len() > MAX_PROFILE_BYTES {
            refused.push(place);
        } else {
            *profile = patched;
        }
    }
    refused
}

/// What is known about users and items besides their events.
///
/// # Contract
/// 1. `get` gives the profiles that exist, by id; unknown ids are left out.
/// 2. `put` replaces whole profiles.
/// 3. `merge` changes the members that it is given, as [`JsonObject::patched`] does, and makes profiles that are not there. Two
///    merges of one profile at once both count; of one profile that is given twice the later wins. A patch that would make a profile
///    larger than [`MAX_PROFILE_BYTES`] changes nothing, and its place is given.
/// 4. Projects do not see each other's profiles.
#[async_trait]
pub trait ProfileStore: fmt::Debug + Send + Sync {
    /// The profiles with these ids.
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<HashMap<String, JsonObject>, ProfileStoreError>;

    /// Stores profiles.
    async fn put(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError>;

    /// Changes members of profiles. Gives the places of patches that were refused for the size of what they make.
    async fn merge(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        patches: &[(String, JsonObject)],
    ) -> Result<Vec<usize>, ProfileStoreError>;
}
