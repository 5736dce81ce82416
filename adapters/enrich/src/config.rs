//! What an operator sets.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::privacy::IpPrivacy;

/// How requests are enriched. Every value is a good one: what makes no sense is brought to the nearest that does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrichConfig {
    /// What is kept of a client's address.
    pub ip_privacy: IpPrivacy,
    /// Places from addresses.
    pub geoip: GeoIpConfig,
    /// Devices from user agents.
    pub user_agents: UserAgentConfig,
}

/// Where the places come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeoIpConfig {
    /// A `MaxMind` DB file in the City format (`GeoLite2-City.mmdb` and its like). None: no places.
    pub database_path: Option<PathBuf>,
    /// How often the file is looked at for a new version, such as `60s`; at least 1 second.
    #[serde(with = "humantime_serde")]
    pub reload_interval: Duration,
}

impl GeoIpConfig {
    /// The shortest time between two looks at the file.
    pub(crate) const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
}

impl Default for GeoIpConfig {
    /// No database; looked at every 60 seconds.
    fn default() -> Self {
        Self { database_path: None, reload_interval: Duration::from_mins(1) }
    }
}

/// How user agents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserAgentConfig {
    /// Most user agents whose meaning is kept in memory.
    pub cache_entries: u64,
    /// Longest user agent that is read, in bytes. A longer one tells nothing.
    pub max_bytes: usize,
}

impl Default for UserAgentConfig {
    /// 10,000 user agents of at most 1,024 bytes: 20 MB at the very worst.
    fn default() -> Self {
        Self { cache_entries: 10_000, max_bytes: 1_024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_needs_to_be_set() {
        let config: EnrichConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, EnrichConfig::default());
        assert_eq!(config.ip_privacy, IpPrivacy::Keep);
        assert_eq!(config.geoip.reload_interval, Duration::from_mins(1));
    }

    #[test]
    fn everything_can_be_set_and_is_written_as_read() {
        let text = r#"{"ip_privacy":"truncate","geoip":{"database_path":"city.mmdb","reload_interval":"5m"},"user_agents":{"cache_entries":7,"max_bytes":300}}"#;
        let config: EnrichConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.ip_privacy, IpPrivacy::Truncate);
        assert_eq!(config.geoip.reload_interval, Duration::from_mins(5));
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in [r#"{"ip":"keep"}"#, r#"{"geoip":{"path":"x"}}"#, r#"{"user_agents":{"ttl":1}}"#] {
            let error = serde_json::from_str::<EnrichConfig>(text).unwrap_err();
            assert!(error.to_string().contains("unknown field"), "{error}");
        }
    }
}
