//! Which technology each part of the pipeline is of.

use gosight_application::pipeline::{Combination, Reach};
use serde::{Deserialize, Serialize};

use super::InvalidSetting;

/// Where records are between being taken in and being processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogBackend {
    /// In the data directory.
    Embedded,
    /// On Kafka, with the settings `kafka`.
    Kafka,
}

/// Where events, sessions, aggregates and replay chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreBackend {
    /// In the data directory, in `SQLite`.
    Embedded,
    /// On `ClickHouse`, with the settings `clickhouse`.
    Clickhouse,
}

/// Where projects, keys and profiles are, and which replays are archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountsBackend {
    /// In the data directory, in `SQLite`.
    Embedded,
    /// On `PostgreSQL`, with the settings `postgres`.
    Postgres,
}

/// Where archived replays are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveBackend {
    /// In the data directory.
    Directory,
    /// On S3 or a compatible store, with the settings `s3`.
    S3,
}

/// Where marks of known events, live sessions, rate limits and accepted chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateBackend {
    /// In the process, which finds the rest in the store.
    Memory,
    /// On Redis, with the settings `redis`.
    Redis,
}

/// Projects, keys and profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// Where they are.
    pub backend: AccountsBackend,
}

impl Default for AccountSettings {
    /// In the data directory.
    fn default() -> Self {
        Self { backend: AccountsBackend::Embedded }
    }
}

/// Live state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateSettings {
    /// Where it is.
    pub backend: StateBackend,
}

impl Default for StateSettings {
    /// In the process.
    fn default() -> Self {
        Self { backend: StateBackend::Memory }
    }
}

/// The backends that were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backends {
    pub(crate) log: LogBackend,
    pub(crate) store: StoreBackend,
    pub(crate) accounts: AccountsBackend,
    /// `None` where there is no archive to read from.
    pub(crate) archive: Option<ArchiveBackend>,
    pub(crate) state: StateBackend,
}

impl Backends {
    /// Whether any of them is in the data directory.
    pub(crate) fn use_directory(self) -> bool {
        let combination = self.combination(false);
        [combination.log, combination.store, combination.accounts].contains(&Reach::Directory)
            || combination.archive == Some(Reach::Directory)
    }

    /// Whether any of them is on servers, which may have to be waited for.
    pub(crate) fn use_servers(self) -> bool {
        let Combination { log, store, accounts, archive, state, is_shared: _ } = self.combination(false);
        [log, store, accounts, state].contains(&Reach::Servers) || archive == Some(Reach::Servers)
    }

    /// What is reported to the pipeline about them. `is_shared` where other processes do a part of the work.
    pub(crate) fn combination(self, is_shared: bool) -> Combination {
        let reach = |is_server| if is_server { Reach::Servers } else { Reach::Directory };
        Combination {
            log: reach(self.log == LogBackend::Kafka),
            store: reach(self.store == StoreBackend::Clickhouse),
            accounts: reach(self.accounts == AccountsBackend::Postgres),
            archive: self.archive.map(|archive| reach(archive == ArchiveBackend::S3)),
            state: if self.state == StateBackend::Redis { Reach::Servers } else { Reach::Memory },
            is_shared,
        }
    }

    /// Checks that each of them is in this build, and that they go together.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the feature that is missing, or the reason.
    pub(crate) fn check(self, is_shared: bool) -> Result<(), InvalidSetting> {
        if is_shared {
            // First whether it could work at all: no build would help.
            self.check_combination(is_shared)?;
        }
        let Self { log, store, accounts, archive, state } = self;
        for (key, value, is_chosen, feature, is_built) in [
            ("log.backend", "embedded", log == LogBackend::Embedded, "embedded", EMBEDDED),
            ("log.backend", "kafka", log == LogBackend::Kafka, "kafka", cfg!(feature = "kafka")),
            ("store.backend", "embedded", store == StoreBackend::Embedded, "embedded", EMBEDDED),
            (
                "store.backend",
                "clickhouse",
                store == StoreBackend::Clickhouse,
                "clickhouse",
                cfg!(feature = "clickhouse"),
            ),
            ("accounts.backend", "embedded", accounts == AccountsBackend::Embedded, "embedded", EMBEDDED),
            (
                "accounts.backend",
                "postgres",
                accounts == AccountsBackend::Postgres,
                "postgres",
                cfg!(feature = "postgres"),
            ),
            (
                "archive.backend",
                "directory",
                archive == Some(ArchiveBackend::Directory),
                "embedded",
                EMBEDDED,
            ),
            ("archive.backend", "s3", archive == Some(ArchiveBackend::S3), "s3", cfg!(feature = "s3")),
            ("state.backend", "redis", state == StateBackend::Redis, "redis", cfg!(feature = "redis")),
        ] {
            if is_chosen && !is_built {
                let reason = format!("{value} is not in this build; build it with the feature {feature:?}");
                return Err(InvalidSetting::new(key, reason));
            }
        }
        self.check_combination(is_shared)
    }

    fn check_combination(self, is_shared: bool) -> Result<(), InvalidSetting> {
        self.combination(is_shared).check().map_err(|bad| {
            let key = match bad.part {
                "a log" => "log.backend",
                "a store" => "store.backend",
                "accounts" => "accounts.backend",
                "an archive" => "archive.backend",
                _ => "state.backend",
            };
            InvalidSetting::new(key, bad.to_string())
        })
    }
}

const EMBEDDED: bool = cfg!(feature = "embedded");
