use std::collections::HashMap;

use gosight_application::ports::ProcessedBatch;
use gosight_domain::{ProjectId, Session, SessionId};

use crate::store::codec::{signed, to_json};
use crate::store::many::ManyRows;
use crate::store::writer::Transaction;

const INSERT: ManyRows = ManyRows {
    head: "INSERT INTO events
        (project, event_id, session, timestamp, log, log_partition, log_offset, event) VALUES ",
    columns: 8,
    tail: "",
};

struct Row {
    project: i64,
    event_id: Vec<u8>,
    session: Option<i64>,
    timestamp: i64,
    offset: i64,
    event: String,
}

/// Inserts the batch's events; `sessions` are the numbers of the batch's sessions.
pub(super) async fn insert(
    transaction: &mut Transaction<'_>,
    batch: &ProcessedBatch,
    sessions: &[(&Session, i64)],
) -> sqlx::Result<()> {
    let span = &batch.ledger.span;
    let log = transaction.log(&span.log).await?;
    let sessions: HashMap<(&ProjectId, &SessionId), i64> = sessions
        .iter()
        .map(|(session, number)| ((&session.project_id, &session.session_id), *number))
        .collect();
    let mut rows = Vec::with_capacity(batch.events.len());
    for stored in &batch.events {
        let event = &stored.event;
        let of_session = |session_id| sessions.get(&(&event.project_id, session_id)).copied();
        rows.push(Row {
            project: transaction.project(&event.project_id).await?,
            event_id: event.event_id.as_uuid().into_bytes().to_vec(),
            session: event.session_id.as_ref().and_then(of_session),
            timestamp: event.timestamp.as_millis(),
            offset: signed(stored.offset),
            event: to_json(event)?,
        });
    }
    let partition = span.partition;
    INSERT
        .execute(transaction.connection, &rows, |query, row| {
            query
                .bind(row.project)
                .bind(row.event_id.clone())
                .bind(row.session)
                .bind(row.timestamp)
                .bind(log)
                .bind(partition)
                .bind(row.offset)
                .bind(row.event.clone())
        })
        .await
}
