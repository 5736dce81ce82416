//! What all binaries of gosight share: configuration, flags, logs, metrics, signals, and what runs.

pub mod chores;
pub mod config;
mod errors;
mod files;
pub mod flags;
mod logs;
mod metrics;
pub mod processing;
pub mod settings;
mod shutdown;
mod tasks;
pub mod terminal;

pub use errors::with_causes;
pub use files::{fit_connections, raise_open_files};
pub use logs::{LogFormat, LogsConfig, init_logs};
pub use metrics::Metrics;
pub use shutdown::stop_on_signals;
pub use tasks::{RunError, Tasks};
