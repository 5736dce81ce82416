//! How a port fails, so that the core can decide what to do without knowing the technology.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Any error of a driver.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a failed call may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Certainly nothing: the call can be repeated as it is.
    None,
    /// Nobody knows, as after a timeout: look before repeating what is not idempotent.
    Unknown,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nothing happened",
            Self::Unknown => "the outcome is unknown",
        })
    }
}

/// A port's error. The adapter classifies, because only it knows its technology; the core decides.
///
/// `R` says what was refused; ports that refuse nothing have [`Nothing`] in its place.
#[derive(Debug, thiserror::Error)]
pub enum PortError<R: fmt::Debug + fmt::Display = Nothing> {
    /// It may work later; try again with backoff.
    #[error("{adapter} is unavailable, {effect}: {source}")]
    Transient {
        /// Which adapter.
        adapter: &'static str,
        /// What may have happened.
        effect: Effect,
        /// How long the other side asks to wait.
        retry_after: Option<Duration>,
        /// What the driver said.
        source: BoxError,
    },
    /// These items are bad and will be at every attempt; whether the others went through is said by the port.
    #[error("{adapter} refused: {refused}")]
    Rejected {
        /// Which adapter.
        adapter: &'static str,
        /// What was refused and why.
        refused: R,
    },
    /// It will not work without a person.
    #[error("{adapter} cannot go on: {source}")]
    Fatal {
        /// Which adapter.
        adapter: &'static str,
        /// What the driver said.
        source: BoxError,
    },
}

/// In place of refusals where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {}

impl fmt::Display for Nothing {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl<R: fmt::Debug + fmt::Display> PortError<R> {
    /// A failure that may pass and did nothing.
    pub fn transient(adapter: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Transient { adapter, effect: Effect::None, retry_after: None, source: source.into() }
    }

    /// A failure that may pass and may have done its work.
    pub fn unknown(adapter: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Transient { adapter, effect: Effect::Unknown, retry_after: None, source: source.into() }
    }

    /// A failure that needs a person.
    pub fn fatal(adapter: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Fatal { adapter, source: source.into() }
    }

    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// How long the other side asks to wait, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl PortError<Nothing> {
    /// The same failure at a port that also refuses.
    pub fn widen<R: fmt::Debug + fmt::Display>(self) -> PortError<R> {
        match self {
            Self::Transient { adapter, effect, retry_after, source } => {
                PortError::Transient { adapter, effect, retry_after, source }
            }
            Self::Rejected { refused, .. } => match refused {},
            Self::Fatal { adapter, source } => PortError::Fatal { adapter, source },
        }
    }
}

impl CommitError {
    /// The same failure at a port that refuses nothing: a refusal needs a person there.
    pub fn narrow(self) -> PortError {
        match self {
            Self::Transient { adapter, effect, retry_after, source } => {
                PortError::Transient { adapter, effect, retry_after, source }
            }
            Self::Rejected { adapter, refused } => PortError::fatal(adapter, refused.to_string()),
            Self::Fatal { adapter, source } => PortError::Fatal { adapter, source },
        }
    }
}

/// Rows that a store refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRows {
    /// Offsets of the records that the bad rows came from, with the reason. Empty when the store cannot tell which
    /// rows are bad; they are found by bisection then.
    pub offsets: BTreeMap<u64, String>,
    /// What the store said.
    pub reason: String,
}

impl fmt::Display for RefusedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} row(s) named)", self.reason, self.offsets.len())
    }
}

/// Error of a write to a store.
pub type CommitError = PortError<RefusedRows>;
