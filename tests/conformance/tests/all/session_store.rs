//! Wrong stores of sessions.

mod lists;
pub mod partitioned;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{
    CommitError, Fence, IdleQuery, Ledger, LogPartition, PortError, SessionDetail, SessionQuery,
    SessionStore, SessionStoreError, SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_conformance::factory::LOG;
use gosight_conformance::session_store::cases;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};
use gosight_memory::MemoryStore;

use crate::fences::LastFences;
use crate::harness::wrong;
use lists::{IdleFault, ListFault};

wrong! { cases(), fixture:
    1 an_answer_in_order_of_the_keys_is_noticed(Fault::LoadsInOrderOfKeys):
        sessions_are_loaded_as_they_were_put_in_the_order_asked;
    1 an_answer_without_gaps_is_noticed(Fault::LoadsWithoutGaps):
        sessions_are_loaded_as_they_were_put_in_the_order_asked;
    1 a_removed_session_that_is_loaded_is_noticed(Fault::LoadsWhatWasRemoved):
        removing_forgets_these_sessions_and_no_others;
    2 a_put_that_keeps_what_is_there_is_noticed(Fault::PutKeepsWhatIsThere):
        putting_replaces_what_was_there_and_survives_a_crash;
    2 a_put_that_leaves_old_insights_is_noticed(Fault::PutLeavesOldInsights):
        putting_replaces_what_was_there_and_survives_a_crash;
    2 a_put_that_a_crash_takes_back_is_noticed(Fault::PutIsLostOnACrash):
        putting_replaces_what_was_there_and_survives_a_crash;
    3 a_removal_that_does_nothing_is_noticed(Fault::RemoveDoesNothing):
        removing_forgets_these_sessions_and_no_others;
    3 a_removal_from_every_project_is_noticed(Fault::RemoveTakesThoseOfEveryProject):
        removing_forgets_these_sessions_and_no_others;
    3 a_removal_of_a_whole_project_is_noticed(Fault::RemoveTakesTheProject):
        removing_forgets_these_sessions_and_no_others;
    4 a_put_without_a_fence_is_noticed(Fault::PutIgnoresTheFence): an_older_fence_changes_nothing;
    4 a_put_that_looks_at_the_fence_after_it_wrote_is_noticed(Fault::PutLooksAtTheFenceTooLate):
        an_older_fence_changes_nothing;
    4 a_removal_without_a_fence_is_noticed(Fault::RemoveIgnoresTheFence): an_older_fence_changes_nothing;
    4 a_fence_of_another_ledger_that_is_not_heard_of_is_noticed(Fault::NewerFencesAreNotHeardOf):
        fences_of_another_ledger_count_once_they_are_known;
    5 a_key_without_the_project_is_noticed(Fault::ProjectsShareAKey): projects_do_not_share_sessions;
    7 insights_in_order_of_time_are_noticed(Fault::InsightsComeByTime):
        a_session_comes_with_its_insights_in_order;
    7 a_session_without_insights_is_noticed(Fault::InsightsAreLeftOut):
        a_session_comes_with_its_insights_in_order;
    8 a_list_that_repeats_the_cursor_is_noticed(Fault::List(ListFault::RepeatsTheCursor)):
        sessions_are_listed_latest_first_page_by_page;
    8 a_list_that_goes_on_by_start_alone_is_noticed(Fault::List(ListFault::GoesOnByStartAlone)):
        sessions_are_listed_latest_first_page_by_page;
    8 a_list_that_looks_for_the_row_of_the_cursor_is_noticed(Fault::List(ListFault::LooksForTheCursor)):
        a_list_goes_on_while_sessions_come_and_go;
    8 a_list_by_end_is_noticed(Fault::List(ListFault::ComesByEnd)):
        sessions_are_listed_latest_first_page_by_page;
    8 a_list_with_equal_starts_in_no_order_is_noticed(Fault::List(ListFault::EqualStartsComeLastFirst)):
        sessions_are_listed_latest_first_page_by_page;
    8 a_list_that_is_cut_before_it_is_filtered_is_noticed(Fault::List(ListFault::FiltersAfterTheLimit)):
        sessions_are_filtered;
    8 a_list_of_every_project_is_noticed(Fault::List(ListFault::ListsEveryProject)):
        projects_do_not_share_sessions;
    9 an_idle_list_with_the_time_itself_is_noticed(Fault::Idle(IdleFault::IncludesTheTime)):
        idle_sessions_are_listed_oldest_first;
    9 an_idle_list_by_start_is_noticed(Fault::Idle(IdleFault::ComesByStart)):
        idle_sessions_are_listed_oldest_first;
    9 an_idle_list_with_the_latest_first_is_noticed(Fault::Idle(IdleFault::ComesLatestFirst)):
        idle_sessions_are_listed_oldest_first;
    9 an_idle_list_that_repeats_the_cursor_is_noticed(Fault::Idle(IdleFault::RepeatsTheCursor)):
        idle_sessions_are_listed_oldest_first;
    9 an_idle_list_that_goes_on_by_end_alone_is_noticed(Fault::Idle(IdleFault::GoesOnByEndAlone)):
        idle_sessions_are_listed_oldest_first;
    9 an_idle_list_that_looks_for_the_row_of_the_cursor_is_noticed(Fault::Idle(IdleFault::LooksForTheCursor)):
        a_list_goes_on_while_sessions_come_and_go;
}

