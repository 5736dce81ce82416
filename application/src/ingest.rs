//! Ingest: checks, enriches and logs what clients send. One use case behind every surface and wire format.
//!
//! Success is answered only after the log has the events durably. A bad event never costs its neighbours: each gets a
//! verdict of its own.

mod errors_log;
mod events;
mod profiles;
mod refusals;
mod replay;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gosight_domain::replay::ReplayRules;
use gosight_domain::validate::EventRules;
use gosight_domain::{EventId, ProjectId, Timestamp, Violation};

use tokio_util::sync::CancellationToken;

use errors_log::ErrorsLog;
pub use events::PlacedDraft;
pub use profiles::{PlacedProfile, ProfileDraft};
pub use replay::ReplayReceipt;

use crate::enrich::ClientEnrichers;
use crate::ports::{
    AcceptedChunks, BoxError, Clock, EventSink, PortError, ProfileStore, RateDecision, RateLimiter, RecordLog,
};
use crate::telemetry::{Metric, Telemetry};

/// What ingest is made of.
#[derive(Debug, Clone)]
pub struct IngestPorts {
    /// Takes accepted events.
    pub events: Arc<dyn EventSink>,
    /// Takes replay chunks and reports of what was refused.
    pub log: Arc<dyn RecordLog>,
    /// Knows the replay chunks that were accepted.
    pub chunks: Arc<dyn AcceptedChunks>,
    /// Limits how much a project sends.
    pub limiter: Arc<dyn RateLimiter>,
    /// Tell what user agents and addresses mean.
    pub enrichers: ClientEnrichers,
    /// Keeps what clients say of users and items.
    pub profiles: Arc<dyn ProfileStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What ingest insists on.
#[derive(Debug, Clone)]
pub struct IngestRules {
    /// Rules of an event.
    pub event: EventRules,
    /// Rules of a replay chunk.
    pub replay: ReplayRules,
    /// Most events in one request.
    pub max_events: usize,
    /// Level of gzip for replay chunks, 0 to 9.
    pub gzip_level: u32,
    /// How many times smaller than its events a sender's gzip of a replay chunk must be to be stored as it came.
    pub keep_gzip_ratio: usize,
    /// Largest record that the log takes, in bytes.
    pub max_record_bytes: usize,
}

impl Default for IngestRules {
    /// 1,000 events, gzip level 6 unless the sender's is 4 times smaller, records of 16 MiB.
    fn default() -> Self {
        Self {
            event: EventRules::default(),
            replay: ReplayRules::default(),
            max_events: 1_000,
            gzip_level: 6,
            keep_gzip_ratio: 4,
            max_record_bytes: 16 * 1024 * 1024,
        }
    }
}

/// The ingest use case.
#[derive(Debug)]
pub struct Ingest {
    ports: IngestPorts,
    rules: IngestRules,
    errors: ErrorsLog,
    telemetry: Telemetry,
}

/// Who sends, besides the key.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientFacts<'a> {
    /// Address of the client, as far as it can be trusted.
    pub ip: Option<IpAddr>,
    /// Its user agent.
    pub user_agent: Option<&'a str>,
    /// When it says that it sent the request.
    pub sent_at: Option<Timestamp>,
    /// Whether each event must name its user.
    pub user_required: bool,
}

/// What became of each item of a request, in order.
#[derive(Debug)]
pub struct Receipt<T> {
    /// What an accepted item became, or why it was refused.
    pub verdicts: Vec<Result<T, Violation>>,
}

/// What became of each event of a request: the identity of an accepted one.
pub type IngestReceipt = Receipt<EventId>;

impl<T> Receipt<T> {
    /// How many were accepted.
    pub fn accepted(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.is_ok()).count()
    }

    /// The refused ones with their place.
    pub fn refused(&self) -> impl Iterator<Item = (usize, &Violation)> {
        self.verdicts
            .iter()
            .enumerate()
            .filter_map(|(index, verdict)| verdict.as_ref().err().map(|violation| (index, violation)))
    }
}

/// Why a whole request failed. Nothing of it was accepted, or nobody knows: the client sends it again either way, and
/// events are counted once by their ids.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// No events in the request.
    #[error("the request has no events")]
    Empty,
    /// More events than allowed.
    #[error("the request has {found} events, at most {max} are allowed")]
    TooManyEvents {
        /// Events in the request.
        found: usize,
        /// Events allowed.
        max: usize,
    },
    /// The project sends too much.
    #[error("the project sends more events than its limit allows")]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// A replay chunk is bad.
    #[error(transparent)]
    BadReplay(#[from] Violation),
    /// Another replay chunk with the same index was accepted before.
    #[error(transparent)]
    ConflictingChunk(Violation),
    /// The log does not take events right now.
    #[error("events cannot be taken right now")]
    Unavailable {
        /// How long to wait.
        retry_after: Option<Duration>,
        /// Why.
        source: BoxError,
    },
}

impl Ingest {
    /// Ingest made of `ports`.
    pub fn new(ports: IngestPorts, rules: IngestRules, telemetry: Telemetry) -> Self {
        let errors = ErrorsLog::new(ports.log.clone(), telemetry.clone());
        Self { ports, rules, errors, telemetry }
    }

    /// Writes reports of what was refused to the errors log as they come, until `stop`; then those that are left. A
    /// [`Pipeline`](crate::Pipeline) that runs does that. Without it reports wait, and those for which there is no room are lost.
    pub async fn write_refusals(&self, stop: CancellationToken) {
        self.errors.write(stop).await;
    }

    /// What is insisted on.
    pub fn rules(&self) -> &IngestRules {
        &self.rules
    }

    /// Takes `events` from the project's allowance. A limiter that does not answer lets them through: it protects the
    /// service, and a project must not lose data to its failure.
    async fn take_allowance(&self, project_id: &ProjectId, events: usize) -> Result<(), IngestError> {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        match self.ports.limiter.take(project_id, events).await {
            Ok(RateDecision::Allowed) => Ok(()),
            Ok(RateDecision::Limited { retry_after }) => Err(IngestError::RateLimited { retry_after }),
            Err(error) => {
                tracing::warn!(%error, "the rate limiter does not answer, letting events through");
                self.telemetry.count(Metric::RateLimiterUnavailable, &[("instead", "no_limit")], 1);
                self.telemetry.count(Metric::Retries, &RATE_LIMITER_AS_RETRIES, 1);
                Ok(())
            }
        }
    }
}

/// The series that counted this before: kept for dashboards, until the next version.
const RATE_LIMITER_AS_RETRIES: [(&str, &str); 2] =
    [("what", "rate_limiter"), ("alias_of", "rate_limiter_unavailable_total")];

fn unavailable<R: std::fmt::Debug + std::fmt::Display>(error: PortError<R>) -> IngestError {
    let retry_after = error.retry_after();
    let source = match error {
        PortError::Transient { source, .. } | PortError::Fatal { source, .. } => source,
        PortError::Rejected { refused, .. } => refused.to_string().into(),
    };
    IngestError::Unavailable { retry_after, source }
}
