use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use gosight_application::Telemetry;
use gosight_application::backoff::{Backoff, BackoffPolicy};
use gosight_application::ports::{AssignmentChange, SourceError};
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::group::Rebalance;
use super::lookup::{Lookup, Seeks, offset_of};
use super::partition::{Ahead, KafkaPartition};
use super::{Change, GroupConsumer};
use crate::error::{Class, Failure, classify, port_error, read_error};

/// Serves one consumer: answers the group's changes, and closes the consumer in the end.
pub(super) struct Driver {
    pub(super) consumer: Arc<GroupConsumer>,
    pub(super) lookup: Lookup,
    pub(super) log: Arc<str>,
    pub(super) drain_timeout: Duration,
    pub(super) rebalances: mpsc::UnboundedReceiver<Rebalance>,
    pub(super) changes: mpsc::UnboundedSender<Change>,
    pub(super) assigned: HashMap<i32, Assigned>,
    pub(super) closing: CancellationToken,
    pub(super) telemetry: Telemetry,
}

/// A partition that was handed out and whose source lives, or may live.
pub(super) struct Assigned {
    /// Cancelled when the source is dropped.
    dropped: CancellationToken,
    /// Tells the source that the partition is not its any more.
    given_up: CancellationToken,
}

/// The waits before the group's offsets are asked for again.
const BACKOFF: BackoffPolicy =
    BackoffPolicy { initial: Duration::from_millis(200), max: Duration::from_secs(5) };

/// How long to serve the group after it was left with sources alive.
const LEAVE_TIME: Duration = Duration::from_secs(1);

impl Driver {
    pub(super) async fn run(mut self) {
        let consumer = self.consumer.clone();
        let changes = self.changes.clone();
        tokio::select! {
            error = serve_events(&consumer, &changes) => {
                let _ = changes.send(Err(error));
                self.give_up_all();
            }
            () = self.serve() => {}
        }
        self.leave_with_live_sources().await;
        // Leaves the group, if that is not done yet, and blocks until the brokers know.
        let Self { consumer: own, .. } = self;
        let closed = tokio::task::spawn_blocking(move || drop((own, consumer))).await;
        if let Err(error) = closed {
            tracing::warn!(%error, "consumer not closed");
        }
    }

