use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use gosight_application::backoff::BackoffPolicy;
use gosight_application::enrichers::ProfileCacheConfig;
use gosight_application::ports::PollLimits;
use gosight_application::process::ConsumerConfig;
use gosight_application::process::filter::{FilterRuleConfig, FilterSet};
use gosight_domain::EventName;
use gosight_domain::aggregate::{Aggregation, KeyTemplate, Measure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::enrichers::check_process;
use super::{EnricherKind, EnricherSettings, InvalidSetting, bytes};

/// How the log is processed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessSettings {
    /// Batches of events.
    pub events: ConsumerSettings,
    /// Batches of replay chunks.
    pub replay: ConsumerSettings,
    /// The first wait when the store is unavailable.
    #[serde(with = "humantime_serde")]
    pub backoff_initial: Duration,
    /// The longest wait when the store is unavailable.
    #[serde(with = "humantime_serde")]
    pub backoff_max: Duration,
    /// Whether to go on, and count them as lost, when records are gone from the log that were never processed.
    pub accept_lost_records: bool,
    /// What tells more about events, in order.
    pub enrichers: Vec<EnricherSettings>,
    /// What is known about users and items.
    pub profiles: ProfileSettings,
    /// Rules that mark, block, route or change events, in order.
    pub filters: Vec<FilterRuleConfig>,
    /// Counts and measures by key and window.
    pub aggregations: Vec<AggregationConfig>,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        let backoff = BackoffPolicy::default();
        Self {
            events: ConsumerSettings {
                batch_records: 2_000,
                batch_size: ByteSize::mib(8),
                linger: Duration::from_millis(50),
            },
            replay: ConsumerSettings {
                batch_records: 100,
                batch_size: ByteSize::mib(32),
                linger: Duration::from_millis(200),
            },
            backoff_initial: backoff.initial,
            backoff_max: backoff.max,
            accept_lost_records: false,
            enrichers: vec![EnricherSettings::of(EnricherKind::Profiles)],
            profiles: ProfileSettings::default(),
            filters: default_filters(),
            aggregations: default_aggregations(),
        }
    }
}

/// How much one batch holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSettings {
    /// Most records.
    pub batch_records: usize,
    /// Most bytes.
    pub batch_size: ByteSize,
    /// How long to wait for more once there is one record.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
}

/// What is known about users and items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileSettings {
    /// Whether profiles are looked up.
    pub enabled: bool,
    /// How long a profile is believed.
    #[serde(with = "humantime_serde")]
    pub cache_life: Duration,
    /// Most profiles that are kept in memory.
    pub cache_capacity: u64,
}

impl Default for ProfileSettings {
    fn default() -> Self {
        let config = ProfileCacheConfig::default();
        Self { enabled: true, cache_life: config.life, cache_capacity: config.capacity }
    }
}

impl ProfileSettings {
    /// The cache's own settings.
    pub fn cache(&self) -> ProfileCacheConfig {
        ProfileCacheConfig { life: self.cache_life, capacity: self.cache_capacity }
    }
}

/// An aggregation as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregationConfig {
    /// Names it in requests.
    pub name: String,
    /// The events it takes; all when empty.
    #[serde(default)]
    pub event_types: Vec<EventName>,
    /// What values are kept by, such as `user:{user_id}`.
    pub key: String,
    /// Length of a window.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// What is measured besides the number of events, by name.
    #[serde(default)]
    pub measures: BTreeMap<Arc<str>, Measure>,
}

