//! Wrong stores of replay chunks.

mod fault;
mod lists;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{
    ChunkId, CommitError, Fence, PortError, PutVerdict, ReplayStore, ReplayStoreError,
};
use gosight_conformance::replay_store::cases;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp};
use gosight_memory::MemoryStore;

use crate::fences::LastFences;
use crate::harness::wrong;
use fault::Fault;
use lists::{IdleFault, RecordedFault};

// That many at once cost little more than one does cannot be seen through the port. Broken is what can be: the order of
// the answers, the bytes, the number, and which chunks are taken.
wrong! { cases(), fixture:
    1 a_put_that_overwrites_is_noticed(Fault::PutOverwrites): other_content_is_a_conflict_and_changes_nothing;
    1 a_conflict_that_is_called_the_same_is_noticed(Fault::PutLooksAtNamesOnly):
        other_content_is_a_conflict_and_changes_nothing;
    1 a_put_that_does_not_see_its_own_chunks_is_noticed(Fault::PutDoesNotSeeItsOwn):
        other_content_is_a_conflict_and_changes_nothing;
    1 a_name_without_the_project_is_noticed(Fault::ProjectsShareChunks):
        the_same_chunk_again_changes_nothing;
    1 a_put_that_a_crash_takes_back_is_noticed(Fault::PutIsLostOnACrash): a_chunk_is_read_back_as_it_was;
    2 a_put_without_a_fence_is_noticed(Fault::PutIgnoresTheFence): an_older_fence_changes_nothing;
    2 a_put_that_looks_at_the_fence_after_it_wrote_is_noticed(Fault::PutLooksAtTheFenceTooLate):
        an_older_fence_changes_nothing;
    2 a_fence_of_another_ledger_that_is_not_heard_of_is_noticed(Fault::NewerFencesAreNotHeardOf):
        fences_of_another_ledger_count_once_they_are_known;
    3 contents_in_order_of_names_are_noticed(Fault::ContentsComeInOrderOfNames):
        contents_are_told_in_the_order_asked;
    3 contents_without_gaps_are_noticed(Fault::ContentsComeWithoutGaps): contents_are_told_in_the_order_asked;
    3 contents_of_any_project_are_noticed(Fault::ContentsOfAnyProject): contents_are_told_in_the_order_asked;
    4 headers_in_order_of_text_are_noticed(Fault::HeadersComeInOrderOfText):
        headers_come_in_order_without_data;
    4 headers_in_order_of_bytes_are_noticed(Fault::HeadersComeInOrderOfBytes):
        headers_come_in_order_without_data;
    4 headers_with_data_are_noticed(Fault::HeadersHaveData): a_chunk_is_read_back_as_it_was;
    4 headers_of_all_sessions_that_begin_so_are_noticed(Fault::HeadersOfAPrefix):
        headers_come_in_order_without_data;
    5 data_in_order_of_names_is_noticed(Fault::DataComesInOrderOfNames): data_comes_in_the_order_asked;
    5 data_without_gaps_is_noticed(Fault::DataComesWithoutGaps): data_comes_in_the_order_asked;
    5 data_that_is_taken_for_text_is_noticed(Fault::DataIsText): a_chunk_is_read_back_as_it_was;
    6 a_number_of_what_was_asked_is_noticed(Fault::DeleteCountsWhatWasAsked):
        deleting_takes_these_chunks_and_no_others;
    6 a_delete_of_whole_sessions_is_noticed(Fault::DeleteTakesTheSession):
        deleting_takes_these_chunks_and_no_others;
    6 a_delete_from_every_project_is_noticed(Fault::DeleteTakesThoseOfEveryProject):
        deleting_takes_these_chunks_and_no_others;
    6 a_delete_of_one_chunk_is_noticed(Fault::DeleteTakesTheFirst): deleting_takes_these_chunks_and_no_others;
    7 marks_that_do_not_count_are_noticed(Fault::MarksDoNotCount):
        sessions_are_recorded_by_their_chunks_or_by_a_mark;
    7 marks_that_stay_are_noticed(Fault::MarksStay): sessions_are_recorded_by_their_chunks_or_by_a_mark;
    7 chunks_that_do_not_count_are_noticed(Fault::ChunksDoNotCount):
        sessions_are_recorded_by_their_chunks_or_by_a_mark;
    7 recordings_in_order_of_names_are_noticed(Fault::RecordingsComeInOrderOfNames):
        sessions_are_recorded_by_their_chunks_or_by_a_mark;
    8 sessions_in_order_of_letters_are_noticed(Fault::Recorded(RecordedFault::ComesInOrderOfLetters)):
        sessions_of_a_project_are_listed_in_order;
    8 sessions_that_come_twice_are_noticed(Fault::Recorded(RecordedFault::RepeatsTheCursor)):
        sessions_of_a_project_are_listed_in_order;
    8 a_limit_of_chunks_is_noticed(Fault::Recorded(RecordedFault::LimitsChunks)):
        sessions_of_a_project_are_listed_in_order;
    8 sessions_of_every_project_are_noticed(Fault::Recorded(RecordedFault::ListsEveryProject)):
        sessions_of_a_project_are_listed_in_order;
    9 a_session_with_one_old_chunk_is_noticed(Fault::Idle(IdleFault::LooksAtTheFirstChunk)):
        idle_sessions_are_those_whose_last_chunk_is_old;
    9 a_session_at_the_time_itself_is_noticed(Fault::Idle(IdleFault::IncludesTheTime)):
        idle_sessions_are_those_whose_last_chunk_is_old;
    9 idle_sessions_in_order_of_time_are_noticed(Fault::Idle(IdleFault::ComesByTime)):
        idle_sessions_are_those_whose_last_chunk_is_old;
    9 idle_sessions_in_order_of_letters_are_noticed(Fault::Idle(IdleFault::ComesInOrderOfLetters)):
        idle_sessions_are_those_whose_last_chunk_is_old;
    9 a_cursor_without_the_project_is_noticed(Fault::Idle(IdleFault::GoesOnByNameAlone)):
        idle_sessions_are_those_whose_last_chunk_is_old;
    9 idle_sessions_that_come_twice_are_noticed(Fault::Idle(IdleFault::RepeatsTheCursor)):
        idle_sessions_are_those_whose_last_chunk_is_old;
}

