use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::settings::InvalidSetting;

/// How logs are written; they go to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogsConfig {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// What is written: `error`, `warn`, `info`, `debug`, `trace`, or by module as in `info,gosight_embedded=debug`.
    pub filter: String,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info,fjall=warn,lsm_tree=warn,sqlx::postgres::notice=warn".to_owned(),
        }
    }
}

impl LogsConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] for a filter that is none.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        match EnvFilter::builder().parse(&self.filter) {
            Ok(_) => Ok(()),
            Err(error) => Err(InvalidSetting::new("logs.filter", format!("{:?}: {error}", self.filter))),
        }
    }
}

/// A form of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text.
    Text,
    /// A JSON object per line.
    Json,
}

/// Starts writing logs. Once per process; a second call changes nothing.
///
/// # Errors
/// [`ParseError`] for a filter that is none.
pub fn init_logs(config: &LogsConfig) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    // Where nothing can be written nobody can be notified: by default the complaint goes to standard error too, and
    // panics there.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logs are written already");
    }
    Ok(())
}
