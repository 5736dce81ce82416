//! Wrong pages of sessions.

use std::cmp::Reverse;

use gosight_application::ports::{IdleQuery, SessionFlagFilter, SessionQuery, SessionSummary};
use gosight_domain::Timestamp;

/// What is wrong with a list of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFault {
    /// `>=` in place of `>`.
    RepeatsTheCursor,
    /// The cursor is a time.
    GoesOnByStartAlone,
    /// The page begins after the row of the cursor, and at the top when that is gone.
    LooksForTheCursor,
    /// `ORDER BY ended_at`.
    ComesByEnd,
    /// `ORDER BY started_at DESC, session_id DESC`.
    EqualStartsComeLastFirst,
    /// `LIMIT` in a subquery, `WHERE` around it.
    FiltersAfterTheLimit,
    /// The condition of the project is missing.
    ListsEveryProject,
}

/// What is wrong with a list of idle sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleFault {
    /// `<=` in place of `<`.
    IncludesTheTime,
    /// `ORDER BY started_at`.
    ComesByStart,
    /// `ORDER BY ended_at DESC`.
    ComesLatestFirst,
    /// `>=` in place of `>`.
    RepeatsTheCursor,
    /// The cursor is a time.
    GoesOnByEndAlone,
    /// The page begins after the row of the cursor, and at the top when that is gone.
    LooksForTheCursor,
}

/// All sessions, in order of the list.
pub fn everything() -> SessionQuery {
    SessionQuery { limit: usize::MAX, ..SessionQuery::default() }
}

/// What comes after the first session that `is_cursor`, and everything when there is none.
fn after_row(
    mut sessions: Vec<SessionSummary>,
    is_cursor: impl Fn(&SessionSummary) -> bool,
) -> Vec<SessionSummary> {
    let skipped = sessions.iter().position(is_cursor).map_or(0, |place| place + 1);
    sessions.split_off(skipped)
}

impl ListFault {
    /// The page of `sessions` that a store with the fault gives.
    pub fn page(self, sessions: Vec<SessionSummary>, query: &SessionQuery) -> Vec<SessionSummary> {
        let right = SessionQuery { limit: usize::MAX, ..query.clone() };
        let from_top = SessionQuery { after: None, ..right.clone() };
        let cursor = query.after.as_ref();
        let mut page = match self {
            Self::RepeatsTheCursor => {
                let is_cursor = |session: &SessionSummary| {
                    cursor.is_some_and(|cursor| cursor.session_id == session.session_id)
                };
                let at_cursor = from_top.page(sessions.clone()).into_iter().filter(is_cursor);
                at_cursor.chain(right.page(sessions)).collect()
            }
            Self::GoesOnByStartAlone => {
                let is_after = |session: &SessionSummary| {
                    cursor.is_none_or(|cursor| session.started_at < cursor.started_at)
                };
                from_top.page(sessions).into_iter().filter(is_after).collect()
            }
            Self::LooksForTheCursor => after_row(from_top.page(sessions), |session| {
                cursor.is_some_and(|cursor| cursor.session_id == session.session_id)
            }),
            Self::ComesByEnd => {
                let mut page = right.page(sessions);
                page.sort_by_key(|session| (Reverse(session.ended_at), session.session_id.clone()));
                page
            }
            Self::EqualStartsComeLastFirst => {
                let mut page = right.page(sessions);
                page.sort_by_key(|session| Reverse((session.started_at, session.session_id.clone())));
                page
            }
            Self::FiltersAfterTheLimit => {
                let anything = SessionFlagFilter::default();
                let unfiltered = SessionQuery { flags: anything, user_id: None, ..query.clone() };
                right.page(unfiltered.page(sessions))
            }
            Self::ListsEveryProject => right.page(sessions),
        };
        page.truncate(query.limit);
        page
    }
}

impl IdleFault {
    /// The page of `sessions` that a store with the fault gives.
    pub fn page(self, sessions: Vec<SessionSummary>, query: &IdleQuery) -> Vec<SessionSummary> {
        let right = IdleQuery { limit: usize::MAX, ..query.clone() };
        let from_top = IdleQuery { after: None, ..right.clone() };
        let cursor = query.after.as_ref();
        let mut page = match self {
            Self::IncludesTheTime => {
                let before = Timestamp::from_millis(query.before.as_millis() + 1);
                IdleQuery { before, ..right }.page(sessions)
            }
            Self::ComesByStart => {
                let mut page = right.page(sessions);
                page.sort_by_key(|session| (session.started_at, session.session_id.clone()));
                page
            }
            Self::ComesLatestFirst => {
                let mut page = right.page(sessions);
                page.reverse();
                page
            }
            Self::RepeatsTheCursor => {
                let is_cursor = |session: &SessionSummary| {
                    cursor.is_some_and(|cursor| cursor.session_id == session.session_id)
                };
                let at_cursor = from_top.page(sessions.clone()).into_iter().filter(is_cursor);
                at_cursor.chain(right.page(sessions)).collect()
            }
            Self::GoesOnByEndAlone => {
                let is_after =
                    |session: &SessionSummary| cursor.is_none_or(|cursor| session.ended_at > cursor.ended_at);
                from_top.page(sessions).into_iter().filter(is_after).collect()
            }
            Self::LooksForTheCursor => after_row(from_top.page(sessions), |session| {
                cursor.is_some_and(|cursor| cursor.session_id == session.session_id)
            }),
        };
        page.truncate(query.limit);
        page
    }
}