/// What is wrong with a store of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The rows of `SELECT … IN (…)` as they come.
    LoadsInOrderOfKeys,
    /// Only the rows that there are.
    LoadsWithoutGaps,
    /// What was put stays in a cache that removal does not know of.
    LoadsWhatWasRemoved,
    /// `INSERT OR IGNORE`.
    PutKeepsWhatIsThere,
    /// Insights are in a table of their own, to which they are only added.
    PutLeavesOldInsights,
    /// Rows are acknowledged before they are flushed.
    PutIsLostOnACrash,
    /// A removal that finds no rows, and does not say so.
    RemoveDoesNothing,
    /// `WHERE session_id IN (…)`.
    RemoveTakesThoseOfEveryProject,
    /// `WHERE project_id = …`.
    RemoveTakesTheProject,
    /// The fence is a parameter that nobody uses.
    PutIgnoresTheFence,
    /// Rows are there before the fence is looked at, and stay.
    PutLooksAtTheFenceTooLate,
    /// The fence is a parameter that nobody uses.
    RemoveIgnoresTheFence,
    /// Only its own ledger tells it of fences.
    NewerFencesAreNotHeardOf,
    /// The primary key is the id of the session.
    ProjectsShareAKey,
    /// `ORDER BY first_at`.
    InsightsComeByTime,
    /// The row of the session alone.
    InsightsAreLeftOut,
    List(ListFault),
    Idle(IdleFault),
}

/// The sessions of a store, with a fault.
#[derive(Debug)]
pub struct WrongSessions {
    right: Arc<MemoryStore>,
    fences: Arc<LastFences>,
    fault: Option<Fault>,
    /// Every row that was put, the latest last.
    put: Mutex<Vec<SessionRow>>,
}

impl WrongSessions {
    /// The sessions of `right`, whose fences are `fences`.
    pub fn over(right: &Arc<MemoryStore>, fences: &Arc<LastFences>, fault: Option<Fault>) -> Arc<Self> {
        Arc::new(Self { right: right.clone(), fences: fences.clone(), fault, put: Mutex::default() })
    }

    fn has_put(&self) -> Vec<SessionRow> {
        self.put.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last row that was put of a session.
    fn last_put(&self, key: &SessionKey) -> Option<Session> {
        self.has_put().into_iter().rev().map(|row| row.session).find(|session| session.key() == *key)
    }

    /// Keys of sessions that were put and that `is_wanted`.
    fn keys(&self, is_wanted: impl Fn(&SessionKey) -> bool) -> Vec<SessionKey> {
        self.has_put().iter().map(|row| row.session.key()).filter(|key| is_wanted(key)).collect()
    }

    async fn is_new(&self, fence: &Fence, row: &SessionRow) -> Result<bool, PortError> {
        Ok(self.right.load(fence, 0, &[row.session.key()]).await? == [None])
    }

    /// The row with the insights that are stored of its session besides.
    async fn with_old_insights(&self, row: &SessionRow) -> Result<SessionRow, PortError> {
        let SessionKey { project_id, session_id } = row.session.key();
        let old = self.right.get(&SessionRules::default(), &project_id, &session_id).await?;
        let old = old.into_iter().flat_map(|detail| detail.insights);
        let insights = old.chain(row.insights.clone()).collect();
        Ok(SessionRow { insights, ..row.clone() })
    }

    /// What a crash does.
    async fn crash(&self) {
        if self.fault == Some(Fault::PutIsLostOnACrash) {
            let place = LogPartition { log: LOG.into(), partition: 0 };
            let fence = self.fences.acquire(&place).await.expect("acquired");
            self.right.remove(&fence, &self.keys(|_| true)).await.expect("removed");
        }
    }
}

#[async_trait]
impl SessionStore for WrongSessions {
    async fn acquired(&self, fence: &Fence) -> Result<(), PortError> {
        if self.fault == Some(Fault::NewerFencesAreNotHeardOf) {
            return Ok(());
        }
        SessionStore::acquired(&*self.right, fence).await?;
        self.fences.note(fence);
        Ok(())
    }

