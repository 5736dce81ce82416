//! A database of the test's own.

use std::time::Duration;

use gosight_postgres::{PostgresAccounts, PostgresConfig};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A database that is dropped with this.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// An empty database on the shared server.
    pub async fn create() -> Self {
        Self::create_on(gosight_services::postgres_url()).await
    }

    /// An empty database on the server whose database `postgres` is at the URL `server`.
    pub async fn create_on(server: String) -> Self {
        let name = format!("gosight_test_{:032x}", rand::random::<u128>());
        let mut connection = PgConnection::connect(&server).await.expect("the server");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.expect("a database");
        Self { server, name }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.server.replace("/postgres", &format!("/{}", self.name))
    }

    /// Settings for it.
    pub fn config(&self) -> PostgresConfig {
        PostgresConfig { url: self.url().into(), max_connections: 4, ..PostgresConfig::default() }
    }

    /// Accounts in it.
    pub async fn accounts(&self) -> PostgresAccounts {
        PostgresAccounts::connect(&self.config()).await.expect("migrated")
    }

    /// A connection beside the accounts.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.expect("the database")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // The test's own runtime may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let work = async {
                    let mut connection = PgConnection::connect(&server).await?;
                    sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await
                };
                tokio::time::timeout(Duration::from_secs(20), work).await
            })
        });
        let result = dropped.join();
        if !std::thread::panicking() {
            result.unwrap().expect("dropped in time").expect("dropped");
        }
    }
}
