use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// How the database is reached. Durations are written as `5s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database`; `sslmode=verify-full` and the like need the feature `tls`.
    pub url: DatabaseUrl,
    /// Most connections at a time.
    pub max_connections: u32,
    /// How long a call waits for a connection: for its turn, or for a server that is unavailable.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// How long a statement may run; the server ends it then.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
}

impl Default for PostgresConfig {
    /// The database `gosight` of this machine, 10 connections.
    fn default() -> Self {
        Self {
            url: "postgres://gosight@localhost:5432/gosight".into(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(5),
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

/// More than any server has.
const MAX_CONNECTIONS: u32 = 10_000;
/// The longest that the server can count, about: its `statement_timeout` is a 32-bit number of milliseconds.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);

impl PostgresConfig {
    /// Checks what can be checked without a server.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first bad setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.options()?;
        check("max_connections", (1..=MAX_CONNECTIONS).contains(&self.max_connections), || {
            format!("is {}, must be 1 to {MAX_CONNECTIONS}", self.max_connections)
        })?;
        for (key, time) in
            [("acquire_timeout", self.acquire_timeout), ("statement_timeout", self.statement_timeout)]
        {
            check(key, (Duration::from_millis(1)..=MAX_TIMEOUT).contains(&time), || {
                "must be 1ms to 24h".to_owned()
            })?;
        }
        Ok(())
    }

    /// How one connection is made.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, ConfigError> {
        let error = |reason: String| ConfigError { key: "url", reason };
        let scheme = self.url.0.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err(error("must start with postgres://".to_owned()));
        }
        let options = PgConnectOptions::from_str(&self.url.0)
            .map_err(|reason| error(format!("is not a URL of a database: {reason}")))?;
        let needs_tls =
            !matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer);
        if needs_tls && !cfg!(feature = "tls") {
            return Err(error("asks for TLS, which this build does not have (feature `tls`)".to_owned()));
        }
        Ok(match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("gosight"),
        })
    }
}

fn check(key: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { key, reason: reason() }) }
}

/// The URL of a database. Its password is never shown: not by `Debug` or `Display`, nor when it is serialized.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct DatabaseUrl(String);

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str("***") };
        // The last one: a password may have @ in it, if only by mistake.
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        write!(f, "{scheme}://")?;
        match login.map(|login| login.split_once(':')) {
            Some(Some((user, _))) => write!(f, "{user}:***@")?,
            Some(None) => write!(f, "{}@", login.unwrap_or_default())?,
            None => {}
        }
        // Parameters can have passwords too.
        match place.split_once('?') {
            Some((place, parameters)) if parameters.contains("pass") => write!(f, "{place}?***"),
            _ => f.write_str(place),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
