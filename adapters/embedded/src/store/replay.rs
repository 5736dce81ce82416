use std::collections::HashMap;

use async_trait::async_trait;
use gosight_application::ports::{ChunkId, CommitError, Fence, PutVerdict, ReplayStore, ReplayStoreError};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp, Violation};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::bulk_statement::BulkStatement;
use super::error::store_error;
use super::{EmbeddedStore, apply};

/// Chunks or sessions that are changed before others get their turn to write.
const AT_ONCE: usize = 500;

const FIND_DATA: BulkStatement = BulkStatement {
    head: "SELECT projects.project_id, session_id, chunk_index, data FROM replay_chunks
        JOIN projects ON projects.id = replay_chunks.project
        WHERE (projects.project_id, session_id, chunk_index) IN (VALUES ",
    columns: 3,
    tail: ")",
};

fn content(row: &SqliteRow, column: &str) -> sqlx::Result<ContentHash> {
    let bytes: &[u8] = row.try_get(column)?;
    let hash = bytes.try_into().map_err(|_| sqlx::Error::Decode("a content hash has 32 bytes".into()))?;
    Ok(ContentHash(hash))
}

fn header(row: &SqliteRow, session: &ReplaySession) -> sqlx::Result<ReplayChunk> {
    Ok(ReplayChunk {
        project_id: session.project_id.clone(),
        session_id: session.session_id.clone(),
        chunk_index: row.try_get("chunk_index")?,
        timestamp_start: Timestamp::from_millis(row.try_get("timestamp_start")?),
        timestamp_end: Timestamp::from_millis(row.try_get("timestamp_end")?),
        received_at: Timestamp::from_millis(row.try_get("received_at")?),
        event_count: row.try_get("event_count")?,
        has_full_snapshot: row.try_get("has_full_snapshot")?,
        raw_bytes: row.try_get("raw_bytes")?,
        content: content(row, "content")?,
        stored_bytes: row.try_get("stored_bytes")?,
        data: Vec::new(),
    })
}

fn replay_session(project_id: String, session_id: String) -> Result<ReplaySession, Violation> {
    Ok(ReplaySession { project_id: ProjectId::new(project_id)?, session_id: SessionId::new(session_id)? })
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

    async fn read_headers(&self, session: &ReplaySession) -> sqlx::Result<Vec<ReplayChunk>> {
        let rows = sqlx::query(
            "SELECT chunk_index, timestamp_start, timestamp_end, received_at, event_count,
                    has_full_snapshot, raw_bytes, content, length(data) AS stored_bytes FROM replay_chunks
             WHERE project = (SELECT id FROM projects WHERE project_id = ?) AND session_id = ?
             ORDER BY chunk_index",
        )
        .bind(session.project_id.as_str())
        .bind(session.session_id.as_str())
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter().map(|row| header(row, session)).collect()
    }

    async fn read_recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> sqlx::Result<Vec<SessionId>> {
        let sessions: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT session_id FROM replay_chunks
             WHERE project = (SELECT id FROM projects WHERE project_id = ?) AND session_id > ?
             ORDER BY session_id LIMIT ?",
        )
        .bind(project_id.as_str())
        .bind(after.as_ref().map_or("", SessionId::as_str))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.database.readers)
        .await?;
        let read =
            |session: String| SessionId::new(session).map_err(|error| sqlx::Error::Decode(error.into()));
        sessions.into_iter().map(read).collect()
    }

    async fn read_idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> sqlx::Result<Vec<ReplaySession>> {
        let (project, session) =
            after.as_ref().map_or(("", ""), |after| (after.project_id.as_str(), after.session_id.as_str()));
        let rows = sqlx::query(
            "SELECT projects.project_id, session_id FROM replay_chunks
             JOIN projects ON projects.id = replay_chunks.project
             WHERE (projects.project_id, session_id) > (?, ?)
             GROUP BY projects.project_id, session_id HAVING max(received_at) < ?
             ORDER BY projects.project_id, session_id LIMIT ?",
        )
        .bind(project)
        .bind(session)
        .bind(before.as_millis())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter()
            .map(|row| {
                replay_session(row.try_get(0)?, row.try_get(1)?)
                    .map_err(|error| sqlx::Error::Decode(error.into()))
            })
            .collect()
    }

    async fn read_data(&self, chunks: &[ChunkId]) -> sqlx::Result<Vec<Option<Vec<u8>>>> {
        let mut connection = self.database.readers.acquire().await?;
        let rows = FIND_DATA
            .fetch(&mut connection, chunks, |query, chunk| {
                query
                    .bind(chunk.project_id.to_string())
                    .bind(chunk.session_id.to_string())
                    .bind(chunk.chunk_index)
            })
            .await?;
        let mut found: HashMap<(String, String, u16), Vec<u8>> = HashMap::with_capacity(rows.len());
        for row in rows {
            found.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), row.try_get(3)?);
        }
        let name =
            |chunk: &ChunkId| (chunk.project_id.to_string(), chunk.session_id.to_string(), chunk.chunk_index);
        Ok(chunks.iter().map(|chunk| found.remove(&name(chunk))).collect())
    }

    async fn read_recordings(&self, sessions: &[ReplaySession]) -> sqlx::Result<Vec<bool>> {
        let mut connection = self.database.readers.acquire().await?;
        let mut recorded = Vec::with_capacity(sessions.len());
        for ReplaySession { project_id, session_id } in sessions {
            let found = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM replay_chunks
                    WHERE project = (SELECT id FROM projects WHERE project_id = ?1) AND session_id = ?2)
                 OR EXISTS (SELECT 1 FROM archived_replays
                    WHERE project = (SELECT id FROM projects WHERE project_id = ?1) AND session_id = ?2)",
            );
            let found = found.bind(project_id.as_str()).bind(session_id.as_str());
            recorded.push(found.fetch_one(&mut *connection).await?);
        }
        Ok(recorded)
    }
}

