use gosight_application::ports::PortError;

use crate::STORE_ADAPTER;

/// What a failed statement means. A locked or full disk may pass; a database that is damaged, or has something in it
/// that cannot be read or written, does not.
pub(super) fn store_error<R: std::fmt::Debug + std::fmt::Display>(error: sqlx::Error) -> PortError<R> {
    if is_permanent(&error) {
        return PortError::fatal(STORE_ADAPTER, error);
    }
    PortError::transient(STORE_ADAPTER, error)
}

fn is_permanent(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;

    /// `SQLITE_CORRUPT` and `SQLITE_NOTADB` (<https://www.sqlite.org/rescode.html>).
    const DAMAGED: [u32; 2] = [11, 26];
    match error {
        E::Database(error) => {
            // Extended codes have the primary one in their low byte.
            let code = error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
            code.is_some_and(|code| DAMAGED.contains(&code))
        }
        E::Decode(_)
        | E::Encode(_)
        | E::ColumnDecode { .. }
        | E::ColumnNotFound(_)
        | E::ColumnIndexOutOfBounds { .. }
        | E::TypeNotFound { .. }
        | E::RowNotFound => true,
        _ => false,
    }
}
