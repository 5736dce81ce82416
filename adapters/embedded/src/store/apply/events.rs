use std::collections::HashMap;

use gosight_application::ports::ProcessedBatch;
use gosight_domain::{ProjectId, SessionId};
use uuid::Uuid;

use super::sessions::Merged;
use crate::store::codec::{signed, to_json};
use crate::store::many::ManyRows;
use crate::store::writer::Transaction;

const INSERT: ManyRows = ManyRows {
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

/// Inserts the batch's events from row `first_row` on; `sessions` are the batch's sessions as they are now.
pub(super) async fn insert(
    transaction: &mut Transaction<'_>,
    batch: &ProcessedBatch,
    first_row: i64,
    sessions: &[Merged],
) -> sqlx::Result<()> {
    let span = &batch.ledger.span;
    let log = transaction.log(&span.log).await?;
    let sessions: HashMap<(&ProjectId, &SessionId), i64> = sessions
        .iter()
        .map(|merged| ((&merged.session.project_id, &merged.session.session_id), merged.number))
        .collect();
    let mut rows = Vec::with_capacity(batch.events.len());
    for (id, stored) in (first_row..).zip(&batch.events) {
        let event = &stored.event;
        let of_session = |session_id| sessions.get(&(&event.project_id, session_id)).copied();
        rows.push(Row {
            id,
            project: transaction.project(&event.project_id).await?,
            event_id: event.event_id.as_uuid(),
            session: event.session_id.as_ref().and_then(of_session),
            timestamp: event.timestamp.as_millis(),
            sequence: signed(event.sequence),
            offset: signed(stored.offset),
            event: to_json(event)?,
        });
    }
    let partition = span.partition;
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
