//! What enrichers have done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::circuit_breaker::CircuitState;

/// What an enricher does and has done since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnricherStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The worst state of its circuit breakers.
    pub state: CircuitState,
    /// Projects whose circuit breaker is not closed.
    pub open_circuits: usize,
    /// Calls that were given up and are not over.
    pub overdue_calls: usize,
    /// Calls that were made.
    pub calls: u64,
    /// Calls that gave nothing, or were not made, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Events, or requests while events are taken in, of which it knew something.
    pub enriched: u64,
}

/// Why a call gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Timeout,
    Panic,
    Error,
    Rubbish,
    /// The circuit breaker is open, or calls that were given up are not over.
    Open,
}

impl Reason {
    const ALL: [Self; 5] = [Self::Timeout, Self::Panic, Self::Error, Self::Rubbish, Self::Open];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Rubbish => "rubbish",
            Self::Open => "open",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub calls: AtomicU64,
    pub enriched: AtomicU64,
    failures: [AtomicU64; 5],
}

impl Counts {
    pub fn failed(&self, reason: Reason) {
        self.failures[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn failures(&self) -> BTreeMap<&'static str, u64> {
        let counts = Reason::ALL
            .map(|reason| (reason.as_str(), self.failures[reason as usize].load(Ordering::Relaxed)));
        counts.into_iter().filter(|(_, n)| *n > 0).collect()
    }
}