    async fn serve(&mut self) {
        let closing = self.closing.clone();
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                change = self.rebalances.recv() => match change {
                    Some(Rebalance::Assign(partitions)) => self.assign(partitions).await,
                    Some(Rebalance::Revoke { partitions, lost }) => self.revoke(partitions, lost).await,
                    None => break,
                },
            }
        }
        self.leave().await;
    }

    /// Hands out partitions, each at the offset where the group goes on.
    async fn assign(&mut self, partitions: Vec<i32>) {
        let closing = self.closing.clone();
        let starts = tokio::select! {
            // Answered although nobody will read, because the group waits for it.
            () = closing.cancelled() => return self.answer_assignment(&at_the_end(self.topic(), &partitions)),
            starts = self.starts(&partitions) => starts,
        };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut sources = Vec::with_capacity(partitions.len());
        for (&partition, &start) in &starts {
            // Made before the partition runs, so that none of its records goes elsewhere.
            sources.extend(self.source(partition, start));
            if let Err(error) = list.add_partition_offset(self.topic(), partition, offset_of(start)) {
                tracing::error!(%error, partition, "partition not assigned");
            }
        }
        self.answer_assignment(&list);
        for source in sources {
            let _ = self.changes.send(Ok(AssignmentChange::Assigned(Box::new(source))));
        }
    }

    /// Where to start, once nobody reads these partitions from before.
    async fn starts(&mut self, partitions: &[i32]) -> BTreeMap<i32, u64> {
        for partition in partitions {
            if let Some(assigned) = self.assigned.get(partition) {
                assigned.dropped.cancelled().await;
                self.assigned.remove(partition);
            }
        }
        let mut backoff = Backoff::new(BACKOFF);
        loop {
            match self.lookup.starts(partitions.to_vec()).await {
                Ok(starts) => return starts,
                Err(error) => {
                    let wait = backoff.next_wait(None);
                    tracing::warn!(%error, ?wait, log = %self.log, "committed offsets unavailable, retrying");
                    if !error.is_transient() {
                        let _ = self.changes.send(Err(error));
                    }
                    let waiting = self.telemetry.backing_off("group_offsets");
                    tokio::time::sleep(wait).await;
                    waiting.retry();
                }
            }
        }
    }

    fn source(&mut self, partition: i32, start: u64) -> Option<KafkaPartition> {
        let Some(queue) = self.consumer.split_partition_queue(self.topic(), partition) else {
            let topic = self.topic().to_string();
            let _ = self.changes.send(Err(Failure::NoPartition { topic, partition }.fatal()));
            return None;
        };
        let assigned = Assigned { dropped: CancellationToken::new(), given_up: CancellationToken::new() };
        let source = KafkaPartition {
            queue,
            log: self.log.clone(),
            partition,
            lookup: self.lookup.clone(),
            next: start,
            ahead: Ahead::default(),
            aligned: true,
            seeks: Seeks::default(),
            given_up: assigned.given_up.clone(),
            _assigned: assigned.dropped.clone().drop_guard(),
        };
        self.assigned.insert(partition, assigned);
        Some(source)
    }

    /// Asks the workers to finish, waits for them, and gives the partitions up.
    async fn revoke(&mut self, partitions: Vec<i32>, lost: bool) {
        tracing::info!(log = %self.log, ?partitions, lost, "partitions revoked");
        let mut released = Vec::with_capacity(partitions.len());
        for partition in &partitions {
            let token = CancellationToken::new();
            released.push(token.clone().cancelled_owned());
            let change = AssignmentChange::Revoked {
                partition: partition.unsigned_abs(),
                released: token.drop_guard(),
            };
            let _ = self.changes.send(Ok(change));
        }
        if tokio::time::timeout(self.drain_timeout, join_all(released)).await.is_err() {
            tracing::warn!(log = %self.log, ?partitions, "partitions released before their workers finished");
        }
        self.give_up(&partitions);
    }

    fn give_up(&mut self, partitions: &[i32]) {
        for assigned in partitions.iter().filter_map(|partition| self.assigned.get(partition)) {
            assigned.given_up.cancel();
        }
        self.assigned.retain(|_, assigned| !assigned.dropped.is_cancelled());
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in partitions {
            list.add_partition(self.topic(), partition);
        }
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(%error, "partitions not released");
        }
    }

    fn give_up_all(&mut self) {
        for assigned in self.assigned.values() {
            assigned.given_up.cancel();
        }
    }

    /// Waits until no partition is read any more, up to the deadline, and takes back those that still are.
    async fn leave(&mut self) {
        let dropped: Vec<_> =
            self.assigned.values().map(|assigned| assigned.dropped.clone().cancelled_owned()).collect();
        let _ = tokio::time::timeout(self.drain_timeout, join_all(dropped)).await;
        self.give_up_all();
        self.rebalances.close();
        while let Ok(change) = self.rebalances.try_recv() {
            match change {
                Rebalance::Assign(partitions) => {
                    self.answer_assignment(&at_the_end(self.topic(), &partitions));
                }
                Rebalance::Revoke { partitions, .. } => self.give_up(&partitions),
            }
        }
    }

    /// Leaves the group while sources are still alive: they keep the consumer from being closed, and the group must
    /// not wait for them.
    async fn leave_with_live_sources(&mut self) {
        self.assigned.retain(|_, assigned| !assigned.dropped.is_cancelled());
        if self.assigned.is_empty() {
            return;
        }
        self.rebalances.close();
        self.consumer.unsubscribe();
        // What the group asks for is answered within the events that are served meanwhile.
        let _ = tokio::time::timeout(LEAVE_TIME, serve_events(&self.consumer, &self.changes)).await;
    }

    fn answer_assignment(&self, list: &TopicPartitionList) {
        if let Err(error) = self.consumer.incremental_assign(list) {
            tracing::warn!(%error, "assignment not applied");
            let _ = self.changes.send(Err(port_error(error)));
        }
    }

    fn topic(&self) -> &str {
        self.lookup.topic()
    }
}

fn at_the_end(topic: &str, partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for &partition in partitions {
        if let Err(error) = list.add_partition_offset(topic, partition, Offset::End) {
            tracing::debug!(%error, "partition not listed");
        }
    }
    list
}

/// Serves what is not records: changes of the group, and errors. Gives the error that ends it.
async fn serve_events(consumer: &GroupConsumer, changes: &mpsc::UnboundedSender<Change>) -> SourceError {
    loop {
        let error = match consumer.recv().await {
            Ok(message) => return Failure::Stray(message.partition()).fatal(),
            Err(error) => error,
        };
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return read_error(error);
        }
        match error.rdkafka_error_code() {
            // It may be on its way through the cluster; whoever waits for partitions gets the error.
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                let _ = changes.send(Err(Failure::NoSuchTopic(error.to_string()).transient()));
            }
            _ if classify(&error) == Class::Lasting => {
                let _ = changes.send(Err(read_error(error)));
            }
            _ => tracing::debug!(%error, "consumer error ignored"),
        }
    }
}
