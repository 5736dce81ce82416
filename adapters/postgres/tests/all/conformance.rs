//! The conformance suites, each case in a database of its own.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::decorators::{CachedKeys, CountedKeys, KeyCacheConfig};
use gosight_conformance::key_store::KeyStoreFixture;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::profile_store::ProfileStoreFixture;
use gosight_conformance::replay_catalogue::ReplayCatalogueFixture;

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

async fn validator() -> KeyValidatorFixture {
    let database = Database::create().await;
    let keys = Arc::new(database.accounts().await);
    KeyValidatorFixture::over(keys.clone(), Box::new(database), |stored, clock| {
        let config = KeyCacheConfig { life: Duration::from_millis(200), capacity: 100 };
        let cached = Arc::new(CachedKeys::new(stored, clock.clone(), config, Telemetry::default()));
        Arc::new(CountedKeys::new(cached, keys, clock))
    })
}
