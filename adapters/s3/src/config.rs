use std::time::Duration;

use gosight_application::Secret;
use gosight_application::backoff::BackoffPolicy;
use serde::{Deserialize, Serialize};

use crate::path;

/// Where archived replays are. Durations are written as `30s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// `https://host` or `https://host:port` of the store.
    pub endpoint: String,
    /// Name of the region that requests are signed for.
    pub region: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Makes the bucket at the start where it is missing.
    pub create_bucket: bool,
    /// Access key; it needs to get, put, delete and list.
    pub access_key: String,
    /// Secret key of the access key.
    pub secret_key: Secret,
    /// Whether the bucket stands in the path of a request (`MinIO` and most others) or in the name of its host (AWS).
    pub path_style: bool,
    /// What the paths of all objects start with in the bucket: empty, or ending with `/`.
    pub prefix: String,
    /// How long one attempt may take, the whole object included.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// What is done when an attempt fails that may work later.
    pub retry: S3RetryConfig,
}

impl Default for S3Config {
    /// The bucket `gosight-replays` of a store on this machine. The keys have to be given.
    fn default() -> Self {
        Self {
            endpoint: "http://localhost:9000".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "gosight-replays".to_owned(),
            create_bucket: false,
            access_key: String::new(),
            secret_key: Secret::default(),
            path_style: true,
            prefix: String::new(),
            request_timeout: Duration::from_mins(1),
            retry: S3RetryConfig::default(),
        }
    }
}

/// What is done when an attempt fails that may work later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3RetryConfig {
    /// How often a request is tried altogether.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles with each further one.
    #[serde(with = "humantime_serde")]
    pub initial_wait: Duration,
    /// The longest wait.
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
}

impl Default for S3RetryConfig {
    /// 4 attempts within about two seconds, besides the time that they take.
    fn default() -> Self {
        Self { attempts: 4, initial_wait: Duration::from_millis(200), max_wait: Duration::from_secs(5) }
    }
}

impl S3RetryConfig {
    pub(crate) fn policy(&self) -> BackoffPolicy {
        BackoffPolicy { initial: self.initial_wait, max: self.max_wait }
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

const MAX_ATTEMPTS: u32 = 20;

impl S3Config {
    /// Checks what can be checked without the store.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first bad setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check("endpoint", is_endpoint(&self.endpoint), || {
            format!("is {:?}, must be like https://s3.example.org or http://127.0.0.1:9000", self.endpoint)
        })?;
        check("bucket", is_bucket(&self.bucket), || {
            format!("is {:?}, must have 3 to 63 of a-z, 0-9, - and .", self.bucket)
        })?;
        for (key, text) in [
            ("region", self.region.as_str()),
            ("access_key", &self.access_key),
            ("secret_key", self.secret_key.reveal()),
        ] {
            let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            check(key, plain, || {
                "must not be empty, nor have spaces or characters that are not ASCII".to_owned()
            })?;
        }
        let prefix = self.prefix.strip_suffix('/');
        check("prefix", self.prefix.is_empty() || prefix.is_some_and(path::is_path), || {
            format!("is {:?}, must be empty or like archive/replays/", self.prefix)
        })?;
        self.validate_times()
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        for (key, time) in [
            ("request_timeout", self.request_timeout),
            ("retry.initial_wait", self.retry.initial_wait),
            ("retry.max_wait", self.retry.max_wait),
        ] {
            check(key, !time.is_zero(), || "must be longer than 0s".to_owned())?;
        }
        check("retry.attempts", (1..=MAX_ATTEMPTS).contains(&self.retry.attempts), || {
            format!("is {}, must be 1 to {MAX_ATTEMPTS}", self.retry.attempts)
        })
    }
}

fn is_endpoint(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    endpoint.parse::<http::Uri>().is_ok_and(|uri| uri.query().is_none() && matches!(uri.path(), "" | "/"))
        // Keys have settings of their own.
        && host.is_some_and(|host| !host.contains('@'))
}

fn is_bucket(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (3..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
        && !name.contains("..")
}

fn check(key: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { key, reason: reason() }) }
}

#[cfg(test)]
mod tests;
