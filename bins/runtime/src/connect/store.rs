//! The store.

use std::sync::Arc;

use gosight_application::pipeline::StorePorts;
use gosight_application::ports::{DeadLetters, HealthCheck, Ledger, Maintenance};
#[cfg(feature = "clickhouse")]
use gosight_application::process::StoredDeduplicator;
#[cfg(feature = "clickhouse")]
use gosight_clickhouse::ClickHouseStore;
#[cfg(feature = "embedded")]
use gosight_embedded::EmbeddedStore;

use super::state::State;
use super::{ConnectError, Connecting, Parts};
use crate::settings::StoreBackend;

/// The store, by its backend.
pub(super) enum Store {
    #[cfg(feature = "embedded")]
    Embedded(Arc<EmbeddedStore>),
    #[cfg(feature = "clickhouse")]
    ClickHouse(Arc<ClickHouseStore>),
}

impl Store {
    pub(super) async fn open(
        connecting: &Connecting<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Self, ConnectError> {
        let Connecting { config, .. } = connecting;
        match (config.store.backend, parts) {
            #[cfg(feature = "embedded")]
            (StoreBackend::Embedded, Some(parts)) => {
                Ok(Self::Embedded(parts.store(config.store.config(&config.events)).await?))
            }
            #[cfg(feature = "clickhouse")]
            (StoreBackend::Clickhouse, _) => {
                let connect = async || ClickHouseStore::connect(&config.clickhouse).await;
                let store = super::retry::connect_with_retry(connecting, "ClickHouse", connect).await?;
                if connecting.role.archives() {
                    // For one process to say.
                    let keep = async || ClickHouseStore::keep_replays(&config.clickhouse).await;
                    super::retry::connect_with_retry(connecting, "ClickHouse", keep).await?;
                }
                Ok(Self::ClickHouse(Arc::new(store)))
            }
            _ => Err(super::not_built("store.backend")),
        }
    }

    pub(super) fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(store) => store.clone(),
            #[cfg(feature = "clickhouse")]
            Self::ClickHouse(store) => store.clone(),
        }
    }

    /// Where it keeps what cannot be processed, if it does.
    pub(super) fn dead_letters(&self) -> Option<Arc<dyn DeadLetters>> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(store) => Some(store.clone()),
            #[cfg(feature = "clickhouse")]
            Self::ClickHouse(_) => None,
        }
    }

    pub(super) async fn ports(
        &self,
        state: &State,
        dead_letters: Option<Arc<dyn DeadLetters>>,
    ) -> StorePorts {
        let ports = match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(store) => {
                let deduplicator = state.deduplicator(store.clone()).unwrap_or_else(|| store.deduplicator());
                let mut ports = StorePorts::of(store, deduplicator, dead_letters);
                // Only who commits in steps can go on where such a commit was cut off.
                if !store.has_unfinished_batches().await {
                    ports.batches = Some(store.clone());
                }
                ports
            }
            #[cfg(feature = "clickhouse")]
            Self::ClickHouse(store) => {
                let own = || Arc::new(StoredDeduplicator::new(store.clone())) as _;
                let deduplicator = state.deduplicator(store.clone()).unwrap_or_else(own);
                StorePorts::of(store, deduplicator, dead_letters)
            }
        };
        StorePorts { session_cache: state.session_cache(), ..ports }
    }

    pub(super) fn join(
        &self,
        health: &mut Vec<Arc<dyn HealthCheck>>,
        maintenance: &mut Vec<Arc<dyn Maintenance>>,
    ) {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(store) => {
                health.push(store.clone());
                maintenance.push(store.clone());
            }
            #[cfg(feature = "clickhouse")]
            Self::ClickHouse(store) => health.push(store.clone()),
        }
    }
}