#[async_trait]
impl ReplayStore for EmbeddedStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), ReplayStoreError> {
        self.adopt(fence).await
    }

    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        let mut writer = self.writer_behind(fence).await?;
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

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        self.read_headers(session).await.map_err(store_error)
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError> {
        self.read_data(chunks).await.map_err(store_error)
    }

    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        let mut deleted = 0;
        for chunks in chunks.chunks(AT_ONCE) {
            let mut writer = self.database.writer.lock().await;
            deleted += writer
                .transact(async |transaction| {
                    let mut deleted = 0;
                    for chunk in chunks {
                        let done = sqlx::query(
                            "DELETE FROM replay_chunks
                             WHERE project = (SELECT id FROM projects WHERE project_id = ?)
                               AND session_id = ? AND chunk_index = ?",
                        )
                        .bind(chunk.project_id.as_str())
                        .bind(chunk.session_id.as_str())
                        .bind(chunk.chunk_index)
                        .execute(&mut *transaction.connection)
                        .await?;
                        deleted += done.rows_affected();
                    }
                    Ok(deleted)
                })
                .await?;
        }
        Ok(deleted)
    }

    async fn mark_archived(
        &self,
        sessions: &[ReplaySession],
        is_archived: bool,
    ) -> Result<(), ReplayStoreError> {
        let statement = if is_archived {
            "INSERT OR IGNORE INTO archived_replays (project, session_id) VALUES (?, ?)"
        } else {
            "DELETE FROM archived_replays WHERE project = ? AND session_id = ?"
        };
        for sessions in sessions.chunks(AT_ONCE) {
            let mut writer = self.database.writer.lock().await;
            writer
                .transact(async |transaction| {
                    for session in sessions {
                        let project = transaction.project(&session.project_id).await?;
                        let query = sqlx::query(statement).bind(project).bind(session.session_id.as_str());
                        query.execute(&mut *transaction.connection).await?;
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError> {
        self.read_recordings(sessions).await.map_err(store_error)
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        self.read_recorded(project_id, after, limit).await.map_err(store_error)
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError> {
        self.read_idle(before, after, limit).await.map_err(store_error)
    }
}
