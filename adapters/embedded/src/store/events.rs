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
    // Before the first: no time is smaller, and no id is smaller than the nil UUID.
    let (after_time, after_sequence, after_id) = after.map_or((i64::MIN, 0, Uuid::nil()), |cursor| {
        (cursor.timestamp.as_millis(), signed(cursor.sequence), cursor.event_id.as_uuid())
    });
    let rows = sqlx::query(
        "SELECT event FROM events
         WHERE session = (SELECT sessions.id FROM sessions JOIN projects ON projects.id = sessions.project
                          WHERE projects.project_id = ? AND sessions.session_id = ?)
           AND (timestamp, sequence, event_id) > (?, ?, ?)
         ORDER BY timestamp, sequence, event_id LIMIT ?",
    )
    .bind(project_id.as_str())
    .bind(session_id.as_str())
    .bind(after_time)
    .bind(after_sequence)
    .bind(after_id)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await?;
    rows.iter().map(|row| from_json(row.try_get(0)?)).collect()
}
