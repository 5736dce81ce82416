use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use bytesize::ByteSize;
use gosight_application::decorators::KeyCacheConfig;
use gosight_application::ingest::IngestRules;
use gosight_application::ports::RateLimits;
use gosight_domain::EventName;
use gosight_domain::replay::ReplayRules;
use gosight_domain::time::TimePolicy;
use gosight_domain::validate::EventRules;
use serde::{Deserialize, Serialize};

use super::{InvalidSetting, bytes};

/// The rules of the ingest API.
pub fn ingest_rules(events: &EventSettings, replay: &ReplaySettings, max_record: ByteSize) -> IngestRules {
    IngestRules {
        event: EventRules {
            time: events.time_policy(),
            max_tags: events.max_tags,
            max_event_bytes: bytes(events.max_bytes),
            max_depth: events.max_depth,
            idempotency_keys: events.idempotency_keys.clone(),
        },
        replay: ReplayRules { time: events.time_policy(), max_events: replay.max_events },
        max_events: events.max_per_request,
        gzip_level: replay.gzip_level,
        keep_gzip_ratio: replay.keep_gzip_ratio,
        max_record_bytes: bytes(max_record),
    }
}

/// What events may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// Most events of one request.
    pub max_per_request: usize,
    /// Largest event.
    pub max_bytes: ByteSize,
    /// Most tags of an event.
    pub max_tags: usize,
    /// Deepest nesting of `payload` and `custom`.
    pub max_depth: usize,
    /// How far ahead of the server a timestamp may be.
    #[serde(with = "humantime_serde")]
    pub max_future: Duration,
    /// How old a timestamp may be.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// A difference between `sent_at` and the server's time up to this is taken for latency.
    #[serde(with = "humantime_serde")]
    pub skew_tolerance: Duration,
    /// By event type, the payload field that names an event without `event_id`.
    pub idempotency_keys: BTreeMap<EventName, String>,
}

impl Default for EventSettings {
    fn default() -> Self {
        let rules = EventRules::default();
        let millis = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        Self {
            max_per_request: 1_000,
            max_bytes: ByteSize(rules.max_event_bytes as u64),
            max_tags: rules.max_tags,
            max_depth: rules.max_depth,
            max_future: millis(rules.time.max_future_ms),
            max_age: millis(rules.time.max_age_ms),
            skew_tolerance: millis(rules.time.skew_tolerance_ms),
            idempotency_keys: BTreeMap::new(),
        }
    }
}

/// `serde_json` reads no deeper, and the event itself takes a few levels.
const MAX_DEPTH: usize = 100;

impl EventSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        if !(1..=MAX_DEPTH).contains(&self.max_depth) {
            let reason = format!("is {}, must be 1 to {MAX_DEPTH}", self.max_depth);
            return Err(InvalidSetting::new("events.max_depth", reason));
        }
        if self.max_per_request == 0 {
            return Err(InvalidSetting::new("events.max_per_request", "must be more than 0"));
        }
        Ok(())
    }

    /// No event that the ingest API takes becomes a larger record: a text is written with up to six bytes for one, a path stands in its
    /// address too, and the server's own fields are small.
    pub fn max_record_bytes(&self) -> usize {
        const GROWTH: usize = 16;
        const OWN_FIELDS: usize = 1024 * 1024;
        bytes(self.max_bytes).saturating_mul(GROWTH).saturating_add(OWN_FIELDS)
    }

    /// When a timestamp is believed.
    pub fn time_policy(&self) -> TimePolicy {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        TimePolicy {
            max_future_ms: millis(self.max_future),
            max_age_ms: millis(self.max_age),
            skew_tolerance_ms: millis(self.skew_tolerance),
        }
    }
}

/// What replay chunks may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplaySettings {
    /// Most rrweb events of a chunk.
    pub max_events: usize,
    /// Level of gzip, 0 to 9.
    pub gzip_level: u32,
    /// A sender's gzip that is so many times smaller than its events is stored as it came. Any other is compressed
    /// again, and the smaller of the two is stored.
    pub keep_gzip_ratio: usize,
}

impl Default for ReplaySettings {
    fn default() -> Self {
        Self { max_events: ReplayRules::default().max_events, gzip_level: 6, keep_gzip_ratio: 4 }
    }
}

impl ReplaySettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        if self.gzip_level > 9 {
            let reason = format!("is {}, must be 0 to 9", self.gzip_level);
            return Err(InvalidSetting::new("replay.gzip_level", reason));
        }
        if self.keep_gzip_ratio == 0 {
            return Err(InvalidSetting::new("replay.keep_gzip_ratio", "must be 1 or more"));
        }
        Ok(())
    }
}

/// How much a project may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSettings {
    /// Events per second in the long run.
    pub events_per_second: u32,
    /// Events at once after a pause.
    pub burst: u32,
}

impl Default for RateLimitSettings {
    /// More than two cores take in: the limit is there to be lowered.
    fn default() -> Self {
        Self { events_per_second: 100_000, burst: 200_000 }
    }
}

impl RateLimitSettings {
    /// The limits of the limiter.
    ///
    /// # Errors
    /// [`InvalidSetting`] for a limit of 0.
    pub fn limits(&self) -> Result<RateLimits, InvalidSetting> {
        let positive = |key: &str, n: u32| {
            NonZeroU32::new(n)
                .ok_or_else(|| InvalidSetting::new(format!("rate_limit.{key}"), "must be more than 0"))
        };
        Ok(RateLimits {
            events_per_second: positive("events_per_second", self.events_per_second)?,
            burst: positive("burst", self.burst)?,
        })
    }
}

/// How keys are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySettings {
    /// How long an answer about a key is believed. A revocation is seen within it.
    #[serde(with = "humantime_serde")]
    pub cache_life: Duration,
    /// Most answers that are kept.
    pub cache_capacity: u64,
}

impl Default for KeySettings {
    fn default() -> Self {
        let config = KeyCacheConfig::default();
        Self { cache_life: config.life, cache_capacity: config.capacity }
    }
}

impl KeySettings {
    /// The cache's own settings.
    pub fn cache(&self) -> KeyCacheConfig {
        KeyCacheConfig { life: self.cache_life, capacity: self.cache_capacity }
    }
}
