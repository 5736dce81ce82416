use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::HeaderValue;
use bytesize::ByteSize;
use gosight_application::surface::InFlightBudget;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// How the HTTP surface behaves. Durations are written as `10s`, sizes as `5MiB`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Largest body with events, as it comes.
    pub max_events_body: ByteSize,
    /// Largest body with events, decompressed.
    pub max_events_decompressed: ByteSize,
    /// Largest body with a replay chunk, as it comes; also of the compressed events inside.
    pub max_replay_body: ByteSize,
    /// Largest body with a replay chunk, decompressed; also of the events inside.
    pub max_replay_decompressed: ByteSize,
    /// Most memory that the bodies of all requests take together, as they came and decompressed.
    pub max_inflight_body_bytes: ByteSize,
    /// How long a request waits for a share of that memory before it is answered `overloaded`.
    #[serde(with = "humantime_serde")]
    pub overload_wait: Duration,
    /// Time that a client has to send a whole body.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Time in which a body has to bring at least 1 KiB for each second of it, again and again, until it is whole.
    #[serde(with = "humantime_serde")]
    pub body_stall_timeout: Duration,
    /// Time in which a client has to take something of an answer, again and again, until it has all of it. Also how long
    /// a connection on HTTP/2 without requests is kept.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Time that a client has to send the head of a request. Also how long a connection without requests is kept.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// Largest head of a request.
    pub max_header_bytes: ByteSize,
    /// Most connections at a time; further ones wait to be accepted.
    pub max_connections: usize,
    /// Time that requests in flight have to finish once shutdown begins.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// Time that each check of `/ready` has.
    #[serde(with = "humantime_serde")]
    pub readiness_timeout: Duration,
    /// Proxies whose `X-Forwarded-For`, `Forwarded` and `X-Real-IP` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may call; `*` stands for any.
    pub cors_origins: Vec<String>,
    /// Whether `/swagger/` and `/openapi.json` are served.
    pub swagger: bool,
}

impl Default for HttpConfig {
    /// Port 8080 of this machine only, no trusted proxies, any origin.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_events_body: ByteSize::mib(5),
            max_events_decompressed: ByteSize::mib(20),
            max_replay_body: ByteSize::mib(10),
            max_replay_decompressed: ByteSize::mib(100),
            max_inflight_body_bytes: ByteSize::mib(256),
            overload_wait: Duration::from_secs(1),
            body_timeout: Duration::from_secs(30),
            body_stall_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            max_header_bytes: ByteSize::kib(64),
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(10),
            readiness_timeout: Duration::from_secs(2),
            trusted_proxies: Vec::new(),
            cors_origins: vec!["*".to_owned()],
            swagger: true,
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigError {
    /// The setting.
    pub key: &'static str,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// What hyper needs at least to read a head.
const MIN_HEADER_BYTES: u64 = 8 * 1024;
const MAX_HEADER_BYTES: u64 = 1024 * 1024;
/// What the semaphores can count.
const MAX_COUNT: usize = tokio::sync::Semaphore::MAX_PERMITS;

impl HttpConfig {
    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first bad setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_times()?;
        self.validate_sizes()?;
        for origin in &self.cors_origins {
            check("cors_origins", is_origin(origin), || {
                format!("{origin:?} is neither * nor an origin such as https://shop.example")
            })?;
        }
        Ok(())
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        for (key, time) in [
            ("body_timeout", self.body_timeout),
            ("body_stall_timeout", self.body_stall_timeout),
            ("write_timeout", self.write_timeout),
            ("header_timeout", self.header_timeout),
            ("readiness_timeout", self.readiness_timeout),
        ] {
            check(key, !time.is_zero(), || "must be longer than 0s".to_owned())?;
        }
        Ok(())
    }

    fn validate_sizes(&self) -> Result<(), ConfigError> {
        check("max_connections", (1..=MAX_COUNT).contains(&self.max_connections), || {
            format!("is {}, must be 1 to {MAX_COUNT}", self.max_connections)
        })?;
        let head = self.max_header_bytes.as_u64();
        check("max_header_bytes", (MIN_HEADER_BYTES..=MAX_HEADER_BYTES).contains(&head), || {
            format!("is {}, must be 8KiB to 1MiB", self.max_header_bytes)
        })?;
        for (key, body, whole) in [
            ("max_events_body", self.max_events_body, self.max_events_decompressed),
            ("max_replay_body", self.max_replay_body, self.max_replay_decompressed),
        ] {
            check(key, body.as_u64() > 0 && body <= whole, || {
                format!("is {body}, must be more than 0 and at most {whole}, the limit once decompressed")
            })?;
        }
        let (inflight, needed) = (self.max_inflight_body_bytes, self.largest_request());
        check("max_inflight_body_bytes", inflight >= needed && inflight.as_u64() <= MAX_COUNT as u64, || {
            format!("is {inflight}, must be at least {needed}: one request of the largest size needs that")
        })
    }

    /// What a request of the largest size takes: its body, the same decompressed, and once more while it is checked.
    fn largest_request(&self) -> ByteSize {
        let needed = |body: ByteSize, whole: ByteSize| {
            ByteSize(body.as_u64().saturating_add(whole.as_u64().saturating_mul(2)))
        };
        needed(self.max_events_body, self.max_events_decompressed)
            .max(needed(self.max_replay_body, self.max_replay_decompressed))
    }

    /// The memory for requests in flight, to be shared with other surfaces of the process.
    pub fn in_flight(&self) -> InFlightBudget {
        let bytes = usize::try_from(self.max_inflight_body_bytes.as_u64()).unwrap_or(usize::MAX);
        InFlightBudget::new(bytes, self.overload_wait)
    }

    /// Limits of a request with events.
    pub(crate) fn events_limits(&self) -> BodyLimits {
        BodyLimits::new(self.max_events_body, self.max_events_decompressed)
    }

    /// Limits of a request with a replay chunk.
    pub(crate) fn replay_limits(&self) -> BodyLimits {
        BodyLimits::new(self.max_replay_body, self.max_replay_decompressed)
    }
}

/// How large a body may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimits {
    /// As it comes.
    pub body: usize,
    /// Decompressed.
    pub decompressed: usize,
}

