//! What commands work on: a data directory, or the servers of the distributed mode.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use gosight_application::dead_letters::ReplayLetters;
use gosight_application::ports::{Clock, DeadLetters, KeyAdmin, ProfileStore, SystemClock};
use gosight_embedded::{DataDir, Embedded, EmbeddedAccounts, EmbeddedDeadLetters, EmbeddedStore};
#[cfg(feature = "distributed")]
use gosight_kafka::{KafkaDeadLetters, KafkaLog};
#[cfg(feature = "distributed")]
use gosight_postgres::PostgresAccounts;

use crate::assembly;
use crate::config::Config;

/// Where a command finds its data, with all settings.
#[derive(Debug)]
pub(super) enum Storage {
    /// In a directory.
    Embedded(Box<Config>),
    /// On Kafka, `ClickHouse`, Redis and `PostgreSQL`.
    #[cfg(feature = "distributed")]
    Distributed(Box<gosight_distributed::Config>),
}

/// What is known about projects.
pub(super) trait Accounts: KeyAdmin + ProfileStore {}

impl<T: KeyAdmin + ProfileStore> Accounts for T {}

impl Storage {
    /// The accounts that there are, beside a server that may be running.
    pub(super) async fn accounts(&self) -> anyhow::Result<Arc<dyn Accounts>> {
        Ok(match self {
            Self::Embedded(config) => Arc::new(EmbeddedAccounts::open(existing(config)?, clock()).await?),
            #[cfg(feature = "distributed")]
            Self::Distributed(config) => Arc::new(PostgresAccounts::connect(&config.postgres).await?),
        })
    }

    /// The accounts, and the data directory if there was none yet.
    pub(super) async fn new_accounts(&self) -> anyhow::Result<(Arc<dyn Accounts>, Option<PathBuf>)> {
        let Some(dir) = self.new_data_dir() else { return Ok((self.accounts().await?, None)) };
        Ok((Arc::new(EmbeddedAccounts::open(dir, clock()).await?), Some(absolute(dir))))
    }

    fn new_data_dir(&self) -> Option<&Path> {
        match self {
            Self::Embedded(config) => Some(&*config.data_dir).filter(|dir| !has_data(dir)),
            #[cfg(feature = "distributed")]
            Self::Distributed(_) => None,
        }
    }

    /// Records that were put aside, beside a server that may be running.
    pub(super) async fn dead_letters(&self) -> anyhow::Result<Arc<dyn DeadLetters>> {
        Ok(match self {
            Self::Embedded(config) => Arc::new(EmbeddedDeadLetters::open(existing(config)?, clock()).await?),
            #[cfg(feature = "distributed")]
            Self::Distributed(config) => {
                let log = KafkaLog::new(&config.kafka)?;
                Arc::new(KafkaDeadLetters::new(&config.kafka, &log)?)
            }
        })
    }

    /// Records that were put aside, with the log to put them back into.
    pub(super) async fn replay(&self) -> anyhow::Result<Replay> {
        match self {
            Self::Embedded(config) => {
                let dir = DataDir::open(existing(config)?)?;
                let (log_config, store_config) = (config.log.config(), config.store.config(config));
                let names = assembly::processed_logs();
                let Embedded { log, store } =
                    Embedded::open(&dir, clock(), log_config, store_config, &names).await?;
                let letters = ReplayLetters::new(store.clone(), log);
                Ok(Replay { letters, end: End::Embedded(dir, store) })
            }
            #[cfg(feature = "distributed")]
            Self::Distributed(config) => {
                let log = Arc::new(KafkaLog::new(&config.kafka)?);
                let letters = Arc::new(KafkaDeadLetters::new(&config.kafka, &log)?);
                Ok(Replay { letters: ReplayLetters::new(letters, log.clone()), end: End::Distributed(log) })
            }
        }
    }
}

/// Putting records back, and what has to be closed after it.
pub(super) struct Replay {
    pub letters: ReplayLetters,
    end: End,
}

enum End {
    /// The directory is held until everything in it is closed.
    Embedded(DataDir, Arc<EmbeddedStore>),
    #[cfg(feature = "distributed")]
    Distributed(Arc<KafkaLog>),
}

impl Replay {
    /// When records that were put back are processed.
    pub(super) const fn when(&self) -> &'static str {
        match self.end {
            End::Embedded(..) => "when the server starts",
            #[cfg(feature = "distributed")]
            End::Distributed(_) => "by the running processors",
        }
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        let Self { letters, end } = self;
        drop(letters);
        match end {
            End::Embedded(dir, store) => {
                store.close().await;
                drop((store, dir));
            }
            #[cfg(feature = "distributed")]
            End::Distributed(log) => log.close().await?,
        }
        Ok(())
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The data directory, which must have been used before: a mistyped path is not a new one.
fn existing(config: &Config) -> anyhow::Result<&Path> {
    let dir = &config.data_dir;
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
