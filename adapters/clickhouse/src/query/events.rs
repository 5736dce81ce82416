use gosight_application::ports::{EventCursor, QueryError};
use gosight_domain::{Event, ProjectId, SessionId};
use uuid::Uuid;

use crate::client::Connection;
use crate::error::read_error;
use crate::event_row::{EventRow, event_columns};

/// A page of a session's events, earliest first.
pub(super) async fn of_session(
    connection: &Connection,
    project_id: &ProjectId,
    session_id: &SessionId,
    after: Option<EventCursor>,
    limit: usize,
) -> Result<Vec<Event>, QueryError> {
    // Before the first: no time is smaller, and no id is smaller than the nil UUID.
    let (after_time, after_sequence, after_id) = after.map_or((i64::MIN, 0, Uuid::nil()), |cursor| {
        (cursor.timestamp.as_millis(), cursor.sequence, cursor.event_id.as_uuid())
    });
    // UUIDs are compared as the bytes that they are written as, which is not how ClickHouse sorts them.
    let sql = format!(
        "SELECT {} FROM events AS event
         WHERE event.project_id = {{project:String}} AND event.session_id = {{session:String}}
           AND (toUnixTimestamp64Milli(event.timestamp), event.sequence, UUIDStringToNum(toString(event.event_id)))
             > ({{after_time:Int64}}, {{after_sequence:UInt64}}, UUIDStringToNum({{after_id:String}}))
         ORDER BY event.timestamp, event.sequence, UUIDStringToNum(toString(event.event_id)) LIMIT {{limit:UInt64}}",
        event_columns()
    );
    let rows = connection
        .query(&sql)
        .param("project", project_id.as_str())
        .param("session", session_id.as_str())
        .param("after_time", after_time)
        .param("after_sequence", after_sequence)
        .param("after_id", after_id.to_string())
        .param("limit", limit as u64)
        .fetch_all::<EventRow>();
    let rows = connection.within(rows).await.map_err(read_error)?;
    rows.into_iter().map(EventRow::into_event).collect()
}
