use std::fmt;

use async_trait::async_trait;
use gosight_domain::replay::{ArchivedReplay, ReplaySession};
use gosight_domain::{ProjectId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PortError;

/// Error of [`ReplayCatalogue`].
pub type ReplayCatalogueError = PortError;

/// Why a session is not archived: a person has to look at it. Nothing of it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// What is wrong.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What the catalogue knows of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// Whose recording it is.
    pub session: ReplaySession,
    /// What was archived of it.
    pub archived: Option<ArchivedReplay>,
    /// Set when it cannot be archived as it is.
    pub quarantine: Option<Quarantine>,
    /// Paths of objects that `archived` has replaced, to be deleted.
    pub stale_objects: Vec<String>,
    /// Set once its objects are being deleted: nothing of them is read any more.
    #[serde(default)]
    pub is_forgotten: bool,
    /// Counts the changes of this entry.
    pub version: u64,
}

impl CatalogueEntry {
    /// An entry that is not stored yet.
    pub fn new(session: ReplaySession) -> Self {
        Self {
            session,
            archived: None,
            quarantine: None,
            stale_objects: Vec::new(),
            is_forgotten: false,
            version: 0,
        }
    }

    /// What can be read of the archive.
    pub fn readable(&self) -> Option<&ArchivedReplay> {
        self.archived.as_ref().filter(|_| !self.is_forgotten)
    }

    /// As [`readable`](Self::readable), to keep.
    pub fn into_readable(self) -> Option<ArchivedReplay> {
        self.archived.filter(|_| !self.is_forgotten)
    }
}

/// Which entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogueQuery {
    /// Only those of this project.
    pub project_id: Option<ProjectId>,
    /// Only those that were archived before.
    pub archived_before: Option<Timestamp>,
    /// Only those after this session, in order of project and session.
    pub after: Option<ReplaySession>,
    /// Most entries.
    pub limit: usize,
}

/// The right to archive a session, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The session.
    pub session: ReplaySession,
    /// Who has it.
    pub owner: Uuid,
    /// When it was taken.
    pub since: Timestamp,
    /// When it ends, if it is not given back before.
    pub until: Timestamp,
}

/// Which replays are archived, and where.
///
/// # Contract
/// 1. `put` stores an entry only when the stored one has the version before it; so of two writers that read the same
///    version one fails. A first entry has the version 1.
/// 2. `lease` gives a session to one owner at a time: `false` while another owner's lease lasts at `since`. An owner
///    takes its own lease again, which moves its end.
/// 3. `get` answers in the order asked.
/// 4. `list` is in order of project and session, by their bytes.
#[async_trait]
pub trait ReplayCatalogue: fmt::Debug + Send + Sync {
    /// What is known of each of `sessions`.
    async fn get(
        &self,
        sessions: &[ReplaySession],
    ) -> Result<Vec<Option<CatalogueEntry>>, ReplayCatalogueError>;

    /// Stores `entry`, if nobody changed it since it was read; tells whether it did.
    async fn put(&self, entry: &CatalogueEntry) -> Result<bool, ReplayCatalogueError>;

    /// Entries, in order.
    async fn list(&self, query: &CatalogueQuery) -> Result<Vec<CatalogueEntry>, ReplayCatalogueError>;

    /// Forgets a session, if it has this version; tells whether it did.
    async fn delete(&self, session: &ReplaySession, version: u64) -> Result<bool, ReplayCatalogueError>;

    /// Takes a session, to change it.
    async fn lease(&self, lease: &Lease) -> Result<bool, ReplayCatalogueError>;

    /// Gives a lease back.
    async fn release(&self, session: &ReplaySession, owner: Uuid) -> Result<(), ReplayCatalogueError>;
}
