//! What makes sessions of folds: the same in every store.

use gosight_domain::insight::{Insight, InsightKind, InsightThresholds, detect};
use gosight_domain::{Event, Session};
use std::sync::Arc;

/// A session as it is stored: its fold with what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// The fold of its events.
    pub session: Session,
    /// What it shows, by kind and time.
    pub insights: Vec<Insight>,
}

impl SessionRow {
    /// Whether the session shows an insight of this kind.
    pub fn shows(&self, kind: InsightKind) -> bool {
        self.insights.iter().any(|insight| insight.kind == kind)
    }
}

/// The rules by which folds become sessions with insights. Stores call them where they hold what they have loaded; no
/// store merges or detects by itself.
#[derive(Debug, Clone, Default)]
pub struct SessionRules {
    thresholds: Arc<InsightThresholds>,
}

impl SessionRules {
    /// Sessions show insights by `thresholds`.
    pub fn new(thresholds: InsightThresholds) -> Self {
        Self { thresholds: Arc::new(thresholds) }
    }

    /// The row of a session that is folded whole.
    pub fn row(&self, session: Session) -> SessionRow {
        let mut insights = detect(session.trail(), &self.thresholds);
        insights.sort_by_key(|insight| (insight.kind, insight.first_at, insight.event_id));
        SessionRow { session, insights }
    }

    /// Joins each of `folds` with what is stored of its session, in the same order, and finds what the sessions show
    /// now.
    pub fn merge(&self, stored: Vec<Option<Session>>, folds: &[Session]) -> Vec<SessionRow> {
        let merged = |(stored, fold): (Option<Session>, &Session)| match stored {
            Some(mut session) => {
                session.merge(fold.clone());
                self.row(session)
            }
            None => self.row(fold.clone()),
        };
        stored.into_iter().zip(folds).map(merged).collect()
    }

    /// Joins the rows that one session has from several partitions; `None` when there are none.
    pub fn join(&self, rows: impl IntoIterator<Item = SessionRow>) -> Option<SessionRow> {
        let mut rows = rows.into_iter();
        let first = rows.next()?;
        let mut others = rows.peekable();
        if others.peek().is_none() {
            return Some(first);
        }
        let joined = others.fold(first.session, |mut session, row| {
            session.merge(row.session);
            session
        });
        Some(self.row(joined))
    }
}

/// Adds a stored event to the fold of its session; nothing happens with an event that has none.
pub fn fold_into(session: &mut Option<Session>, event: &Event) {
    // Stored events passed the rules of their columns; one that does not any more counts without its details.
    let details = event.details().unwrap_or_default();
    match session {
        Some(session) => session.apply(event, &details),
        None => *session = Session::of(event, &details),
    }
}
