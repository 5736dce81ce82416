use std::collections::HashMap;

use gosight_application::ports::{LogPartition, StoredEvent};
use gosight_domain::SessionId;
use gosight_domain::session::SessionKey;
use uuid::Uuid;

use crate::store::bulk_statement::BulkStatement;
use crate::store::codec::signed;
use crate::store::writer::Transaction;

const INSERT: BulkStatement = BulkStatement {
    head: "INSERT INTO events
        (id, project, event_id, session, timestamp, sequence, log, log_partition, log_offset, event) VALUES ",
    columns: 10,
    tail: "",
};

struct Row {
    id: i64,
    project: i64,
    event_id: Uuid,
    session: Option<i64>,
    timestamp: i64,
    sequence: i64,
    offset: i64,
    event: String,
}

/// Inserts `events`, which are of a partition of the log, from row `first_row` on; `sessions` has their sessions' numbers.
pub(in crate::store) async fn insert_events<'e>(
    transaction: &mut Transaction<'_>,
    place: &LogPartition,
    events: impl ExactSizeIterator<Item = &'e StoredEvent>,
    first_row: i64,
    sessions: &HashMap<SessionKey, i64>,
) -> sqlx::Result<()> {
    let log = transaction.log(&place.log).await?;
    let mut rows = Vec::with_capacity(events.len());
    for (id, stored) in (first_row..).zip(events) {
        let event = &stored.event;
        let number = |session_id: SessionId| {
            sessions.get(&SessionKey { project_id: event.project_id.clone(), session_id }).copied()
        };
        rows.push(Row {
            id,
            project: transaction.project(&event.project_id).await?,
            event_id: event.event_id.as_uuid(),
            session: event.session_id.clone().and_then(number),
            timestamp: event.timestamp.as_millis(),
            sequence: signed(event.sequence),
            offset: signed(stored.offset),
            event: stored.json().map_err(|error| sqlx::Error::Encode(error.into()))?.into_owned(),
        });
    }
    let partition = place.partition;
    INSERT
        .execute(transaction.connection, rows, |query, row| {
            query
                .bind(row.id)
                .bind(row.project)
                .bind(row.event_id)
                .bind(row.session)
                .bind(row.timestamp)
                .bind(row.sequence)
                .bind(log)
                .bind(partition)
                .bind(row.offset)
                .bind(row.event)
        })
        .await
}
