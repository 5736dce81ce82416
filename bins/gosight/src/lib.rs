//! gosight in one process: the whole pipeline on embedded storage, as a library.
//!
//! [`Gosight::builder`] makes an instance that runs inside your own tokio program; several can run side by side.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let gosight = gosight::Gosight::builder().data_dir("/var/lib/gosight").start().await?;
//! println!("listening on {:?}", gosight.local_addr());
//! gosight.stop().await?;
//! # Ok(())
//! # }
//! ```

mod assembly;
pub mod cli;
pub mod config;
mod maintenance;
mod running;

pub use config::Config;
pub use gosight_application::keys::{BootstrapKeys, NewKeys};
pub use gosight_runtime::RunError;
pub use running::{Gosight, GosightBuilder, StartError};
