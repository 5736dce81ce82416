//! Wrong validators of keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gosight_application::Telemetry;
use gosight_application::decorators::{CachedKeys, KeyCacheConfig};
use gosight_application::ports::{Clock, KeyError, KeyValidator, PortError};
use gosight_conformance::key_validator::{KeyValidatorFixture, cases};
use gosight_domain::key::{Grant, KeyRefusal, PresentedKey};
use gosight_memory::MemoryKeys;

use crate::harness::wrong;

wrong! { cases(), fixture:
    1 a_validator_that_lets_in_what_starts_with_a_key_is_noticed(Fault::LetsInWhatStartsWithAKey):
        no_part_of_a_key_is_let_in;
    1 a_cache_by_the_start_of_a_key_is_noticed(Fault::CachesByTheStart): no_part_of_a_key_is_let_in;
    1 a_validator_that_trims_keys_is_noticed(Fault::TrimsKeys): no_part_of_a_key_is_let_in;
    1 a_validator_that_takes_keys_in_any_case_is_noticed(Fault::TakesAnyCase): no_part_of_a_key_is_let_in;
    2 a_cache_for_ever_is_noticed(Fault::CachesForEver): a_revocation_is_seen_within_the_life_of_the_cache;
    2 a_cache_that_each_use_renews_is_noticed(Fault::EachUseRenews):
        a_revocation_is_seen_within_the_life_of_the_cache;
    2 a_revoked_key_that_is_called_unknown_is_noticed(Fault::RevokedIsUnknown):
        a_revocation_is_seen_within_the_life_of_the_cache;
    3 a_cached_grant_that_does_not_expire_is_noticed(Fault::CachedGrantsDoNotExpire):
        a_key_that_expires_is_refused_from_that_moment_on;
    3 a_key_that_expires_a_moment_late_is_noticed(Fault::ExpiresAMomentLate):
        a_key_that_expires_is_refused_from_that_moment_on;
    3 an_expired_key_that_is_called_unknown_is_noticed(Fault::ExpiredIsUnknown): an_expired_key_is_refused;
    4 an_outage_that_refuses_is_noticed(Fault::AnOutageRefuses):
        while_the_keys_cannot_be_read_nothing_is_refused;
    4 an_outage_that_is_cached_is_noticed(Fault::AnOutageIsCached):
        while_the_keys_cannot_be_read_nothing_is_refused;
    4 an_outage_that_is_fatal_is_noticed(Fault::AnOutageIsFatal):
        while_the_keys_cannot_be_read_nothing_is_refused;
}

/// What is wrong with a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The stored hash is compared with that of every start.
    LetsInWhatStartsWithAKey,
    /// The cache has the prefix that is shown to people.
    CachesByTheStart,
    /// A header is read like one that people write.
    TrimsKeys,
    /// `COLLATE NOCASE`.
    TakesAnyCase,
    /// A cache without a life.
    CachesForEver,
    /// Time to idle in place of time to live.
    EachUseRenews,
    /// `WHERE is_active`.
    RevokedIsUnknown,
    /// The cache has a grant and not its end.
    CachedGrantsDoNotExpire,
    /// `>` in place of `>=`.
    ExpiresAMomentLate,
    /// `WHERE expires_at > now()`.
    ExpiredIsUnknown,
    /// What is not found is unknown, whatever the reason.
    AnOutageRefuses,
    /// A failure is cached like an answer.
    AnOutageIsCached,
    /// No connection is taken for a wrong configuration.
    AnOutageIsFatal,
}

/// Shorter than what the suite allows, and longer than a busy machine makes a case wait.
const LIFE: Duration = Duration::from_secs(3);

/// What is cached, and when it was asked for last.
type Cache = HashMap<String, (Result<Grant, KeyRefusal>, Instant)>;

/// A validator with a fault.
#[derive(Debug)]
struct WrongValidator {
    right: Arc<dyn KeyValidator>,
    clock: Arc<dyn Clock>,
    fault: Option<Fault>,
    cache: Mutex<Cache>,
}

