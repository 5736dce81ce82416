//! Flags that several binaries have.

use std::net::SocketAddr;

use clap::Args;
use gosight_domain::key::PresentedKey;

use gosight_application::keys::BootstrapKeys;

/// Variables of these flags, which start like settings and are none.
pub const KEY_VARIABLES: [&str; 3] =
    ["GOSIGHT_BOOTSTRAP_INGEST_KEY", "GOSIGHT_BOOTSTRAP_READ_KEY", "GOSIGHT_BOOTSTRAP_ADMIN_KEY"];

/// Keys that are chosen instead of made. They stand in the process's environment or command line, so keep them for
/// tests and trials.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Chosen keys of the project `default`, in place of those made at the first start"
)]
pub struct KeyArgs {
    /// A key that may send.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_INGEST_KEY", hide_env_values = true)]
    pub bootstrap_ingest_key: Option<PresentedKey>,
    /// A key that may ask.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_READ_KEY", hide_env_values = true)]
    pub bootstrap_read_key: Option<PresentedKey>,
    /// A key that may do everything.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_BOOTSTRAP_ADMIN_KEY", hide_env_values = true)]
    pub bootstrap_admin_key: Option<PresentedKey>,
}

/// An address from a flag.
///
/// # Errors
/// What it must be, for text that is none.
pub fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(
        |_| "must be an address such as 127.0.0.1:8080; 0.0.0.0:8080 is every network of the machine",
    )
}

impl From<KeyArgs> for BootstrapKeys {
    fn from(args: KeyArgs) -> Self {
        Self {
            ingest: args.bootstrap_ingest_key,
            read: args.bootstrap_read_key,
            admin: args.bootstrap_admin_key,
        }
    }
}