/// The chunks of a store, with a fault.
#[derive(Debug)]
struct WrongReplays {
    right: Arc<MemoryStore>,
    fences: Arc<LastFences>,
    fault: Option<Fault>,
    names: Mutex<BTreeSet<ChunkId>>,
    marks: Mutex<BTreeSet<ReplaySession>>,
}

impl WrongReplays {
    /// Names of all chunks that were ever put.
    fn names(&self) -> Vec<ChunkId> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn note_marks(&self, sessions: &[ReplaySession], are_set: bool) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.retain(|marked| !sessions.contains(marked));
        marks.extend(sessions.iter().filter(|_| are_set).cloned());
    }

    fn is_marked(&self, session: &ReplaySession) -> bool {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).contains(session)
    }

    /// The name that another project's chunk has, if it is the same but for the project.
    fn name_elsewhere(&self, id: &ChunkId) -> Option<ChunkId> {
        let same = |name: &ChunkId| name.session_id == id.session_id && name.chunk_index == id.chunk_index;
        self.names().into_iter().find(same)
    }

    async fn put_one(&self, fence: &Fence, chunk: &ReplayChunk) -> Result<PutVerdict, CommitError> {
        let verdict = self.right.put(fence, std::slice::from_ref(chunk)).await?.remove(0);
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(ChunkId::of(chunk));
        Ok(verdict)
    }

    async fn overwrite(&self, fence: &Fence, chunk: &ReplayChunk) -> Result<PutVerdict, CommitError> {
        self.right.delete(&[ChunkId::of(chunk)]).await.expect("deleted");
        self.put_one(fence, chunk).await
    }

    async fn put_each(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        let before = self.names();
        let mut verdicts = Vec::new();
        for chunk in chunks {
            let id = ChunkId::of(chunk);
            let elsewhere = self.name_elsewhere(&id).filter(|name| *name != id);
            verdicts.push(match (self.fault, elsewhere) {
                (Some(Fault::PutOverwrites), _) => self.overwrite(fence, chunk).await?,
                (Some(Fault::PutDoesNotSeeItsOwn), _) if !before.contains(&id) => {
                    self.overwrite(fence, chunk).await?
                }
                (Some(Fault::PutLooksAtNamesOnly), _) => match self.put_one(fence, chunk).await? {
                    PutVerdict::Conflict => PutVerdict::Same,
                    verdict => verdict,
                },
                (Some(Fault::ProjectsShareChunks), Some(_)) => PutVerdict::Same,
                _ => self.put_one(fence, chunk).await?,
            });
        }
        Ok(verdicts)
    }

    /// What a crash does.
    async fn crash(&self) {
        if self.fault == Some(Fault::PutIsLostOnACrash) {
            self.right.delete(&self.names()).await.expect("deleted");
        }
    }

    async fn headers_with(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        let mut headers = self.right.headers(session).await?;
        for header in &mut headers {
            let data = self.right.data(&[ChunkId::of(header)]).await?.remove(0);
            header.data = data.unwrap_or_default();
        }
        Ok(headers)
    }

    /// The headers of all sessions whose ids start with that of `session`.
    async fn headers_from(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        let mut headers = Vec::new();
        for other in lists::sessions(&self.names()) {
            if other.session_id.as_str().starts_with(session.session_id.as_str()) {
                headers.extend(self.right.headers(&other).await?);
            }
        }
        headers.sort_by_key(|header| header.chunk_index);
        Ok(headers)
    }
}

