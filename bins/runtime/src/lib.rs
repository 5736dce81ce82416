//! What all binaries of gosight share: configuration, logs, metrics, signals.

pub mod config;
mod logs;
mod metrics;
mod shutdown;

pub use logs::{LogFormat, LogsConfig, init_logs};
pub use metrics::Metrics;
pub use shutdown::stop_on_signals;
