use std::fmt;
use std::net::IpAddr;

pub use gosight_domain::validate::ClientContext;

/// Tells what the user agent and address of a request mean.
///
/// # Contract
/// 1. Never fails: what cannot be told is left empty.
/// 2. An address is kept, truncated or dropped as configured, and is looked up before.
pub trait ContextEnricher: fmt::Debug + Send + Sync {
    /// Looks up one request.
    fn enrich(&self, client_ip: Option<IpAddr>, user_agent: Option<&str>) -> ClientContext;
}
