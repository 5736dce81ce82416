use std::fmt;
use std::time::Duration;

use deadpool_redis::redis::{IntoConnectionInfo, parse_redis_url};
use serde::{Deserialize, Serialize, Serializer};

/// How Redis is reached and how long things are kept there. Durations are written as `10s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// Where Redis is: `redis://[user][:password@]host[:port][/database]`.
    pub url: RedisUrl,
    /// Number of the database, in place of the one in `url`.
    pub database: Option<u32>,
    /// Where the folds of live sessions are, if not there.
    pub sessions: RedisPlace,
    /// Where the marks of known events are, if not there.
    pub marks: RedisPlace,
    /// Where the rate limits are, if not there.
    pub rate_limits: RedisPlace,
    /// Where answers about keys are, if not there.
    pub keys: RedisPlace,
    /// Where the contents of accepted replay chunks are, if not there.
    pub chunks: RedisPlace,
    /// Where profiles are, if not there.
    pub profiles: RedisPlace,
    /// What all keys start with. Pipelines that share a server need different ones.
    pub prefix: String,
    /// Most connections at a time.
    pub pool_size: usize,
    /// Time to get a connection: a free one, checked, or a new one.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Time that a call for a batch has, its connection included.
    #[serde(with = "humantime_serde")]
    pub command_timeout: Duration,
    /// Time that a call has which a client's request waits for, its connection included: rate limits and keys.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long a session without events stays in the cache.
    #[serde(with = "humantime_serde")]
    pub session_ttl: Duration,
    /// How long an event is known by its mark. An event that comes again later is looked for among the stored ones,
    /// which is slower.
    #[serde(with = "humantime_serde")]
    pub dedup_window: Duration,
    /// How long it is believed what a key grants. Adds to the life of what the validator behind it has cached.
    #[serde(with = "humantime_serde")]
    pub key_life: Duration,
    /// How long it is believed that a key is refused.
    #[serde(with = "humantime_serde")]
    pub refused_key_life: Duration,
    /// How long a profile, or that there is none, is believed by all processes together. Adds to the life of what each process
    /// has cached.
    #[serde(with = "humantime_serde")]
    pub profile_life: Duration,
    /// How long the content of an accepted replay chunk is known, so that another one with its index is refused.
    #[serde(with = "humantime_serde")]
    pub chunk_life: Duration,
}

impl Default for RedisConfig {
    /// This machine's Redis, with marks for 48 hours, chunks for 24 and sessions for 2.
    fn default() -> Self {
        Self {
            url: RedisUrl::from("redis://127.0.0.1:6379"),
            database: None,
            sessions: RedisPlace::default(),
            marks: RedisPlace::default(),
            rate_limits: RedisPlace::default(),
            keys: RedisPlace::default(),
            chunks: RedisPlace::default(),
            profiles: RedisPlace::default(),
            prefix: "gosight:".to_owned(),
            pool_size: 16,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_millis(250),
            session_ttl: Duration::from_hours(2),
            dedup_window: Duration::from_hours(48),
            key_life: Duration::from_secs(30),
            refused_key_life: Duration::from_secs(5),
            profile_life: Duration::from_mins(15),
            chunk_life: Duration::from_hours(24),
        }
    }
}

/// Where one use of Redis has its data; what is left out is that of all uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisPlace {
    /// The server.
    pub url: Option<RedisUrl>,
    /// Number of the database, in place of the one in the URL.
    pub database: Option<u32>,
}

/// An address with a password in it perhaps, which is neither shown nor serialized.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The address with everything in it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The same server's database `number`.
    fn with_database(&self, number: u32) -> Self {
        let Some(mut url) = parse_redis_url(&self.0) else { return self.clone() };
        if url.scheme().contains("unix") {
            let others: Vec<(String, String)> =
                url.query_pairs().into_owned().filter(|(name, _)| name != "db").collect();
            url.query_pairs_mut().clear().extend_pairs(others).append_pair("db", &number.to_string());
        } else {
            url.set_path(&number.to_string());
        }
        Self(url.into())
    }
}

impl From<String> for RedisUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl From<&str> for RedisUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for RedisUrl {
    /// `***` in place of the password, and of the whole address when it is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(mut url) = parse_redis_url(&self.0) else { return f.write_str("***") };
        // Sockets take the password as a parameter.
        if url.query().is_some() {
            url.set_query(Some("***"));
        }
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return f.write_str("***");
        }
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for RedisUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

const MAX_PREFIX_BYTES: usize = 64;
const MAX_POOL_SIZE: usize = 1_024;
const MAX_KEPT: Duration = Duration::from_hours(24 * 400);
const MIN_DEDUP_WINDOW: Duration = Duration::from_hours(2);

