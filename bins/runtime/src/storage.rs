//! What commands work on, beside processes that may be running: keys, profiles, dead letters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use gosight_application::Telemetry;
use gosight_application::dead_letters::ReplayLetters;
use gosight_application::keys::Keys;
use gosight_application::pipeline::AccountPorts;
use gosight_application::ports::{Clock, DeadLetters, SystemClock};
use gosight_application::projects::Projects;
#[cfg(feature = "embedded")]
use gosight_embedded::{EmbeddedAccounts, EmbeddedDeadLetters};
#[cfg(feature = "kafka")]
use gosight_kafka::{KafkaDeadLetters, KafkaLog};
#[cfg(feature = "postgres")]
use gosight_postgres::PostgresAccounts;

use crate::Config;
use crate::connect::{ConnectError, Letters, State, open_letters};
use crate::settings::{AccountsBackend, LogBackend, StoreBackend};

/// Where commands find their data.
#[derive(Debug)]
pub struct Storage<'a>(&'a Config);

/// Projects with their keys and profiles, for those who manage them.
#[derive(Debug)]
pub struct Accounts {
    /// Manages keys.
    pub keys: Keys,
    /// Manages projects and profiles.
    pub projects: Projects,
}

impl Accounts {
    /// Profiles that are put are forgotten by the cache that processes share.
    fn new(config: &Config, ports: AccountPorts) -> Result<Self, ConnectError> {
        let telemetry = Telemetry::default();
        let state = State::open(config, &telemetry)?;
        let AccountPorts { admin, profiles, .. } = state.with_caches(ports, &telemetry);
        Ok(Self {
            keys: Keys::new(admin.clone(), clock()),
            projects: Projects::new(admin, profiles, clock()),
        })
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

impl<'a> Storage<'a> {
    /// The data of processes with these settings.
    pub fn of(config: &'a Config) -> Self {
        Self(config)
    }

    /// The accounts that there are.
    ///
    /// # Errors
    /// When they cannot be opened; a data directory has to be there.
    pub async fn accounts(&self) -> anyhow::Result<Accounts> {
        if self.0.accounts.backend == AccountsBackend::Embedded {
            existing(&self.0.data_dir)?;
        }
        self.open_accounts().await
    }

    /// The accounts, and the data directory if there was none yet.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub async fn new_accounts(&self) -> anyhow::Result<(Accounts, Option<PathBuf>)> {
        let dir = &self.0.data_dir;
        let is_new = self.0.accounts.backend == AccountsBackend::Embedded && !has_data(dir);
        Ok((self.open_accounts().await?, is_new.then(|| absolute(dir))))
    }

    async fn open_accounts(&self) -> anyhow::Result<Accounts> {
        match self.0.accounts.backend {
            #[cfg(feature = "embedded")]
            AccountsBackend::Embedded => {
                let accounts = EmbeddedAccounts::open(&self.0.data_dir, clock()).await?;
                Ok(Accounts::new(self.0, AccountPorts::of(&Arc::new(accounts)))?)
            }
            #[cfg(feature = "postgres")]
            AccountsBackend::Postgres => {
                let accounts = PostgresAccounts::connect(&self.0.postgres).await?;
                Ok(Accounts::new(self.0, AccountPorts::of(&Arc::new(accounts)))?)
            }
            #[cfg(not(all(feature = "embedded", feature = "postgres")))]
            _ => bail!("accounts.backend: is not in this build"),
        }
    }

    /// Records that were dead-lettered.
    ///
    /// # Errors
    /// When they cannot be opened; a data directory has to be there.
    pub async fn dead_letters(&self) -> anyhow::Result<Arc<dyn DeadLetters>> {
        match (self.0.store.backend, self.0.log.backend) {
            #[cfg(feature = "embedded")]
            (StoreBackend::Embedded, _) | (_, LogBackend::Embedded) => {
                Ok(Arc::new(EmbeddedDeadLetters::open(existing(&self.0.data_dir)?, clock()).await?))
            }
            #[cfg(feature = "kafka")]
            (_, LogBackend::Kafka) => {
                let log = KafkaLog::new(&self.0.kafka)?;
                Ok(Arc::new(KafkaDeadLetters::new(&self.0.kafka, &log)?))
            }
            #[cfg(not(all(feature = "embedded", feature = "kafka")))]
            _ => bail!("log.backend: is not in this build"),
        }
    }

    /// Records that were dead-lettered, with the log to put them back into. A data directory is held for that.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub async fn letters_to_replay(&self) -> anyhow::Result<LettersToReplay> {
        if self.0.log.backend == LogBackend::Embedded {
            existing(&self.0.data_dir)?;
        }
        let Letters { log, records: dead_letters, open } = open_letters(self.0, clock()).await?;
        let when = match self.0.log.backend {
            LogBackend::Embedded => "when the server starts",
            LogBackend::Kafka => "by the running processors",
        };
        Ok(LettersToReplay { letters: ReplayLetters::new(dead_letters, log), when, open })
    }
}

/// Putting records back, and what has to be closed after it.
#[derive(Debug)]
pub struct LettersToReplay {
    /// Puts records back.
    pub letters: ReplayLetters,
    /// When records that were put back are processed.
    pub when: &'static str,
    open: crate::connect::Open,
}

impl LettersToReplay {
    /// Closes the log.
    ///
    /// # Errors
    /// When what is on its way to it does not arrive.
    pub async fn close(self) -> Result<(), ConnectError> {
        let Self { letters, open, .. } = self;
        drop(letters);
        Ok(open.close().await?)
    }
}

/// The data directory, which must have been used before: a mistyped path is not a new one.
fn existing(dir: &Path) -> anyhow::Result<&Path> {
    if !has_data(dir) {
        bail!("{} is no data directory of gosight: it has no gosight.db", absolute(dir).display());
    }
    Ok(dir)
}

/// Whether a server, or `gosight keys create`, has made something in `dir`.
fn has_data(dir: &Path) -> bool {
    dir.join("gosight.db").exists()
}

fn absolute(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())
}
