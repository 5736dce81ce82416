//! Decorators: implement a port over the same port.

mod cached_keys;
mod fan_out;
mod observed;
mod retrying;
mod stored_chunks;

pub use cached_keys::{CachedKeys, KeyCacheConfig};
pub use fan_out::FanOut;
pub use observed::Observed;
pub use retrying::Retrying;
pub use stored_chunks::StoredChunks;
