use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use gosight_application::Secret;
use gosight_domain::field::FieldPath;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Serialize};

/// A service, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpEnricherConfig {
    /// `http://` or `https://` address that events are posted to. Redirects are not followed.
    pub url: String,
    /// Headers of each request, such as `authorization`. Their values are not shown.
    pub headers: BTreeMap<String, Secret>,
    /// How long a connection may take to be made.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Most events of one request.
    pub max_batch: usize,
    /// Largest answer.
    pub max_response: ByteSize,
    /// What is remembered.
    pub cache: HttpCacheConfig,
}

impl Default for HttpEnricherConfig {
    /// 500 events, answers of up to 4 MiB; the address has to be given.
    fn default() -> Self {
        Self {
            url: String::new(),
            headers: BTreeMap::new(),
            connect_timeout: Duration::from_secs(2),
            max_batch: 500,
            max_response: ByteSize::mib(4),
            cache: HttpCacheConfig::default(),
        }
    }
}

/// What is remembered of the service's answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpCacheConfig {
    /// Fields that decide the answer, such as `[user_id]`: events of a project in which they are the same get the same, and the
    /// service is asked about one of them. It is not asked about events without one of these fields. Empty: nothing is
    /// remembered, and every event is asked about.
    pub key: Vec<FieldPath>,
    /// How long an answer is believed.
    #[serde(with = "humantime_serde")]
    pub life: Duration,
    /// Memory for answers.
    pub max_size: ByteSize,
}

impl Default for HttpCacheConfig {
    /// Nothing is remembered. With a key: for 5 minutes, 32 MiB.
    fn default() -> Self {
        Self { key: Vec::new(), life: Duration::from_mins(5), max_size: ByteSize::mib(32) }
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct HttpEnricherConfigError {
    /// The setting.
    pub key: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

fn wrong(key: &str, reason: impl Into<String>) -> HttpEnricherConfigError {
    HttpEnricherConfigError { key: key.to_owned(), reason: reason.into() }
}

impl HttpEnricherConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`HttpEnricherConfigError`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), HttpEnricherConfigError> {
        self.check_url()?;
        self.header_map()?;
        if self.max_batch == 0 {
            return Err(wrong("max_batch", "must be more than 0"));
        }
        if self.max_response.as_u64() == 0 {
            return Err(wrong("max_response", "must be more than 0"));
        }
        Ok(())
    }

    fn check_url(&self) -> Result<(), HttpEnricherConfigError> {
        let url: Uri = self
            .url
            .parse()
            .map_err(|error| wrong("url", format!("{:?} is no address: {error}", self.url)))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(wrong("url", format!("{:?} must start with http:// or https://", self.url)));
        }
        // What is in an address is shown in logs.
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("url", "must not have a user or a password; send them as a header"));
        }
        Ok(())
    }

    pub(crate) fn header_map(&self) -> Result<HeaderMap, HttpEnricherConfigError> {
        let header = |(name, value): (&String, &Secret)| {
            let key = || format!("headers.{name}");
            let parsed = HeaderName::try_from(name).map_err(|_| wrong(&key(), "is no name of a header"))?;
            let mut value = HeaderValue::try_from(value.reveal())
                .map_err(|_| wrong(&key(), "its value has characters that headers cannot have"))?;
            value.set_sensitive(true);
            Ok((parsed, value))
        };
        self.headers.iter().map(header).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> HttpEnricherConfig {
        HttpEnricherConfig { url: url.to_owned(), ..HttpEnricherConfig::default() }
    }

    #[test]
    fn what_cannot_work_is_named() {
        config("https://crm.example/enrich").validate().unwrap();
        for (bad, key) in [
            (config(""), "url"),
            (config("crm.example"), "url"),
            (config("ftp://crm.example"), "url"),
            (config("http://me:secret@crm.example"), "url"),
            (HttpEnricherConfig { max_batch: 0, ..config("http://a") }, "max_batch"),
            (HttpEnricherConfig { max_response: ByteSize(0), ..config("http://a") }, "max_response"),
            (
                HttpEnricherConfig { headers: [("a b".to_owned(), "x".into())].into(), ..config("http://a") },
                "headers.a b",
            ),
            (
                HttpEnricherConfig { headers: [("a".to_owned(), "\n".into())].into(), ..config("http://a") },
                "headers.a",
            ),
        ] {
            let error = bad.validate().unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn values_of_headers_are_not_shown() {
        let headers = [("authorization".to_owned(), "Bearer s3cret".into())].into();
        let config = HttpEnricherConfig { headers, ..config("http://a") };
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("s3cret") && shown.contains("authorization"), "{shown}");
    }
}