impl BodyLimits {
    fn new(body: ByteSize, decompressed: ByteSize) -> Self {
        let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        Self { body: bytes(body), decompressed: bytes(decompressed) }
    }
}

fn check(key: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { key, reason: reason() }) }
}

fn is_origin(text: &str) -> bool {
    let after_scheme = text.split_once("://").map(|(_, rest)| rest);
    text == "*"
        || (HeaderValue::from_str(text).is_ok()
            && after_scheme.is_some_and(|host| !host.is_empty() && !host.contains('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_survive_a_round_trip() {
        let config = HttpConfig::default();
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""body_timeout":"30s""#), "{text}");
        assert_eq!(serde_json::from_str::<HttpConfig>(&text).unwrap(), config);
    }

    #[test]
    fn settings_are_read_with_their_units() {
        let config: HttpConfig = serde_json::from_str(
            r#"{"listen": "127.0.0.1:0", "max_events_body": "1MiB",
                "header_timeout": "1500ms", "trusted_proxies": ["10.0.0.0/8", "::1/128"]}"#,
        )
        .unwrap();
        assert_eq!(config.events_limits(), BodyLimits { body: 1 << 20, decompressed: 20 << 20 });
        assert_eq!(config.header_timeout, Duration::from_millis(1_500));
        assert_eq!(config.trusted_proxies.len(), 2);
        assert!(serde_json::from_str::<HttpConfig>(r#"{"header_timeuot": "1s"}"#).is_err());
    }

    #[test]
    fn what_cannot_work_is_named() {
        let default = HttpConfig::default;
        for (config, key) in [
            (HttpConfig { body_timeout: Duration::ZERO, ..default() }, "body_timeout"),
            (HttpConfig { header_timeout: Duration::ZERO, ..default() }, "header_timeout"),
            (HttpConfig { max_connections: 0, ..default() }, "max_connections"),
            (HttpConfig { max_header_bytes: ByteSize(100), ..default() }, "max_header_bytes"),
            (HttpConfig { max_events_body: ByteSize(0), ..default() }, "max_events_body"),
            (HttpConfig { max_replay_body: ByteSize::mib(101), ..default() }, "max_replay_body"),
            (
                HttpConfig { max_inflight_body_bytes: ByteSize::mib(209), ..default() },
                "max_inflight_body_bytes",
            ),
            (HttpConfig { cors_origins: vec!["shop.example".to_owned()], ..default() }, "cors_origins"),
            (HttpConfig { cors_origins: vec!["https://a/b".to_owned()], ..default() }, "cors_origins"),
        ] {
            assert_eq!(config.validate().unwrap_err().key, key);
        }
    }
}
