//! Tells what user agents (woothee) and addresses (maxminddb) mean.
//!
//! [`UserAgentEnricher`] tells browser, operating system and kind of device from the user agent, [`PlaceEnricher`] country and
//! city from the address. Both are [`EventEnricher`](gosight_application::ports::EventEnricher)s of events that are taken in,
//! answer from memory, and never fail. A database of places that is absent or broken leaves out the places alone, and
//! readiness says so.
//!
//! ```
//! use gosight_application::ports::{Client, EventEnricher as _};
//! use gosight_enrich::{UserAgentConfig, UserAgentEnricher};
//!
//! let project_id = gosight_domain::ProjectId::new("shop")?;
//! let user_agent = Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
//! let enricher = UserAgentEnricher::new(UserAgentConfig::default());
//! let found = enricher.client_at_once(&Client { project_id: &project_id, ip: None, user_agent });
//! let device = found.expect("memory has it").device;
//! assert_eq!(device.browser.as_deref(), Some("Firefox"));
//! assert_eq!(device.device_type.as_deref(), Some("desktop"));
//! # Ok::<(), gosight_domain::Violation>(())
//! ```

mod config;
mod enricher;
mod geoip;
mod privacy;
pub mod testing;
mod user_agent;

pub use config::{EnrichConfig, GeoIpConfig, UserAgentConfig};
pub use enricher::{PlaceEnricher, UserAgentEnricher};
pub use geoip::Refresh;
pub use privacy::IpPrivacy;
