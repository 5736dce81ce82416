//! Deleting objects, and at last the entry that names them.

use gosight_domain::replay::ReplaySession;

use super::{Archiver, path};
use crate::kill_point;
use crate::ports::PortError;

impl Archiver {
    /// Deletes the objects of a session and then its entry; tells whether there was one. Said before it is done, so that
    /// nobody looks for an object that is gone.
    pub(in crate::replay) async fn forget(&self, session: &ReplaySession) -> Result<bool, PortError> {
        let mut entry = self.entry(session).await?;
        if !entry.is_forgotten {
            entry.is_forgotten = true;
            entry.version += 1;
            if !self.cold.catalogue.put(&entry).await? {
                return Ok(false);
            }
        }
        kill_point("archive-forgotten");
        let current = entry.archived.as_ref().map(|archived| &archived.object);
        for object in entry.stale_objects.iter().chain(current) {
            self.delete_object(object).await?;
        }
        kill_point("archive-objects-deleted");
        self.replays.hot.mark_archived(std::slice::from_ref(session), false).await?;
        self.cold.catalogue.delete(session, entry.version).await
    }

    pub(super) async fn delete_object(&self, object: &str) -> Result<(), PortError> {
        self.cold.objects.delete(&path::manifest(object)).await?;
        kill_point("archive-manifest-deleted");
        self.cold.objects.delete(object).await
    }
}
