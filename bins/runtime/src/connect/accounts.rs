//! Projects, keys and profiles.

use std::sync::Arc;

use gosight_application::pipeline::AccountPorts;
use gosight_application::ports::HealthCheck;
#[cfg(feature = "postgres")]
use gosight_postgres::PostgresAccounts;

use super::{ConnectError, Connecting, Parts};
use crate::settings::AccountsBackend;

/// The accounts, by their backend.
pub(super) async fn accounts(
    connecting: &Connecting<'_>,
    parts: &mut Parts<'_>,
    health: &mut Vec<Arc<dyn HealthCheck>>,
) -> Result<AccountPorts, ConnectError> {
    let config = connecting.config;
    match (config.accounts.backend, parts) {
        #[cfg(feature = "embedded")]
        (AccountsBackend::Embedded, Some(parts)) => {
            Ok(AccountPorts::of(&Arc::new(parts.accounts(config.store.readers).await?)))
        }
        #[cfg(feature = "postgres")]
        (AccountsBackend::Postgres, _) => {
            let connect = async || PostgresAccounts::connect(&config.postgres).await;
            let accounts = super::retry::connect_with_retry(connecting, "PostgreSQL", connect).await?;
            let accounts = Arc::new(accounts);
            health.push(accounts.clone());
            Ok(AccountPorts::of(&accounts))
        }
        _ => Err(super::not_built("accounts.backend")),
    }
}
