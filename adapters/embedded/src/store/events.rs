use gosight_application::ports::EventCursor;
use gosight_domain::{Event, ProjectId, SessionId};
use sqlx::{Row, SqlitePool};
use uuid::Uuid;

use super::codec::{from_json, signed};

/// A page of a session's events, earliest first.
pub(super) async fn of_session(
    readers: &SqlitePool,
    project_id: &ProjectId,
    session_id: &SessionId,
    after: Option<EventCursor>,
    limit: usize,
) -> sqlx::Result<Vec<Event>> {
    // One snapshot, so that the events are those that the session counts.
    let mut snapshot = readers.begin().await?;
    let session = sqlx::query(
        "SELECT sessions.id, sessions.project, sessions.started_at
         FROM sessions JOIN projects ON projects.id = sessions.project
         WHERE projects.project_id = ? AND sessions.session_id = ?",
    )
    .bind(project_id.as_str())
    .bind(session_id.as_str())
    .fetch_optional(&mut *snapshot)
    .await?;
    let Some(session) = session else { return Ok(Vec::new()) };
    // What is older than the session is past its retention.
    let started_at: i64 = session.try_get(2)?;
    let (after_time, after_sequence, after_id) = match after {
        Some(cursor) => (cursor.timestamp.as_millis(), signed(cursor.sequence), cursor.event_id.as_uuid()),
        None => (started_at - 1, i64::MAX, Uuid::max()),
    };
    let rows = sqlx::query(
        "SELECT event FROM events
         WHERE session = ? AND project = ? AND (timestamp, sequence, event_id) > (?, ?, ?)
         ORDER BY timestamp, sequence, event_id LIMIT ?",
    )
    .bind(session.try_get::<i64, _>(0)?)
    .bind(session.try_get::<i64, _>(1)?)
    .bind(after_time)
    .bind(after_sequence)
    .bind(after_id)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(&mut *snapshot)
    .await?;
    rows.iter().map(|row| from_json(row.try_get(0)?)).collect()
}
