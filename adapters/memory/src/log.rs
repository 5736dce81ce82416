use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::local_log::{LocalGroups, LocalLog, LocalSource, partition_of};
use gosight_application::ports::{
    LogError, PollLimits, PolledRecord, PortError, Record, RecordLog, RefusedRecord, RefusedRecords,
    SourceError,
};
use gosight_application::{LogSink, logs};
use tokio::sync::Notify;

use crate::ADAPTER;

/// A partitioned log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    partitions: u32,
    max_record_bytes: usize,
    max_records: usize,
    state: Mutex<State>,
    appended: Notify,
    groups: LocalGroups,
}

#[derive(Debug, Default)]
struct State {
    logs: HashMap<String, Vec<Vec<Record>>>,
    committed: HashMap<(String, String, u32), u64>,
    records: usize,
}

impl MemoryLog {
    /// Logs of `partitions` partitions each, that take records of up to 16 MiB and a million of them in all.
    pub fn new(partitions: u32) -> Self {
        Self::with_limits(partitions, 16 * 1024 * 1024, 1_000_000)
    }

    /// Logs that take records of up to `max_record_bytes`, and `max_records` of them in all.
    pub fn with_limits(partitions: u32, max_record_bytes: usize, max_records: usize) -> Self {
        Self {
            partitions: partitions.max(1),
            max_record_bytes,
            max_records,
            state: Mutex::default(),
            appended: Notify::new(),
            groups: LocalGroups::default(),
        }
    }

    /// A consumer of `log` in `group`.
    pub fn source(self: &Arc<Self>, group: &str, log: &str) -> LocalSource<Self> {
        LocalSource::new(self.clone(), self.groups.clone(), group, log)
    }

    /// The log of events, for who sends events.
    pub fn events(self: &Arc<Self>) -> LogSink {
        LogSink::new(self.clone(), logs::EVENTS)
    }

    /// Every record of `log`, partition by partition.
    pub fn records(&self, log: &str) -> Vec<Record> {
        self.lock().logs.get(log).into_iter().flatten().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one push or insert, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RecordLog for MemoryLog {
    async fn append(&self, log: &str, records: Vec<Record>) -> Result<(), LogError> {
        let mut refused = Vec::new();
        let mut state = self.lock();
        if state.records + records.len() > self.max_records {
            return Err(LogError::transient(ADAPTER, "the log is full"));
        }
        for (index, record) in records.into_iter().enumerate() {
            let bytes = record.value.len();
            if bytes > self.max_record_bytes {
                let reason = format!("has {bytes} bytes, at most {} are allowed", self.max_record_bytes);
                refused.push(RefusedRecord { index, reason });
                continue;
            }
            let partition = partition_of(&record.key, self.partitions) as usize;
            let count = self.partitions as usize;
            let partitions = state.logs.entry(log.to_owned()).or_insert_with(|| vec![Vec::new(); count]);
            partitions[partition].push(record);
            state.records += 1;
        }
        drop(state);
        self.appended.notify_waiters();
        if refused.is_empty() {
            return Ok(());
        }
        Err(PortError::Rejected { adapter: ADAPTER, refused: RefusedRecords(refused) })
    }
}

#[async_trait]
impl LocalLog for MemoryLog {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn appended(&self) -> &Notify {
        &self.appended
    }

    async fn bounds(&self, log: &str, partition: u32) -> Result<Range<u64>, SourceError> {
        let state = self.lock();
        let records = state.logs.get(log).and_then(|partitions| partitions.get(partition as usize));
        Ok(0..records.map_or(0, |records| records.len() as u64))
    }

    async fn read(
        &self,
        log: &str,
        partition: u32,
        from: u64,
        limits: &PollLimits,
    ) -> Result<Vec<PolledRecord>, SourceError> {
        let state = self.lock();
        let records = state.logs.get(log).and_then(|partitions| partitions.get(partition as usize));
        let from_index = usize::try_from(from).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let wanted = records.into_iter().flatten().skip(from_index).take(limits.max_records);
        let fitting = wanted.enumerate().take_while(|(index, record)| {
            bytes += record.value.len();
            *index == 0 || bytes <= limits.max_bytes
        });
        Ok((from..)
            .zip(fitting)
            .map(|(offset, (_, record))| PolledRecord { offset, value: record.value.clone() })
            .collect())
    }

    async fn committed(&self, group: &str, log: &str, partition: u32) -> Result<Option<u64>, SourceError> {
        Ok(self.lock().committed.get(&(group.to_owned(), log.to_owned(), partition)).copied())
    }

    async fn commit(&self, group: &str, log: &str, partition: u32, next: u64) -> Result<(), SourceError> {
        self.lock().committed.insert((group.to_owned(), log.to_owned(), partition), next);
        Ok(())
    }
}
