//! What all binaries of gosight share: configuration, logs, metrics, signals.

pub mod bootstrap;
pub mod chores;
pub mod config;
mod errors;
mod files;
mod logs;
mod metrics;
pub mod processing;
pub mod settings;
mod shutdown;

pub use errors::with_causes;
pub use files::{connections_that_fit, raise_open_files};
pub use logs::{LogFormat, LogsConfig, init_logs};
pub use metrics::Metrics;
pub use shutdown::stop_on_signals;
