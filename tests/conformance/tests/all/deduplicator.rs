//! Wrong deduplicators.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{
    Claim, ClaimVerdict, Deduplicator, DeduplicatorError, LogPosition, StoredEvents,
};
use gosight_application::process::StoredDeduplicator;
use gosight_conformance::Keep;
use gosight_conformance::deduplicator::{DeduplicatorFixture, cases};
use gosight_conformance::factory::{LOG, project, shared};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{EventId, ProjectId};
use gosight_memory::MemoryStore;

use crate::harness::wrong;

wrong! { cases(), fixture:
    1 a_deduplicator_that_grants_the_last_is_noticed(Fault::LastToClaimWins): the_first_to_claim_is_granted;
    1 claims_of_one_call_that_do_not_see_each_other_are_noticed(Fault::JudgesACallAtOnce):
        claims_of_one_call_count_in_order;
    1 a_deduplicator_that_looks_before_it_marks_is_noticed(Fault::LooksBeforeItMarks):
        many_claimants_are_one_winner;
    2 a_mark_without_an_owner_is_noticed(Fault::MarksHaveNoOwner): a_redelivered_record_is_not_its_own_duplicate;
    2 an_owner_without_a_log_is_noticed(Fault::OwnersLackTheLog):
        a_redelivered_record_is_not_its_own_duplicate;
    3 stored_events_that_a_crash_forgets_are_noticed(Fault::StoredEventsAreForgottenOnACrash):
        what_is_stored_is_a_duplicate_for_every_other_record_also_after_a_crash;
    3 stored_events_that_are_forgotten_are_noticed(Fault::StoredEventsAreForgotten):
        what_is_stored_is_a_duplicate_for_every_other_record_also_after_a_crash;
    3 stored_events_without_a_position_are_noticed(Fault::StoredEventsHaveNoPosition):
        what_is_stored_is_a_duplicate_for_every_other_record_also_after_a_crash;
    4 an_event_without_a_project_is_noticed(Fault::ProjectsShareEvents): projects_do_not_see_each_other;
    4 a_stored_event_without_a_project_is_noticed(Fault::ProjectsShareStoredEvents):
        projects_do_not_see_each_other;
    5 a_release_that_does_nothing_is_noticed(Fault::ReleaseDoesNothing):
        what_is_released_can_be_claimed_by_another;
    5 a_release_of_claims_of_others_is_noticed(Fault::ReleaseTakesThoseOfOthers):
        what_is_released_can_be_claimed_by_another;
}

/// What is wrong with a deduplicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `SET` in place of `SET … NX`.
    LastToClaimWins,
    /// What is known is asked once, before the first claim of a call is marked.
    JudgesACallAtOnce,
    /// `GET` and then `SET`.
    LooksBeforeItMarks,
    /// A set of events.
    MarksHaveNoOwner,
    /// A position is a partition and an offset.
    OwnersLackTheLog,
    /// A new process believes its claims alone.
    StoredEventsAreForgottenOnACrash,
    /// The claims of a batch go when it is stored, and the stored events are never asked.
    StoredEventsAreForgotten,
    /// The stored events are asked whether they have it, not from where.
    StoredEventsHaveNoPosition,
    /// The key lacks the project.
    ProjectsShareEvents,
    /// The condition of the project is missing where stored events are asked.
    ProjectsShareStoredEvents,
    /// Marks live until their time is over.
    ReleaseDoesNothing,
    /// `DEL` without a look at the owner.
    ReleaseTakesThoseOfOthers,
}

type Name = (ProjectId, EventId);

fn name(claim: &Claim) -> Name {
    (claim.project_id.clone(), claim.event_id)
}

/// A deduplicator with a fault.
#[derive(Debug)]
struct WrongDeduplicator {
    right: Arc<StoredDeduplicator>,
    stored: Arc<MemoryStore>,
    fault: Option<Fault>,
    /// Who claimed each event first.
    owners: Mutex<HashMap<Name, Claim>>,
}

impl WrongDeduplicator {
    fn over(store: &Arc<MemoryStore>, fault: Option<Fault>) -> Arc<Self> {
        let asked = match fault {
            Some(Fault::StoredEventsAreForgotten) => Arc::default(),
            _ => store.clone(),
        };
        let (right, stored) = (asked.deduplicator(), store.clone());
        Arc::new(Self { right, stored, fault, owners: Mutex::default() })
    }

