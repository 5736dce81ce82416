//! The replay archive on S3 and compatible stores.
//!
//! An object of up to 8 MiB is put with its SHA-256. The server checks it before the object becomes visible, and keeps it
//! with the object to be checked again whenever it is read whole. A longer object is uploaded in parts, while it is
//! written: the server checks each part.
//!
//! ```no_run
//! use gosight_application::ports::ReplayArchive;
//! use gosight_s3::{S3Config, S3ReplayArchive};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let archive = S3ReplayArchive::connect(&S3Config {
//!     endpoint: "https://s3.eu-central-1.amazonaws.com".to_owned(),
//!     region: "eu-central-1".to_owned(),
//!     access_key: std::env::var("S3_ACCESS_KEY")?,
//!     secret_key: std::env::var("S3_SECRET_KEY")?.into(),
//!     ..S3Config::default()
//! })
//! .await?;
//! println!("{:?}", archive.list("default/", None, 10).await?);
//! # Ok(())
//! # }
//! ```

mod archive;
mod client;
mod config;
mod download;
mod error;
mod path;
mod upload;

pub use archive::S3ReplayArchive;
pub use config::{ConfigError, S3Config, S3RetryConfig};
pub use gosight_application::Secret;

/// What errors and health call this adapter.
const ADAPTER: &str = "s3";
