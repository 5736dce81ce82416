//! Runs enrichers, so that none of them can hold up, lose or change events.
//!
//! ```text
//!  a batch ─▶ by project ─▶ first enricher ─▶ second ─▶ … ─▶ the same events, in the same order
//!                             │ a task or thread of its own, a time limit, a circuit breaker for each project
//!                             ▼
//!                        enrichments, checked, and only then put into their events
//! ```
//!
//! An enricher never has an event that goes on in its hands: it reads, and gives an [`Enrichment`](crate::ports::Enrichment).
//! What it does wrong costs its enrichments and nothing else (ADR 24). [`EventEnrichers`] is for events that are processed,
//! [`ClientEnrichers`] for those that are taken in.

mod apply;
mod call;
mod circuits;
mod clients;
mod events;
mod guarded;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use clients::{ClientContext, ClientEnrichers};
pub use events::EventEnrichers;
pub use status::EnricherStatus;

use crate::circuit_breaker::CircuitBreakerConfig;
use crate::ports::EventEnricher;

/// How long events wait for an enricher, and when they do not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnricherLimits {
    /// How long a batch, or a request, waits for it.
    pub timeout: Duration,
    /// When it is left alone for a while, for each project by itself.
    pub breaker: CircuitBreakerConfig,
}

impl Default for EnricherLimits {
    /// 5 seconds; left alone for 30 seconds after 5 failures in a row.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), breaker: CircuitBreakerConfig::default() }
    }
}

/// An enricher that was chosen, with its limits.
#[derive(Debug, Clone)]
pub struct ChosenEnricher {
    /// The plug-in.
    pub enricher: Arc<dyn EventEnricher>,
    /// Its limits.
    pub limits: EnricherLimits,
}

impl ChosenEnricher {
    /// `enricher` with the usual limits.
    pub fn new(enricher: Arc<dyn EventEnricher>) -> Self {
        Self { enricher, limits: EnricherLimits::default() }
    }
}

/// Enrichers whose names cannot tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnricherNameError {
    /// A name that does not fit into metrics and configuration.
    #[error("{0:?} cannot name an enricher: it takes 1 to 64 of a-z, 0-9 and _")]
    NotAName(String),
    /// Two in one list.
    #[error("two enrichers are called {0:?}; each needs a name of its own")]
    Twice(String),
}

/// Checks that the names of `enrichers` are names, and each there once.
///
/// # Errors
/// [`EnricherNameError`] for the first that is not.
pub fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), EnricherNameError> {
    let mut seen = BTreeSet::new();
    for name in names {
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !is_name {
            return Err(EnricherNameError::NotAName(name.to_owned()));
        }
        if !seen.insert(name) {
            return Err(EnricherNameError::Twice(name.to_owned()));
        }
    }
    Ok(())
}
