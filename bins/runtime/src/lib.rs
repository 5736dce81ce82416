//! What all binaries of gosight are: a process, by its [`Role`] and its [`Config`], with the parts that were chosen.
//!
//! ```text
//!  Config ─▶ connect ─▶ PipelinePorts ─▶ Pipeline ─▶ HttpServer
//!             (adapters)                     └─▶ Running
//! ```

#![cfg_attr(
    not(all(
        feature = "embedded",
        feature = "kafka",
        feature = "clickhouse",
        feature = "redis",
        feature = "postgres",
        feature = "s3"
    )),
    allow(
        clippy::needless_update,
        clippy::ptr_arg,
        clippy::unnecessary_wraps,
        clippy::unused_async,
        dead_code,
        dropping_copy_types,
        unreachable_code,
        unused_imports,
        unused_variables,
        reason = "a build without some backend needs less"
    )
)]

pub mod config;
mod connect;
mod errors;
mod files;
pub mod flags;
mod gosight;
mod logs;
mod metrics;
mod role;
pub mod settings;
mod shutdown;
pub mod storage;
pub mod terminal;
pub mod thin;

pub use connect::ConnectError;
pub use errors::with_causes;
pub use files::{fit_connections, raise_open_files};
pub use gosight::{Gosight, GosightBuilder, RunError, StartError};
pub use logs::{LogFormat, LogsConfig, init_logs};
pub use metrics::Metrics;
pub use role::Role;
pub use settings::Config;
pub use shutdown::stop_on_signals;
