use async_trait::async_trait;
use gosight_application::ports::{ChunkId, PutVerdict, ReplayStore, ReplayStoreError};
use gosight_domain::replay::{ContentHash, ReplayChunk};
use gosight_domain::{ProjectId, SessionId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::database::store_error;
use super::{EmbeddedStore, apply};

fn content(row: &SqliteRow, column: &str) -> sqlx::Result<ContentHash> {
    let bytes: &[u8] = row.try_get(column)?;
    let hash = bytes.try_into().map_err(|_| sqlx::Error::Decode("a content hash has 32 bytes".into()))?;
    Ok(ContentHash(hash))
}

fn header(row: &SqliteRow, project_id: &ProjectId, session_id: &SessionId) -> sqlx::Result<ReplayChunk> {
    Ok(ReplayChunk {
        project_id: project_id.clone(),
        session_id: session_id.clone(),
        chunk_index: row.try_get("chunk_index")?,
        timestamp_start: Timestamp::from_millis(row.try_get("timestamp_start")?),
        timestamp_end: Timestamp::from_millis(row.try_get("timestamp_end")?),
        received_at: Timestamp::from_millis(row.try_get("received_at")?),
        event_count: row.try_get("event_count")?,
        has_full_snapshot: row.try_get("has_full_snapshot")?,
        raw_bytes: row.try_get("raw_bytes")?,
        content: content(row, "content")?,
        data: Vec::new(),
    })
}

async fn stored_content(
    connection: &mut SqliteConnection,
    chunk: &ChunkId,
) -> sqlx::Result<Option<ContentHash>> {
    let row = sqlx::query(
        "SELECT content FROM replay_chunks
         WHERE project = (SELECT id FROM projects WHERE project_id = ?) AND session_id = ? AND chunk_index = ?",
    )
    .bind(chunk.project_id.as_str())
    .bind(chunk.session_id.as_str())
    .bind(chunk.chunk_index)
    .fetch_optional(connection)
    .await?;
    row.map(|row| content(&row, "content")).transpose()
}

impl EmbeddedStore {
    async fn read_contents(&self, chunks: &[ChunkId]) -> sqlx::Result<Vec<Option<ContentHash>>> {
        let mut connection = self.database.readers.acquire().await?;
        let mut contents = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            contents.push(stored_content(&mut connection, chunk).await?);
        }
        Ok(contents)
    }

    async fn read_headers(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> sqlx::Result<Vec<ReplayChunk>> {
        let rows = sqlx::query(
            "SELECT chunk_index, timestamp_start, timestamp_end, received_at, event_count,
                    has_full_snapshot, raw_bytes, content FROM replay_chunks
             WHERE project = (SELECT id FROM projects WHERE project_id = ?) AND session_id = ?
             ORDER BY chunk_index",
        )
        .bind(project_id.as_str())
        .bind(session_id.as_str())
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter().map(|row| header(row, project_id, session_id)).collect()
    }

    async fn read_data(&self, chunk: &ChunkId) -> sqlx::Result<Option<Vec<u8>>> {
        let row = sqlx::query(
            "SELECT data FROM replay_chunks
             WHERE project = (SELECT id FROM projects WHERE project_id = ?) AND session_id = ? AND chunk_index = ?",
        )
        .bind(chunk.project_id.as_str())
        .bind(chunk.session_id.as_str())
        .bind(chunk.chunk_index)
        .fetch_optional(&self.database.readers)
        .await?;
        row.map(|row| row.try_get(0)).transpose()
    }
}

#[async_trait]
impl ReplayStore for EmbeddedStore {
    async fn put(&self, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, ReplayStoreError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let mut verdicts = Vec::with_capacity(chunks.len());
                for chunk in chunks {
                    let stored = stored_content(transaction.connection, &ChunkId::of(chunk)).await?;
                    verdicts.push(match stored {
                        Some(content) if content == chunk.content => PutVerdict::Same,
                        Some(_) => PutVerdict::Conflict,
                        None => {
                            apply::put_chunks(transaction, std::slice::from_ref(chunk)).await?;
                            PutVerdict::Stored
                        }
                    });
                }
                Ok(verdicts)
            })
            .await
    }

    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        self.read_contents(chunks).await.map_err(store_error)
    }

    async fn headers(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        self.read_headers(project_id, session_id).await.map_err(store_error)
    }

    async fn data(&self, chunk: &ChunkId) -> Result<Option<Vec<u8>>, ReplayStoreError> {
        self.read_data(chunk).await.map_err(store_error)
    }

    async fn delete(&self, project_id: &ProjectId, session_id: &SessionId) -> Result<u64, ReplayStoreError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let deleted = sqlx::query(
                    "DELETE FROM replay_chunks
                     WHERE project = (SELECT id FROM projects WHERE project_id = ?) AND session_id = ?",
                )
                .bind(project_id.as_str())
                .bind(session_id.as_str())
                .execute(&mut *transaction.connection)
                .await?;
                Ok(deleted.rows_affected())
            })
            .await
    }
}
