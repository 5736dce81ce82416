//! Enrichers that come with the pipeline, whatever it is made of. Those of a technology are adapters.

mod profiles;

pub use profiles::{ProfileCacheConfig, ProfileEnricher, ProfileStats};
