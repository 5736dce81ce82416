//! Statements over many rows at once: a round trip to `SQLite` costs more than a row does.

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Executor};

/// A statement that rows are bound to.
pub(super) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Most rows of one statement. With up to 12 columns this stays below `SQLite`'s 32,766 parameters.
const MAX_ROWS: usize = 2_048;

/// A statement with a list of rows in its middle.
#[derive(Clone, Copy)]
pub(super) struct ManyRows {
    /// Before the rows.
    pub head: &'static str,
    /// Values of a row.
    pub columns: usize,
    /// After the rows.
    pub tail: &'static str,
}

impl ManyRows {
    /// Runs the statement for all of `rows`.
    pub async fn execute<T>(
        self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl for<'q> Fn(Bound<'q>, &T) -> Bound<'q>,
    ) -> sqlx::Result<()> {
        for rows in pieces(rows) {
            let query = sqlx::query(AssertSqlSafe(self.sql(rows.len())));
            rows.iter().fold(query, &bind).execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Runs the statement for all of `rows` and gives what it returns.
    pub async fn fetch<T>(
        self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl for<'q> Fn(Bound<'q>, &T) -> Bound<'q>,
    ) -> sqlx::Result<Vec<SqliteRow>> {
        let mut found = Vec::new();
        for rows in pieces(rows) {
            let query = sqlx::query(AssertSqlSafe(self.sql(rows.len())));
            found.extend(connection.fetch_all(rows.iter().fold(query, &bind)).await?);
        }
        Ok(found)
    }

    /// The text has no data in it, only placeholders.
    fn sql(self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{}{}{}", self.head, vec![row.as_str(); rows].join(","), self.tail)
    }
}

/// Cuts `rows` into pieces whose lengths are powers of two, so that few different statements have to be prepared.
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let largest = rows.len().checked_ilog2()?;
        let (piece, rest) = rows.split_at((1 << largest).min(MAX_ROWS));
        rows = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_powers_of_two_and_cover_all() {
        let rows: Vec<usize> = (0..5_003).collect();
        let lengths: Vec<usize> = pieces(&rows).map(<[usize]>::len).collect();
        assert_eq!(lengths, [2_048, 2_048, 512, 256, 128, 8, 2, 1]);
        assert!(pieces(&rows).flatten().eq(&rows));
        assert_eq!(pieces::<u8>(&[]).count(), 0);
    }

    #[test]
    fn rows_stand_between_head_and_tail() {
        let insert = ManyRows { head: "INSERT INTO t VALUES ", columns: 2, tail: " RETURNING id" };
        assert_eq!(insert.sql(2), "INSERT INTO t VALUES (?,?),(?,?) RETURNING id");
    }
}
