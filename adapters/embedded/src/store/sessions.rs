use async_trait::async_trait;
use gosight_application::ports::{
    SessionCursor, SessionDetail, SessionFlagFilter, SessionQuery, SessionStore, SessionStoreError,
    SessionSummary,
};
use gosight_domain::insight::{Insight, InsightKind};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{EventId, ProjectId, Session, SessionId, Timestamp};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::codec::unpack;
use super::database::store_error;
use super::many::ManyRows;
use super::writer::Transaction;
use super::{EmbeddedStore, apply};

/// What is read of a session: its number, its state, and whether it has a recording.
const COLUMNS: &str = "SELECT sessions.id, sessions.state, EXISTS (
        SELECT 1 FROM replay_chunks
        WHERE replay_chunks.project = sessions.project AND replay_chunks.session_id = sessions.session_id
    ) AS has_replay
    FROM sessions JOIN projects ON projects.id = sessions.project WHERE projects.project_id = ";

struct Found {
    number: i64,
    session: Session,
    has_replay: bool,
}

fn found(row: &SqliteRow) -> sqlx::Result<Found> {
    let state: &[u8] = row.try_get(1)?;
    Ok(Found { number: row.try_get(0)?, session: unpack(state)?, has_replay: row.try_get(2)? })
}

/// A page of sessions, latest start first.
pub(super) async fn list(
    readers: &SqlitePool,
    project_id: &ProjectId,
    query: &SessionQuery,
) -> sqlx::Result<Vec<SessionSummary>> {
    let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
    sql.push_bind(project_id.to_string());
    add_conditions(&mut sql, query);
    sql.push(" ORDER BY sessions.started_at DESC, sessions.session_id LIMIT ")
        .push_bind(i64::try_from(query.limit).unwrap_or(i64::MAX));
    let mut connection = readers.acquire().await?;
    let rows = sql.build().fetch_all(&mut *connection).await?;
    let sessions = rows.iter().map(found).collect::<sqlx::Result<Vec<Found>>>()?;
    let insights = insights_of(&mut connection, &sessions).await?;
    let summary = |found: Found| {
        let of_session = insights.iter().filter(|(number, _)| *number == found.number);
        let insights: Vec<Insight> = of_session.map(|(_, insight)| insight.clone()).collect();
        SessionSummary::of(&found.session, &insights, found.has_replay)
    };
    Ok(sessions.into_iter().map(summary).collect())
}

fn add_conditions(sql: &mut QueryBuilder<Sqlite>, query: &SessionQuery) {
    let SessionQuery { from, to, user_id, flags, after, limit: _ } = query;
    if let Some(from) = from {
        sql.push(" AND sessions.started_at >= ").push_bind(from.as_millis());
    }
    if let Some(to) = to {
        sql.push(" AND sessions.started_at < ").push_bind(to.as_millis());
    }
    if let Some(user_id) = user_id {
        sql.push(" AND sessions.user_id = ").push_bind(user_id.to_string());
    }
    if let Some(SessionCursor { started_at, session_id }) = after {
        sql.push(" AND (sessions.started_at < ").push_bind(started_at.as_millis());
        sql.push(" OR (sessions.started_at = ").push_bind(started_at.as_millis());
        sql.push(" AND sessions.session_id > ").push_bind(session_id.to_string()).push("))");
    }
    let SessionFlagFilter { has_error, has_rage_click, has_dead_click, has_replay, is_bounce } = *flags;
    for (column, wanted) in [
        (" AND sessions.has_error = ", has_error),
        (" AND sessions.has_rage_click = ", has_rage_click),
        (" AND sessions.has_dead_click = ", has_dead_click),
        (" AND sessions.is_bounce = ", is_bounce),
        (" AND has_replay = ", has_replay),
    ] {
        if let Some(wanted) = wanted {
            sql.push(column).push_bind(wanted);
        }
    }
}

/// One session with what it shows.
pub(super) async fn read(
    readers: &SqlitePool,
    project_id: &ProjectId,
    session_id: &SessionId,
) -> sqlx::Result<Option<SessionDetail>> {
    let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
    sql.push_bind(project_id.to_string());
    sql.push(" AND sessions.session_id = ").push_bind(session_id.to_string());
    let mut connection = readers.acquire().await?;
    let Some(row) = sql.build().fetch_optional(&mut *connection).await? else { return Ok(None) };
    let found = found(&row)?;
    let insights = insights_of(&mut connection, std::slice::from_ref(&found)).await?;
    let insights: Vec<Insight> = insights.into_iter().map(|(_, insight)| insight).collect();
    let summary = SessionSummary::of(&found.session, &insights, found.has_replay);
    Ok(Some(SessionDetail { summary, insights }))
}

