use std::time::Duration;

use deadpool_redis::PoolError;
use deadpool_redis::redis::{ErrorKind, RedisError};
use gosight_application::ports::{BoxError, PortError};

use crate::ADAPTER;

/// Why a call did not give what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There was no connection, so nothing was sent.
    #[error("no connection: {0}")]
    NoConnection(#[source] PoolError),
    /// Nothing was sent, because the circuit breaker is open.
    #[error("circuit breaker open: the server did not answer a moment ago")]
    CircuitOpen,
    /// Sent, but not answered in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Sent, but the connection broke.
    #[error("connection lost: {0}")]
    Broken(#[source] RedisError),
    /// The server's own words.
    #[error("refused: {0}")]
    Refused(#[source] RedisError),
    /// The answer has another shape than the call asks for.
    #[error("unexpected answer: {0}")]
    UnexpectedAnswer(BoxError),
}

/// What the server says that passes, by code.
const PASSING: [&str; 10] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    "READONLY",
    "TRYAGAIN",
];

impl Failure {
    /// Of a call that was sent.
    pub fn of_answer(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused(error),
            ErrorKind::UnexpectedReturnType => Self::UnexpectedAnswer(error.into()),
            _ => Self::Broken(error),
        }
    }

    /// Whether the connection can be used again.
    pub fn spares_connection(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::NoConnection(PoolError::Backend(error)) => {
                !matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig)
            }
            Self::NoConnection(PoolError::Timeout(_))
            | Self::CircuitOpen
            | Self::Late(_)
            | Self::Broken(_) => true,
            Self::NoConnection(_) | Self::UnexpectedAnswer(_) => false,
            Self::Refused(error) => codes(error).iter().all(|code| PASSING.contains(&code.as_str())),
        }
    }
}

/// The codes of all answers that were errors; more than one of a pipeline.
pub(crate) fn codes(error: &RedisError) -> Vec<String> {
    let errors = error.clone().into_server_errors();
    errors.iter().flat_map(|errors| errors.iter()).map(|(_, error)| error.code().to_owned()).collect()
}

impl<R: std::fmt::Debug + std::fmt::Display> From<Failure> for PortError<R> {
    fn from(failure: Failure) -> Self {
        match failure {
            failure if !failure.is_transient() => Self::fatal(ADAPTER, failure),
            Failure::NoConnection(_) | Failure::CircuitOpen => Self::transient(ADAPTER, failure),
            // A pipeline is refused in parts, so even a refusal may have done something.
            failure => Self::unknown(ADAPTER, failure),
        }
    }
}
