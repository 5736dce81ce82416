//! A replay store of your own: here one that keeps chunks in a map, while events stay in the embedded store.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;
use gosight::{Gosight, ReplaceParts as _};
use gosight_application::local_fences::LocalFences;
use gosight_application::ports::{
    ChunkId, Clock, CommitError, Fence, PortError, PutVerdict, ReplayStore, ReplayStoreError, SystemClock,
};
use gosight_domain::key::Scoped;
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplayDraft, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp};
use serde_json::value::RawValue;

/// Name of the store in errors.
const ADAPTER: &str = "own replays";

/// Keeps chunks as long as the process lives. A real one keeps them where they survive a crash: what was put counts.
#[derive(Debug, Default)]
struct OwnReplays {
    chunks: Mutex<BTreeMap<ChunkId, ReplayChunk>>,
    archived: Mutex<BTreeSet<ReplaySession>>,
    /// The newest fence of each partition: one that was replaced writes nothing any more.
    fences: LocalFences,
}

impl OwnReplays {
    fn chunks(&self) -> MutexGuard<'_, BTreeMap<ChunkId, ReplayChunk>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn archived(&self) -> MutexGuard<'_, BTreeSet<ReplaySession>> {
        self.archived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the last chunk of each session came in.
    fn last_received(&self) -> BTreeMap<ReplaySession, Timestamp> {
        let mut last = BTreeMap::new();
        for chunk in self.chunks().values() {
            let at = last.entry(ReplaySession::of(chunk)).or_insert(chunk.received_at);
            *at = chunk.received_at.max(*at);
        }
        last
    }
}

#[async_trait]
impl ReplayStore for OwnReplays {
    async fn acquired(&self, fence: &Fence) -> Result<(), ReplayStoreError> {
        self.fences.adopt(fence).map_err(|error| PortError::transient(ADAPTER, error))
    }

    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        let mut stored = self.chunks();
        self.fences.check(fence).map_err(|error| PortError::transient(ADAPTER, error))?;
        let put = |chunk: &ReplayChunk| match stored.get(&ChunkId::of(chunk)).map(|known| known.content) {
            Some(known) if known == chunk.content => PutVerdict::Same,
            Some(_) => PutVerdict::Conflict,
            None => {
                stored.insert(ChunkId::of(chunk), chunk.clone());
                PutVerdict::Stored
            }
        };
        Ok(chunks.iter().map(put).collect())
    }

    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        let stored = self.chunks();
        Ok(chunks.iter().map(|id| stored.get(id).map(|chunk| chunk.content)).collect())
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        let stored = self.chunks();
        let of_session = stored.values().filter(|chunk| ReplaySession::of(chunk) == *session);
        Ok(of_session.map(|chunk| ReplayChunk { data: Vec::new(), ..chunk.clone() }).collect())
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError> {
        let stored = self.chunks();
        Ok(chunks.iter().map(|id| stored.get(id).map(|chunk| chunk.data.clone())).collect())
    }

    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        let mut stored = self.chunks();
        Ok(chunks.iter().filter(|id| stored.remove(id).is_some()).count() as u64)
    }

    async fn mark_archived(
        &self,
        sessions: &[ReplaySession],
        is_archived: bool,
    ) -> Result<(), ReplayStoreError> {
        let mut archived = self.archived();
        archived.retain(|session| !sessions.contains(session));
        archived.extend(sessions.iter().filter(|_| is_archived).cloned());
        Ok(())
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError> {
        let (hot, archived) = (self.last_received(), self.archived());
        Ok(sessions.iter().map(|s| hot.contains_key(s) || archived.contains(s)).collect())
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        let of_project = self.last_received().into_keys().filter(|s| s.project_id == *project_id);
        let later = of_project.map(|s| s.session_id).filter(|id| after.as_ref() < Some(id));
        Ok(later.take(limit).collect())
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError> {
        let idle = self.last_received().into_iter().filter(|(_, last)| *last < before).map(|(s, _)| s);
        Ok(idle.filter(|session| after.as_ref() < Some(session)).take(limit).collect())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let replays = Arc::new(OwnReplays::default());
    let gosight =
        Gosight::builder().data_dir(dir.path()).without_http().with_replays(replays.clone()).start().await?;

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let now = SystemClock.now().as_millis() as f64;
    let events = RawValue::from_string(format!(r#"[{{"type":4,"data":{{}},"timestamp":{now}}}]"#))?;
    let draft = ReplayDraft {
        session_id: Some("visit-1".into()),
        chunk_index: Some(0.0),
        timestamp_start: Some(now),
        timestamp_end: Some(now),
        events: Some(&events),
        ..ReplayDraft::default()
    };
    let project = ProjectId::new("shop")?;
    gosight.ingest().context("it takes chunks")?.replay(&Scoped::vouched(project.clone()), Ok(draft)).await?;
    gosight.pipeline().drained().await;
    assert_eq!(replays.chunks().len(), 1);

    // Whoever asks is answered from there.
    let query = gosight.query().context("it answers questions")?;
    let replay =
        query.replay(&Scoped::vouched(project), &SessionId::new("visit-1")?).await?.context("a replay")?;
    println!(
        "the store has {} chunk; the replay has {} event",
        replays.chunks().len(),
        replay.chunks[0].event_count
    );
    gosight.stop().await?;
    Ok(())
}
