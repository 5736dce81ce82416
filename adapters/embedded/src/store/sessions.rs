use async_trait::async_trait;
use gosight_application::ports::{
    CommitError, Fence, IdleCursor, IdleQuery, PortError, SessionCursor, SessionDetail, SessionFlagFilter,
    SessionQuery, SessionStore, SessionStoreError, SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::insight::{Insight, InsightKind};
use gosight_domain::session::SessionKey;
use gosight_domain::{EventId, ProjectId, Session, SessionId, Timestamp};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::codec::unpack;
use super::error::store_error;
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
    FROM sessions JOIN projects ON projects.id = sessions.project
    WHERE length(sessions.state) > 0 AND projects.project_id = ";

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
async fn list(
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

/// A session with its insights, in one snapshot, so that they agree. Its trail is not needed.
async fn read(
    readers: &SqlitePool,
    project_id: &ProjectId,
    session_id: &SessionId,
) -> sqlx::Result<Option<SessionDetail>> {
    let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
    sql.push_bind(project_id.to_string());
    sql.push(" AND sessions.session_id = ").push_bind(session_id.to_string());
    let mut snapshot = readers.begin().await?;
    let row = sql.build().fetch_optional(&mut *snapshot).await?;
    let Some(row) = row else { return Ok(None) };
    let insights = insights_of(&mut snapshot, row.try_get(0)?).await?;
    Ok(Some(SessionDetail { summary: summary(&row)?, insights }))
}

/// A page of sessions whose latest event is old, earliest end first.
async fn list_idle(
    readers: &SqlitePool,
    project_id: &ProjectId,
    query: &IdleQuery,
) -> sqlx::Result<Vec<SessionSummary>> {
    let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
    sql.push_bind(project_id.to_string());
    sql.push(" AND sessions.ended_at < ").push_bind(query.before.as_millis());
    if let Some(IdleCursor { ended_at, session_id }) = &query.after {
        sql.push(" AND (sessions.ended_at, sessions.session_id) > (").push_bind(ended_at.as_millis());
        sql.push(", ").push_bind(session_id.to_string()).push(")");
    }
    sql.push(" ORDER BY sessions.ended_at, sessions.session_id LIMIT ")
        .push_bind(i64::try_from(query.limit).unwrap_or(i64::MAX));
    let rows = sql.build().fetch_all(readers).await?;
    rows.iter().map(summary).collect()
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

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), SessionStoreError> {
        self.adopt(fence).await
    }

    async fn load(
        &self,
        fence: &Fence,
        _at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        let mut writer = self.writer_behind(fence).await.map_err(PortError::narrow)?;
        writer.transact(async |transaction| apply::load_sessions(transaction, sessions).await).await
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        let mut writer = self.writer_behind(fence).await?;
        writer
            .transact(async |transaction| apply::put_sessions(transaction, rows.to_vec()).await.map(drop))
            .await
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        let mut writer = self.writer_behind(fence).await.map_err(PortError::narrow)?;
        writer.transact(async |transaction| apply::forget_sessions(transaction, sessions).await).await
    }

    async fn get(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        read(&self.database.readers, project_id, session_id).await.map_err(store_error)
    }

    async fn list(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        list(&self.database.readers, project_id, query).await.map_err(store_error)
    }

    async fn list_idle(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        list_idle(&self.database.readers, project_id, query).await.map_err(store_error)
    }
}
