use std::collections::{BTreeMap, HashMap};

use gosight_application::ports::StoredEvent;
use gosight_application::sessions::SessionRow;
use gosight_domain::Session;
use gosight_domain::insight::{Insight, InsightKind};
use gosight_domain::session::SessionKey;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::store::bulk_statement::BulkStatement;
use crate::store::codec::{pack, unpack};
use crate::store::writer::Transaction;

const FIND: BulkStatement = BulkStatement {
    head: "SELECT project, session_id, state, trail FROM sessions
        WHERE length(state) > 0 AND (project, session_id) IN (VALUES ",
    columns: 2,
    tail: ")",
};

const PUT: BulkStatement = BulkStatement {
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

const FORGET_INSIGHTS: BulkStatement =
    BulkStatement { head: "DELETE FROM insights WHERE session IN (VALUES ", columns: 1, tail: ")" };

const PUT_INSIGHTS: BulkStatement = BulkStatement {
    head: "INSERT INTO insights (session, kind, event_id, first_at, last_at, path, count) VALUES ",
    columns: 7,
    tail: "",
};

/// A session as it is to be stored.
struct PackedSession {
    project: i64,
    row: SessionRow,
    state: Vec<u8>,
    trail: Vec<u8>,
}

impl PackedSession {
    fn new(project: i64, row: SessionRow) -> sqlx::Result<Self> {
        let SessionRow { mut session, insights } = row;
        let trail = session.take_trail();
        let (state, packed_trail) = (pack(&session)?, pack(&trail)?);
        let row = SessionRow { session: session.with_trail(trail), insights };
        Ok(Self { project, row, state, trail: packed_trail })
    }

    fn name(&self) -> Name {
        (self.project, self.row.session.session_id.to_string())
    }
}

const NUMBER: BulkStatement = BulkStatement {
    head: "INSERT INTO sessions (project, session_id, started_at, ended_at, user_id,
        has_error, has_rage_click, has_dead_click, is_bounce, state, trail)
        SELECT column1, column2, column3, column4, NULL, 0, 0, 0, 0, x'', x'' FROM (VALUES ",
    columns: 4,
    tail: ") WHERE true ON CONFLICT (project, session_id) DO UPDATE SET
        started_at = iif(length(state) > 0, started_at, min(started_at, excluded.started_at)),
        ended_at = iif(length(state) > 0, ended_at, max(ended_at, excluded.ended_at))
        RETURNING project, session_id, id",
};

const FORGET_STATES: BulkStatement = BulkStatement {
    head: "UPDATE sessions SET state = x'', trail = x'', user_id = NULL,
        has_error = 0, has_rage_click = 0, has_dead_click = 0, is_bounce = 0 WHERE id IN (VALUES ",
    columns: 1,
    tail: ")",
};

/// The numbers of the sessions of `events`. A session that has none yet, and may be kept elsewhere, is given one by a row
/// without state.
pub(in crate::store) async fn number_sessions(
    transaction: &mut Transaction<'_>,
    events: &[&StoredEvent],
) -> sqlx::Result<HashMap<SessionKey, i64>> {
    let mut times: BTreeMap<SessionKey, (i64, i64)> = BTreeMap::new();
    for StoredEvent { event, .. } in events {
        let Some(session_id) = event.session_id.clone() else { continue };
        let key = SessionKey { project_id: event.project_id.clone(), session_id };
        let at = event.timestamp.as_millis();
        let (first, last) = times.entry(key).or_insert((at, at));
        (*first, *last) = (at.min(*first), at.max(*last));
    }
    let mut rows = Vec::with_capacity(times.len());
    for (key, times) in &times {
        rows.push((transaction.project(&key.project_id).await?, key.session_id.to_string(), *times));
    }
    let returned = NUMBER
        .fetch(transaction.connection, &rows, |query, (project, session, (first, last))| {
            query.bind(*project).bind(session.clone()).bind(*first).bind(*last)
        })
        .await?;
    let numbers = numbers(&returned)?;
    let keys = times.into_keys().zip(&rows);
    let number = |(key, (project, session, _)): (SessionKey, &(i64, String, _))| {
        Some((key, *numbers.get(&(*project, session.clone()))?))
    };
    Ok(keys.filter_map(number).collect())
}

/// Forgets what is stored of `sessions`, but for their numbers.
pub(in crate::store) async fn forget_sessions(
    transaction: &mut Transaction<'_>,
    sessions: &[SessionKey],
) -> sqlx::Result<()> {
    for SessionKey { project_id, session_id } in sessions {
        let project = transaction.project(project_id).await?;
        let number: Option<i64> =
            sqlx::query_scalar("SELECT id FROM sessions WHERE project = ? AND session_id = ?")
                .bind(project)
                .bind(session_id.as_str())
                .fetch_optional(&mut *transaction.connection)
                .await?;
        for forget in [FORGET_INSIGHTS, FORGET_STATES] {
            forget
                .execute(transaction.connection, number.as_slice(), |query, number| query.bind(*number))
                .await?;
        }
    }
    Ok(())
}

/// A whole session, from the columns `state` and `trail` that stand at `column` and after it.
fn whole_session(row: &SqliteRow, column: usize) -> sqlx::Result<Session> {
    let session: Session = unpack(row.try_get(column)?)?;
    Ok(session.with_trail(unpack(row.try_get(column + 1)?)?))
}

/// The stored folds of `sessions`, in the same order.
pub(in crate::store) async fn load_sessions(
    transaction: &mut Transaction<'_>,
    sessions: &[SessionKey],
) -> sqlx::Result<Vec<Option<Session>>> {
    let mut names = Vec::with_capacity(sessions.len());
    for SessionKey { project_id, session_id } in sessions {
        names.push((transaction.project(project_id).await?, session_id.to_string()));
    }
    let mut stored = find(transaction, &names).await?;
    Ok(names.iter().map(|name| stored.remove(name)).collect())
}

/// Stores sessions with their insights in place of what was stored of them; gives their numbers, in the same order.
pub(in crate::store) async fn put_sessions(
    transaction: &mut Transaction<'_>,
    rows: Vec<SessionRow>,
) -> sqlx::Result<Vec<i64>> {
    let mut packed = Vec::with_capacity(rows.len());
    for row in rows {
        packed.push(PackedSession::new(transaction.project(&row.session.project_id).await?, row)?);
    }
    let mut numbers = put(transaction, &mut packed).await?;
    let mut stored = Vec::with_capacity(packed.len());
    let mut insights = Vec::new();
    for packed in packed {
        let number = numbers.remove(&packed.name()).ok_or(sqlx::Error::RowNotFound)?;
        insights.extend(packed.row.insights.into_iter().map(|insight| (number, insight)));
        stored.push(number);
    }
    replace_insights(transaction, &stored, &insights).await?;
    Ok(stored)
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

async fn put(
    transaction: &mut Transaction<'_>,
    rows: &mut [PackedSession],
) -> sqlx::Result<HashMap<Name, i64>> {
    let returned = PUT
        .fetch(transaction.connection, rows.iter_mut(), |query, row| {
            let session = &row.row.session;
            query
                .bind(row.project)
                .bind(session.session_id.to_string())
                .bind(session.started_at.as_millis())
                .bind(session.ended_at.as_millis())
                .bind(session.user_id().map(ToString::to_string))
                .bind(session.has_error())
                .bind(row.row.shows(InsightKind::RageClick))
                .bind(row.row.shows(InsightKind::DeadClick))
                .bind(session.is_bounce())
                .bind(std::mem::take(&mut row.state))
                .bind(std::mem::take(&mut row.trail))
        })
        .await?;
    numbers(&returned)
}

/// Sessions by name with their numbers, as the statements return them.
fn numbers(returned: &[SqliteRow]) -> sqlx::Result<HashMap<Name, i64>> {
    returned.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

async fn replace_insights(
    transaction: &mut Transaction<'_>,
    sessions: &[i64],
    insights: &[(i64, Insight)],
) -> sqlx::Result<()> {
    FORGET_INSIGHTS.execute(transaction.connection, sessions, |query, number| query.bind(*number)).await?;
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
