//! The port, put together.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{ClientContext, ContextEnricher, Health, HealthCheck};
use gosight_domain::Geo;
use tokio_util::sync::CancellationToken;

use crate::config::EnrichConfig;
use crate::geoip::{GeoIp, Refresh};
use crate::privacy::IpPrivacy;
use crate::user_agent::UserAgents;

/// Tells the device from the user agent and the place from the address.
///
/// In readiness it is `geoip`: `Up`, or `Degraded` with the reason when there is no database, or not the newest one.
#[derive(Debug)]
pub struct Enricher {
    user_agents: UserAgents,
    geoip: GeoIp,
    ip_privacy: IpPrivacy,
}

impl Enricher {
    /// Reads the database of places, if one is configured; a whole City database takes some 60 MB of memory and tens
    /// of ms. A database that cannot be read is a matter for [`HealthCheck`] and for the next
    /// [`refresh`](Self::refresh).
    pub fn new(config: &EnrichConfig) -> Self {
        Self {
            user_agents: UserAgents::new(config.user_agents),
            geoip: GeoIp::open(&config.geoip),
            ip_privacy: config.ip_privacy,
        }
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

impl ContextEnricher for Enricher {
    fn enrich(&self, client_ip: Option<IpAddr>, user_agent: Option<&str>) -> ClientContext {
        ClientContext {
            device: user_agent.map(|text| self.user_agents.device(text)).unwrap_or_default(),
            geo: client_ip.map(|ip| self.locate(ip)).unwrap_or_default(),
        }
    }
}

#[async_trait]
impl HealthCheck for Enricher {
    fn name(&self) -> &'static str {
        "geoip"
    }

    async fn check(&self) -> Health {
        self.geoip.health()
    }
}

#[cfg(test)]
mod tests;
