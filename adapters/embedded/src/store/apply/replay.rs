use gosight_domain::replay::ReplayChunk;

use crate::store::bulk_statement::BulkStatement;
use crate::store::writer::Transaction;

/// Chunks are large, so few of them go into one statement.
const CHUNKS_AT_ONCE: usize = 16;

const PUT: BulkStatement = BulkStatement {
    head: "INSERT OR IGNORE INTO replay_chunks (project, session_id, chunk_index, timestamp_start,
        timestamp_end, received_at, event_count, has_full_snapshot, raw_bytes, content, data) VALUES ",
    columns: 11,
    tail: "",
};

/// Stores `chunks` whose index is free.
pub(in crate::store) async fn put_chunks(
    transaction: &mut Transaction<'_>,
    chunks: &[ReplayChunk],
) -> sqlx::Result<()> {
    let mut rows = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        rows.push((transaction.project(&chunk.project_id).await?, chunk));
    }
    for rows in rows.chunks(CHUNKS_AT_ONCE) {
        PUT.execute(transaction.connection, rows, |query, (project, chunk)| {
            query
                .bind(*project)
                .bind(chunk.session_id.to_string())
                .bind(chunk.chunk_index)
                .bind(chunk.timestamp_start.as_millis())
                .bind(chunk.timestamp_end.as_millis())
                .bind(chunk.received_at.as_millis())
                .bind(chunk.event_count)
                .bind(chunk.has_full_snapshot)
                .bind(chunk.raw_bytes)
                .bind(chunk.content.0.to_vec())
                .bind(chunk.data.clone())
        })
        .await?;
    }
    Ok(())
}
