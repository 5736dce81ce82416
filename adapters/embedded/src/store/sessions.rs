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
use super::writer::Transaction;
use super::{EmbeddedStore, apply};

/// What is read of a session: its number, its state without the trail, and its flags.
const COLUMNS: &str =
    "SELECT sessions.id, sessions.state, sessions.has_rage_click, sessions.has_dead_click, EXISTS (
        SELECT 1 FROM replay_chunks
        WHERE replay_chunks.project = sessions.project AND replay_chunks.session_id = sessions.session_id
    ) OR EXISTS (
        SELECT 1 FROM archived_replays
        WHERE archived_replays.project = sessions.project AND archived_replays.session_id = sessions.session_id
    ) AS has_replay
    FROM sessions JOIN projects ON projects.id = sessions.project WHERE projects.project_id = ";

/// The summary of a session. Flags of insights stand in columns, so that a list needs neither trails nor insights.
fn summary(row: &SqliteRow) -> sqlx::Result<SessionSummary> {
    let session: Session = unpack(row.try_get(1)?)?;
    Ok(SessionSummary {
        has_rage_click: row.try_get(2)?,
        has_dead_click: row.try_get(3)?,
        ..SessionSummary::of(&session, &[], row.try_get(4)?)
    })
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
    let rows = sql.build().fetch_all(readers).await?;
    rows.iter().map(summary).collect()
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
    // One snapshot, so that flags and insights agree.
    let mut snapshot = readers.begin().await?;
    let Some(row) = sql.build().fetch_optional(&mut *snapshot).await? else { return Ok(None) };
    let insights = insights_of(&mut snapshot, row.try_get(0)?).await?;
    Ok(Some(SessionDetail { summary: summary(&row)?, insights }))
}

/// The insights of the session with this number, by kind and time.
async fn insights_of(connection: &mut SqliteConnection, number: i64) -> sqlx::Result<Vec<Insight>> {
    let rows =
        sqlx::query("SELECT kind, event_id, first_at, last_at, path, count FROM insights WHERE session = ?")
            .bind(number)
            .fetch_all(connection)
            .await?;
    let mut insights = rows.iter().map(insight).collect::<sqlx::Result<Vec<_>>>()?;
    insights.sort_by_key(|insight| (insight.kind, insight.first_at, insight.event_id));
    Ok(insights)
}

fn insight(row: &SqliteRow) -> sqlx::Result<Insight> {
    let kind: &str = row.try_get(0)?;
    let kind = InsightKind::from_name(kind)
        .ok_or_else(|| sqlx::Error::Decode(format!("no kind of insight is called {kind:?}").into()))?;
    let event_id: Uuid = row.try_get(1)?;
    let path: String = row.try_get(4)?;
    Ok(Insight {
        kind,
        event_id: EventId::from_uuid(event_id),
        first_at: Timestamp::from_millis(row.try_get(2)?),
        last_at: Timestamp::from_millis(row.try_get(3)?),
        path: path.into(),
        count: row.try_get(5)?,
    })
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
                "SELECT state, trail FROM sessions JOIN projects ON projects.id = sessions.project
                 WHERE projects.project_id = ? AND session_id = ?",
            )
            .bind(project_id.as_str())
            .bind(session_id.as_str())
            .fetch_optional(&self.database.readers)
            .await?;
            row.map(|row| apply::whole_session(&row, 0)).transpose()
        };
        read().await.map_err(store_error)
    }

    async fn list_idle(&self, before: Timestamp, limit: usize) -> Result<Vec<Session>, SessionStoreError> {
        let read = async || -> sqlx::Result<Vec<Session>> {
            let rows = sqlx::query(
                "SELECT state, trail FROM sessions WHERE ended_at < ? ORDER BY ended_at, project, session_id LIMIT ?",
            )
            .bind(before.as_millis())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.database.readers)
            .await?;
            rows.iter().map(|row| apply::whole_session(row, 0)).collect()
        };
        read().await.map_err(store_error)
    }
}
