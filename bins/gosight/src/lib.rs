//! gosight: an event pipeline for product analytics and session replay, as a library and as the command `gosight`.
//!
//! [`Gosight::builder`] makes an instance that runs inside your own tokio program; several can run side by side. By
//! default it keeps everything in one directory and needs no servers.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let gosight = gosight::Gosight::builder().data_dir("/var/lib/gosight").start().await?;
//! println!("listening on {:?}", gosight.local_addr());
//! gosight.stop().await?;
//! # Ok(())
//! # }
//! ```

pub mod cli;

pub use gosight_application::keys::{BootstrapKeys, NewKeys};
pub use gosight_application::pipeline::ReplaceParts;
pub use gosight_runtime::{Config, Gosight, GosightBuilder, Role, RunError, StartError, settings};