    async fn load(
        &self,
        fence: &Fence,
        at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        let mut keys = sessions.to_vec();
        if self.fault == Some(Fault::LoadsInOrderOfKeys) {
            keys.sort();
        }
        let mut loaded = self.right.load(fence, at, &keys).await?;
        match self.fault {
            Some(Fault::LoadsWithoutGaps) => loaded.retain(Option::is_some),
            Some(Fault::LoadsWhatWasRemoved) => loaded = keys.iter().map(|key| self.last_put(key)).collect(),
            _ => {}
        }
        Ok(loaded)
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        let mut put = Vec::new();
        for row in rows {
            match self.fault {
                Some(Fault::PutKeepsWhatIsThere)
                    if !self.is_new(fence, row).await.map_err(PortError::widen)? => {}
                Some(Fault::PutLeavesOldInsights) => {
                    put.push(self.with_old_insights(row).await.map_err(PortError::widen)?);
                }
                Some(Fault::ProjectsShareAKey) => {
                    put.retain(|other: &SessionRow| other.session.session_id != row.session.session_id);
                    put.push(row.clone());
                }
                _ => put.push(row.clone()),
            }
        }
        match self.fault {
            Some(Fault::PutIgnoresTheFence) => self.right.put(&self.fences.good(fence), &put).await?,
            Some(Fault::PutLooksAtTheFenceTooLate) => {
                self.right.put(&self.fences.good(fence), &put).await?;
                self.right.put(fence, &[]).await?;
            }
            _ => self.right.put(fence, &put).await?,
        }
        self.put.lock().unwrap_or_else(PoisonError::into_inner).extend(put);
        Ok(())
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        let has_id = |key: &SessionKey| sessions.iter().any(|removed| removed.session_id == key.session_id);
        let of_project =
            |key: &SessionKey| sessions.iter().any(|removed| removed.project_id == key.project_id);
        match self.fault {
            Some(Fault::RemoveDoesNothing) => self.right.remove(fence, &[]).await,
            Some(Fault::RemoveTakesThoseOfEveryProject) => self.right.remove(fence, &self.keys(has_id)).await,
            Some(Fault::RemoveTakesTheProject) => self.right.remove(fence, &self.keys(of_project)).await,
            Some(Fault::RemoveIgnoresTheFence) => self.right.remove(&self.fences.good(fence), sessions).await,
            _ => self.right.remove(fence, sessions).await,
        }
    }

    async fn get(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        let mut found = self.right.get(rules, project_id, session_id).await?;
        let insights = found.iter_mut().map(|detail| &mut detail.insights);
        match self.fault {
            Some(Fault::InsightsComeByTime) => {
                insights.for_each(|insights| insights.sort_by_key(|insight| insight.first_at));
            }
            Some(Fault::InsightsAreLeftOut) => insights.for_each(Vec::clear),
            _ => {}
        }
        Ok(found)
    }

    async fn list(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let Some(Fault::List(fault)) = self.fault else {
            return self.right.list(rules, project_id, query).await;
        };
        let projects = match fault {
            ListFault::ListsEveryProject => self.keys(|_| true),
            _ => self.keys(|key| key.project_id == *project_id),
        };
        let mut projects: Vec<ProjectId> = projects.into_iter().map(|key| key.project_id).collect();
        projects.dedup();
        let mut sessions = Vec::new();
        for project_id in &projects {
            sessions.extend(self.right.list(rules, project_id, &lists::everything()).await?);
        }
        Ok(fault.page(sessions, query))
    }

    async fn list_idle(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let Some(Fault::Idle(fault)) = self.fault else {
            return self.right.list_idle(rules, project_id, query).await;
        };
        Ok(fault.page(self.right.list(rules, project_id, &lists::everything()).await?, query))
    }
}

fn fixture(fault: Option<Fault>) -> StepsFixture {
    let right = Arc::new(MemoryStore::default());
    let fences = LastFences::of(&right);
    let sessions = WrongSessions::over(&right, &fences, fault);
    StepsFixture {
        ledger: fences,
        sessions: sessions.clone(),
        reopen: Box::new(|fixture| {
            Box::pin(async move {
                sessions.crash().await;
                fixture
            })
        }),
        ..StepsFixture::over(&right, right.dead_letters(), Box::new(()))
    }
}
