//! Every replay chunk that was acknowledged is there, once, wherever on its way to the archive a process is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use gosight_application::ports::ReplayArchive;
use gosight_distributed_tests::{Binary, Process, Servers, Set, one_at_a_time};
use gosight_e2e::replays::{Apis, Counts, Cut, Replays, Work};
use gosight_e2e::{ADMIN_KEY, Api, INGEST_KEY, READ_KEY, rounds};
use gosight_s3::{S3Config, S3ReplayArchive};
use rand::RngExt;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// How often a process is killed at each point.
const KILLS: usize = 5;

/// The processes that replays pass through.
struct Processes {
    set: Set,
    ingestor: Process,
    processor: Process,
    api: Process,
}

impl Processes {
    fn start() -> Self {
        let set = Set::new(&Servers::shared())
            .with_archive()
            .with("ARCHIVE_LEASE", "1s")
            .with("PROCESS_REPLAY_LINGER", "1ms")
            // The shortest that the broker takes: for so long the partitions of a dead process are nobody's.
            .with("KAFKA_CONSUME_SESSION_TIMEOUT", "6s");
        let [ingestor, processor, api] =
            [Binary::Ingestor, Binary::ReplayProcessor, Binary::Api].map(|binary| set.start(binary));
        Self { set, ingestor, processor, api }
    }

    /// The one that is killed.
    fn victim(&mut self, binary: Binary) -> &mut Process {
        match binary {
            Binary::Ingestor => &mut self.ingestor,
            Binary::Api => &mut self.api,
            _ => &mut self.processor,
        }
    }

    fn apis(&self) -> Apis {
        let api = Api::new(self.api.url(), Some(READ_KEY));
        Apis {
            ingest: Api::new(self.ingestor.url(), Some(INGEST_KEY)),
            admin: api.with_key(ADMIN_KEY),
            read: api,
        }
    }

    /// Everything is there once, and the bucket has nothing else.
    async fn counted(&self, mut replays: Replays, counts: Counts) {
        let apis = self.apis();
        replays.finish(&apis, counts).await;
        let access = gosight_services::s3_access();
        let archive = S3ReplayArchive::open(&S3Config {
            endpoint: access.endpoint,
            region: access.region.into(),
            access_key: access.access_key.into(),
            secret_key: access.secret_key.into(),
            bucket: self.set.setting("S3_BUCKET").into(),
            ..S3Config::default()
        });
        let objects = archive.unwrap().list("", None, usize::MAX).await.unwrap();
        let objects: BTreeSet<String> = objects.into_iter().map(|object| object.path).collect();
        assert_eq!(objects, Replays::objects(&apis).await, "orphans");
    }
}

async fn death(process: &mut Process) -> Cut {
    while process.status().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Cut
}

/// Kills the process at each of `points`, time and again, and counts at the end.
async fn killed_at(binary: Binary, points: &[&str], work: Work) {
    let mut processes = Processes::start();
    let mut replays = Replays::seeded();
    processes.victim(binary).stop();
    for point in points {
        replays.next_sessions(point);
        for _ in 0..rounds(KILLS) {
            // The first few times the point is passed, so that there is something to be lost.
            let passes = replays.rng.random_range(0..4);
            processes
                .victim(binary)
                .restart_with(&[("FAILPOINTS", &format!("{point}={passes}*off->return"))]);
            let apis = processes.apis();
            let victim = processes.victim(binary);
            let Cut = tokio::select! {
                cut = death(victim) => cut,
                cut = work.until_killed(&mut replays, &apis) => cut,
            };
            assert!(!victim.wait().success(), "{point}:\n{}", victim.output());
        }
    }
    processes.victim(binary).restart();
    let is_processor = binary == Binary::ReplayProcessor;
    let counts = if is_processor { Counts::DuplicateAfterKill } else { Counts::Exact };
    processes.counted(replays, counts).await;
}

/// Kills the processor, which archives what it gets, and the ingestor at random moments.
async fn killed_at_random_moments() {
    // Reading what is being archived takes less than the grace.
    let eager = [
        ("GOSIGHT_ARCHIVE_HOT_RETENTION", "0s"),
        ("GOSIGHT_ARCHIVE_INTERVAL", "1s"),
        ("GOSIGHT_ARCHIVE_GRACE", "3s"),
    ];
    let mut processes = Processes::start();
    let mut replays = Replays::seeded();
    replays.next_sessions("random");
    processes.processor.stop();
    processes.processor.restart_with(&eager);
    for round in 0..rounds(KILLS) {
        let apis = processes.apis();
        Replays::processed(&apis).await.unwrap();
        replays.check(&apis).await.unwrap();
        let mut burst = replays.start_burst(&apis);
        for _ in 0..replays.rng.random_range(0..=burst.len()) {
            replays.note_answer(&mut burst).await;
        }
        if round % 4 == 3 {
            processes.ingestor.kill();
            processes.ingestor.restart();
        }
        processes.processor.kill();
        processes.processor.restart_with(&eager);
        while replays.note_answer(&mut burst).await {}
    }
    processes.processor.stop();
    processes.processor.restart();
    processes.counted(replays, Counts::DuplicateAfterKill).await;
}

/// All at once: most of the time each waits until Kafka gives a dead process' partitions to the next.
#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_anywhere_on_the_way_of_replays_lose_and_double_nothing() {
    const ARCHIVE: [&str; 4] =
        ["archive-uploading", "archive-uploaded", "archive-verified", "archive-recorded"];
    const DELETE: [&str; 4] =
        ["archive-manifest-deleted", "archive-stale-deleted", "archive-before-delete", "archive-deleted"];
    const PURGE: [&str; 4] =
        ["archive-forgotten", "archive-objects-deleted", "purge-before-delete", "purge-deleted"];
    let _turn = one_at_a_time().await;
    let scenarios: [(Binary, &[&str], Work); 9] = [
        (Binary::Ingestor, &["log-appending", "log-appended"], Work::Store),
        (Binary::ReplayProcessor, &["batch-handled"], Work::Store),
        (Binary::ReplayProcessor, &["sessions-inserted"], Work::Store),
        (Binary::ReplayProcessor, &["before-ledger"], Work::Store),
        (Binary::ReplayProcessor, &["batch-committed"], Work::Store),
        (Binary::ReplayProcessor, &["offset-committed"], Work::Store),
        (Binary::Api, &ARCHIVE, Work::Archive),
        (Binary::Api, &DELETE, Work::Archive),
        (Binary::Api, &PURGE, Work::Purge),
    ];
    let mut running = JoinSet::new();
    for (binary, points, work) in scenarios {
        running.spawn_blocking(move || Handle::current().block_on(killed_at(binary, points, work)));
    }
    running.spawn_blocking(|| Handle::current().block_on(killed_at_random_moments()));
    // To the end of them all, so that each says what is wrong.
    let mut failed = 0;
    while let Some(scenario) = running.join_next().await {
        failed += usize::from(scenario.is_err());
    }
    assert_eq!(failed, 0, "scenarios failed, as they say above");
}
