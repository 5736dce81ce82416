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
pub(super) struct BulkStatement {
    /// Before the rows.
    pub head: &'static str,
    /// Values of a row.
    pub columns: usize,
    /// After the rows.
    pub tail: &'static str,
}

impl BulkStatement {
    /// Runs the statement for all of `rows`.
    pub async fn execute<T>(
        self,
        connection: &mut SqliteConnection,
        rows: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        bind: impl for<'q> Fn(Bound<'q>, T) -> Bound<'q>,
    ) -> sqlx::Result<()> {
        let mut rows = rows.into_iter();
        while let Some(query) = self.next_query(&mut rows, &bind) {
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Runs the statement for all of `rows` and gives what it returns.
    pub async fn fetch<T>(
        self,
        connection: &mut SqliteConnection,
        rows: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        bind: impl for<'q> Fn(Bound<'q>, T) -> Bound<'q>,
    ) -> sqlx::Result<Vec<SqliteRow>> {
        let mut rows = rows.into_iter();
        let mut found = Vec::new();
        while let Some(query) = self.next_query(&mut rows, &bind) {
            found.extend(connection.fetch_all(query).await?);
        }
        Ok(found)
    }

    /// The statement for the next of `rows`; `None` after the last.
    fn next_query<'q, T>(
        self,
        rows: &mut impl ExactSizeIterator<Item = T>,
        bind: &impl Fn(Bound<'q>, T) -> Bound<'q>,
    ) -> Option<Bound<'q>> {
        let length = next_length(rows.len())?;
        let query = sqlx::query(AssertSqlSafe(self.sql(length)));
        Some(rows.by_ref().take(length).fold(query, bind))
    }

    /// The text has no data in it, only placeholders.
    fn sql(self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{}{}{}", self.head, vec![row.as_str(); rows].join(","), self.tail)
    }
}

/// How many of so many rows go into the next statement. Powers of two only, so that few different statements have to be
/// prepared.
fn next_length(rows: usize) -> Option<usize> {
    Some((1 << rows.checked_ilog2()?).min(MAX_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_have_powers_of_two_of_rows_and_cover_all() {
        let mut left = 5_003;
        let mut lengths = Vec::new();
        while let Some(length) = next_length(left) {
            lengths.push(length);
            left -= length;
        }
        assert_eq!(lengths, [2_048, 2_048, 512, 256, 128, 8, 2, 1]);
        assert_eq!(left, 0);
    }

    #[test]
    fn rows_stand_between_head_and_tail() {
        let insert = BulkStatement { head: "INSERT INTO t VALUES ", columns: 2, tail: " RETURNING id" };
        assert_eq!(insert.sql(2), "INSERT INTO t VALUES (?,?),(?,?) RETURNING id");
    }
}
