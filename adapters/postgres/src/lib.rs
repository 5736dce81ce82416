//! Projects, API keys and profiles on `PostgreSQL`.
//!
//! [`PostgresAccounts`] is a `KeyStore` and a `ProfileStore`. It belongs behind the key and profile caches of
//! `gosight-application`; while the server is unavailable, what is cached goes on working and everything else is asked to try
//! again.
//!
//! ```no_run
//! use gosight_application::ports::KeyAdmin;
//! use gosight_postgres::{PostgresAccounts, PostgresConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = PostgresConfig { url: "postgres://gosight@db.internal/gosight".into(), ..PostgresConfig::default() };
//! let accounts = PostgresAccounts::connect(&config).await?;
//! println!("{} projects", accounts.list_projects().await?.len());
//! # Ok(())
//! # }
//! ```

mod accounts;
mod config;
mod error;
mod migrations;

pub use accounts::PostgresAccounts;
pub use config::{ConfigError, DatabaseUrl, PostgresConfig};
pub use migrations::migrate;

/// What errors and health call this adapter.
const ADAPTER: &str = "postgres";
