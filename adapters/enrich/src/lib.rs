//! Tells what user agents (woothee) and addresses (maxminddb) mean.
//!
//! [`Enricher`] is the [`ContextEnricher`](gosight_application::ports::ContextEnricher) of the binaries: browser,
//! operating system and kind of device from the user agent, country and city from the address. It never fails. A
//! database of places that is absent or broken leaves out the places alone, and readiness says so.
//!
//! ```
//! use gosight_application::ports::ContextEnricher;
//! use gosight_enrich::{EnrichConfig, Enricher};
//!
//! let enricher = Enricher::new(&EnrichConfig::default());
//! let context = enricher.enrich(None, Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"));
//! assert_eq!(context.device.browser.as_deref(), Some("Firefox"));
//! assert_eq!(context.device.device_type.as_deref(), Some("desktop"));
//! ```

mod config;
mod enricher;
mod geoip;
mod privacy;
pub mod testing;
mod user_agent;

pub use config::{EnrichConfig, GeoIpConfig, UserAgentConfig};
pub use enricher::Enricher;
pub use geoip::Refresh;
pub use privacy::IpPrivacy;
