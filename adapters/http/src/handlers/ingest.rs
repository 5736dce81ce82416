//! Requests that bring something, in whatever wire format.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use gosight_application::access::AccessError;
use gosight_application::ingest::ClientFacts;
use gosight_application::surface::{
    Answer, BodyKind, Credential, Dialect, Failure, ForwardingHeaders, Head, ITEM_BYTES, ReadLimits,
};
use gosight_domain::key::Ingest;

use crate::answer;
use crate::body::{self, Known, RequestBody};
use crate::state::IngestState;

/// Takes a request in `dialect`.
pub(crate) async fn send(state: IngestState, dialect: Arc<dyn Dialect>, request: Request) -> Response {
    let answer = receive(&state, &*dialect, request).await;
    answer::response(answer.unwrap_or_else(|failure| dialect.failure(&failure)))
}

/// A key in the head is checked before the body is read.
async fn receive(state: &IngestState, dialect: &dyn Dialect, request: Request) -> Result<Answer, Failure> {
    let IngestState { app, receiver } = state;
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).map(HeaderValue::as_bytes);
    let head = Head { path: parts.uri.path(), query: parts.uri.query(), header: &header };
    let places = dialect.credentials();
    let (scope, known) = match places.iter().find_map(|place| place.find(&head)) {
        Some(key) => (Some(app.access.require::<Ingest>(Some(&key)).await?), Known::Yes),
        None if places.contains(&Credential::Body) => (None, Known::NotYet),
        None => return Err(AccessError::MissingKey.into()),
    };
    let limits = match dialect.body() {
        BodyKind::Events => app.config.events_limits(),
        BodyKind::Replay => app.config.replay_limits(),
    };
    let read = body::read(app, &parts.headers, body, dialect.media_types(), limits, known).await;
    let RequestBody { bytes, mut permit } = read.map_err(|error| error.0)?;
    // How many items there really are is known once they are read, which gives most of this back.
    let max_items = receiver.max_items();
    permit.grow(dialect.most_items(&bytes).min(max_items) * ITEM_BYTES).await?;
    let mut request = dialect.read(&head, &bytes, ReadLimits { max_items })?;
    permit.shrink_to(bytes.len() + request.items.len() * ITEM_BYTES);
    let client = ClientFacts {
        ip: app.proxies.client(peer(&parts), &forwarding(&parts.headers)),
        user_agent: parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()),
        sent_at: None,
        user_required: false,
    };
    let receipt = receiver.receive(scope.as_ref(), &client, &mut request, &mut permit).await?;
    Ok(dialect.answer(&request, &receipt))
}

fn peer(parts: &Parts) -> Option<std::net::IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

fn forwarding(headers: &HeaderMap) -> ForwardingHeaders<'_> {
    let all = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    ForwardingHeaders {
        x_forwarded_for: all("x-forwarded-for"),
        forwarded: all("forwarded"),
        x_real_ip: headers.get("x-real-ip").and_then(|value| value.to_str().ok()),
    }
}
