//! The recorded browser sessions through every combination of backends: what visitors did comes out, and nothing else,
//! while replays are hot and when they are archived.

#[path = "../../../../bins/gosight/examples/custom_session_store/store.rs"]
mod own_sessions;

use std::sync::Arc;

use gosight_application::Pipeline;
use gosight_application::enrich::ChosenEnricher;
use gosight_application::keys::{BootstrapKeys, bootstrap};
use gosight_application::pipeline::{IntakePorts, PipelinePorts, ReplaceParts as _};
use gosight_application::ports::SystemClock;
use gosight_distributed_tests::{Binary, Servers, Set, one_at_a_time};
use gosight_domain::key::PresentedKey;
use gosight_e2e::truth::{archive_all, assert_truth};
use gosight_e2e::{ADMIN_KEY, Api, INGEST_KEY, READ_KEY, recordings};
use gosight_enrich::{EnrichConfig, PlaceEnricher, UserAgentEnricher};
use gosight_http::{HttpPorts, HttpServer};
use gosight_memory::MemoryParts;
use gosight_runtime::config::{Sources, load};
use gosight_runtime::{Config, Gosight};
use own_sessions::OwnSessions;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Processes that take recordings of any date, believe the proxy that those came through, and archive at once.
fn set() -> Set {
    Set::new(&Servers::shared())
        .with("EVENTS_MAX_AGE", "100years")
        .with("EVENTS_MAX_FUTURE", "100years")
        .with("ARCHIVE_GRACE", "0s")
        .with("HTTP_TRUSTED_PROXIES", "[127.0.0.1/32, 192.0.2.254/32]")
}

/// The same, with what is in a directory in one of its own.
fn in_directory(set: Set) -> (Set, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (set.with("DATA_DIR", dir.path().to_str().unwrap()).with("STORE_RETENTION_DAYS", "0"), dir)
}

/// The body of the matrix: sends to `to`, and asks `asked`.
async fn check(set: &Set, to: &str, asked: &str) {
    let mut send = set.gosight(&["send", "--server", to, "--json"]);
    send.args(recordings::files());
    let sent = tokio::task::spawn_blocking(move || send.output().unwrap()).await.unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let summary: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!((&summary["failed"], &summary["refused"]), (&json!({}), &json!({})));
    let (reader, admin) = (Api::new(asked, Some(READ_KEY)), Api::new(asked, Some(ADMIN_KEY)));
    assert_truth(&reader, &admin).await;
    archive_all(&reader, &admin).await;
    assert_truth(&reader, &admin).await;
}

/// One process with the backends of `set`.
async fn check_process(set: &Set) {
    let gosight = set.serve(&[]);
    check(set, gosight.url(), gosight.url()).await;
}

fn keys() -> BootstrapKeys {
    let key = |text: &str| Some(PresentedKey::new(text));
    BootstrapKeys { ingest: key(INGEST_KEY), read: key(READ_KEY), admin: key(ADMIN_KEY) }
}

