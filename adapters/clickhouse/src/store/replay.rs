use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use clickhouse::Row;
use clickhouse::query::Query;
use gosight_application::ports::{
    ChunkId, CommitError, Fence, PortError, PutVerdict, ReplayStore, ReplayStoreError,
};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp, Violation};
use serde::Deserialize;

use super::ClickHouseStore;
use crate::ADAPTER;
use crate::block::Block;
use crate::error::read_error;
use crate::fence;
use crate::query_params::parts;

/// The chunks that a statement is about; their names are its parameters.
const NAMED: &str = "(project_id, session_id, chunk_index) IN
    arrayZip({projects:Array(String)}, {sessions:Array(String)}, {indexes:Array(UInt16)})";

/// Largest insert, so that neither side holds more than this at once.
const INSERT_BYTES: usize = 32 * 1024 * 1024;

/// `chunks` in parts of bounded size.
fn by_size<'c>(mut chunks: &'c [&ReplayChunk]) -> Vec<&'c [&'c ReplayChunk]> {
    let mut parts = Vec::new();
    while !chunks.is_empty() {
        let mut bytes = 0;
        let fitting = chunks.iter().take_while(|chunk| {
            bytes += chunk.data.len();
            bytes <= INSERT_BYTES
        });
        let (part, rest) = chunks.split_at(fitting.count().max(1));
        parts.push(part);
        chunks = rest;
    }
    parts
}

fn encode(chunks: &[&ReplayChunk]) -> Block {
    let mut block = Block::new(chunks.len());
    block.texts("project_id", chunks.iter().map(|chunk| chunk.project_id.as_str()));
    block.texts("session_id", chunks.iter().map(|chunk| chunk.session_id.as_str()));
    block.u16s("chunk_index", chunks.iter().map(|chunk| chunk.chunk_index));
    block.times("timestamp_start", chunks.iter().map(|chunk| chunk.timestamp_start.as_millis()));
    block.times("timestamp_end", chunks.iter().map(|chunk| chunk.timestamp_end.as_millis()));
    block.times("received_at", chunks.iter().map(|chunk| chunk.received_at.as_millis()));
    block.u32s("event_count", chunks.iter().map(|chunk| chunk.event_count));
    block.bools("has_full_snapshot", chunks.iter().map(|chunk| chunk.has_full_snapshot));
    block.u32s("raw_bytes", chunks.iter().map(|chunk| chunk.raw_bytes));
    block.texts("content", chunks.iter().map(|chunk| &chunk.content.0));
    block.texts("data", chunks.iter().map(|chunk| &chunk.data));
    block
}

#[derive(Row, Deserialize)]
struct Header {
    chunk_index: u16,
    timestamp_start: i64,
    timestamp_end: i64,
    received_at: i64,
    event_count: u32,
    has_full_snapshot: bool,
    raw_bytes: u32,
    content: [u8; 32],
    stored_bytes: u64,
}

#[derive(Row, Deserialize)]
struct Known {
    project_id: String,
    session_id: String,
    chunk_index: u16,
    content: [u8; 32],
}

#[derive(Row, Deserialize)]
struct SessionRow {
    project_id: String,
    session_id: String,
}

impl SessionRow {
    fn session(self) -> Result<ReplaySession, PortError> {
        let wrong = |error: Violation| PortError::fatal(ADAPTER, error);
        Ok(ReplaySession {
            project_id: ProjectId::new(self.project_id).map_err(wrong)?,
            session_id: SessionId::new(self.session_id).map_err(wrong)?,
        })
    }
}

#[derive(Row, Deserialize)]
struct StoredData {
    project_id: String,
    session_id: String,
    chunk_index: u16,
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
}

#[derive(Row, Deserialize)]
struct Number {
    number: u64,
}

impl ClickHouseStore {
    async fn contents_of(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        let found =
            format!("SELECT project_id, session_id, chunk_index, content FROM replay_chunks WHERE {NAMED}");
        let found = self.naming(&found, chunks).fetch_all::<Known>();
        let found = self.connection.within(found).await.map_err(read_error)?;
        let content = |chunk: &ChunkId| {
            let same = |row: &&Known| {
                (row.project_id.as_str(), row.session_id.as_str(), row.chunk_index)
                    == (chunk.project_id.as_str(), chunk.session_id.as_str(), chunk.chunk_index)
            };
            found.iter().find(same).map(|row| ContentHash(row.content))
        };
        Ok(chunks.iter().map(content).collect())
    }

