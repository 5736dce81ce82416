//! Replays that would take too much are dead-lettered, not tried for ever.

use gosight_application::ports::ReplayCatalogue as _;
use gosight_application::replay::{Archived, PassReport};
use gosight_domain::replay::ReplayChunk;
use gosight_domain::time::DAY_MS;

use crate::archiver::{Bench, chunks, session};
use crate::query_replay::chunk;

async fn reason(bench: &Bench) -> String {
    let entries = bench.catalogue.get(&[session()]).await.unwrap();
    entries[0].as_ref().unwrap().quarantine.as_ref().unwrap().reason.clone()
}

#[tokio::test]
async fn chunks_whose_events_alternate_all_the_time_go_into_quarantine() {
    let tangled = |index: u16| {
        let events: Vec<(&str, i64)> = (0..130_000).map(|n| ("x", n * 2 + i64::from(index))).collect();
        chunk(index, &events)
    };
    let bench = Bench::with(&[tangled(0), tangled(1)]).await;
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Quarantined);
    assert!(reason(&bench).await.contains("alternate"), "{}", reason(&bench).await);
    assert_eq!((bench.hot_chunks().await, bench.paths().await.len()), (2, 0));
}

#[tokio::test]
async fn what_would_take_hours_to_unpack_goes_into_quarantine_once() {
    let bomb = |index| ReplayChunk { chunk_index: index, raw_bytes: u32::MAX, ..chunks().remove(0) };
    let bench = Bench::with(&[bomb(0), bomb(1), bomb(2), bomb(3), bomb(4)]).await;
    bench.clock.advance(31 * DAY_MS);
    assert_eq!(bench.pass().await, PassReport { quarantined: 1, ..PassReport::default() });
    assert!(reason(&bench).await.contains("decompressed"), "{}", reason(&bench).await);
    assert_eq!(bench.pass().await, PassReport::default(), "it is counted when it is put there");
}
