//! `GET /api/v1/sessions/{session_id}/replay`: what there is of a recording.

use axum::extract::State;
use axum::response::Response;
use gosight_application::replay::{ReplayManifest, ReplayStorage};
use gosight_application::surface::FailureCode;
use gosight_domain::SessionId;
use gosight_domain::replay::ReplayChunk;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Reader, SessionInPath};
use crate::answer;
use crate::error::{ApiError, ErrorAnswer};
use crate::query_params::Params;
use crate::state::ReadState;

/// What there is of a session's recording.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ManifestAnswer {
    /// The session.
    session_id: String,
    /// Chunks that are there.
    chunk_count: usize,
    /// Events of all chunks.
    event_count: u64,
    /// Indexes before the last chunk that are not there.
    missing_chunks: Vec<u16>,
    /// Index of the first chunk that playback can start with.
    first_full_snapshot: Option<u16>,
    /// Earliest time of the recording, in epoch ms.
    started_at: Option<i64>,
    /// Latest time of the recording, in epoch ms.
    ended_at: Option<i64>,
    /// Bytes of all events.
    raw_bytes: u64,
    /// Bytes as they are stored, in the hot store and in the archive.
    stored_bytes: u64,
    /// Where the recording is: `hot`, `archived`, or `both`.
    #[schema(value_type = String)]
    storage: &'static str,
    /// The chunks by index.
    chunks: Vec<ChunkAnswer>,
}

/// One chunk of a recording.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChunkAnswer {
    /// Place among the chunks.
    chunk_index: u16,
    /// Time of the earliest event, in epoch ms.
    timestamp_start: i64,
    /// Time of the latest event, in epoch ms.
    timestamp_end: i64,
    /// Number of events.
    event_count: u32,
    /// Whether playback can start here.
    has_full_snapshot: bool,
    /// Bytes of the events.
    raw_bytes: u32,
    /// SHA-256 of the JSON array of events.
    sha256: String,
}

/// Describe a recording
#[utoipa::path(
    get, path = "/api/v1/sessions/{session_id}/replay", tag = "read",
    params(("session_id" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "What there is", body = ManifestAnswer),
        (status = "4XX", description = "The request was refused, or there is no recording", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn describe(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    SessionInPath(session_id): SessionInPath,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let manifest = state.query.replay(&scope, &session_id).await?.ok_or_else(no_recording)?;
    Ok(answer::ok(&ManifestAnswer::of(&session_id, &manifest)))
}

/// The session has no recording, or is not known at all.
pub(super) fn no_recording() -> ApiError {
    ApiError::new(FailureCode::NotFound, "there is no recording of this session")
}

impl ManifestAnswer {
    fn of(session_id: &SessionId, manifest: &ReplayManifest) -> Self {
        let (started_at, ended_at) = manifest.time_range().unzip();
        Self {
            session_id: session_id.to_string(),
            chunk_count: manifest.chunks.len(),
            event_count: manifest.event_count(),
            missing_chunks: manifest.missing(),
            first_full_snapshot: manifest.first_full_snapshot(),
            started_at: started_at.map(gosight_domain::Timestamp::as_millis),
            ended_at: ended_at.map(gosight_domain::Timestamp::as_millis),
            raw_bytes: manifest.chunks.iter().map(|chunk| u64::from(chunk.raw_bytes)).sum(),
            stored_bytes: manifest.stored_bytes(),
            storage: match manifest.storage() {
                ReplayStorage::Hot => "hot",
                ReplayStorage::Archived => "archived",
                ReplayStorage::Both => "both",
            },
            chunks: manifest.chunks.iter().map(ChunkAnswer::of).collect(),
        }
    }
}

impl ChunkAnswer {
    fn of(chunk: &ReplayChunk) -> Self {
        Self {
            chunk_index: chunk.chunk_index,
            timestamp_start: chunk.timestamp_start.as_millis(),
            timestamp_end: chunk.timestamp_end.as_millis(),
            event_count: chunk.event_count,
            has_full_snapshot: chunk.has_full_snapshot,
            raw_bytes: chunk.raw_bytes,
            sha256: chunk.content.to_string(),
        }
    }
}