    /// Deletes by marking rows, which merges remove later (a lightweight delete). The server rewrites the marks of every
    /// part that has such a row, so one statement for many chunks costs what one for a single chunk does.
    async fn delete_chunks(&self, chunks: &[ChunkId]) -> Result<u64, PortError> {
        let count = format!(
            "SELECT uniqExact(project_id, session_id, chunk_index) AS number FROM replay_chunks WHERE {NAMED}"
        );
        let count = self.naming(&count, chunks).fetch_one::<Number>();
        let count = self.connection.within(count).await.map_err(read_error)?;
        if count.number > 0 {
            let delete =
                format!("DELETE FROM replay_chunks WHERE {NAMED} SETTINGS lightweight_deletes_sync = 2");
            self.connection.execute(self.naming(&delete, chunks)).await.map_err(read_error)?;
        }
        Ok(count.number)
    }

    /// A statement about the chunks that are [`NAMED`].
    fn naming(&self, sql: &str, chunks: &[ChunkId]) -> Query {
        let projects: Vec<&str> = chunks.iter().map(|chunk| chunk.project_id.as_str()).collect();
        let sessions: Vec<&str> = chunks.iter().map(|chunk| chunk.session_id.as_str()).collect();
        let indexes: Vec<u16> = chunks.iter().map(|chunk| chunk.chunk_index).collect();
        let query = self.connection.query(sql);
        query.param("projects", projects).param("sessions", sessions).param("indexes", indexes)
    }
}

/// Chunks in parts that can be named in one statement.
fn nameable(chunks: &[ChunkId]) -> Vec<&[ChunkId]> {
    // As long as any index.
    const INDEX: &str = "00000";
    parts(chunks, |chunk| [chunk.project_id.as_str(), chunk.session_id.as_str(), INDEX])
}

