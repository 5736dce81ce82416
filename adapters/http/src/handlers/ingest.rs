//! What the ingest routes have in common: who sends, and what may come in.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::header;
use axum::http::request::Parts;
use gosight_application::ingest::{ClientFacts, IngestError, IngestReceipt};
use gosight_domain::key::{Ingest, PresentedKey, Scoped};

use crate::body::{self, Known, RequestBody};
use crate::budget::Reservation;
use crate::client_ip::client_ip;
use crate::config::BodyLimits;
use crate::error::{ApiError, Detail};
use crate::key;
use crate::state::{App, IngestState};
use crate::wire::batch::Batch;

/// Memory that an event takes while it is checked, besides its text, in bytes: its draft and what becomes of it.
const EVENT_BYTES: usize = 2 * 1024;

/// A request whose head was checked and whose body was read.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Who sent it.
    pub sender: Sender,
    /// Its body.
    pub text: String,
    /// The body's share of the memory for bodies.
    pub reservation: Reservation,
}

/// Who sends.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Proof, when the key is in the head.
    scope: Option<Scoped<Ingest>>,
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    /// Length of the body.
    body_bytes: usize,
}

impl Incoming {
    /// Checks the key in the head, if there is one, before it reads the body.
    pub(crate) async fn read(app: &App, request: Request, limits: BodyLimits) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let scope = match key::in_head(&parts.headers) {
            Some(key) => Some(app.access.require::<Ingest>(Some(&key)).await?),
            None => None,
        };
        let known = if scope.is_some() { Known::Yes } else { Known::NotYet };
        let RequestBody { text, reservation } = body::read(app, &parts.headers, body, limits, known).await?;
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let user_agent = user_agent.map(str::to_owned);
        let sender = Sender { scope, ip: ip(app, &parts), user_agent, body_bytes: text.len() };
        Ok(Self { sender, text, reservation })
    }

    /// The same for a request with events, with memory for as many of them as there can be.
    pub(crate) async fn read_events(state: &IngestState, request: Request) -> Result<Self, ApiError> {
        let app = &state.app;
        let mut incoming = Self::read(app, request, app.config.events_limits()).await?;
        // Between two events there is a comma. How many there really are is known once they are read, which gives
        // most of this back.
        let commas = incoming.text.bytes().filter(|byte| *byte == b',').count();
        let events = state.ingest.rules().max_events.min(commas + 1);
        incoming.reservation.grow(events * EVENT_BYTES).await?;
        Ok(incoming)
    }
}

impl Sender {
    /// Proof that the sender may send: by the key in the head, else by the one in the body.
    pub(crate) async fn scope(
        &self,
        app: &App,
        in_body: Option<&PresentedKey>,
    ) -> Result<Scoped<Ingest>, ApiError> {
        match &self.scope {
            Some(scope) => Ok(scope.clone()),
            None => Ok(app.access.require::<Ingest>(in_body).await?),
        }
    }
}

fn ip(app: &App, parts: &Parts) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    client_ip(peer, &parts.headers, &app.config.trusted_proxies)
}

/// Lets the use case judge the events of a request.
pub(crate) async fn accept(
    state: &IngestState,
    sender: &Sender,
    reservation: &mut Reservation,
    batch: &Batch<'_>,
    user_required: bool,
) -> Result<IngestReceipt, ApiError> {
    reservation.shrink_to(sender.body_bytes + batch.drafts.len() * EVENT_BYTES);
    let scope = sender.scope(&state.app, batch.key.as_ref()).await?;
    if batch.found > batch.drafts.len() {
        let max = state.ingest.rules().max_events;
        return Err(IngestError::TooManyEvents { found: batch.found, max }.into());
    }
    let facts = ClientFacts {
        ip: sender.ip,
        user_agent: sender.user_agent.as_deref(),
        sent_at: batch.sent_at,
        user_required,
    };
    Ok(state.ingest.events(&scope, &facts, &batch.drafts).await?)
}

/// Why events were refused, in the words of their sender.
pub(crate) fn details(batch: &Batch<'_>, receipt: &IngestReceipt) -> Vec<Detail> {
    let detail = |(index, violation)| Detail::of(Some(index), batch.field(index, violation), violation);
    receipt.refused().map(detail).collect()
}
