//! The conformance suites, each case in a database of its own.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::decorators::{CachedKeys, KeyCacheConfig};
use gosight_application::ports::Clock;
use gosight_conformance::factory::NOON;
use gosight_conformance::key_store::KeyStoreFixture;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::profile_store::ProfileStoreFixture;
use gosight_conformance::replay_catalogue::ReplayCatalogueFixture;
use gosight_domain::Timestamp;

use crate::database::Database;

mod profile_store {
    gosight_conformance::profile_store_suite!(super::profiles);
}
mod replay_catalogue {
    gosight_conformance::replay_catalogue_suite!(super::catalogue);
}
mod key_store {
    gosight_conformance::key_store_suite!(super::keys);
}
mod key_validator {
    gosight_conformance::key_validator_suite!(super::validator);
}

async fn profiles() -> ProfileStoreFixture {
    let database = Database::create().await;
    let profiles = Arc::new(database.accounts().await);
    ProfileStoreFixture { profiles, keep: Box::new(database) }
}

async fn catalogue() -> ReplayCatalogueFixture {
    let database = Database::create().await;
    let catalogue = Arc::new(database.accounts().await);
    ReplayCatalogueFixture { catalogue, keep: Box::new(database) }
}

async fn keys() -> KeyStoreFixture {
    let database = Database::create().await;
    let keys = Arc::new(database.accounts().await);
    KeyStoreFixture { keys, keep: Box::new(database) }
}

/// A clock that stands at [`NOON`].
#[derive(Debug)]
pub struct AtNoon;

impl Clock for AtNoon {
    fn now(&self) -> Timestamp {
        NOON
    }
}

async fn validator() -> KeyValidatorFixture {
    let database = Database::create().await;
    let keys = Arc::new(database.accounts().await);
    let config = KeyCacheConfig { life: Duration::from_millis(200), capacity: 100 };
    let validator = Arc::new(CachedKeys::new(keys.clone(), Arc::new(AtNoon), config, Telemetry::default()));
    KeyValidatorFixture { validator, keys, keep: Box::new(database) }
}