impl WrongValidator {
    /// What is cached by `name`, if it was asked for within `life`.
    fn cached(&self, name: &str, life: Duration) -> Option<Result<Grant, KeyRefusal>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, asked) = cache.get_mut(name)?;
        let is_alive = asked.elapsed() < life;
        *asked = Instant::now();
        is_alive.then(|| said.clone())
    }

    fn keep(&self, name: &str, said: Result<Grant, KeyRefusal>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(name.to_owned(), (said, Instant::now()));
    }

    /// Asks the cache, and after it the right validator. A grant that is cached is given if `is_good`.
    async fn through_the_cache(
        &self,
        key: &PresentedKey,
        name: &str,
        life: Duration,
        is_good: impl Fn(&Grant) -> bool,
    ) -> Result<Grant, KeyError> {
        match self.cached(name, life) {
            Some(Ok(grant)) if is_good(&grant) => Ok(grant),
            Some(Err(refused)) => Err(refusal(refused)),
            _ => {
                let said = self.right.validate(key).await;
                if let Ok(grant) = &said {
                    self.keep(name, Ok(grant.clone()));
                }
                said
            }
        }
    }

    /// The grant of the first start of `key` that is a key.
    async fn validate_starts(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        let text = key.reveal();
        for end in (0..=text.len().min(PresentedKey::MAX_BYTES)).filter(|end| text.is_char_boundary(*end)) {
            if let Ok(grant) = self.right.validate(&PresentedKey::new(&text[..end])).await {
                return Ok(grant);
            }
        }
        self.right.validate(key).await
    }
}

fn refusal(refused: KeyRefusal) -> KeyError {
    PortError::Rejected { adapter: "wrong", refused }
}

/// Calls one refusal by the name of another.
fn called(error: KeyError, wanted: KeyRefusal, other: KeyRefusal) -> KeyError {
    match error {
        PortError::Rejected { refused, .. } if refused == wanted => refusal(other),
        error => error,
    }
}

#[async_trait]
impl KeyValidator for WrongValidator {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        let (name, for_ever, now) = (key.reveal(), Duration::MAX, self.clock.now());
        let is_open = |grant: &Grant| grant.expires_at.is_none_or(|end| now < end);
        let right = self.right.validate(key);
        match self.fault {
            Some(Fault::LetsInWhatStartsWithAKey) => self.validate_starts(key).await,
            Some(Fault::CachesByTheStart) => {
                self.through_the_cache(key, &key.shown_prefix(), for_ever, is_open).await
            }
            Some(Fault::TrimsKeys) => self.right.validate(&name.trim_end().into()).await,
            Some(Fault::TakesAnyCase) => self.right.validate(&PresentedKey::new(name.to_lowercase())).await,
            Some(Fault::CachesForEver) => self.through_the_cache(key, name, for_ever, is_open).await,
            Some(Fault::EachUseRenews) => self.through_the_cache(key, name, LIFE, is_open).await,
            Some(Fault::CachedGrantsDoNotExpire) => {
                self.through_the_cache(key, name, for_ever, |_| true).await
            }
            Some(Fault::ExpiresAMomentLate) => {
                let is_last = |grant: &Grant| grant.expires_at == Some(now);
                self.through_the_cache(key, name, for_ever, is_last).await
            }
            Some(Fault::RevokedIsUnknown) => {
                right.await.map_err(|error| called(error, KeyRefusal::Revoked, KeyRefusal::Unknown))
            }
            Some(Fault::ExpiredIsUnknown) => {
                right.await.map_err(|error| called(error, KeyRefusal::Expired, KeyRefusal::Unknown))
            }
            Some(Fault::AnOutageRefuses) => right
                .await
                .map_err(|error| if error.is_transient() { refusal(KeyRefusal::Unknown) } else { error }),
            Some(Fault::AnOutageIsCached) => {
                let said = self.through_the_cache(key, name, LIFE, is_open).await;
                if said.as_ref().is_err_and(PortError::is_transient) {
                    self.keep(name, Err(KeyRefusal::Unknown));
                }
                said
            }
            Some(Fault::AnOutageIsFatal) => right
                .await
                .map_err(|error| if error.is_transient() { PortError::fatal("wrong", error) } else { error }),
            None => right.await,
        }
    }
}

fn fixture(fault: Option<Fault>) -> KeyValidatorFixture {
    KeyValidatorFixture::over(Arc::new(MemoryKeys::default()), Box::new(()), |stored, clock| {
        let config = KeyCacheConfig { life: Duration::from_millis(50), capacity: 100 };
        let right = Arc::new(CachedKeys::new(stored, clock.clone(), config, Telemetry::default()));
        Arc::new(WrongValidator { right, clock, fault, cache: Mutex::default() })
    })
}
