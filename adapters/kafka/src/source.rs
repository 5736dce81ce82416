//! Consumer groups: a stream per partition, and partitions that move only when their worker is done.

mod driver;
mod group;
mod lookup;
mod partition;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::Telemetry;
use gosight_application::ports::{AssignmentChange, EventSource, LogEnds, SourceError};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client;
use crate::config::KafkaConfig;
use crate::error::{Failure, port_error, settings_error};

use driver::Driver;
use group::GroupContext;
use lookup::Lookup;

type GroupConsumer = StreamConsumer<GroupContext>;
type Change = Result<AssignmentChange, SourceError>;

/// One log as a member of a consumer group reads it.
///
/// Partitions move between members one by one (cooperative-sticky). One that is revoked is given up when the guard of
/// its [`AssignmentChange::Revoked`] is dropped, or when the drain timeout is over; from then on its
/// [`PartitionSource`](gosight_application::ports::PartitionSource) fails. A partition that was lost because the
/// session timed out is revoked in the same way. One that comes back is not handed out before the source that read it
/// is dropped.
///
/// A partition source that is dropped while its partition is assigned leaves it unread until the group moves it.
/// Dropping the source leaves the group once its partition sources are dropped, up to the drain timeout.
pub struct KafkaSource {
    log: Arc<str>,
    lookup: Lookup,
    changes: Mutex<mpsc::UnboundedReceiver<Change>>,
    _open: DropGuard,
}

impl KafkaSource {
    /// Joins `group` to read the log called `log`, and reports waits before the brokers are asked again to `telemetry`. Has to be
    /// called inside a Tokio runtime.
    ///
    /// # Errors
    /// `Fatal` when no topic is configured for the log, or when the client library refuses the settings.
    pub fn join(
        config: &KafkaConfig,
        group: &str,
        log: &str,
        telemetry: Telemetry,
    ) -> Result<Self, SourceError> {
        let topic = config.topic(log).ok_or_else(|| Failure::NoTopic(log.to_owned()).fatal())?;
        let (context, rebalances) = GroupContext::new();
        let settings = client::consumer(config, group);
        let consumer = GroupConsumer::from_config_and_context(&settings, context)
            .map_err(|error| settings_error(&error))?;
        consumer.subscribe(&[&topic.name]).map_err(port_error)?;
        let consumer = Arc::new(consumer);
        let log: Arc<str> = log.into();
        let lookup = Lookup::new(&consumer, topic.name, config.request_timeout);
        let (tell, changes) = mpsc::unbounded_channel();
        let closing = CancellationToken::new();
        let open = closing.clone().drop_guard();
        let driver = Driver {
            consumer,
            lookup: lookup.clone(),
            log: log.clone(),
            drain_timeout: config.consume.drain_timeout,
            rebalances,
            changes: tell,
            assigned: std::collections::HashMap::new(),
            closing,
            telemetry,
        };
        tokio::spawn(driver.run());
        Ok(Self { log, lookup, changes: Mutex::new(changes), _open: open })
    }
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource").field("log", &self.log).finish_non_exhaustive()
    }
}

#[async_trait]
impl LogEnds for KafkaSource {
    fn log(&self) -> &Arc<str> {
        &self.log
    }

    async fn end_offsets(&self) -> Result<Vec<(u32, u64)>, SourceError> {
        self.lookup.ends().await
    }
}

#[async_trait]
impl EventSource for KafkaSource {
    async fn next_change(&self) -> Result<Option<AssignmentChange>, SourceError> {
        self.changes.lock().await.recv().await.transpose()
    }
}

/// How far a log goes, for those who do not read it: joins no group and takes no partition.
pub struct KafkaLogEnds {
    log: Arc<str>,
    lookup: Lookup,
    _consumer: Arc<GroupConsumer>,
}

impl KafkaLogEnds {
    /// Connects to ask about the log called `log`. Has to be called inside a Tokio runtime.
    ///
    /// # Errors
    /// `Fatal` when no topic is configured for the log, or when the client library refuses the settings.
    pub fn connect(config: &KafkaConfig, log: &str) -> Result<Self, SourceError> {
        let topic = config.topic(log).ok_or_else(|| Failure::NoTopic(log.to_owned()).fatal())?;
        let (context, _) = GroupContext::new();
        let settings = client::consumer(config, "gosight-observer");
        let consumer = GroupConsumer::from_config_and_context(&settings, context)
            .map_err(|error| settings_error(&error))?;
        let consumer = Arc::new(consumer);
        let lookup = Lookup::new(&consumer, topic.name, config.request_timeout);
        Ok(Self { log: log.into(), lookup, _consumer: consumer })
    }
}

impl fmt::Debug for KafkaLogEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLogEnds").field("log", &self.log).finish_non_exhaustive()
    }
}

#[async_trait]
impl LogEnds for KafkaLogEnds {
    fn log(&self) -> &Arc<str> {
        &self.log
    }

    async fn end_offsets(&self) -> Result<Vec<(u32, u64)>, SourceError> {
        self.lookup.ends().await
    }
}
