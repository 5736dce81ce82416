//! What version 09ea4e6 wrote to the servers, killed while it worked: put back, opened, and gone on with.

mod clickhouse;
mod kafka;
mod postgres;
mod redis;
mod s3;

use std::collections::BTreeMap;

use gosight_distributed_tests::{Binary, Process, Servers, Set, one_at_a_time};
use gosight_e2e::Api;
use gosight_e2e::fixture::answers::Answers;
use gosight_e2e::fixture::compare::assert_same;
use gosight_e2e::fixture::model::Model;
use gosight_e2e::fixture::new_chunks::NewChunks;
use gosight_e2e::fixture::new_events::NewEvents;
use gosight_e2e::fixture::{Fixture, Mode, PROJECTS};
use gosight_enrich::testing::write_test_database;
use serde_json::Value;
use tempfile::TempDir;

/// What reads the logs.
const PROCESSORS: [Binary; 2] = [Binary::EventProcessor, Binary::ReplayProcessor];

/// The fixture on servers.
struct Opened {
    fixture: Fixture,
    set: Set,
    /// The database of places is there.
    _folder: TempDir,
}

impl Opened {
    /// Puts everything back. Nothing goes by age: the fixture gets older, and the clock of the processes is the real one.
    async fn new() -> Self {
        let fixture = Fixture::open(Mode::Distributed);
        let folder = tempfile::tempdir().unwrap();
        let places = folder.path().join("places.mmdb");
        write_test_database(&places).unwrap();
        let set = Set::new(&Servers::shared())
            .with_archive()
            .with("ARCHIVE_ENABLED", "false")
            .with("CLICKHOUSE_RETENTION_DAYS", "0")
            .with("CLICKHOUSE_REPLAY_RETENTION_DAYS", "0")
            .with("EVENTS_MAX_AGE", "36500days")
            .with("HTTP_TRUSTED_PROXIES", "[127.0.0.0/8]")
            .with("ENRICH_GEOIP_DATABASE_PATH", places.to_string_lossy())
            .with("KAFKA_CONSUME_SESSION_TIMEOUT", "6s");
        tokio::join!(
            clickhouse::restore(&set),
            kafka::restore(&set),
            redis::restore(&set),
            postgres::restore(&set),
            s3::restore(&set),
        );
        Self { fixture, set, _folder: folder }
    }

    async fn ask(&self, api: &Process) -> BTreeMap<&'static str, Answers> {
        Set::admin(api).processed().await;
        let mut answers = BTreeMap::new();
        for (project, key) in PROJECTS {
            let api = Api::new(api.url(), Some(self.fixture.key(key)));
            answers.insert(project, Answers::of(&api, self.fixture.facts.base_ms).await);
        }
        answers
    }

    /// What a command prints.
    fn command(&self, args: &[&str]) -> String {
        let output = self.set.gosight(&[args, &["--distributed"]].concat()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_version_09ea4e6_are_opened_and_gone_on_with() {
    let _turn = one_at_a_time().await;
    let opened = Opened::new().await;
    let (fixture, set) = (&opened.fixture, &opened.set);
    let expected = fixture.expected();
    assert_eq!(opened.command(&["keys", "list"]), expected.commands["keys list"]);
    let api = set.start(Binary::Api);
    let mut processors = PROCESSORS.map(|binary| set.start(binary));
    fixture.check_keys(&Api::new(api.url(), None)).await;
    clickhouse::check_columns(set).await;
    let before = opened.ask(&api).await;
    for (project, _) in PROJECTS {
        assert_same(&format!("opened: {project}"), &expected.answers[project], &before[project].by_path());
    }
    assert_eq!(opened.command(&["dlq", "list"]), expected.commands["dlq list"]);
    let sent = fixture.sent();
    let mut model = Model::of(&before, &sent);
    model.check("the model of what was there", &before);

    let ingestor = set.start(Binary::Ingestor);
    let events = NewEvents::after(fixture, &model, &sent);
    let chunks = NewChunks::after(fixture, &sent);
    let ingest = Api::new(ingestor.url(), None);
    events.send(fixture, &ingest).await;
    chunks.send(fixture, &ingest).await;
    events.tell(&mut model, &Value::Null);
    chunks.tell(&mut model);
    let after = opened.ask(&api).await;
    model.check("gone on with", &after);

    for process in [api, ingestor].iter_mut().chain(&mut processors) {
        process.stop();
    }
    let api = set.start(Binary::Api);
    let _processors = PROCESSORS.map(|binary| set.start(binary));
    let again = opened.ask(&api).await;
    for (project, _) in PROJECTS {
        assert_eq!(again[project].texts(), after[project].texts(), "started again: {project}");
    }
}