    fn owner(&self, claim: &Claim) -> Option<Claim> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(&name(claim)).cloned()
    }

    fn mark(&self, claims: &[Claim]) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        for claim in claims {
            owners.entry(name(claim)).or_insert_with(|| claim.clone());
        }
    }

    /// The claims as a deduplicator takes them that does not tell some apart.
    fn blurred(&self, claims: &[Claim]) -> Vec<Claim> {
        let blur = |claim: &Claim| match self.fault {
            Some(Fault::OwnersLackTheLog) => {
                let position = LogPosition { log: shared(LOG), ..claim.position.clone() };
                Claim { position, ..claim.clone() }
            }
            Some(Fault::ProjectsShareEvents) => Claim { project_id: project("p"), ..claim.clone() },
            _ => claim.clone(),
        };
        claims.iter().map(blur).collect()
    }

    fn unmark(&self, claims: &[Claim]) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, owner| !claims.iter().any(|claim| claim == owner));
    }

    /// The verdicts, of which those of one event are all like the first.
    async fn all_like_the_first(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let verdicts = self.right.claim(claims).await?;
        let first = |claim: &Claim| claims.iter().position(|other| name(other) == name(claim));
        Ok(claims.iter().filter_map(first).map(|first| verdicts[first]).collect())
    }

    /// The verdicts, with a grant for each claim of what nobody had claimed when the call began.
    async fn by_what_was_marked(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let owners: Vec<Option<Claim>> = claims.iter().map(|claim| self.owner(claim)).collect();
        let stored = self.stored.positions(claims).await?;
        tokio::task::yield_now().await;
        let mut verdicts = self.right.claim(claims).await?;
        for (verdict, known) in verdicts.iter_mut().zip(owners.iter().zip(stored)) {
            if known == (&None, None) {
                *verdict = ClaimVerdict::Granted;
            }
        }
        Ok(verdicts)
    }

    /// The verdicts with a duplicate for each claim that `is_known`.
    async fn doubled(
        &self,
        claims: &[Claim],
        is_known: impl Fn(usize) -> bool,
    ) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let mut verdicts = self.right.claim(claims).await?;
        for (n, verdict) in verdicts.iter_mut().enumerate() {
            if is_known(n) {
                *verdict = ClaimVerdict::Duplicate;
            }
        }
        Ok(verdicts)
    }
}

#[async_trait]
impl Deduplicator for WrongDeduplicator {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let claims = &self.blurred(claims);
        let owners: Vec<Option<Claim>> = claims.iter().map(|claim| self.owner(claim)).collect();
        let verdicts = match self.fault {
            Some(Fault::LastToClaimWins) => {
                let owners: Vec<Claim> = owners.into_iter().flatten().collect();
                self.right.release(&owners).await?;
                self.right.claim(claims).await?
            }
            Some(Fault::JudgesACallAtOnce) => self.all_like_the_first(claims).await?,
            Some(Fault::LooksBeforeItMarks) => self.by_what_was_marked(claims).await?,
            Some(Fault::MarksHaveNoOwner) => self.doubled(claims, |n| owners[n].is_some()).await?,
            Some(Fault::StoredEventsHaveNoPosition) => {
                let stored = self.stored.positions(claims).await?;
                self.doubled(claims, |n| stored[n].is_some()).await?
            }
            Some(Fault::ProjectsShareStoredEvents) => {
                let mine = |claim: &Claim| Claim { project_id: project("p"), ..claim.clone() };
                let stored = self.stored.positions(&claims.iter().map(mine).collect::<Vec<_>>()).await?;
                let is_elsewhere =
                    |n: usize| stored[n].as_ref().is_some_and(|stored| *stored != claims[n].position);
                self.doubled(claims, is_elsewhere).await?
            }
            _ => self.right.claim(claims).await?,
        };
        self.mark(claims);
        Ok(verdicts)
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), DeduplicatorError> {
        let owners: Vec<Claim> = claims.iter().filter_map(|claim| self.owner(claim)).collect();
        match self.fault {
            Some(Fault::ReleaseDoesNothing) => Ok(()),
            Some(Fault::ReleaseTakesThoseOfOthers) => self.right.release(&owners).await,
            _ => {
                self.unmark(claims);
                self.right.release(claims).await
            }
        }
    }

    fn committed(&self, span: &BatchSpan) {
        self.right.committed(span);
    }
}

fn fixture(fault: Option<Fault>) -> DeduplicatorFixture {
    let store = Arc::new(MemoryStore::default());
    let after_a_crash = match fault {
        Some(Fault::StoredEventsAreForgottenOnACrash) => Arc::default(),
        _ => store.clone(),
    };
    DeduplicatorFixture {
        deduplicator: WrongDeduplicator::over(&store, fault),
        store,
        open_again: Box::new(move || {
            let deduplicator: Arc<dyn Deduplicator> = WrongDeduplicator::over(&after_a_crash, fault);
            Box::pin(async move { (deduplicator, Box::new(()) as Keep) })
        }),
        keep: Box::new(()),
    }
}
