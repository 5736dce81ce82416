use std::time::Duration;

use gosight_application::circuit_breaker::CircuitBreakerConfig;
use gosight_application::enrich::{EnricherLimits, check_names};
use gosight_application::enrichers::ProfileEnricher;
use gosight_enrich::{PlaceEnricher, UserAgentEnricher};
#[cfg(feature = "enrich-http")]
use gosight_enrich_http::HttpEnricherConfig;
use serde::{Deserialize, Serialize};

use super::InvalidSetting;

/// What happens to events while they are taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// What tells more about those who send events, in order.
    pub enrichers: Vec<EnricherSettings>,
}

impl Default for IngestSettings {
    /// User agents, and places.
    fn default() -> Self {
        Self { enrichers: [EnricherKind::UserAgent, EnricherKind::Place].map(EnricherSettings::of).into() }
    }
}

/// What tells more about events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnricherKind {
    /// The device, from the user agent; with the settings `enrich.user_agents`.
    UserAgent,
    /// The place, from the address; with the settings `enrich.geoip` and `enrich.ip_privacy`.
    Place,
    /// What is known of users and items; with the settings `process.profiles`.
    Profiles,
    /// What a service of the operator's knows; with the settings `http` beside it.
    Http,
}

impl EnricherKind {
    /// Whether it is asked about clients, who are known while events are taken in.
    const fn is_of_clients(self) -> bool {
        matches!(self, Self::UserAgent | Self::Place)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::UserAgent => UserAgentEnricher::NAME,
            Self::Place => PlaceEnricher::NAME,
            Self::Profiles => ProfileEnricher::NAME,
            Self::Http => "http",
        }
    }
}

/// An enricher, and its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnricherSettings {
    /// What it is.
    pub kind: EnricherKind,
    /// Names it in metrics and answers, and in the context of events where its kind is `http`; its kind when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long a batch, or a request, waits for it.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// Failures in a row after which it is left alone, for each project by itself.
    #[serde(default = "default_failures")]
    pub failures: u32,
    /// How long it is left alone.
    #[serde(default = "default_cool_down", with = "humantime_serde")]
    pub cool_down: Duration,
    /// The service, where its kind is `http`.
    #[cfg(feature = "enrich-http")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpEnricherConfig>,
}

fn default_timeout() -> Duration {
    EnricherLimits::default().timeout
}

fn default_failures() -> u32 {
    CircuitBreakerConfig::default().failures
}

fn default_cool_down() -> Duration {
    CircuitBreakerConfig::default().cool_down
}

impl EnricherSettings {
    /// An enricher of this kind with the usual limits.
    pub fn of(kind: EnricherKind) -> Self {
        Self {
            kind,
            name: None,
            timeout: default_timeout(),
            failures: default_failures(),
            cool_down: default_cool_down(),
            #[cfg(feature = "enrich-http")]
            http: None,
        }
    }

    /// Its limits.
    pub fn limits(&self) -> EnricherLimits {
        let breaker = CircuitBreakerConfig { failures: self.failures, cool_down: self.cool_down };
        EnricherLimits { timeout: self.timeout, breaker }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind.name())
    }

    fn check(&self, key: &str) -> Result<(), InvalidSetting> {
        let wrong = |field: &str, reason: &str| Err(InvalidSetting::new(format!("{key}.{field}"), reason));
        if self.kind != EnricherKind::Http && self.name.is_some() {
            return wrong("name", "is for the kind http; each other kind is there once, under its own name");
        }
        let timeouts = Duration::from_millis(1)..=Duration::from_hours(1);
        if !timeouts.contains(&self.timeout) {
            return wrong("timeout", "must be 1ms to 1h");
        }
        if self.failures == 0 {
            return wrong("failures", "must be more than 0");
        }
        if self.cool_down > Duration::from_hours(24) {
            return wrong("cool_down", "must be at most 1day");
        }
        self.check_http(key)
    }

    #[cfg(feature = "enrich-http")]
    fn check_http(&self, key: &str) -> Result<(), InvalidSetting> {
        match (&self.http, self.kind) {
            (Some(http), EnricherKind::Http) => http
                .validate()
                .map_err(|error| InvalidSetting::new(format!("{key}.http.{}", error.key), error.reason)),
            (None, EnricherKind::Http) => {
                Err(InvalidSetting::new(format!("{key}.http"), "is missing: the kind http needs its url"))
            }
            (Some(_), _) => Err(InvalidSetting::new(format!("{key}.http"), "is for the kind http")),
            (None, _) => Ok(()),
        }
    }

    #[cfg(not(feature = "enrich-http"))]
    fn check_http(&self, key: &str) -> Result<(), InvalidSetting> {
        if self.kind == EnricherKind::Http {
            let reason = "http is not in this build; build it with the feature \"enrich-http\"";
            return Err(InvalidSetting::new(format!("{key}.kind"), reason));
        }
        Ok(())
    }
}