/// The same in the order of a primary key.
fn in_order<T: Ord + Clone>(names: &[T]) -> Vec<T> {
    let mut names = names.to_vec();
    names.sort();
    names
}

#[async_trait]
impl ReplayStore for WrongReplays {
    async fn acquired(&self, fence: &Fence) -> Result<(), PortError> {
        if self.fault == Some(Fault::NewerFencesAreNotHeardOf) {
            return Ok(());
        }
        ReplayStore::acquired(&*self.right, fence).await?;
        self.fences.note(fence);
        Ok(())
    }

    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        match self.fault {
            Some(Fault::PutIgnoresTheFence) => self.put_each(&self.fences.good(fence), chunks).await,
            Some(Fault::PutLooksAtTheFenceTooLate) => {
                let verdicts = self.put_each(&self.fences.good(fence), chunks).await?;
                self.right.put(fence, &[]).await?;
                Ok(verdicts)
            }
            _ => self.put_each(fence, chunks).await,
        }
    }

    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        let asked = match self.fault {
            Some(Fault::ContentsComeInOrderOfNames) => in_order(chunks),
            Some(Fault::ContentsOfAnyProject) => {
                let elsewhere = |id: &ChunkId| self.name_elsewhere(id).unwrap_or_else(|| id.clone());
                chunks.iter().map(elsewhere).collect()
            }
            _ => chunks.to_vec(),
        };
        let mut contents = self.right.contents(&asked).await?;
        if self.fault == Some(Fault::ContentsComeWithoutGaps) {
            contents.retain(Option::is_some);
        }
        Ok(contents)
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        let mut headers = match self.fault {
            Some(Fault::HeadersHaveData) => self.headers_with(session).await?,
            Some(Fault::HeadersOfAPrefix) => self.headers_from(session).await?,
            _ => self.right.headers(session).await?,
        };
        match self.fault {
            Some(Fault::HeadersComeInOrderOfText) => {
                headers.sort_by_key(|header| header.chunk_index.to_string());
            }
            Some(Fault::HeadersComeInOrderOfBytes) => {
                headers.sort_by_key(|header| header.chunk_index.to_le_bytes());
            }
            _ => {}
        }
        Ok(headers)
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError> {
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned().into_bytes();
        let mut data = match self.fault {
            Some(Fault::DataComesInOrderOfNames) => self.right.data(&in_order(chunks)).await?,
            _ => self.right.data(chunks).await?,
        };
        match self.fault {
            Some(Fault::DataComesWithoutGaps) => data.retain(Option::is_some),
            Some(Fault::DataIsText) => data.iter_mut().flatten().for_each(|data| *data = text(data)),
            _ => {}
        }
        Ok(data)
    }

    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        let of_session = |name: &ChunkId| {
            let same =
                |id: &ChunkId| (&id.project_id, &id.session_id) == (&name.project_id, &name.session_id);
            chunks.iter().any(same)
        };
        let of_index = |name: &ChunkId| {
            let same =
                |id: &ChunkId| (&id.session_id, id.chunk_index) == (&name.session_id, name.chunk_index);
            chunks.iter().any(same)
        };
        let deleted: Vec<ChunkId> = match self.fault {
            Some(Fault::DeleteTakesTheSession) => self.names().into_iter().filter(of_session).collect(),
            Some(Fault::DeleteTakesThoseOfEveryProject) => {
                self.names().into_iter().filter(of_index).collect()
            }
            Some(Fault::DeleteTakesTheFirst) => chunks.iter().take(1).cloned().collect(),
            _ => chunks.to_vec(),
        };
        // The number is that of a store without the fault, so that it is not this that is noticed.
        let there = self.right.contents(chunks).await?.into_iter().flatten().count() as u64;
        self.right.delete(&deleted).await?;
        Ok(if self.fault == Some(Fault::DeleteCountsWhatWasAsked) { chunks.len() as u64 } else { there })
    }

    async fn mark_archived(
        &self,
        sessions: &[ReplaySession],
        is_archived: bool,
    ) -> Result<(), ReplayStoreError> {
        if self.fault == Some(Fault::MarksStay) && !is_archived {
            return Ok(());
        }
        self.note_marks(sessions, is_archived);
        self.right.mark_archived(sessions, is_archived).await
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError> {
        match self.fault {
            Some(Fault::MarksDoNotCount) => {
                let mut recorded = Vec::new();
                for session in sessions {
                    recorded.push(!self.right.headers(session).await?.is_empty());
                }
                Ok(recorded)
            }
            Some(Fault::ChunksDoNotCount) => {
                Ok(sessions.iter().map(|session| self.is_marked(session)).collect())
            }
            Some(Fault::RecordingsComeInOrderOfNames) => self.right.are_recorded(&in_order(sessions)).await,
            _ => self.right.are_recorded(sessions).await,
        }
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        match self.fault {
            Some(Fault::Recorded(fault)) => Ok(fault.page(&self.names(), project_id, after.as_ref(), limit)),
            _ => self.right.recorded(project_id, after, limit).await,
        }
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError> {
        let Some(Fault::Idle(fault)) = self.fault else {
            return self.right.idle(before, after, limit).await;
        };
        let mut received = Vec::new();
        for session in lists::sessions(&self.names()) {
            let headers = self.right.headers(&session).await?;
            received.push((session, headers.iter().map(|header| header.received_at).collect()));
        }
        Ok(fault.page(received, before, after.as_ref(), limit))
    }
}

fn fixture(fault: Option<Fault>) -> StepsFixture {
    let right = Arc::new(MemoryStore::default());
    let fences = LastFences::of(&right);
    let (names, marks) = (Mutex::default(), Mutex::default());
    let replays =
        Arc::new(WrongReplays { right: right.clone(), fences: fences.clone(), fault, names, marks });
    StepsFixture {
        ledger: fences,
        replays: replays.clone(),
        reopen: Box::new(|fixture| {
            Box::pin(async move {
                replays.crash().await;
                fixture
            })
        }),
        ..StepsFixture::over(&right, right.dead_letters(), Box::new(()))
    }
}
