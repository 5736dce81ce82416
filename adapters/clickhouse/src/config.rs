use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// How to reach `ClickHouse`, and how to use it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClickHouseConfig {
    /// URL of the HTTP interface.
    pub url: String,
    /// The database; made when it is not there.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password; shown as `***`.
    #[serde(serialize_with = "masked")]
    pub password: String,
    /// Whether inserts and answers are compressed (LZ4). Worth it over a network, not on one machine.
    pub compress: bool,
    /// How long an insert may take.
    #[serde(with = "humantime_serde")]
    pub insert_timeout: Duration,
    /// How long a question may take.
    #[serde(with = "humantime_serde")]
    pub query_timeout: Duration,
    /// Deletes events, sessions and aggregates that are older than this; keeps all when 0.
    pub retention_days: u32,
    /// Deletes replay chunks that were received longer ago than this; keeps all when 0. Leave it at 0 where replays are
    /// archived: they would be deleted whether they are in the archive or not.
    pub replay_retention_days: u32,
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".into(),
            database: "gosight".into(),
            user: "default".into(),
            password: String::new(),
            compress: true,
            insert_timeout: Duration::from_mins(1),
            query_timeout: Duration::from_secs(30),
            retention_days: 0,
            replay_retention_days: 0,
        }
    }
}

/// No password stays none, so that defaults are what they are.
fn masked<S: Serializer>(password: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if password.is_empty() { "" } else { "***" })
}

impl fmt::Debug for ClickHouseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouseConfig")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("password", &"***")
            .finish_non_exhaustive()
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidSetting {
    /// Name of the setting.
    pub key: &'static str,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl ClickHouseConfig {
    /// Checks what can be checked without the server.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let invalid = |key, reason: &str| Err(InvalidSetting { key, reason: reason.to_owned() });
        if self.url.starts_with("https://") {
            return invalid(
                "url",
                "must start with http://: TLS is not built in, so let a proxy beside this process speak it",
            );
        }
        if !self.url.starts_with("http://") {
            return invalid("url", "must start with http://");
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if self.database.is_empty() || !self.database.chars().all(is_name) {
            return invalid("database", "must be letters, digits and _");
        }
        for (key, timeout) in [("insert_timeout", self.insert_timeout), ("query_timeout", self.query_timeout)]
        {
            if timeout < Duration::from_secs(1) {
                return invalid(key, "must be at least 1s");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_settings_are_named() {
        assert_eq!(ClickHouseConfig::default().validate(), Ok(()));
        let with = |change: fn(&mut ClickHouseConfig)| {
            let mut config = ClickHouseConfig::default();
            change(&mut config);
            config.validate().unwrap_err().key
        };
        assert_eq!(with(|config| config.url = "clickhouse:9000".into()), "url");
        assert_eq!(with(|config| config.url = "https://clickhouse:8443".into()), "url");
        assert_eq!(with(|config| config.database = "a b".into()), "database");
        assert_eq!(with(|config| config.query_timeout = Duration::ZERO), "query_timeout");
    }

    #[test]
    fn the_password_is_not_shown() {
        let config = ClickHouseConfig { password: "secret".into(), ..ClickHouseConfig::default() };
        assert!(!format!("{config:?}").contains("secret"));
    }
}
