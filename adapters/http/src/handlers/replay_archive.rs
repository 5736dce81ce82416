//! What operators do with replays: archive them now, verify them, delete them, list them.

use axum::extract::State;
use axum::response::Response;
use gosight_application::ports::CatalogueEntry;
use gosight_application::replay::{ArchiveError, Archived, ListedReplay, Purged, Verified};
use gosight_application::surface::{Failure, FailureCode};
use gosight_domain::SessionId;
use gosight_domain::key::{Admin, Scoped};
use gosight_domain::replay::ReplaySession;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Operator, SessionInPath};
use crate::answer;
use crate::error::{ApiError, ErrorAnswer};
use crate::query_params::Params;
use crate::state::ArchiveState;

/// Entries of a page at most: each is read with its whole manifest.
const PAGE: usize = 100;

/// What archiving did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ArchiveAnswer {
    /// `archived`: it is in the archive now. `cleaned`: what was archived was deleted in the hot store. `nothing`: there
    /// is nothing to do yet. `busy`: another process is at it. `quarantined`: it is damaged and stays where it is.
    #[schema(value_type = String)]
    outcome: &'static str,
}

/// Whether an archived replay is what it was when it was stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerifyAnswer {
    /// `whole`, `damaged`, or `not_archived`.
    #[schema(value_type = String)]
    state: &'static str,
    /// The object that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What was deleted, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PurgeAnswer {
    /// Whether nothing was deleted, because only the question was asked.
    dry_run: bool,
    /// Chunks in the hot store.
    hot_chunks: u64,
    /// Chunks in the archive.
    archived_chunks: u64,
    /// Objects in the archive.
    objects: u64,
}

/// A page of replays.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayPage {
    /// By session.
    replays: Vec<ListedReplayAnswer>,
    /// The value of `after` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A replay, wherever it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedReplayAnswer {
    /// The session.
    session_id: String,
    /// Where its chunks are: `hot`, `archived` or `both`. Missing when only traces of them are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    storage: Option<&'static str>,
    /// Path of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    /// Bytes of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// SHA-256 of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// When it was archived, in epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<i64>,
    /// Why it is not archived and stays where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<String>,
}

/// Does `work` whether the client waits for it or not: what was begun is not left half done.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ArchiveError>> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done?),
        Err(died) => Err(Failure::internal(&died).into()),
    }
}

fn session(scope: &Scoped<Admin>, session_id: SessionId) -> ReplaySession {
    ReplaySession { project_id: scope.project_id().clone(), session_id }
}

/// Archive a replay now
///
/// Whatever its age, and also when it is in quarantine. Asked again after `archive.grace`, it deletes what was archived in
/// the hot store.
#[utoipa::path(
    post, path = "/api/v1/sessions/{session_id}/replay/archive", tag = "operate",
    params(("session_id" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "What was done", body = ArchiveAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The archive cannot be used right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn archive(
    State(state): State<ArchiveState>,
    Operator(scope): Operator,
    SessionInPath(session_id): SessionInPath,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let session = session(&scope, session_id);
    let outcome = match to_its_end(async move { state.archiver.archive(&session).await }).await? {
        Archived::Stored => "archived",
        Archived::Cleaned => "cleaned",
        Archived::Nothing => "nothing",
        Archived::Busy => "busy",
        Archived::Quarantined => "quarantined",
    };
    Ok(answer::ok(&ArchiveAnswer { outcome }))
}

/// Verify an archived replay
///
/// Reads the whole object and compares its SHA-256 with the catalogue's.
#[utoipa::path(
    get, path = "/api/v1/sessions/{session_id}/replay/verify", tag = "operate",
    params(("session_id" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "Whether it is whole", body = VerifyAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The archive cannot be used right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn verify(
    State(state): State<ArchiveState>,
    Operator(scope): Operator,
    SessionInPath(session_id): SessionInPath,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let (state, object, reason) = match state.archiver.verify(&session(&scope, session_id)).await? {
        Verified::NotArchived => ("not_archived", None, None),
        Verified::Whole { object } => ("whole", Some(object), None),
        Verified::Damaged { object, reason } => ("damaged", Some(object), Some(reason)),
    };
    Ok(answer::ok(&VerifyAnswer { state, object, reason }))
}

/// Delete a replay
///
/// Everything of it, hot and archived. Chunks that are still in the log come later.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{session_id}/replay", tag = "operate",
    params(
        ("session_id" = String, Path, description = "The session"),
        ("dry_run" = Option<bool>, Query, description = "Only say what would be deleted"),
    ),
    responses(
        (status = 200, description = "What was deleted", body = PurgeAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "It is being archived, or a store is unavailable", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn purge(
    State(state): State<ArchiveState>,
    Operator(scope): Operator,
    SessionInPath(session_id): SessionInPath,
    mut params: Params,
) -> Result<Response, ApiError> {
    let dry_run = params.flag("dry_run")?.unwrap_or(false);
    params.finish()?;
    let session = session(&scope, session_id);
    let purged = if dry_run {
        state.archiver.purgeable(&session).await?
    } else {
        to_its_end(async move { state.archiver.purge(&session).await }).await?
    };
    let Purged { hot_chunks, archived_chunks, objects } = purged;
    Ok(answer::ok(&PurgeAnswer { dry_run, hot_chunks, archived_chunks, objects }))
}

/// List replays
///
/// All of the project, hot and archived, and those in quarantine.
#[utoipa::path(
    get, path = "/api/v1/replays", tag = "operate",
    params(
        ("after" = Option<String>, Query, description = "Only sessions after this one"),
        ("limit" = Option<usize>, Query, description = "Most of them, at most 100"),
    ),
    responses(
        (status = 200, description = "A page", body = ReplayPage),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "A store cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn list(
    State(state): State<ArchiveState>,
    Operator(scope): Operator,
    mut params: Params,
) -> Result<Response, ApiError> {
    let after = params.checked("after", SessionId::new)?;
    let limit = params.limit(1..=PAGE, PAGE)?;
    params.finish()?;
    let listed = state.archiver.list(scope.project_id(), after, limit).await?;
    let last = listed.last().map(|replay| replay.session_id.to_string());
    let next = last.filter(|_| listed.len() == limit);
    Ok(answer::ok(&ReplayPage { replays: listed.iter().map(ListedReplayAnswer::of).collect(), next }))
}

impl ListedReplayAnswer {
    fn of(listed: &ListedReplay) -> Self {
        let archived = listed.entry.as_ref().and_then(CatalogueEntry::readable);
        let quarantine = listed.entry.as_ref().and_then(|entry| entry.quarantine.as_ref());
        Self {
            session_id: listed.session_id.to_string(),
            storage: match (listed.is_hot, archived) {
                (true, None) => Some("hot"),
                (false, Some(_)) => Some("archived"),
                (true, Some(_)) => Some("both"),
                (false, None) => None,
            },
            object: archived.map(|archived| archived.object.clone()),
            bytes: archived.map(|archived| archived.bytes),
            sha256: archived.map(|archived| archived.sha256.to_string()),
            archived_at: archived.map(|archived| archived.archived_at.as_millis()),
            quarantine: quarantine.map(|quarantine| quarantine.reason.clone()),
        }
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Port(error) => error.into(),
            ArchiveError::Read(error) => error.into(),
            ArchiveError::Overtaken => {
                Self::new(FailureCode::Unavailable, "another process is at this replay, try again")
                    .with_retry_after(None)
            }
            ArchiveError::Write(_)
            | ArchiveError::Interrupted
            | ArchiveError::Tangled { .. }
            | ArchiveError::Damaged { .. } => Failure::internal(&error).into(),
        }
    }
}
