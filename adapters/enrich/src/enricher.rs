//! The port, twice.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{Client, Enrichment, EventEnricher, Health, HealthCheck};
use gosight_domain::Geo;
use tokio_util::sync::CancellationToken;

use crate::config::{EnrichConfig, UserAgentConfig};
use crate::geoip::{GeoIp, Refresh};
use crate::privacy::IpPrivacy;
use crate::user_agent::UserAgents;

/// Tells the device of a client from its user agent.
#[derive(Debug)]
pub struct UserAgentEnricher {
    user_agents: UserAgents,
}

impl UserAgentEnricher {
    /// Its name in the configuration and in metrics.
    pub const NAME: &str = "user_agent";

    /// Remembers what user agents mean, as many as `config` says.
    pub fn new(config: UserAgentConfig) -> Self {
        Self { user_agents: UserAgents::new(config) }
    }
}

impl EventEnricher for UserAgentEnricher {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn may_block(&self) -> bool {
        false
    }

    fn client_at_once(&self, client: &Client<'_>) -> Option<Enrichment> {
        let device = client.user_agent.map(|text| self.user_agents.device(text)).unwrap_or_default();
        Some(Enrichment { device, ..Enrichment::default() })
    }
}

/// Tells the place of a client from its address. An address is looked up first, and then kept, truncated or dropped: without
/// this enricher events have no address.
///
/// In readiness it is `geoip`: `Up`, or `Degraded` with the reason when there is no database, or not the newest one.
#[derive(Debug)]
pub struct PlaceEnricher {
    geoip: GeoIp,
    ip_privacy: IpPrivacy,
}

impl PlaceEnricher {
    /// Its name in the configuration and in metrics.
    pub const NAME: &str = "place";

    /// Reads the database of places, if one is configured; a whole City database takes some 60 MB of memory and tens
    /// of ms. A database that cannot be read is a matter for [`HealthCheck`] and for the next
    /// [`refresh`](Self::refresh).
    pub fn new(config: &EnrichConfig) -> Self {
        Self { geoip: GeoIp::open(&config.geoip), ip_privacy: config.ip_privacy }
    }

    /// Looks whether the file of places is a new one, and if so puts it in place of the old one. Lookups go on
    /// meanwhile. Whatever is wrong with the new file, the old database stays in use.
    ///
    /// Reads files: not for an async task. [`watch`](Self::watch) is.
    pub fn refresh(&self) -> Refresh {
        self.geoip.refresh()
    }

    /// Refreshes every `reload_interval` until `shutdown`.
    pub async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        let interval = self.geoip.interval();
        while shutdown.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let this = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || this.refresh()).await {
                tracing::error!(%error, "geoip refresh ended early");
            }
        }
    }

    fn locate(&self, ip: IpAddr) -> Geo {
        let place = self.geoip.find(ip.to_canonical());
        Geo { ip: self.ip_privacy.apply(ip), country: place.country, city: place.city }
    }
}

impl EventEnricher for PlaceEnricher {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn may_block(&self) -> bool {
        false
    }

    fn client_at_once(&self, client: &Client<'_>) -> Option<Enrichment> {
        let geo = client.ip.map(|ip| self.locate(ip)).unwrap_or_default();
        Some(Enrichment { geo, ..Enrichment::default() })
    }
}

#[async_trait]
impl HealthCheck for PlaceEnricher {
    fn name(&self) -> &'static str {
        "geoip"
    }

    async fn check(&self) -> Health {
        self.geoip.health()
    }
}

#[cfg(test)]
mod tests;
