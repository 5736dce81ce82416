use std::collections::HashMap;

use gosight_domain::Session;
use gosight_domain::insight::{Insight, InsightKind, InsightThresholds, detect};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::store::codec::{pack, unpack};
use crate::store::many::ManyRows;
use crate::store::writer::Transaction;

const FIND: ManyRows = ManyRows {
    head: "SELECT project, session_id, state, trail FROM sessions WHERE (project, session_id) IN (VALUES ",
    columns: 2,
    tail: ")",
};

const PUT: ManyRows = ManyRows {
    head: "INSERT INTO sessions (project, session_id, started_at, ended_at, user_id,
        has_error, has_rage_click, has_dead_click, is_bounce, state, trail) VALUES ",
    columns: 11,
    tail: " ON CONFLICT (project, session_id) DO UPDATE SET
        started_at = excluded.started_at, ended_at = excluded.ended_at, user_id = excluded.user_id,
        has_error = excluded.has_error, has_rage_click = excluded.has_rage_click,
        has_dead_click = excluded.has_dead_click, is_bounce = excluded.is_bounce, state = excluded.state,
        trail = excluded.trail
        RETURNING project, session_id, id",
};

const FORGET_INSIGHTS: ManyRows =
    ManyRows { head: "DELETE FROM insights WHERE session IN (VALUES ", columns: 1, tail: ")" };

const PUT_INSIGHTS: ManyRows = ManyRows {
    head: "INSERT INTO insights (session, kind, event_id, first_at, last_at, path, count) VALUES ",
    columns: 7,
    tail: "",
};

/// A session as it is now.
pub(in crate::store) struct Merged {
    /// Its number in the database.
    pub number: i64,
    pub session: Session,
}

/// A session as it is to be stored.
pub(in crate::store) struct SessionRow {
    project: i64,
    session: Session,
    insights: Vec<Insight>,
    state: Vec<u8>,
    trail: Vec<u8>,
}

impl SessionRow {
    /// The row of `session`, with what it shows.
    pub fn new(project: i64, mut session: Session, thresholds: &InsightThresholds) -> sqlx::Result<Self> {
        let insights = detect(session.trail(), thresholds);
        let trail = session.take_trail();
        let (state, packed_trail) = (pack(&session)?, pack(&trail)?);
        Ok(Self { project, session: session.with_trail(trail), insights, state, trail: packed_trail })
    }

    fn name(&self) -> Name {
        (self.project, self.session.session_id.to_string())
    }
}

/// A whole session, from the columns `state` and `trail` that stand at `column` and after it.
pub(in crate::store) fn whole_session(row: &SqliteRow, column: usize) -> sqlx::Result<Session> {
    let session: Session = unpack(row.try_get(column)?)?;
    Ok(session.with_trail(unpack(row.try_get(column + 1)?)?))
}

/// Joins `folds` with what is stored, finds their insights again, and stores both; gives the sessions in the same
/// order.
pub(in crate::store) async fn merge_sessions(
    transaction: &mut Transaction<'_>,
    folds: &[Session],
    thresholds: &InsightThresholds,
) -> sqlx::Result<Vec<Merged>> {
    if folds.is_empty() {
        return Ok(Vec::new());
    }
    let mut names = Vec::with_capacity(folds.len());
    for fold in folds {
        names.push((transaction.project(&fold.project_id).await?, fold.session_id.to_string()));
    }
    let mut stored = find(transaction, &names).await?;
    let mut rows = Vec::with_capacity(folds.len());
    for (fold, name) in folds.iter().zip(&names) {
        let session = match stored.remove(name) {
            Some(mut known) => {
                known.merge(fold.clone());
                known
            }
            None => fold.clone(),
        };
        rows.push(SessionRow::new(name.0, session, thresholds)?);
    }
    store_sessions(transaction, rows).await
}

/// Stores sessions with their insights in place of what was stored of them; gives them in the same order.
pub(in crate::store) async fn store_sessions(
    transaction: &mut Transaction<'_>,
    mut rows: Vec<SessionRow>,
) -> sqlx::Result<Vec<Merged>> {
    let mut numbers = put(transaction, &mut rows).await?;
    let mut merged = Vec::with_capacity(rows.len());
    let mut insights = Vec::new();
    for row in rows {
        let number = numbers.remove(&row.name()).ok_or(sqlx::Error::RowNotFound)?;
        insights.extend(row.insights.into_iter().map(|insight| (number, insight)));
        merged.push(Merged { number, session: row.session });
    }
    replace_insights(transaction, &merged, &insights).await?;
    Ok(merged)
}

type Name = (i64, String);

async fn find(transaction: &mut Transaction<'_>, names: &[Name]) -> sqlx::Result<HashMap<Name, Session>> {
    let rows = FIND
        .fetch(transaction.connection, names, |query, (project, session_id)| {
            query.bind(*project).bind(session_id.clone())
        })
        .await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), whole_session(row, 2)?))).collect()
}

async fn put(transaction: &mut Transaction<'_>, rows: &mut [SessionRow]) -> sqlx::Result<HashMap<Name, i64>> {
    let returned = PUT
        .fetch(transaction.connection, rows.iter_mut(), |query, row| {
            let session = &row.session;
            let has = |kind| row.insights.iter().any(|insight| insight.kind == kind);
            query
                .bind(row.project)
                .bind(session.session_id.to_string())
                .bind(session.started_at.as_millis())
                .bind(session.ended_at.as_millis())
                .bind(session.user_id().map(ToString::to_string))
                .bind(session.has_error())
                .bind(has(InsightKind::RageClick))
                .bind(has(InsightKind::DeadClick))
                .bind(session.is_bounce())
                .bind(std::mem::take(&mut row.state))
                .bind(std::mem::take(&mut row.trail))
        })
        .await?;
    returned.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

async fn replace_insights(
    transaction: &mut Transaction<'_>,
    sessions: &[Merged],
    insights: &[(i64, Insight)],
) -> sqlx::Result<()> {
    FORGET_INSIGHTS
        .execute(transaction.connection, sessions, |query, merged| query.bind(merged.number))
        .await?;
    PUT_INSIGHTS
        .execute(transaction.connection, insights, |query, (session, insight)| {
            query
                .bind(*session)
                .bind(insight.kind.as_str())
                .bind(insight.event_id.as_uuid().into_bytes().to_vec())
                .bind(insight.first_at.as_millis())
                .bind(insight.last_at.as_millis())
                .bind(insight.path.to_string())
                .bind(insight.count)
        })
        .await
}
