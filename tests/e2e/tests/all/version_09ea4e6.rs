//! What version 09ea4e6 wrote into a data directory, killed while it worked: opened, and gone on with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gosight::{Config, Gosight, ReplaceParts as _};
use gosight_domain::Timestamp;
use gosight_e2e::fixture::answers::Answers;
use gosight_e2e::fixture::compare::assert_same;
use gosight_e2e::fixture::model::Model;
use gosight_e2e::fixture::new_chunks::NewChunks;
use gosight_e2e::fixture::new_events::NewEvents;
use gosight_e2e::fixture::{Fixture, Mode, PROJECTS};
use gosight_e2e::{Api, gosight};
use gosight_enrich::testing::write_test_database;
use gosight_memory::ManualClock;
use serde_json::json;
use tempfile::TempDir;

/// From when the fixture was made to when its data is gone on with.
const LATER_MS: i64 = 60_000;

/// The data directory of the fixture, and what else a process needs.
struct Opened {
    fixture: Fixture,
    folder: TempDir,
    data: PathBuf,
    clock: Arc<ManualClock>,
}

impl Opened {
    fn new() -> Self {
        let fixture = Fixture::open(Mode::Embedded);
        let folder = tempfile::tempdir().unwrap();
        let data = fixture.unpack(folder.path());
        write_test_database(folder.path().join("places.mmdb")).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(fixture.facts.made_at)));
        Self { fixture, folder, data, clock }
    }

    /// Starts on the directory, at the time of the clock. Nothing goes by age.
    async fn start(&self) -> Gosight {
        let mut config = Config::default();
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.enrich.geoip.database_path = Some(self.folder.path().join("places.mmdb"));
        config.archive.enabled = false;
        config.store.retention_days = 0;
        let builder = Gosight::builder().config(config).data_dir(&self.data).with_clock(self.clock.clone());
        builder.http(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).start().await.unwrap()
    }

    async fn ask(&self, gosight: &Gosight) -> BTreeMap<&'static str, Answers> {
        gosight.pipeline().drained().await;
        let mut answers = BTreeMap::new();
        for (project, key) in PROJECTS {
            let api = api(gosight).with_key(self.fixture.key(key));
            answers.insert(project, Answers::of(&api, self.fixture.facts.base_ms).await);
        }
        answers
    }

    /// What a command prints.
    fn command(&self, args: &[&str]) -> String {
        command(args, &self.data)
    }
}

fn command(args: &[&str], data: &Path) -> String {
    let output = Command::new(gosight()).args(args).arg("--data-dir").arg(data).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn api(gosight: &Gosight) -> Api {
    Api::new(&format!("http://{}", gosight.local_addr().unwrap()), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_version_09ea4e6_is_opened_and_gone_on_with() {
    let opened = Opened::new();
    let fixture = &opened.fixture;
    let expected = fixture.expected();
    assert_eq!(opened.command(&["keys", "list"]), expected.commands["keys list"]);
    let gosight = opened.start().await;
    fixture.check_keys(&api(&gosight)).await;
    let before = opened.ask(&gosight).await;
    for (project, _) in PROJECTS {
        assert_same(&format!("opened: {project}"), &expected.answers[project], &before[project].by_path());
    }
    let sent = fixture.sent();
    let mut model = Model::of(&before, &sent);
    model.check("the model of what was there", &before);

    opened.clock.advance(LATER_MS);
    let events = NewEvents::after(fixture, &model, &sent);
    let chunks = NewChunks::after(fixture, &sent);
    let ingest = api(&gosight);
    events.send(fixture, &ingest).await;
    chunks.send(fixture, &ingest).await;
    events.tell(&mut model, &json!(fixture.facts.made_at + LATER_MS));
    chunks.tell(&mut model);
    let after = opened.ask(&gosight).await;
    model.check("gone on with", &after);
    gosight.stop().await.unwrap();
    assert_eq!(opened.command(&["dlq", "list"]), expected.commands["dlq list"]);

    let gosight = opened.start().await;
    let again = opened.ask(&gosight).await;
    for (project, _) in PROJECTS {
        assert_eq!(again[project].texts(), after[project].texts(), "started again: {project}");
    }
    gosight.stop().await.unwrap();
}