impl RedisConfig {
    /// The settings of one use, whose data is at `place`.
    pub(crate) fn at(&self, place: &RedisPlace) -> Self {
        let url = place.url.as_ref().unwrap_or(&self.url);
        // The common database belongs to the common server.
        let database = place.database.or(self.database.filter(|_| place.url.is_none()));
        let url = database.map_or_else(|| url.clone(), |database| url.with_database(database));
        Self { url, ..self.clone() }
    }

    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first bad setting, without the password.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_url("url", &self.url)?;
        for (key, place) in [
            ("sessions.url", &self.sessions),
            ("marks.url", &self.marks),
            ("rate_limits.url", &self.rate_limits),
            ("keys.url", &self.keys),
            ("chunks.url", &self.chunks),
            ("profiles.url", &self.profiles),
        ] {
            place.url.as_ref().map_or(Ok(()), |url| check_url(key, url))?;
        }
        let plain = |prefix: &str| prefix.bytes().all(|b| b.is_ascii_graphic() && b != b'{' && b != b'}');
        check("prefix", self.prefix.len() <= MAX_PREFIX_BYTES && plain(&self.prefix), || {
            format!("{:?} has spaces, braces or letters outside of ASCII, or over 64 characters", self.prefix)
        })?;
        check("pool_size", (1..=MAX_POOL_SIZE).contains(&self.pool_size), || {
            format!("is {}, must be 1 to {MAX_POOL_SIZE}", self.pool_size)
        })?;
        self.validate_times()
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        let millisecond = Duration::from_millis(1);
        for (key, time, least, most) in [
            ("connect_timeout", self.connect_timeout, millisecond, self.command_timeout),
            ("command_timeout", self.command_timeout, millisecond, Duration::from_hours(1)),
            ("request_timeout", self.request_timeout, millisecond, self.command_timeout),
            ("session_ttl", self.session_ttl, Duration::from_secs(1), MAX_KEPT),
            ("dedup_window", self.dedup_window, MIN_DEDUP_WINDOW, MAX_KEPT),
            ("key_life", self.key_life, millisecond, Duration::from_hours(1)),
            ("refused_key_life", self.refused_key_life, millisecond, Duration::from_hours(1)),
            ("profile_life", self.profile_life, millisecond, MAX_KEPT),
            ("chunk_life", self.chunk_life, Duration::from_secs(1), MAX_KEPT),
        ] {
            check(key, (least..=most).contains(&time), || {
                format!("is {time:?}, must be {least:?} to {most:?}")
            })?;
        }
        Ok(())
    }
}

fn check_url(key: &'static str, url: &RedisUrl) -> Result<(), ConfigError> {
    check(key, url.reveal().into_connection_info().is_ok(), || {
        format!("{url} is not redis://[user][:password@]host[:port][/database]; TLS is not built in")
    })
}

fn check(key: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { key, reason: reason() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_survive_a_round_trip() {
        let config = RedisConfig::default();
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""session_ttl":"2h""#), "{text}");
        assert_eq!(serde_json::from_str::<RedisConfig>(&text).unwrap(), config);
        assert!(serde_json::from_str::<RedisConfig>(r#"{"pool": 3}"#).is_err());
    }

    #[test]
    fn a_use_may_have_a_server_and_a_database_of_its_own() {
        let config =
            |database| RedisConfig { url: "redis://u:p@a:1/2".into(), database, ..RedisConfig::default() };
        let place = |url: Option<&str>, database| RedisPlace { url: url.map(RedisUrl::from), database };
        for (common, place, wanted) in [
            (None, place(None, None), "redis://u:p@a:1/2"),
            (Some(3), place(None, None), "redis://u:p@a:1/3"),
            (Some(3), place(None, Some(0)), "redis://u:p@a:1/0"),
            (Some(3), place(Some("redis://b"), None), "redis://b"),
            (None, place(Some("redis://b"), Some(7)), "redis://b/7"),
            (None, place(Some("unix:///s?pass=x&db=1"), Some(7)), "unix:///s?pass=x&db=7"),
        ] {
            assert_eq!(config(common).at(&place).url.reveal(), wanted);
        }
    }

    #[test]
    fn the_password_is_shown_nowhere() {
        for url in
            ["redis://u:s3cret@localhost/1", "redis://:s3cret@localhost", "unix:///a?pass=s3cret", "s3cret"]
        {
            let config = RedisConfig { url: url.into(), ..RedisConfig::default() };
            let texts =
                [format!("{config:?}"), config.url.to_string(), serde_json::to_string(&config).unwrap()];
            for text in texts {
                assert!(!text.contains("s3cret") && text.contains("***"), "{text}");
            }
            assert!(config.validate().err().is_none_or(|error| !error.to_string().contains("s3cret")));
            assert_eq!(config.url.reveal(), url);
        }
        assert_eq!(RedisUrl::from("redis://u:s@localhost/1").to_string(), "redis://u:***@localhost/1");
    }

    #[test]
    fn what_cannot_work_is_named() {
        let default = RedisConfig::default;
        for (config, key) in [
            (RedisConfig { url: "http://localhost".into(), ..default() }, "url"),
            (RedisConfig { prefix: "a{b}".to_owned(), ..default() }, "prefix"),
            (RedisConfig { pool_size: 0, ..default() }, "pool_size"),
            (RedisConfig { connect_timeout: Duration::ZERO, ..default() }, "connect_timeout"),
            (RedisConfig { connect_timeout: Duration::from_secs(6), ..default() }, "connect_timeout"),
            (RedisConfig { request_timeout: Duration::from_secs(6), ..default() }, "request_timeout"),
            (RedisConfig { session_ttl: Duration::ZERO, ..default() }, "session_ttl"),
            (RedisConfig { dedup_window: Duration::from_mins(30), ..default() }, "dedup_window"),
            (RedisConfig { key_life: Duration::ZERO, ..default() }, "key_life"),
            (
                RedisConfig {
                    marks: RedisPlace { url: Some("http://a".into()), database: None },
                    ..default()
                },
                "marks.url",
            ),
        ] {
            assert_eq!(config.validate().unwrap_err().key, key);
        }
    }
}