impl IngestSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let reason =
            "is asked about events, which there are while they are processed: list it in process.enrichers";
        check_list("ingest.enrichers", &self.enrichers, EnricherKind::is_of_clients, reason)
    }
}

/// Checks the enrichers of events that are processed.
///
/// # Errors
/// [`InvalidSetting`] for the first that cannot work.
pub(super) fn check_process(enrichers: &[EnricherSettings]) -> Result<(), InvalidSetting> {
    let reason =
        "is asked about clients, whose user agents and addresses are in no log: list it in ingest.enrichers";
    check_list("process.enrichers", enrichers, |kind| !kind.is_of_clients(), reason)
}

fn check_list(
    key: &str,
    enrichers: &[EnricherSettings],
    belongs: impl Fn(EnricherKind) -> bool,
    reason: &str,
) -> Result<(), InvalidSetting> {
    for (index, enricher) in enrichers.iter().enumerate() {
        let key = format!("{key}[{index}]");
        if !belongs(enricher.kind) {
            let reason = format!("{} {reason}", enricher.kind.name());
            return Err(InvalidSetting::new(format!("{key}.kind"), reason));
        }
        enricher.check(&key)?;
    }
    check_names(enrichers.iter().map(EnricherSettings::name))
        .map_err(|error| InvalidSetting::new(key, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Config;

    fn refused(yaml: &str) -> String {
        let sources = crate::config::Sources {
            env: vec![("GOSIGHT_PROCESS_ENRICHERS".to_owned(), yaml.to_owned())],
            ..crate::config::Sources::default()
        };
        match crate::config::load(&Config::default(), &sources) {
            Ok(loaded) => loaded.config.validate(false).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_defaults_are_what_was_always_done() {
        let config = Config::default();
        let names = |enrichers: &[EnricherSettings]| -> Vec<String> {
            enrichers.iter().map(|enricher| enricher.name().to_owned()).collect()
        };
        assert_eq!(names(&config.ingest.enrichers), ["user_agent", "place"]);
        assert_eq!(names(&config.process.enrichers), ["profiles"]);
        config.validate(false).unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        for (yaml, said) in [
            ("[{kind: place}]", "list it in ingest.enrichers"),
            ("[{kind: profiles}, {kind: profiles}]", "two enrichers are called \"profiles\""),
            ("[{kind: profiles, name: p}]", "process.enrichers[0].name"),
            ("[{kind: profiles, timeout: 0s}]", "process.enrichers[0].timeout"),
            ("[{kind: profiles, failures: 0}]", "process.enrichers[0].failures"),
            ("[{kind: profiles, cool_down: 2days}]", "process.enrichers[0].cool_down"),
            ("[{kind: profiles, time: 1s}]", "unknown field"),
            ("[{kind: psychic}]", "psychic"),
            ("[{kind: http}]", if cfg!(feature = "enrich-http") { "needs its url" } else { "enrich-http" }),
        ] {
            let text = refused(yaml);
            assert!(text.contains(said), "{yaml}: {text}");
        }
        let ingest = IngestSettings { enrichers: vec![EnricherSettings::of(EnricherKind::Profiles)] };
        assert!(ingest.validate().unwrap_err().to_string().contains("list it in process.enrichers"));
    }

    #[cfg(feature = "enrich-http")]
    #[test]
    fn a_service_is_checked_too() {
        let text = refused("[{kind: http, name: crm, http: {url: nowhere}}]");
        assert!(text.contains("process.enrichers[0].http.url"), "{text}");
        let text = refused("[{kind: http, name: CRM, http: {url: 'http://a'}}]");
        assert!(text.contains("a-z, 0-9 and _"), "{text}");
    }
}
