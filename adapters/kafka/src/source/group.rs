use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc;

use crate::client;

/// A change that the group waits to have answered.
#[derive(Debug)]
pub(super) enum Rebalance {
    /// These partitions are to be read.
    Assign(Vec<i32>),
    /// These partitions are to be given up; `lost` when they may be read by others already.
    Revoke { partitions: Vec<i32>, lost: bool },
}

/// Hands each change to the driver, which answers it when it can. The group waits for the answer, not for the callback.
pub(super) struct GroupContext {
    last_error: client::LastClientError,
    rebalances: mpsc::UnboundedSender<Rebalance>,
}

impl GroupContext {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Rebalance>) {
        let (rebalances, received) = mpsc::unbounded_channel();
        (Self { last_error: client::LastClientError::default(), rebalances }, received)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.last_error.note_line(facility, line);
        client::log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.note(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let is_assignment = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let change = if is_assignment {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke { partitions, lost: consumer.assignment_lost() }
        };
        if self.rebalances.send(change).is_ok() {
            return;
        }
        // The driver is gone: the consumer is being closed, and would wait for an answer without end.
        let answered = if is_assignment {
            consumer.incremental_assign(list)
        } else {
            consumer.incremental_unassign(list)
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "assignment change not answered while closing");
        }
    }
}