#[async_trait]
impl ReplayStore for ClickHouseStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), ReplayStoreError> {
        fence::adopt(&self.connection, fence).await
    }

    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        let names: Vec<ChunkId> = chunks.iter().map(ChunkId::of).collect();
        let stored = self.contents(&names).await.map_err(PortError::widen)?;
        let mut known: HashMap<&ChunkId, ContentHash> = HashMap::new();
        let mut verdicts = Vec::with_capacity(chunks.len());
        let mut new = Vec::new();
        for ((chunk, name), stored) in chunks.iter().zip(&names).zip(stored) {
            verdicts.push(match stored.or_else(|| known.get(name).copied()) {
                Some(content) if content == chunk.content => PutVerdict::Same,
                Some(_) => PutVerdict::Conflict,
                None => {
                    known.insert(name, chunk.content);
                    new.push(chunk);
                    PutVerdict::Stored
                }
            });
        }
        for chunks in by_size(&new) {
            fence::insert(&self.connection, fence, "replay_chunks", encode(chunks)).await?;
        }
        Ok(verdicts)
    }

    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        let mut contents = Vec::with_capacity(chunks.len());
        for part in nameable(chunks) {
            contents.extend(self.contents_of(part).await?);
        }
        Ok(contents)
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        let headers = self
            .connection
            .query(
                "SELECT chunk_index, toUnixTimestamp64Milli(timestamp_start) AS timestamp_start,
                   toUnixTimestamp64Milli(timestamp_end) AS timestamp_end,
                   toUnixTimestamp64Milli(received_at) AS received_at,
                   event_count, has_full_snapshot, raw_bytes, content, length(data) AS stored_bytes
                 FROM replay_chunks WHERE project_id = {project:String} AND session_id = {session:String}
                 ORDER BY chunk_index LIMIT 1 BY chunk_index",
            )
            .param("project", session.project_id.as_str())
            .param("session", session.session_id.as_str())
            .fetch_all::<Header>();
        let headers = self.connection.within(headers).await.map_err(read_error)?;
        let chunk = |header: Header| ReplayChunk {
            project_id: session.project_id.clone(),
            session_id: session.session_id.clone(),
            chunk_index: header.chunk_index,
            timestamp_start: Timestamp::from_millis(header.timestamp_start),
            timestamp_end: Timestamp::from_millis(header.timestamp_end),
            received_at: Timestamp::from_millis(header.received_at),
            event_count: header.event_count,
            has_full_snapshot: header.has_full_snapshot,
            raw_bytes: header.raw_bytes,
            content: ContentHash(header.content),
            stored_bytes: u32::try_from(header.stored_bytes).unwrap_or(u32::MAX),
            data: Vec::new(),
        };
        Ok(headers.into_iter().map(chunk).collect())
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError> {
        let mut found = HashMap::with_capacity(chunks.len());
        for part in nameable(chunks) {
            let sql = format!(
                "SELECT project_id, session_id, chunk_index, data FROM replay_chunks WHERE {NAMED}
                 LIMIT 1 BY project_id, session_id, chunk_index"
            );
            let rows = self.naming(&sql, part).fetch_all::<StoredData>();
            for row in self.connection.within(rows).await.map_err(read_error)? {
                found.insert((row.project_id, row.session_id, row.chunk_index), row.data);
            }
        }
        let data = |chunk: &ChunkId| {
            let name = (chunk.project_id.to_string(), chunk.session_id.to_string(), chunk.chunk_index);
            found.remove(&name)
        };
        Ok(chunks.iter().map(data).collect())
    }

    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        let mut deleted = 0;
        for part in nameable(chunks) {
            deleted += self.delete_chunks(part).await?;
        }
        Ok(deleted)
    }

    async fn mark_archived(
        &self,
        sessions: &[ReplaySession],
        is_archived: bool,
    ) -> Result<(), ReplayStoreError> {
        for part in parts(sessions, |session| [session.project_id.as_str(), session.session_id.as_str()]) {
            let projects: Vec<&str> = part.iter().map(|session| session.project_id.as_str()).collect();
            let names: Vec<&str> = part.iter().map(|session| session.session_id.as_str()).collect();
            let insert = self
                .connection
                .query(
                    "INSERT INTO archived_replays (project_id, session_id, is_archived)
                     SELECT name.1, name.2, {is_archived:Bool}
                     FROM (SELECT arrayJoin(arrayZip({projects:Array(String)}, {sessions:Array(String)})) AS name)",
                )
                .param("projects", projects)
                .param("sessions", names)
                .param("is_archived", is_archived);
            self.connection.execute(insert).await.map_err(read_error)?;
        }
        Ok(())
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError> {
        let mut recorded = HashSet::new();
        for part in parts(sessions, |session| [session.project_id.as_str(), session.session_id.as_str()]) {
            let projects: Vec<&str> = part.iter().map(|session| session.project_id.as_str()).collect();
            let names: Vec<&str> = part.iter().map(|session| session.session_id.as_str()).collect();
            let found = self
                .connection
                .query(
                    "WITH arrayZip({projects:Array(String)}, {sessions:Array(String)}) AS asked
                     SELECT DISTINCT project_id, session_id FROM replay_chunks
                     WHERE (project_id, session_id) IN asked
                     UNION DISTINCT
                     SELECT project_id, session_id FROM archived_replays FINAL
                     WHERE (project_id, session_id) IN asked AND is_archived",
                )
                .param("projects", projects)
                .param("sessions", names)
                .fetch_all::<SessionRow>();
            let found = self.connection.within(found).await.map_err(read_error)?;
            recorded.extend(found.into_iter().map(|row| (row.project_id, row.session_id)));
        }
        let is_recorded = |session: &ReplaySession| {
            recorded.contains(&(session.project_id.to_string(), session.session_id.to_string()))
        };
        Ok(sessions.iter().map(is_recorded).collect())
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        let sessions = self
            .connection
            .query(
                "SELECT DISTINCT project_id, session_id FROM replay_chunks
                 WHERE project_id = {project:String} AND session_id > {session:String}
                 ORDER BY session_id LIMIT {limit:UInt64}",
            )
            .param("project", project_id.as_str())
            .param("session", after.as_ref().map_or("", SessionId::as_str))
            .param("limit", limit as u64)
            .fetch_all::<SessionRow>();
        let sessions = self.connection.within(sessions).await.map_err(read_error)?;
        sessions.into_iter().map(|row| row.session().map(|session| session.session_id)).collect()
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError> {
        let (project, session) =
            after.as_ref().map_or(("", ""), |after| (after.project_id.as_str(), after.session_id.as_str()));
        let idle = self
            .connection
            .query(
                "SELECT project_id, session_id FROM replay_chunks
                 WHERE (project_id, session_id) > ({project:String}, {session:String})
                 GROUP BY project_id, session_id
                 HAVING toUnixTimestamp64Milli(max(received_at)) < {before:Int64}
                 ORDER BY project_id, session_id LIMIT {limit:UInt64}",
            )
            .param("project", project)
            .param("session", session)
            .param("before", before.as_millis())
            .param("limit", limit as u64)
            .fetch_all::<SessionRow>();
        let idle = self.connection.within(idle).await.map_err(read_error)?;
        idle.into_iter().map(SessionRow::session).collect()
    }
}
