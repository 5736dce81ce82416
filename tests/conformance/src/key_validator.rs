//! Suite of `KeyValidator`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::keys::StoredKeys;
use gosight_application::ports::{Clock, KeyAdmin, KeyLookup, KeyStoreError, KeyValidator, PortError};
use gosight_domain::Timestamp;
use gosight_domain::key::{ApiKey, Grant, KeyHash, KeyRefusal, PresentedKey, Scope};

use crate::key_store::{KeyStore, add_project, key, presented};
use crate::{
    Keep,
    factory::{NOON, project},
    suite,
};

suite! { $ key_validator_suite, key_validator(KeyValidatorFixture):
    a_good_key_gives_its_grant
    no_part_of_a_key_is_let_in
    an_expired_key_is_refused
    a_key_that_expires_is_refused_from_that_moment_on
    while_the_keys_cannot_be_read_nothing_is_refused
    a_revocation_is_seen_within_the_life_of_the_cache
    a_new_key_is_seen_within_the_life_of_the_cache
}

/// Longer than the lives of all cached answers together, by what a busy machine may need.
const ALL_LIVES: Duration = Duration::from_secs(5);

/// A validator over a store without projects. Its clock stands at [`NOON`], and what it caches lives shorter than a
/// second.
pub struct KeyValidatorFixture {
    /// The port.
    pub validator: Arc<dyn KeyValidator>,
    /// Where its keys are.
    pub keys: Arc<dyn KeyAdmin>,
    /// Sets the validator's clock.
    pub set_clock: Box<dyn Fn(Timestamp) + Send + Sync>,
    /// Whether the validator's keys can be read.
    pub outage: Arc<Outage>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

impl KeyValidatorFixture {
    /// A validator over `keys`. `chain` puts others before the one that looks a key up among them.
    pub fn over(
        keys: Arc<dyn KeyStore>,
        keep: Keep,
        chain: impl FnOnce(Arc<dyn KeyValidator>, Arc<dyn Clock>) -> Arc<dyn KeyValidator>,
    ) -> Self {
        let outage = Arc::<Outage>::default();
        let clock = Arc::new(SettableClock::default());
        let lookup = Arc::new(UnreliableKeys { keys: keys.clone(), outage: outage.clone() });
        let stored = Arc::new(StoredKeys::new(lookup, clock.clone()));
        let validator = chain(stored, clock.clone());
        Self { validator, keys, set_clock: Box::new(move |at| clock.set(at)), outage, keep }
    }
}

/// A clock that stands at [`NOON`] until it is set.
#[derive(Debug)]
struct SettableClock(AtomicI64);

impl Default for SettableClock {
    fn default() -> Self {
        Self(AtomicI64::new(NOON.as_millis()))
    }
}

impl SettableClock {
    fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for SettableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A switch that keys cannot be read while it is on.
#[derive(Debug, Default)]
pub struct Outage(AtomicBool);

impl Outage {
    /// Turns it on or off.
    pub fn set(&self, is_on: bool) {
        self.0.store(is_on, Ordering::SeqCst);
    }
}

/// Keys that cannot be read during an outage.
#[derive(Debug)]
struct UnreliableKeys {
    keys: Arc<dyn KeyStore>,
    outage: Arc<Outage>,
}

#[async_trait]
impl KeyLookup for UnreliableKeys {
    async fn find_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, KeyStoreError> {
        if self.outage.0.load(Ordering::SeqCst) {
            return Err(PortError::transient("keys", "an outage"));
        }
        self.keys.find_key(hash).await
    }
}

async fn add(fixture: &KeyValidatorFixture, key: &ApiKey) {
    add_project(&*fixture.keys, "p").await;
    fixture.keys.create_key(key).await.expect("created");
}

async fn validate(fixture: &KeyValidatorFixture, key: &PresentedKey) -> Result<Grant, KeyRefusal> {
    match fixture.validator.validate(key).await {
        Ok(grant) => Ok(grant),
        Err(PortError::Rejected { refused, .. }) => Err(refused),
        Err(error) => panic!("{error}"),
    }
}

async fn wait_for(
    fixture: &KeyValidatorFixture,
    key: &PresentedKey,
    wanted: impl Fn(&Result<Grant, KeyRefusal>) -> bool,
) -> Result<Grant, KeyRefusal> {
    let seen = async {
        loop {
            let found = validate(fixture, key).await;
            if wanted(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(ALL_LIVES, seen).await.expect("seen in time")
}

pub async fn a_good_key_gives_its_grant(fixture: KeyValidatorFixture) {
    add(&fixture, &key(1)).await;
    let grant = validate(&fixture, &presented(1)).await.expect("granted");
    assert_eq!(grant.project_id, project("p"));
    assert_eq!(grant.scopes, [Scope::Ingest, Scope::Read]);
    assert_eq!(grant.key_id, key(1).key_id);
}

pub async fn no_part_of_a_key_is_let_in(fixture: KeyValidatorFixture) {
    add(&fixture, &key(1)).await;
    let good = presented(1);
    validate(&fixture, &good).await.expect("granted, and in the cache now");
    let text = good.reveal();
    let parts = ["", "a", &text[..3], &text[..12], &text[..text.len() - 1]];
    let around = [format!("{text}0"), format!("{text} "), format!(" {text}"), format!("{text}\0")];
    let others = around.into_iter().chain([text.to_uppercase(), "x".repeat(100_000)]);
    for other in parts.into_iter().map(str::to_owned).chain(others) {
        let refusal = validate(&fixture, &PresentedKey::new(other.clone())).await;
        assert_eq!(refusal, Err(KeyRefusal::Unknown), "{other}");
    }
}

pub async fn an_expired_key_is_refused(fixture: KeyValidatorFixture) {
    add(&fixture, &ApiKey { expires_at: Some(NOON), ..key(1) }).await;
    assert_eq!(validate(&fixture, &presented(1)).await, Err(KeyRefusal::Expired));
}

pub async fn a_key_that_expires_is_refused_from_that_moment_on(fixture: KeyValidatorFixture) {
    let end = NOON.plus_millis(1_000);
    add(&fixture, &ApiKey { expires_at: Some(end), ..key(1) }).await;
    for _ in 0..2 {
        validate(&fixture, &presented(1)).await.expect("granted, and in all caches now");
    }
    (fixture.set_clock)(end.plus_millis(-1));
    validate(&fixture, &presented(1)).await.expect("granted to the last ms");
    (fixture.set_clock)(end);
    assert_eq!(validate(&fixture, &presented(1)).await, Err(KeyRefusal::Expired));
    assert_eq!(validate(&fixture, &presented(1)).await, Err(KeyRefusal::Expired));
}

pub async fn while_the_keys_cannot_be_read_nothing_is_refused(fixture: KeyValidatorFixture) {
    add(&fixture, &key(1)).await;
    fixture.outage.set(true);
    for n in [1, 2] {
        for _ in 0..2 {
            let result = fixture.validator.validate(&presented(n)).await;
            assert!(matches!(result, Err(PortError::Transient { .. })), "{result:?}");
        }
    }
    fixture.outage.set(false);
    validate(&fixture, &presented(1)).await.expect("granted");
    assert_eq!(validate(&fixture, &presented(2)).await, Err(KeyRefusal::Unknown));
}

pub async fn a_revocation_is_seen_within_the_life_of_the_cache(fixture: KeyValidatorFixture) {
    add(&fixture, &key(1)).await;
    validate(&fixture, &presented(1)).await.expect("granted");
    fixture.keys.revoke_key(key(1).key_id).await.expect("revoked");
    let refused = wait_for(&fixture, &presented(1), Result::is_err).await;
    assert_eq!(refused, Err(KeyRefusal::Revoked));
}

pub async fn a_new_key_is_seen_within_the_life_of_the_cache(fixture: KeyValidatorFixture) {
    assert_eq!(validate(&fixture, &presented(1)).await, Err(KeyRefusal::Unknown));
    add(&fixture, &key(1)).await;
    wait_for(&fixture, &presented(1), Result::is_ok).await.expect("granted");
}