impl ProcessSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        for (name, consumer) in [("events", &self.events), ("replay", &self.replay)] {
            if consumer.batch_records == 0 {
                let key = format!("process.{name}.batch_records");
                return Err(InvalidSetting::new(key, "must be more than 0"));
            }
        }
        check_process(&self.enrichers)?;
        self.filter_set()?;
        self.aggregations().map(drop)
    }

    /// How a consumer polls and waits.
    pub fn consumer(&self, settings: &ConsumerSettings) -> ConsumerConfig {
        ConsumerConfig {
            limits: PollLimits {
                max_records: settings.batch_records,
                max_bytes: bytes(settings.batch_size),
                linger: settings.linger,
            },
            backoff: BackoffPolicy { initial: self.backoff_initial, max: self.backoff_max },
            accept_lost: self.accept_lost_records,
        }
    }

    /// The filter rules.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first rule that is none.
    pub fn filter_set(&self) -> Result<FilterSet, InvalidSetting> {
        FilterSet::new(&self.filters).map_err(|violation| InvalidSetting::of("process", &violation))
    }

    /// The aggregations.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that is none.
    pub fn aggregations(&self) -> Result<Vec<Aggregation>, InvalidSetting> {
        let mut names = std::collections::BTreeSet::new();
        let aggregations = self.aggregations.iter().enumerate().map(|(index, config)| {
            let key = format!("process.aggregations[{index}]");
            if config.name.is_empty() || !names.insert(config.name.as_str()) {
                let reason = format!("{:?} must be a name that no other aggregation has", config.name);
                return Err(InvalidSetting::new(format!("{key}.name"), reason));
            }
            let window_ms = i64::try_from(config.window.as_millis()).unwrap_or(0);
            if window_ms < 1_000 {
                return Err(InvalidSetting::new(format!("{key}.window"), "must be at least 1s"));
            }
            Ok(Aggregation {
                name: config.name.as_str().into(),
                event_types: config.event_types.clone(),
                key: KeyTemplate::parse(&config.key)
                    .map_err(|violation| InvalidSetting::of(&key, &violation))?,
                window_ms,
                measures: config.measures.clone(),
            })
        });
        aggregations.collect()
    }
}

/// Rules that mark and route; none blocks.
fn default_filters() -> Vec<FilterRuleConfig> {
    let rules = json!([
        {
            "name": "bot",
            "when": [{"field": "device.device_type", "op": "eq", "value": "bot"}],
            "action": {"allow": {"mark": "bot"}}
        },
        {
            "name": "rapid_fire",
            "when": [
                {"field": "event_type", "op": "eq", "value": "attempt"},
                {"field": "payload.response_time_ms", "op": "lt", "value": 1000}
            ],
            "action": {"allow": {"mark": "rapid_fire"}}
        },
        {
            "name": "perfect_score",
            "when": [
                {"field": "event_type", "op": "eq", "value": "session_completed"},
                {"field": "payload.score", "op": "gte", "value": 1}
            ],
            "action": {"allow": {"mark": "perfect_score"}}
        },
        {
            "name": "high_value_user",
            "when": [{"field": "context.user.type", "op": "eq", "value": "premium"}],
            "action": {"route": {"to": ["premium"]}}
        },
        {
            "name": "new_user",
            "when": [{"field": "context.user.total_sessions", "op": "lte", "value": 1}],
            "action": {"route": {"to": ["onboarding"]}}
        }
    ]);
    // The rules above are checked by a test.
    serde_json::from_value(rules).unwrap_or_default()
}

fn default_aggregations() -> Vec<AggregationConfig> {
    let aggregations = json!([
        {
            "name": "user_hourly_attempts", "event_types": ["attempt"], "key": "user:{user_id}", "window": "1h",
            "measures": {
                "accuracy": {"number": "payload.correct"},
                "response_time_ms": {"number": "payload.response_time_ms"}
            }
        },
        {
            "name": "user_daily_sessions", "key": "user:{user_id}", "window": "1day",
            "measures": {
                "sessions": {"distinct": "session_id"},
                "items": {"distinct": "payload.item_id"}
            }
        },
        {
            "name": "item_hourly_performance", "event_types": ["attempt"], "key": "item:{payload.item_id}",
            "window": "1h",
            "measures": {
                "accuracy": {"number": "payload.correct"},
                "response_time_ms": {"number": "payload.response_time_ms"},
                "users": {"distinct": "user_id"}
            }
        },
        {
            "name": "system_5m", "key": "system", "window": "5m",
            "measures": {"sessions": {"distinct": "session_id"}, "users": {"distinct": "user_id"}}
        },
        {
            "name": "country_daily", "key": "country:{geo.country}", "window": "1day",
            "measures": {"users": {"distinct": "user_id"}}
        }
    ]);
    serde_json::from_value(aggregations).unwrap_or_default()
}