const INSIGHTS: ManyRows = ManyRows {
    head: "SELECT session, kind, event_id, first_at, last_at, path, count FROM insights
        WHERE session IN (VALUES ",
    columns: 1,
    tail: ")",
};

/// The insights of `sessions`, by kind and time.
async fn insights_of(
    connection: &mut SqliteConnection,
    sessions: &[Found],
) -> sqlx::Result<Vec<(i64, Insight)>> {
    let rows = INSIGHTS.fetch(connection, sessions, |query, found| query.bind(found.number)).await?;
    let mut insights = rows.iter().map(insight).collect::<sqlx::Result<Vec<_>>>()?;
    insights.sort_by_key(|(number, insight)| (*number, insight.kind, insight.first_at, insight.event_id));
    Ok(insights)
}

fn insight(row: &SqliteRow) -> sqlx::Result<(i64, Insight)> {
    let kind: &str = row.try_get(1)?;
    let kind = InsightKind::from_name(kind)
        .ok_or_else(|| sqlx::Error::Decode(format!("no kind of insight is called {kind:?}").into()))?;
    let event_id: Uuid = row.try_get(2)?;
    let path: String = row.try_get(5)?;
    let insight = Insight {
        kind,
        event_id: EventId::from_uuid(event_id),
        first_at: Timestamp::from_millis(row.try_get(3)?),
        last_at: Timestamp::from_millis(row.try_get(4)?),
        path: path.into(),
        count: row.try_get(6)?,
    };
    Ok((row.try_get(0)?, insight))
}

/// Notes that the batch `span` was merged into `what`; `false` when it was before.
pub(super) async fn note_merged(
    transaction: &mut Transaction<'_>,
    what: &'static str,
    span: &BatchSpan,
) -> sqlx::Result<bool> {
    let noted = sqlx::query("INSERT OR IGNORE INTO merged_spans (what, span) VALUES (?, ?)")
        .bind(what)
        .bind(span.to_string())
        .execute(&mut *transaction.connection)
        .await?;
    Ok(noted.rows_affected() > 0)
}

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn merge(&self, span: &BatchSpan, folds: &[Session]) -> Result<Vec<Session>, SessionStoreError> {
        let thresholds = &self.config.thresholds;
        let mut writer = self.database.writer.lock().await;
        let merged = writer
            .transact(async |transaction| {
                if !note_merged(transaction, "sessions", span).await? {
                    return Ok(None);
                }
                apply::merge_sessions(transaction, folds, thresholds).await.map(Some)
            })
            .await?;
        drop(writer);
        if let Some(merged) = merged {
            return Ok(merged.into_iter().map(|merged| merged.session).collect());
        }
        let mut known = Vec::with_capacity(folds.len());
        for fold in folds {
            known.extend(self.get(&fold.project_id, &fold.session_id).await?);
        }
        Ok(known)
    }

    async fn get(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<Session>, SessionStoreError> {
        let read = async || -> sqlx::Result<Option<Session>> {
            let row = sqlx::query(
                "SELECT state FROM sessions JOIN projects ON projects.id = sessions.project
                 WHERE projects.project_id = ? AND session_id = ?",
            )
            .bind(project_id.as_str())
            .bind(session_id.as_str())
            .fetch_optional(&self.database.readers)
            .await?;
            row.map(|row| unpack(row.try_get(0)?)).transpose()
        };
        read().await.map_err(store_error)
    }

    async fn list_idle(&self, before: Timestamp, limit: usize) -> Result<Vec<Session>, SessionStoreError> {
        let read = async || -> sqlx::Result<Vec<Session>> {
            let rows = sqlx::query(
                "SELECT state FROM sessions WHERE ended_at < ? ORDER BY ended_at, project, session_id LIMIT ?",
            )
            .bind(before.as_millis())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.database.readers)
            .await?;
            rows.iter().map(|row| unpack(row.try_get(0)?)).collect()
        };
        read().await.map_err(store_error)
    }
}
