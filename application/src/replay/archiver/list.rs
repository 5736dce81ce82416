use std::collections::BTreeMap;

use gosight_domain::replay::ReplaySession;
use gosight_domain::{ProjectId, SessionId};

use super::Archiver;
use crate::ports::{CatalogueEntry, CatalogueQuery, PortError};

/// A session that has a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedReplay {
    /// The session.
    pub session_id: SessionId,
    /// Whether it has chunks in the hot store.
    pub is_hot: bool,
    /// What the catalogue knows of it.
    pub entry: Option<CatalogueEntry>,
}

impl Archiver {
    /// Up to `limit` sessions of a project after `after` that have a replay, hot or archived, in order of their ids.
    ///
    /// # Errors
    /// The stores'.
    pub async fn list(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<ListedReplay>, PortError> {
        let query = CatalogueQuery {
            project_id: Some(project_id.clone()),
            archived_before: None,
            after: after
                .clone()
                .map(|session_id| ReplaySession { project_id: project_id.clone(), session_id }),
            limit,
        };
        // In this order, what moves to the archive meanwhile is seen.
        let hot = self.replays.hot.recorded(project_id, after, limit).await?;
        let known = self.cold.catalogue.list(&query).await?;
        let mut listed: BTreeMap<SessionId, ListedReplay> = BTreeMap::new();
        for session_id in hot {
            listed.insert(session_id.clone(), ListedReplay { session_id, is_hot: true, entry: None });
        }
        for entry in known {
            let session_id = entry.session.session_id.clone();
            let replay = listed.entry(session_id.clone());
            replay.or_insert(ListedReplay { session_id, is_hot: false, entry: None }).entry = Some(entry);
        }
        Ok(listed.into_values().take(limit).collect())
    }
}
