//! `GET /api/v1/sessions`: sessions, what they show, and their events.

use axum::extract::State;
use axum::response::Response;
use gosight_application::ports::{
    EventCursor, IdleCursor, IdleQuery, SessionCursor, SessionFlagFilter, SessionQuery, SessionSummary,
};
use gosight_application::surface::FailureCode;
use gosight_domain::{Event, EventId, SessionId, Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Reader, SessionInPath};
use crate::answer;
use crate::error::{ApiError, ErrorAnswer};
use crate::query_params::{Params, cursor};
use crate::read_answers::{EventAnswer, SessionAnswer, SessionDetailAnswer};
use crate::state::ReadState;

/// A page of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsAnswer {
    /// The sessions.
    sessions: Vec<SessionAnswer>,
    /// To be sent as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A page of a session's events, earliest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionEventsAnswer {
    /// The events.
    events: Vec<EventAnswer>,
    /// To be sent as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

const DEFAULT_SESSIONS: usize = 50;
const MAX_SESSIONS: usize = 1_000;
const MAX_EVENTS: usize = 1_000;
/// After so long without events most analytics tools count what comes as another session.
const IDLE_MS: i64 = 30 * 60 * 1_000;

/// List sessions
///
/// Latest start first. `from` and `to` are about when sessions started; without them all sessions are listed.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "read",
    params(
        ("from" = Option<String>, Query, description = "Started at or after, in epoch s or ms or RFC 3339"),
        ("to" = Option<String>, Query, description = "Started before"),
        ("user_id" = Option<String>, Query, description = "Of this user"),
        ("has_error" = Option<bool>, Query, description = "With an error, or without"),
        ("has_rage_click" = Option<bool>, Query, description = "With a rage click, or without"),
        ("has_dead_click" = Option<bool>, Query, description = "With a dead click, or without"),
        ("has_replay" = Option<bool>, Query, description = "With a recording, or without"),
        ("is_bounce" = Option<bool>, Query, description = "With exactly one page, or not"),
        ("limit" = Option<usize>, Query, description = "Most sessions, 1 to 1,000; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of sessions", body = SessionsAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn list(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    mut params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit(1..=MAX_SESSIONS, DEFAULT_SESSIONS)?;
    let query = SessionQuery {
        from: params.time("from")?,
        to: params.time("to")?,
        user_id: params.checked("user_id", UserId::new)?,
        flags: SessionFlagFilter {
            has_error: params.flag("has_error")?,
            has_rage_click: params.flag("has_rage_click")?,
            has_dead_click: params.flag("has_dead_click")?,
            has_replay: params.flag("has_replay")?,
            is_bounce: params.flag("is_bounce")?,
        },
        after: params.cursor(session_cursor)?,
        // One more than asked for tells whether there is a next page.
        limit: limit + 1,
    };
    params.finish()?;
    let mut sessions = state.query.sessions(&scope, query).await?;
    let next_cursor =
        next(&mut sessions, limit, |last: &SessionSummary| cursor(last.started_at, &last.session_id));
    let sessions = sessions.into_iter().map(SessionAnswer::from).collect();
    Ok(answer::ok(&SessionsAnswer { sessions, next_cursor }))
}

/// List sessions that are over
///
/// Those whose last event is older than `before`, earliest end first: for jobs that do something once a session is over.
/// The events' own times count: one that arrives late can still be added.
#[utoipa::path(
    get, path = "/api/v1/idle-sessions", tag = "read",
    params(
        ("before" = Option<String>, Query, description = "Ended before, in epoch s or ms or RFC 3339; 30 minutes ago by default"),
        ("limit" = Option<usize>, Query, description = "Most sessions, 1 to 1,000; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of sessions", body = SessionsAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn list_idle(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    mut params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit(1..=MAX_SESSIONS, DEFAULT_SESSIONS)?;
    let half_an_hour_ago = state.app.clock.now().plus_millis(-IDLE_MS);
    let query = IdleQuery {
        before: params.time("before")?.unwrap_or(half_an_hour_ago),
        after: params.cursor(idle_cursor)?,
        limit: limit + 1,
    };
    params.finish()?;
    let mut sessions = state.query.idle_sessions(&scope, query).await?;
    let next_cursor =
        next(&mut sessions, limit, |last: &SessionSummary| cursor(last.ended_at, &last.session_id));
    let sessions = sessions.into_iter().map(SessionAnswer::from).collect();
    Ok(answer::ok(&SessionsAnswer { sessions, next_cursor }))
}

/// Get a session
///
/// With the insights that it shows.
#[utoipa::path(
    get, path = "/api/v1/sessions/{session_id}", tag = "read",
    params(("session_id" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "The session", body = SessionDetailAnswer),
        (status = "4XX", description = "The request was refused, or there is no such session", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn get(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    SessionInPath(session_id): SessionInPath,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    let session = state.query.session(&scope, &session_id).await?;
    let session = session.ok_or_else(|| ApiError::new(FailureCode::NotFound, "there is no such session"))?;
    Ok(answer::ok(&SessionDetailAnswer::from(session)))
}

/// List the events of a session
///
/// Earliest first. A session that is not known has none.
#[utoipa::path(
    get, path = "/api/v1/sessions/{session_id}/events", tag = "read",
    params(
        ("session_id" = String, Path, description = "The session"),
        ("limit" = Option<usize>, Query, description = "Most events, 1 to 1,000, which is the default"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of events", body = SessionEventsAnswer),
        (status = "4XX", description = "The request was refused", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn events(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    SessionInPath(session_id): SessionInPath,
    mut params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit(1..=MAX_EVENTS, MAX_EVENTS)?;
    let after = params.cursor(event_cursor)?;
    params.finish()?;
    let mut events = state.query.session_events(&scope, &session_id, after, limit + 1).await?;
    let next_cursor = next(&mut events, limit, |last: &Event| {
        cursor(last.timestamp, format_args!("{}:{}", last.sequence, last.event_id))
    });
    let events = events.into_iter().map(EventAnswer::from).collect();
    Ok(answer::ok(&SessionEventsAnswer { events, next_cursor }))
}

/// Cuts `page` to `limit` entries; if there were more, gives the cursor of the last one left.
fn next<T>(page: &mut Vec<T>, limit: usize, cursor_of: impl FnOnce(&T) -> String) -> Option<String> {
    let has_more = page.len() > limit;
    page.truncate(limit);
    page.last().filter(|_| has_more).map(cursor_of)
}

fn session_cursor(millis: i64, id: &str) -> Option<SessionCursor> {
    let session_id = SessionId::new(id).ok()?;
    Some(SessionCursor { started_at: Timestamp::from_millis(millis), session_id })
}

fn idle_cursor(millis: i64, id: &str) -> Option<IdleCursor> {
    let session_id = SessionId::new(id).ok()?;
    Some(IdleCursor { ended_at: Timestamp::from_millis(millis), session_id })
}

fn event_cursor(millis: i64, rest: &str) -> Option<EventCursor> {
    let (sequence, id) = rest.split_once(':')?;
    let event_id = EventId::from_uuid(Uuid::try_parse(id).ok()?);
    Some(EventCursor {
        timestamp: Timestamp::from_millis(millis),
        sequence: sequence.parse().ok()?,
        event_id,
    })
}
