//! Keys: validated against what is stored, and managed together with the projects that they are for.

mod admin;
mod bootstrap;
mod stored;

pub use admin::{KeyRequest, Keys, NewKey};
pub use bootstrap::{BootstrapError, BootstrapKeys, DEFAULT_PROJECT, NewKeys, bootstrap};
pub use stored::StoredKeys;
