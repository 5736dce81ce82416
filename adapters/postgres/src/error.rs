//! What a failed statement means.

use std::time::Duration;

use gosight_application::ports::{BoxError, Effect, PortError};
use sqlx::migrate::MigrateError;

use crate::{ADAPTER, ConfigError};

/// Whether what failed may work later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Later perhaps; the server undid the statement or never began it.
    Refused,
    /// Later perhaps; the connection ended before the server had answered.
    Lost,
    /// Never, as it is.
    Fatal,
}

/// No connection: the statement was not sent.
pub(crate) fn connecting(error: sqlx::Error, waited: Duration) -> PortError {
    match verdict(&error) {
        Verdict::Fatal => PortError::fatal(ADAPTER, error),
        _ if is_bad_certificate(&error) => PortError::fatal(ADAPTER, error),
        _ if matches!(error, sqlx::Error::PoolTimedOut) => {
            PortError::transient(ADAPTER, NoConnection { waited })
        }
        _ => PortError::transient(ADAPTER, error),
    }
}

/// A server whose certificate is refused: TLS reports it as data that makes no sense.
fn is_bad_certificate(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData)
}

/// The statement failed. `effect` is what it does when it does run.
pub(crate) fn running(error: sqlx::Error, effect: Effect) -> PortError {
    match verdict(&error) {
        Verdict::Refused => PortError::transient(ADAPTER, error),
        Verdict::Lost => lost(effect, error),
        Verdict::Fatal => PortError::fatal(ADAPTER, error),
    }
}

/// No answer in time.
pub(crate) fn unanswered(effect: Effect, waited: Duration) -> PortError {
    lost(effect, Unanswered { waited })
}

fn lost(effect: Effect, source: impl Into<BoxError>) -> PortError {
    match effect {
        Effect::None => PortError::transient(ADAPTER, source),
        Effect::Unknown => PortError::unknown(ADAPTER, source),
    }
}

/// A bad setting.
pub(crate) fn misconfigured(error: ConfigError) -> PortError {
    PortError::fatal(ADAPTER, error)
}

/// A migration failed. Each is a transaction, and all can be run again.
pub(crate) fn migrating(error: MigrateError) -> PortError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            running(error, Effect::Unknown)
        }
        other => PortError::fatal(ADAPTER, other),
    }
}

fn verdict(error: &sqlx::Error) -> Verdict {
    match error {
        sqlx::Error::Io(_) => Verdict::Lost,
        sqlx::Error::PoolTimedOut => Verdict::Refused,
        sqlx::Error::Database(error) => error.code().map_or(Verdict::Fatal, |code| of_code(&code)),
        _ => Verdict::Fatal,
    }
}

/// What an `SQLSTATE` means (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn of_code(code: &str) -> Verdict {
    match code {
        // The backend was ended, by a person or in a crash: perhaps after the commit and before its answer.
        "57P01" | "57P02" | "57P05" => Verdict::Lost,
        // Statement timeout or cancelled; starting up; serialization failure; deadlock; lock not available; read-only,
        // as on a standby that will take over.
        "57014" | "57P03" | "40001" | "40P01" | "55P03" | "25006" => Verdict::Refused,
        // Out of connections, memory or disk; an I/O error.
        _ if code.starts_with("53") || code.starts_with("58") => Verdict::Refused,
        // The connection failed.
        _ if code.starts_with("08") => Verdict::Lost,
        // 40003 is "statement completion unknown".
        "40003" => Verdict::Lost,
        _ => Verdict::Fatal,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no connection within {waited:?}: the server is unavailable, or all connections are in use")]
struct NoConnection {
    waited: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("no answer within {waited:?}")]
struct Unanswered {
    waited: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_classified() {
        for (code, wanted) in [
            ("57P01", Verdict::Lost),
            ("57P02", Verdict::Lost),
            ("08006", Verdict::Lost),
            ("40003", Verdict::Lost),
            ("57014", Verdict::Refused),
            ("57P03", Verdict::Refused),
            ("40001", Verdict::Refused),
            ("40P01", Verdict::Refused),
            ("55P03", Verdict::Refused),
            ("53300", Verdict::Refused),
            ("53100", Verdict::Refused),
            ("58030", Verdict::Refused),
            ("25006", Verdict::Refused),
            ("28P01", Verdict::Fatal),
            ("3D000", Verdict::Fatal),
            ("42P01", Verdict::Fatal),
            ("42501", Verdict::Fatal),
            ("22021", Verdict::Fatal),
            ("XX000", Verdict::Fatal),
        ] {
            assert_eq!(of_code(code), wanted, "{code}");
        }
    }

    #[test]
    fn a_lost_read_did_nothing_and_a_lost_write_may_have() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let effect = |error| match error {
            PortError::Transient { effect, .. } => effect,
            other => panic!("{other}"),
        };
        assert_eq!(effect(running(lost(), Effect::None)), Effect::None);
        assert_eq!(effect(running(lost(), Effect::Unknown)), Effect::Unknown);
        assert_eq!(effect(connecting(lost(), Duration::ZERO)), Effect::None);
    }

    #[test]
    fn a_bad_certificate_needs_a_person_and_damage_later_does_not() {
        let damaged = || sqlx::Error::Io(std::io::ErrorKind::InvalidData.into());
        assert!(!connecting(damaged(), Duration::ZERO).is_transient());
        assert!(running(damaged(), Effect::Unknown).is_transient());
    }

    #[test]
    fn a_closed_pool_is_not_asked_again() {
        assert!(!connecting(sqlx::Error::PoolClosed, Duration::ZERO).is_transient());
    }
}
