//! Wrong pages of sessions that have chunks.

use std::collections::BTreeSet;

use gosight_application::ports::ChunkId;
use gosight_domain::replay::ReplaySession;
use gosight_domain::{ProjectId, SessionId, Timestamp};

/// What is wrong with the list of a project's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedFault {
    /// A collation for people: `ä` comes after `a`.
    ComesInOrderOfLetters,
    /// `>=` in place of `>`.
    RepeatsTheCursor,
    /// `LIMIT` before `DISTINCT`.
    LimitsChunks,
    /// The condition of the project is missing.
    ListsEveryProject,
}

/// What is wrong with the list of idle sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleFault {
    /// `min` in place of `max`.
    LooksAtTheFirstChunk,
    /// `<=` in place of `<`.
    IncludesTheTime,
    /// `ORDER BY max(received_at)`.
    ComesByTime,
    /// A collation for people: `ä` comes after `a`.
    ComesInOrderOfLetters,
    /// The cursor is the id of the session.
    GoesOnByNameAlone,
    /// `>=` in place of `>`.
    RepeatsTheCursor,
}

/// The sessions that have these chunks, by project and id.
pub fn sessions(names: &[ChunkId]) -> BTreeSet<ReplaySession> {
    let session = |name: &ChunkId| ReplaySession {
        project_id: name.project_id.clone(),
        session_id: name.session_id.clone(),
    };
    names.iter().map(session).collect()
}

/// The text as a collation for people compares it.
fn letters(session: &SessionId) -> String {
    session.as_str().to_lowercase().replace('ä', "a~")
}

impl RecordedFault {
    /// The page that a store with the fault gives, which has chunks of these `names`.
    pub fn page(
        self,
        names: &[ChunkId],
        project_id: &ProjectId,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Vec<SessionId> {
        let is_wanted = |name: &&ChunkId| {
            let of_project = name.project_id == *project_id || self == Self::ListsEveryProject;
            let is_after = match (self, after) {
                (Self::RepeatsTheCursor, Some(after)) => name.session_id >= *after,
                (_, after) => Some(&name.session_id) > after,
            };
            of_project && is_after
        };
        let mut page: Vec<SessionId> =
            names.iter().filter(is_wanted).map(|name| name.session_id.clone()).collect();
        page.sort();
        match self {
            Self::LimitsChunks => page.truncate(limit),
            Self::ComesInOrderOfLetters => page.sort_by_key(letters),
            _ => {}
        }
        page.dedup();
        page.truncate(limit);
        page
    }
}

impl IdleFault {
    /// The page that a store with the fault gives, which `received` chunks of each session at these times.
    pub fn page(
        self,
        received: Vec<(ReplaySession, Vec<Timestamp>)>,
        before: Timestamp,
        after: Option<&ReplaySession>,
        limit: usize,
    ) -> Vec<ReplaySession> {
        let time = |times: Vec<Timestamp>| match self {
            Self::LooksAtTheFirstChunk => times.into_iter().min(),
            _ => times.into_iter().max(),
        };
        let is_old = |time: Timestamp| time < before || (self == Self::IncludesTheTime && time == before);
        let is_after = |session: &ReplaySession| match (self, after) {
            (_, None) => true,
            (Self::GoesOnByNameAlone, Some(after)) => session.session_id > after.session_id,
            (Self::RepeatsTheCursor, Some(after)) => session >= after,
            (_, Some(after)) => session > after,
        };
        let last = received.into_iter().filter_map(|(session, times)| Some((session, time(times)?)));
        let mut page: Vec<(ReplaySession, Timestamp)> =
            last.filter(|(session, last)| is_after(session) && is_old(*last)).collect();
        match self {
            Self::ComesByTime => page.sort_by_key(|(_, last)| *last),
            Self::ComesInOrderOfLetters => {
                page.sort_by_key(|(session, _)| (session.project_id.clone(), letters(&session.session_id)));
            }
            _ => {}
        }
        page.into_iter().map(|(session, _)| session).take(limit).collect()
    }
}
