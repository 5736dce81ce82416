use gosight_distributed_tests::Set;
use gosight_e2e::fixture::read_gz;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Runs the statements that make the tables and put their rows back.
pub(super) async fn restore(set: &Set) {
    let sql = String::from_utf8(read_gz("postgres.sql.gz")).unwrap();
    let mut connection = PgConnection::connect(set.setting("POSTGRES_URL")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
