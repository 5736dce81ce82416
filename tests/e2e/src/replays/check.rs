//! Whether what was acknowledged is there, once.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Apis, Cut, PAUSE, REPLAY_LOG, Replays, archive, ask, get};
use crate::{ledger_sum, wait_for};

/// How exactly the ledger tells chunks that were stored from duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// To the chunk.
    Exact,
    /// A chunk that a process had stored when it was killed, and not counted yet, is a duplicate to the next one.
    DuplicateAfterKill,
}

impl Replays {
    /// Checks the current sessions: everything acknowledged is there once, and nothing that was not sent. What was
    /// logged has to be processed.
    ///
    /// # Errors
    /// [`Cut`].
    pub async fn check(&self, apis: &Apis) -> Result<(), Cut> {
        for session in self.current.iter().filter(|session| !self.being_purged.contains_key(*session)) {
            self.check_session(apis, session).await?;
        }
        Ok(())
    }

    /// The same of one session; gives how many chunks it has.
    pub(super) async fn check_session(&self, apis: &Apis, session: &str) -> Result<u64, Cut> {
        let sent = &self.sessions[session];
        let acknowledged = sent.iter().filter(|(_, chunk)| chunk.is_acknowledged).map(|(index, _)| *index);
        let path = format!("/api/v1/sessions/{session}/replay");
        let (status, manifest) = get(&apis.read, &path).await?;
        if status == StatusCode::NOT_FOUND {
            assert_eq!(acknowledged.count(), 0, "chunks of {session} are lost");
            return Ok(0);
        }
        let mut there = BTreeSet::new();
        let mut events: Vec<&str> = Vec::new();
        for chunk in manifest["chunks"].as_array().expect("chunks") {
            let index = chunk["chunk_index"].as_u64().and_then(|index| u16::try_from(index).ok());
            let index = index.expect("an index");
            assert!(there.insert(index), "chunk {index} of {session} is there twice");
            let sent =
                sent.get(&index).unwrap_or_else(|| panic!("chunk {index} of {session} was never sent"));
            let found = (&chunk["sha256"], &chunk["event_count"]);
            assert_eq!(found, (&json!(sent.sha256), &json!(sent.events.len())), "chunk {index} of {session}");
            events.extend(sent.events.iter().map(|event| event.get()));
        }
        let lost: Vec<u16> = acknowledged.filter(|index| !there.contains(index)).collect();
        assert!(lost.is_empty(), "chunks {lost:?} of {session} are lost");
        let last = there.last().copied().unwrap_or_default();
        let missing: Vec<u16> = (0..last).filter(|index| !there.contains(index)).collect();
        assert_eq!(manifest["missing_chunks"], json!(missing), "{session}");
        assert_eq!(manifest["event_count"], events.len(), "{session}");
        let request = apis.read.request(Method::GET, &format!("{path}/events"));
        let (_, found) = ask(request, &[StatusCode::OK]).await?;
        let found: Vec<&RawValue> = serde_json::from_str(&found).expect("an array");
        let other = found.iter().zip(&events).find(|(found, sent)| found.get() != **sent);
        assert!(other.is_none(), "an event of {session} is not what was sent: {other:?}");
        assert_eq!(found.len(), events.len(), "events of {session}");
        Ok(there.len() as u64)
    }

    /// Brings everything to its end with a server that nobody kills: what was cut is done again, hot replays are checked,
    /// archived and checked again, and the ledger must say the same.
    ///
    /// # Panics
    /// When anything is lost or there twice.
    pub async fn finish(&mut self, apis: &Apis, counts: Counts) {
        wait_for("the end of all purges", async || {
            for session in self.being_purged.keys().cloned().collect::<Vec<_>>() {
                self.purge_session(apis, &session).await.expect("an answer");
            }
            self.being_purged.is_empty().then_some(())
        })
        .await;
        wait_for("the last acknowledgement", async || {
            self.burst(apis).await.expect("an answer");
            self.unacknowledged().is_empty().then_some(())
        })
        .await;
        let ledger = Self::processed(apis).await.expect("a ledger");
        let chunks = self.check_all(apis).await;
        assert_eq!(ledger["balanced"], true, "{ledger}");
        let [stored, duplicate] = ["stored", "duplicate"].map(|field| ledger_sum(&ledger, REPLAY_LOG, field));
        let wanted = chunks + self.purged;
        match counts {
            Counts::Exact => assert_eq!(stored, wanted, "{ledger}"),
            Counts::DuplicateAfterKill => {
                assert!((stored..=stored + duplicate).contains(&wanted), "{wanted} chunks: {ledger}");
            }
        }
        for hour in ledger["hours"].as_array().expect("hours") {
            assert_eq!(hour["dead_lettered"], json!({}), "dead letters");
        }
        self.archive_all(apis).await;
        assert_eq!(self.check_all(apis).await, chunks, "as many from the archive");
    }

    async fn check_all(&self, apis: &Apis) -> u64 {
        let mut chunks = 0;
        for session in self.sessions.keys() {
            chunks += self.check_session(apis, session).await.expect("an answer");
        }
        chunks
    }

    /// Archives all sessions, whatever was done of it.
    async fn archive_all(&self, apis: &Apis) {
        for (session, _) in self.sessions.iter().filter(|(_, chunks)| !chunks.is_empty()) {
            wait_for("the archive", async || {
                // Busy for as long as a server that was killed has the session.
                let outcome = archive(apis, session).await.expect("an answer");
                if outcome == "busy" {
                    tokio::time::sleep(PAUSE).await;
                }
                (outcome == "nothing").then_some(())
            })
            .await;
            let path = format!("/api/v1/sessions/{session}/replay");
            assert_eq!(apis.read.get_json(&path).await["storage"], "archived", "{session}");
            assert_eq!(apis.admin.get_json(&format!("{path}/verify")).await["state"], "whole", "{session}");
        }
    }

    /// Paths of all objects that there have to be in the archive, and no others.
    pub async fn objects(apis: &Apis) -> BTreeSet<String> {
        let mut objects = BTreeSet::new();
        let mut after = String::new();
        loop {
            let page = apis.admin.get_json(&format!("/api/v1/replays{after}")).await;
            for replay in page["replays"].as_array().expect("a list") {
                let Some(object) = replay["object"].as_str() else { continue };
                let manifest = object.trim_end_matches(".gz");
                objects.extend([object.to_owned(), format!("{manifest}.manifest.json")]);
            }
            let Some(next) = page["next"].as_str() else { return objects };
            after = format!("?after={next}");
        }
    }
}
