//! What a failure of `ClickHouse` means.

use std::fmt;

use clickhouse::error::Error;
use gosight_application::ports::{PortError, RefusedRows};

use crate::ADAPTER;

/// Codes of `src/Common/ErrorCodes.cpp` that say that these rows will never do.
const BAD_ROWS: [u32; 17] = [6, 26, 27, 38, 41, 53, 69, 70, 72, 117, 128, 131, 321, 349, 407, 469, 691];

/// Codes that no waiting heals: unknown or missing database, table, column, setting, right or password; a query that
/// this server does not understand.
const NEEDS_A_PERSON: [u32; 15] = [16, 36, 44, 46, 47, 48, 60, 62, 80, 81, 115, 192, 193, 497, 516];

/// The code of a server's answer, `Code: 252. DB::Exception: …`.
fn code(error: &Error) -> Option<u32> {
    let Error::BadResponse(text) = error else { return None };
    let digits = text.split_once("Code: ")?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits[..end].parse().ok()
}

/// No projection answers a question that one was demanded for.
pub(crate) fn is_no_projection(error: &Error) -> bool {
    code(error) == Some(584)
}

/// A failure of this crate's own: what it asks does not match what it reads.
fn is_mistake(error: &Error) -> bool {
    matches!(
        error,
        Error::SchemaMismatch(_)
            | Error::InvalidParams(_)
            | Error::InvalidColumnsHeader(_)
            | Error::NotEnoughData
            | Error::InvalidUtf8Encoding(_)
            | Error::Unsupported(_)
            | Error::Custom(_)
    )
}

/// A failure to read, or to do something that may be done again.
pub(crate) fn read_error<R: fmt::Debug + fmt::Display>(error: Error) -> PortError<R> {
    match code(&error) {
        Some(code) if NEEDS_A_PERSON.contains(&code) => PortError::fatal(ADAPTER, error),
        None if is_mistake(&error) => PortError::fatal(ADAPTER, error),
        _ => PortError::transient(ADAPTER, error),
    }
}

/// A failure to insert. Whatever is not known to be refused may have happened.
pub(crate) fn insert_error(error: Error) -> PortError<RefusedRows> {
    match code(&error) {
        Some(code) if BAD_ROWS.contains(&code) => PortError::Rejected {
            adapter: ADAPTER,
            refused: RefusedRows { offsets: std::collections::BTreeMap::new(), reason: error.to_string() },
        },
        Some(code) if NEEDS_A_PERSON.contains(&code) => PortError::fatal(ADAPTER, error),
        _ => PortError::unknown(ADAPTER, error),
    }
}

#[cfg(test)]
mod tests {
    use gosight_application::ports::Effect;

    use super::*;

    fn answer(text: &str) -> Error {
        Error::BadResponse(text.to_owned())
    }

    #[test]
    fn codes_decide() {
        let refused = insert_error(answer("Code: 469. DB::Exception: Constraint `c` is violated"));
        assert!(matches!(refused, PortError::Rejected { .. }), "{refused}");
        let missing = insert_error(answer("Code: 60. DB::Exception: Table gosight.events does not exist"));
        assert!(matches!(missing, PortError::Fatal { .. }), "{missing}");
        for text in ["Code: 252. DB::Exception: Too many parts", "502 Bad Gateway", "Code: 99999."] {
            let waits = insert_error(answer(text));
            assert!(matches!(waits, PortError::Transient { effect: Effect::Unknown, .. }), "{waits}");
        }
        assert!(insert_error(Error::TimedOut).is_transient());
        assert!(read_error::<RefusedRows>(answer("Code: 241. Memory limit")).is_transient());
    }
}
