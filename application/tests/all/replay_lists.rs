//! All replays of a project, wherever they are.

use gosight_application::replay::{Archived, ListedReplay};
use gosight_conformance::factory::session_id;
use gosight_domain::replay::{ReplayChunk, ReplaySession};

use crate::archiver::{Bench, MINUTE_MS, chunks, session};

#[tokio::test]
async fn replays_are_listed_wherever_they_are() {
    let named = |name: &str| ReplayChunk { session_id: session_id(name), ..chunks().remove(0) };
    let bench = Bench::with(&[named("a"), named("b"), named("c")]).await;
    let archive = async |name: &str| {
        let session = ReplaySession { session_id: session_id(name), ..session() };
        bench.archiver().archive(&session).await.unwrap()
    };
    assert_eq!((archive("a").await, archive("b").await), (Archived::Stored, Archived::Stored));
    bench.clock.advance(10 * MINUTE_MS);
    assert_eq!(archive("a").await, Archived::Cleaned);
    let list = async |after: Option<&str>, limit| {
        let after = after.map(session_id);
        let listed = bench.archiver().list(&session().project_id, after, limit).await.unwrap();
        let told = |replay: ListedReplay| {
            let is_archived = replay.entry.is_some_and(|entry| entry.archived.is_some());
            (replay.session_id.to_string(), replay.is_hot, is_archived)
        };
        listed.into_iter().map(told).collect::<Vec<_>>()
    };
    let all = [("a".into(), false, true), ("b".into(), true, true), ("c".into(), true, false)];
    assert_eq!(list(None, 10).await, all);
    assert_eq!(list(None, 1).await, all[..1]);
    assert_eq!(list(None, 2).await, all[..2]);
    assert_eq!(list(Some("a"), 10).await, all[1..]);
    assert_eq!(list(Some("c"), 10).await, []);
}
