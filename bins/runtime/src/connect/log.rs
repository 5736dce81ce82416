//! The log.

use std::sync::Arc;

use gosight_application::logs;
#[cfg(feature = "kafka")]
use gosight_application::ports::PortError;
use gosight_application::ports::{
    DeadLetters, EventSink, EventSource, HealthCheck, LogEnds, Maintenance, RecordLog,
};
#[cfg(feature = "embedded")]
use gosight_embedded::{DataDirParts, EmbeddedLog};
#[cfg(feature = "kafka")]
use gosight_kafka::{KafkaDeadLetters, KafkaLog, KafkaLogEnds, KafkaSource, TopicError, ensure_topics};

use super::store::Store;
use super::{ConnectError, Connecting, Open, Parts};
use crate::role::ProcessedLog;
#[cfg(feature = "embedded")]
use crate::settings::InvalidSetting;
use crate::settings::{Config, LogBackend};

/// The log, by its backend.
pub(super) enum Log {
    #[cfg(feature = "embedded")]
    Embedded(Arc<EmbeddedLog>),
    #[cfg(feature = "kafka")]
    Kafka(Arc<KafkaLog>),
}

impl Log {
    /// Opens the log to write to and read from, once its topics are there and sound.
    pub(super) async fn open(
        connecting: &Connecting<'_>,
        parts: &mut Parts<'_>,
        store: Option<&Store>,
    ) -> Result<Self, ConnectError> {
        let Connecting { config, .. } = connecting;
        match (config.log.backend, parts, store) {
            #[cfg(feature = "embedded")]
            (LogBackend::Embedded, Some(parts), Some(store)) => {
                let names = logs::PROCESSED.map(|(name, _)| name);
                refuse_a_second_log(config, parts, store, &names).await?;
                Ok(Self::Embedded(parts.log(config.log.config(), &*store.ledger(), &names).await?))
            }
            #[cfg(feature = "kafka")]
            (LogBackend::Kafka, ..) => {
                let log = Arc::new(KafkaLog::new(&config.kafka)?);
                let ensure = async || make_topics(config).await;
                super::retry::connect_with_retry(connecting, "Kafka", ensure).await?;
                Ok(Self::Kafka(log))
            }
            _ => Err(super::not_built("log.backend")),
        }
    }

    pub(super) fn events(&self) -> Arc<dyn EventSink> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(log) => Arc::new(log.events()),
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => Arc::new(log.events()),
        }
    }

    pub(super) fn records(&self) -> Arc<dyn RecordLog> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(log) => log.clone(),
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => log.clone(),
        }
    }

    /// The logs called `names`, each as read by its group.
    pub(super) fn sources(
        &self,
        connecting: &Connecting<'_>,
        names: &[ProcessedLog],
    ) -> Result<Vec<Arc<dyn EventSource>>, ConnectError> {
        let Connecting { config, telemetry, .. } = connecting;
        let source = |(name, group): &ProcessedLog| -> Result<Arc<dyn EventSource>, ConnectError> {
            match self {
                #[cfg(feature = "embedded")]
                Self::Embedded(log) => Ok(Arc::new(log.source(group, name))),
                #[cfg(feature = "kafka")]
                Self::Kafka(_) => {
                    Ok(Arc::new(KafkaSource::join(&config.kafka, group, name, telemetry.clone())?))
                }
            }
        };
        names.iter().map(source).collect()
    }

    pub(super) fn join(
        self,
        health: &mut Vec<Arc<dyn HealthCheck>>,
        maintenance: &mut Vec<Arc<dyn Maintenance>>,
        open: &mut Open,
    ) {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(log) => {
                health.push(log.clone());
                maintenance.push(log.clone());
                open.log = Some(log);
            }
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => {
                health.push(log.clone());
                open.kafka = Some(log);
            }
        }
        #[cfg(not(feature = "embedded"))]
        let _ = maintenance;
    }
}

/// Checks that no other directory stores into the store. Two would give the same offsets to different events.
#[cfg(feature = "embedded")]
async fn refuse_a_second_log(
    config: &Config,
    parts: &DataDirParts<'_>,
    store: &Store,
    names: &[&str],
) -> Result<(), ConnectError> {
    let is_forced = config.process.accept_lost_records;
    let mut is_second = match store {
        Store::Embedded(_) => return Ok(()),
        #[cfg(feature = "clickhouse")]
        Store::ClickHouse(store) => {
            let id = parts.directory_id()?;
            store.claim_for_directory(id, is_forced).await? != id
        }
    };
    // Of a log that was on Kafka, too.
    let (ledger, is_new) = (store.ledger(), !parts.has_log());
    for name in names {
        is_second |= is_new && !is_forced && !ledger.next_offsets(name).await?.is_empty();
    }
    if is_second {
        let reason = "is not the directory whose log is stored in this database: each needs a database of its own. If the other one \
                      is gone for good, set process.accept_lost_records: true for one start";
        return Err(InvalidSetting::new("data_dir", reason).into());
    }
    Ok(())
}

#[cfg(feature = "kafka")]
async fn make_topics(config: &Config) -> Result<(), PortError> {
    match ensure_topics(&config.kafka).await {
        Ok(ensured) => {
            if !ensured.created.is_empty() {
                tracing::info!(topics = ?ensured.created, "topics were made");
            }
            Ok(())
        }
        Err(TopicError::Port(error)) => Err(error),
        Err(other) => Err(PortError::fatal("kafka", other)),
    }
}

/// How far the processed logs go.
pub(super) fn ends(config: &Config, log: Option<&Log>) -> Result<Vec<Arc<dyn LogEnds>>, ConnectError> {
    let end = |(name, group): ProcessedLog| -> Result<Arc<dyn LogEnds>, ConnectError> {
        match (config.log.backend, log) {
            #[cfg(feature = "embedded")]
            (LogBackend::Embedded, Some(Log::Embedded(log))) => Ok(Arc::new(log.source(group, name))),
            #[cfg(feature = "kafka")]
            (LogBackend::Kafka, _) => Ok(Arc::new(KafkaLogEnds::connect(&config.kafka, name)?)),
            _ => Err(super::not_built("log.backend")),
        }
    };
    logs::PROCESSED.into_iter().map(end).collect()
}

/// Where records go that cannot be processed: into the store if it takes them, else beside the log.
pub(super) async fn dead_letters(
    config: &Config,
    log: Option<&Log>,
    store: &Store,
    parts: &mut Parts<'_>,
) -> Result<Option<Arc<dyn DeadLetters>>, ConnectError> {
    if let Some(letters) = store.dead_letters() {
        return Ok(Some(letters));
    }
    match (config.log.backend, log, parts) {
        #[cfg(feature = "embedded")]
        (LogBackend::Embedded, _, Some(parts)) => {
            Ok(Some(Arc::new(parts.dead_letters(config.store.readers).await?)))
        }
        #[cfg(feature = "kafka")]
        (LogBackend::Kafka, Some(Log::Kafka(log)), _) => {
            Ok(Some(Arc::new(KafkaDeadLetters::new(&config.kafka, log)?)))
        }
        _ => Ok(None),
    }
}