/// The settings of `set`, for what runs inside the test.
fn config(set: &Set) -> Config {
    let env = set.clone().with("HTTP_LISTEN", "127.0.0.1:0").settings();
    load(&Config::default(), &Sources { env, ..Sources::default() }).unwrap().config
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    let _turn = one_at_a_time().await;
    let set = set();
    let config = config(&set);
    let ports = MemoryParts::default().ports();
    let enrich = EnrichConfig::default();
    let enrichers = vec![
        ChosenEnricher::new(Arc::new(UserAgentEnricher::new(enrich.user_agents))),
        ChosenEnricher::new(Arc::new(PlaceEnricher::new(&enrich))),
    ];
    let intake = ports.intake.map(|intake| IntakePorts { enrichers, ..intake });
    let accounts = ports.accounts.admin.clone();
    bootstrap(&*accounts, &SystemClock, &keys()).await.unwrap();
    let pipeline = Pipeline::builder(PipelinePorts { intake, ..ports })
        .settings(config.pipeline().unwrap())
        .build()
        .unwrap();
    let running = pipeline.start();
    let ports = HttpPorts::of(&pipeline, config.http.in_flight(), Arc::new(String::new));
    let server = HttpServer::bind(config.http, ports).unwrap();
    let (url, stop) = (format!("http://{}", server.local_addr()), CancellationToken::new());
    let serving = tokio::spawn(server.run(stop.clone()));
    check(&set, &url, &url).await;
    stop.cancel();
    serving.await.unwrap().unwrap();
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let _turn = one_at_a_time().await;
    let (set, _dir) = in_directory(set());
    check_process(&set).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_with_an_archive_on_s3() {
    let _turn = one_at_a_time().await;
    let (set, _dir) = in_directory(set().with_archive());
    check_process(&set.with("ARCHIVE_BACKEND", "s3")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_with_a_store_on_clickhouse() {
    let _turn = one_at_a_time().await;
    let (set, _dir) = in_directory(set());
    check_process(&set.with("STORE_BACKEND", "clickhouse")).await;
}

/// It would give the offsets of the first one's events to others.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_directory_that_stores_into_the_same_database_is_refused() {
    let _turn = one_at_a_time().await;
    let (set, _dir) = in_directory(set().with("STORE_BACKEND", "clickhouse"));
    let (other, _other_dir) = in_directory(set.clone());
    let refused = |when: &str| {
        let refused = other.gosight(&["serve", "--http", "127.0.0.1:0"]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("a database of its own"), "{when}: {said}");
    };
    let mut first = set.serve(&[]);
    refused("before anything is stored");
    let event = r#"{"event_name":"hello","user_id":"me","timestamp":1700000000}"#;
    let sent = Api::new(first.url(), Some(INGEST_KEY)).post("/api/v1/events", event).await;
    assert!(sent.status.is_success(), "{}", sent.text);
    Set::admin(&first).processed().await;
    refused("afterwards");
    first.stop();
    // The directory of the first one is gone for good: its log is taken over.
    let second = other.with("PROCESS_ACCEPT_LOST_RECORDS", "true").serve(&[]);
    assert_eq!(Set::reader(&second).total_count().await, 1);
    drop(second);
    let third = set.gosight(&["serve", "--http", "127.0.0.1:0"]).output().unwrap();
    assert!(!third.status.success(), "it is not gone, and would be the second one now");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_and_clickhouse_with_accounts_in_a_directory() {
    let _turn = one_at_a_time().await;
    let (set, _dir) = in_directory(set());
    let set =
        set.with("LOG_BACKEND", "kafka").with("STORE_BACKEND", "clickhouse").with("STATE_BACKEND", "redis");
    check_process(&set).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_with_sessions_of_one_s_own() {
    let _turn = one_at_a_time().await;
    let (set, _dir) = in_directory(set());
    let sessions = Arc::new(OwnSessions::default());
    let gosight = Gosight::builder()
        .config(config(&set))
        .bootstrap_keys(keys())
        .with_sessions(sessions.clone())
        .start()
        .await
        .unwrap();
    let url = format!("http://{}", gosight.local_addr().unwrap());
    check(&set, &url, &url).await;
    assert_eq!(sessions.count(), recordings::truth().len());
    gosight.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_on_servers_in_one_process() {
    let _turn = one_at_a_time().await;
    let set = set().with_archive();
    let gosight = set.start(Binary::Gosight);
    check(&set, gosight.url(), gosight.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_on_servers_in_a_process_for_each_role() {
    let _turn = one_at_a_time().await;
    let set = set().with_archive();
    let ingestor = set.start(Binary::Ingestor);
    let _events = set.start(Binary::EventProcessor);
    let _replays = set.start(Binary::ReplayProcessor);
    let api = set.start(Binary::Api);
    check(&set, ingestor.url(), api.url()).await;
}
