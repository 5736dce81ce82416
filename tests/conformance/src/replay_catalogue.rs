//! Suite of `ReplayCatalogue`.

use std::sync::Arc;

use gosight_application::ports::{CatalogueEntry, CatalogueQuery, Lease, Quarantine, ReplayCatalogue};
use gosight_domain::Timestamp;
use gosight_domain::replay::{
    ArchivedReplay, ChunkGap, ContentHash, ReplayChunk, ReplaySession, Run, Segment,
};
use uuid::Uuid;

use crate::{
    Keep,
    factory::{NOON, chunk, project, replay_session},
    suite,
};

suite! { $ replay_catalogue_suite, replay_catalogue(ReplayCatalogueFixture):
    an_entry_is_read_back_as_it_was
    of_two_writers_one_fails
    entries_are_listed_in_order
    only_the_known_version_is_deleted
    a_session_is_leased_to_one_owner_at_a_time
}

/// A catalogue without entries.
pub struct ReplayCatalogueFixture {
    /// The port.
    pub catalogue: Arc<dyn ReplayCatalogue>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

impl ReplayCatalogueFixture {
    async fn put(&self, entry: &CatalogueEntry) -> bool {
        self.catalogue.put(entry).await.expect("put")
    }

    async fn get(&self, sessions: &[ReplaySession]) -> Vec<Option<CatalogueEntry>> {
        self.catalogue.get(sessions).await.expect("read")
    }

    async fn lease(&self, session: &ReplaySession, owner: u128, since_ms: i64, until_ms: i64) -> bool {
        let (since, until) = (NOON.plus_millis(since_ms), NOON.plus_millis(until_ms));
        let lease = Lease { session: session.clone(), owner: Uuid::from_u128(owner), since, until };
        self.catalogue.lease(&lease).await.expect("leased")
    }
}

fn entry(session: ReplaySession, version: u64, archived_at: Option<Timestamp>) -> CatalogueEntry {
    let archived = archived_at.map(|archived_at| ArchivedReplay {
        session: session.clone(),
        object: "p/2026/11/s.gz".into(),
        bytes: 1_000,
        raw_bytes: 10_000,
        sha256: ContentHash::of(b"object"),
        chunks: vec![ReplayChunk { stored_bytes: 0, data: Vec::new(), ..chunk("s", 3, "x") }],
        gaps: vec![ChunkGap { first: 0, last: 2 }],
        segments: vec![Segment {
            offset: 10,
            bytes: 982,
            crc32: u32::MAX,
            raw_bytes: 10_000,
            from: NOON,
            to: NOON.plus_millis(5),
            runs: vec![Run { chunk_index: 3, events: 3 }],
        }],
        archived_at,
    });
    CatalogueEntry { archived, version, ..CatalogueEntry::new(session) }
}

pub async fn an_entry_is_read_back_as_it_was(fixture: ReplayCatalogueFixture) {
    let archived = entry(replay_session("p", "s"), 1, Some(NOON));
    let quarantined = CatalogueEntry {
        quarantine: Some(Quarantine { reason: "chunk 7 is \"damaged\"".into(), since: NOON }),
        stale_objects: vec!["a".into(), "b".into()],
        ..entry(replay_session("p", "t"), 1, None)
    };
    assert!(fixture.put(&archived).await);
    assert!(fixture.put(&quarantined).await);
    let asked = [replay_session("p", "t"), replay_session("q", "s"), replay_session("p", "s")];
    assert_eq!(fixture.get(&asked).await, [Some(quarantined), None, Some(archived)]);
    assert_eq!(fixture.get(&[]).await, []);
}

pub async fn of_two_writers_one_fails(fixture: ReplayCatalogueFixture) {
    let session = replay_session("p", "s");
    let (first, second) = (entry(session.clone(), 1, None), entry(session.clone(), 1, Some(NOON)));
    assert!(!fixture.put(&entry(session.clone(), 2, None)).await, "there is no version 1");
    let (one, other) = tokio::join!(fixture.put(&first), fixture.put(&second));
    assert!(one != other, "{one} and {other}");
    assert_eq!(fixture.get(std::slice::from_ref(&session)).await, [Some(if one { first } else { second })]);
    let next = entry(session.clone(), 2, Some(NOON.plus_millis(1)));
    assert!(fixture.put(&next).await);
    assert!(!fixture.put(&next).await);
    assert_eq!(fixture.get(&[session]).await, [Some(next)]);
}

pub async fn entries_are_listed_in_order(fixture: ReplayCatalogueFixture) {
    let at = |ms| Some(NOON.plus_millis(ms));
    let all = [
        entry(replay_session("p", "A"), 1, at(5)),
        entry(replay_session("p", "a"), 1, None),
        entry(replay_session("p", "b"), 1, at(1)),
        entry(replay_session("q", "a"), 1, at(2)),
    ];
    for entry in all.iter().rev() {
        assert!(fixture.put(entry).await);
    }
    let list = async |query: CatalogueQuery| fixture.catalogue.list(&query).await.expect("listed");
    let every = CatalogueQuery { limit: 10, ..CatalogueQuery::default() };
    assert_eq!(list(every.clone()).await, all);
    assert_eq!(list(CatalogueQuery { limit: 2, ..every.clone() }).await, all[..2]);
    assert_eq!(list(CatalogueQuery { project_id: Some(project("p")), ..every.clone() }).await, all[..3]);
    let after = Some(replay_session("p", "aa"));
    assert_eq!(list(CatalogueQuery { after, ..every.clone() }).await, all[2..]);
    let archived_before = at(3);
    assert_eq!(list(CatalogueQuery { archived_before, ..every }).await, all[2..]);
}

pub async fn only_the_known_version_is_deleted(fixture: ReplayCatalogueFixture) {
    let session = replay_session("p", "s");
    assert!(!fixture.catalogue.delete(&session, 1).await.expect("deleted"));
    fixture.put(&entry(session.clone(), 1, None)).await;
    fixture.put(&entry(session.clone(), 2, None)).await;
    assert!(!fixture.catalogue.delete(&session, 1).await.expect("deleted"));
    assert!(fixture.catalogue.delete(&session, 2).await.expect("deleted"));
    assert_eq!(fixture.get(std::slice::from_ref(&session)).await, [None]);
    assert!(fixture.put(&entry(session, 1, None)).await);
}

pub async fn a_session_is_leased_to_one_owner_at_a_time(fixture: ReplayCatalogueFixture) {
    let (session, other) = (replay_session("p", "s"), replay_session("p", "t"));
    assert!(fixture.lease(&session, 1, 0, 100).await);
    assert!(!fixture.lease(&session, 2, 50, 150).await);
    assert!(fixture.lease(&other, 2, 50, 150).await);
    assert!(fixture.lease(&session, 1, 60, 200).await, "its own");
    assert!(!fixture.lease(&session, 2, 199, 300).await);
    assert!(fixture.lease(&session, 2, 200, 300).await, "it has ended");
    // What another one has is not given back.
    fixture.catalogue.release(&session, Uuid::from_u128(1)).await.expect("released");
    assert!(!fixture.lease(&session, 1, 250, 400).await);
    fixture.catalogue.release(&session, Uuid::from_u128(2)).await.expect("released");
    assert!(fixture.lease(&session, 1, 250, 400).await);
    // Of many at once one has it.
    let at_once = (10..30_u128).map(|owner| fixture.lease(&session, owner, 500, 600));
    let won = futures::future::join_all(at_once).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
}
