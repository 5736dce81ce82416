//! Wrong stores that have a row of a session for each partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{
    CommitError, Fence, FoldScope, IdleQuery, Ledger, LedgerError, LogPartition, PortError, SessionDetail,
    SessionQuery, SessionStore, SessionStoreError, SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_conformance::session_store::cases;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::ledger::LedgerRow;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};
use gosight_memory::MemoryStore;

use super::lists::everything;
use crate::harness::wrong;

wrong! { cases(), fixture:
    6 a_load_of_all_partitions_is_noticed(Fault::LoadJoinsPartitions):
        each_partition_has_rows_of_its_own_if_the_scope_says_so;
    6 a_put_over_other_partitions_is_noticed(Fault::PutReplacesOtherPartitions):
        each_partition_has_rows_of_its_own_if_the_scope_says_so;
    6 a_removal_from_other_partitions_is_noticed(Fault::RemoveTakesOtherPartitions):
        each_partition_has_rows_of_its_own_if_the_scope_says_so;
    6 a_reader_of_one_partition_is_noticed(Fault::GetReadsOnePartition):
        each_partition_has_rows_of_its_own_if_the_scope_says_so;
    6 a_list_of_rows_is_noticed(Fault::ListsRows):
        each_partition_has_rows_of_its_own_if_the_scope_says_so;
    6 an_idle_list_of_rows_is_noticed(Fault::ListsIdleRows):
        each_partition_has_rows_of_its_own_if_the_scope_says_so;
}

/// What is wrong with a store of [`FoldScope::Partition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The condition of the partition is missing.
    LoadJoinsPartitions,
    /// The primary key lacks the partition.
    PutReplacesOtherPartitions,
    /// The condition of the partition is missing.
    RemoveTakesOtherPartitions,
    /// `LIMIT 1`.
    GetReadsOnePartition,
    /// No `GROUP BY session_id`.
    ListsRows,
    /// The time is asked of each row, not of the session.
    ListsIdleRows,
}

/// Sessions with a row for each partition, which are in a store of their own each.
#[derive(Debug)]
struct Partitioned {
    parts: Mutex<BTreeMap<LogPartition, Arc<MemoryStore>>>,
    fault: Option<Fault>,
}

impl Partitioned {
    fn part(&self, place: &LogPartition) -> Arc<MemoryStore> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.entry(place.clone()).or_default().clone()
    }

    fn parts(&self) -> Vec<(LogPartition, Arc<MemoryStore>)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(place, part)| (place.clone(), part.clone())).collect()
    }

    /// The rows that the partitions have of a session.
    async fn rows(&self, fence: &Fence, key: &SessionKey) -> Result<Vec<SessionRow>, SessionStoreError> {
        let mut rows = Vec::new();
        for (_, part) in self.parts() {
            let found = part.load(fence, 0, std::slice::from_ref(key)).await?;
            rows.extend(found.into_iter().flatten().map(|session| SessionRules::default().row(session)));
        }
        Ok(rows)
    }

    /// The rows that the partitions have of a session, for who has no fence.
    async fn read(&self, key: &SessionKey) -> Result<Vec<SessionRow>, SessionStoreError> {
        let nowhere = LogPartition { log: "nowhere".into(), partition: 0 };
        self.rows(&Fence::granted(nowhere, 0, uuid::Uuid::nil()), key).await
    }

    /// Removes sessions from every partition but `place`.
    async fn remove_elsewhere(
        &self,
        place: &LogPartition,
        keys: &[SessionKey],
    ) -> Result<(), SessionStoreError> {
        for (other, part) in self.parts() {
            if other != *place {
                part.remove(&part.acquire(&other).await?, keys).await?;
            }
        }
        Ok(())
    }

    /// What readers see of the sessions of a project: each once, or each row when `of_rows`.
    async fn summaries(
        &self,
        project_id: &ProjectId,
        of_rows: bool,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let rules = SessionRules::default();
        let mut rows = Vec::new();
        for (_, part) in self.parts() {
            rows.extend(part.list(&rules, project_id, &everything()).await?);
        }
        if of_rows {
            return Ok(rows);
        }
        let names: BTreeSet<SessionId> = rows.into_iter().map(|row| row.session_id).collect();
        let mut sessions = Vec::new();
        for session_id in names {
            let key = SessionKey { project_id: project_id.clone(), session_id };
            sessions.extend(rules.join(self.read(&key).await?).map(|row| row.summary(false)));
        }
        Ok(sessions)
    }
}

#[async_trait]
impl Ledger for Partitioned {
    async fn next_offsets(&self, _: &str) -> Result<BTreeMap<u32, u64>, LedgerError> {
        Ok(BTreeMap::new())
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError> {
        self.part(place).acquire(place).await
    }

    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError> {
        Ledger::end(&*self.part(fence.place()), fence).await
    }

    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        self.part(fence.place()).append(fence, row).await
    }
}

#[async_trait]
impl SessionStore for Partitioned {
    fn scope(&self) -> FoldScope {
        FoldScope::Partition
    }

    async fn acquired(&self, fence: &Fence) -> Result<(), PortError> {
        SessionStore::acquired(&*self.part(fence.place()), fence).await
    }

    async fn load(
        &self,
        fence: &Fence,
        at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        if self.fault != Some(Fault::LoadJoinsPartitions) {
            return self.part(fence.place()).load(fence, at, sessions).await;
        }
        let mut loaded = Vec::new();
        for key in sessions {
            let joined = SessionRules::default().join(self.rows(fence, key).await?);
            loaded.push(joined.map(|row| row.session));
        }
        Ok(loaded)
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        self.part(fence.place()).put(fence, rows).await?;
        if self.fault == Some(Fault::PutReplacesOtherPartitions) {
            let keys: Vec<SessionKey> = rows.iter().map(|row| row.session.key()).collect();
            self.remove_elsewhere(fence.place(), &keys).await.expect("removed");
        }
        Ok(())
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        self.part(fence.place()).remove(fence, sessions).await?;
        if self.fault == Some(Fault::RemoveTakesOtherPartitions) {
            self.remove_elsewhere(fence.place(), sessions).await?;
        }
        Ok(())
    }

    async fn get(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        let key = SessionKey { project_id: project_id.clone(), session_id: session_id.clone() };
        let mut rows = self.read(&key).await?;
        if self.fault == Some(Fault::GetReadsOnePartition) {
            rows.truncate(1);
        }
        Ok(rules.join(rows).map(SessionRow::into_detail))
    }

    async fn list(
        &self,
        _: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let of_rows = self.fault == Some(Fault::ListsRows);
        Ok(query.page(self.summaries(project_id, of_rows).await?))
    }

    async fn list_idle(
        &self,
        _: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let of_rows = self.fault == Some(Fault::ListsIdleRows);
        Ok(query.page(self.summaries(project_id, of_rows).await?))
    }
}

fn fixture(fault: Option<Fault>) -> StepsFixture {
    let store = Arc::new(MemoryStore::default());
    let sessions = Arc::new(Partitioned { parts: Mutex::default(), fault });
    StepsFixture {
        ledger: sessions.clone(),
        sessions,
        ..StepsFixture::over(&store, store.dead_letters(), Box::new(()))
    }
}
