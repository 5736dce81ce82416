//! Every replay chunk that was acknowledged is there, once, wherever on its way to the archive the server is killed.

use std::collections::BTreeSet;
use std::path::Path;

use gosight_e2e::replays::{Apis, Counts, Cut, Replays, Work};
use gosight_e2e::{Server, ServerBuilder, rounds};
use rand::RngExt;

/// How often the server is killed at each point.
const KILLS: usize = 20;

/// A server that archives when it is asked to, and forgets soon that a dead one was at it.
fn server() -> ServerBuilder {
    ServerBuilder::default()
        .env("GOSIGHT_PROCESS_REPLAY_LINGER", "1ms")
        .env("GOSIGHT_ARCHIVE_ENABLED", "false")
        .env("GOSIGHT_ARCHIVE_GRACE", "0s")
        .env("GOSIGHT_ARCHIVE_LEASE", "1s")
}

/// Kills a server at each of `points`, time and again, and counts at the end.
async fn killed_at(points: &[&str], work: Work) {
    let mut replays = Replays::seeded();
    let mut server: Option<Server> = None;
    for point in points {
        replays.next_sessions(point);
        for _ in 0..rounds(KILLS) {
            // The first few times the point is passed, so that there is something to be lost.
            let passes = replays.rng.random_range(0..4);
            let mortal = self::server().env("FAILPOINTS", format!("{point}={passes}*off->return"));
            let mut mortal = match &mut server {
                None => mortal.start(),
                Some(dead) => match dead.try_restart_as(mortal) {
                    Ok(mortal) => mortal,
                    Err(said) => {
                        // The one before it has left so much that the point was passed before anything was said.
                        assert_eq!(said, "", "{point}");
                        continue;
                    }
                },
            };
            let Cut = work.until_killed(&mut replays, &Apis::at(mortal.url())).await;
            assert!(!mortal.wait().success(), "{point}:\n{}", mortal.output());
            server = Some(mortal);
        }
    }
    counted(server.expect("a server").restart_as(self::server()), replays).await;
}

/// Everything is there once, and the archive's directory has nothing else.
async fn counted(server: Server, mut replays: Replays) {
    let apis = Apis::at(server.url());
    replays.finish(&apis, Counts::Exact).await;
    let archive = server.dir().join("archive");
    assert_eq!(files(&archive.join("objects")), Replays::objects(&apis).await, "orphans");
    assert_eq!(files(&archive.join("incoming")), BTreeSet::new());
}

/// All files in `dir` and the directories in it, by their paths in it.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).iter().map(|inside| format!("{name}/{inside}")));
        } else {
            found.insert(name);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_takes_chunks() {
    killed_at(&["log-appending", "log-appended"], Work::Store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_stores_chunks() {
    let points =
        ["batch-handled", "batch-in-transaction", "batch-committed", "batch-marked", "offset-committed"];
    killed_at(&points, Work::Store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_archives_replays() {
    let points = [
        "archive-uploading",
        "archive-object-written",
        "archive-uploaded",
        "archive-verified",
        "archive-recorded",
    ];
    killed_at(&points, Work::Archive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_deletes_what_is_archived() {
    let points =
        ["archive-manifest-deleted", "archive-stale-deleted", "archive-before-delete", "archive-deleted"];
    killed_at(&points, Work::Archive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_purges_replays() {
    let points = ["archive-forgotten", "archive-objects-deleted", "purge-before-delete", "purge-deleted"];
    killed_at(&points, Work::Purge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments() {
    let mut replays = Replays::seeded();
    let mut server = self::server().start();
    for round in 0..rounds(3 * KILLS) {
        if round % KILLS == 0 {
            replays.next_sessions(&format!("random-{round}"));
        }
        let apis = Apis::at(server.url());
        Replays::processed(&apis).await.unwrap();
        replays.check(&apis).await.unwrap();
        let mut burst = replays.start_burst(&apis);
        replays.start_archiving(&apis, &mut burst);
        for _ in 0..replays.rng.random_range(0..=burst.len()) {
            replays.note_answer(&mut burst).await;
        }
        server = server.kill_and_restart();
        while replays.note_answer(&mut burst).await {}
    }
    counted(server, replays).await;
}
