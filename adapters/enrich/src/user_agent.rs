//! What a user agent says about its device.

mod kind;
mod names;

use std::fmt;
use std::sync::Arc;

use gosight_domain::Device;
use moka::sync::Cache;
use woothee::parser::Parser;

use self::kind::DeviceKind;
use self::names::Names;
use crate::config::UserAgentConfig;

/// Reads user agents, and remembers what it read: each comes back thousands of times.
pub(crate) struct UserAgents {
    cache: Cache<String, Device>,
    max_bytes: usize,
}

impl UserAgents {
    /// Nothing remembered yet.
    pub(crate) fn new(config: UserAgentConfig) -> Self {
        Self { cache: Cache::new(config.cache_entries), max_bytes: config.max_bytes }
    }

    /// The device that `user_agent` tells of; empty when it tells nothing or is too long to be believed.
    pub(crate) fn device(&self, user_agent: &str) -> Device {
        let user_agent = user_agent.trim();
        if matches!(user_agent, "" | "-") || user_agent.len() > self.max_bytes {
            return Device::default();
        }
        self.cache.get_with_by_ref(user_agent, || read(user_agent))
    }
}

impl fmt::Debug for UserAgents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the cache itself: it would print every user agent in it.
        f.debug_struct("UserAgents")
            .field("remembered", &self.cache.entry_count())
            .field("max_bytes", &self.max_bytes)
            .finish()
    }
}

fn read(user_agent: &str) -> Device {
    let found = Parser::new().parse(user_agent).unwrap_or_default();
    let kind = DeviceKind::of(user_agent, found.category);
    let names = Names::of(user_agent, kind, &found);
    Device {
        browser: names.browser,
        browser_version: names.browser_version,
        os: names.os,
        os_version: names.os_version,
        device_type: Some(Arc::from(kind.as_str())),
        ..Device::default()
    }
}

#[cfg(test)]
mod tests;
