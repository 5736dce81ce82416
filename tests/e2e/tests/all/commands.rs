//! The other commands: keys, configuration, profiles.

use std::path::Path;
use std::process::{Command, Output};

use gosight_e2e::{ADMIN_KEY, Api, INGEST_KEY, READ_KEY, Server, ServerBuilder, gosight, wait_for};
use serde_json::json;

use gosight_e2e::load::{batch, now_ms};

fn run(args: &[&str], dir: &Path) -> Output {
    Command::new(gosight()).args(args).current_dir(dir).env_remove("GOSIGHT_CONFIG").output().unwrap()
}

fn success(args: &[&str], dir: &Path) -> String {
    let output = run(args, dir);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failure(args: &[&str], dir: &Path) -> String {
    let output = run(args, dir);
    assert!(!output.status.success(), "{args:?} succeeded");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_and_revoked_while_the_server_runs() {
    let server = ServerBuilder::default().env("GOSIGHT_KEYS_CACHE_LIFE", "200ms").start();
    let dir = server.dir().to_string_lossy().into_owned();
    let here = server.dir().to_owned();
    let create = |more: &[&str]| {
        let args = [&["keys", "create", "--data-dir", &dir], more].concat();
        success(&args, &here).trim().to_owned()
    };
    let key = create(&["--scope", "ingest", "--name", "the shop"]);
    assert!(key.starts_with("gs_live_") && key.len() == 56, "{key}");
    let send = async |key: &str| {
        let (_, body) = batch("s", 1);
        Api::new(server.url(), Some(key)).post("/v1/events", body.to_string()).await
    };
    assert_eq!(send(&key).await.status, 200);

    let short = create(&["--scope", "ingest", "--expires-in", "1ms", "--test"]);
    assert!(short.starts_with("gs_test_"));
    assert_eq!(send(&short).await.code(), "expired_key");

    let other = create(&["--project", "other", "--scope", "read,ingest"]);
    assert_eq!(send(&other).await.status, 200);
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(Api::new(server.url(), Some(&other)).total_count().await, 1, "its own event only");

    let list = success(&["keys", "list", "--data-dir", &dir], &here);
    assert!(!list.contains(&key) && list.contains(&key[..12]), "{list}");
    let expired = list.lines().find(|line| line.contains("expired")).unwrap();
    assert_eq!(expired.matches("Z  ").count(), 2, "made and expired, never used: {expired}");
    let id = list.lines().find(|line| line.contains("the shop")).unwrap().split_whitespace().next().unwrap();
    assert!(
        !success(&["keys", "list", "--data-dir", &dir, "--project", "other"], &here).contains("the shop")
    );
    success(&["keys", "revoke", "--data-dir", &dir, id], &here);
    wait_for("the revocation to be seen", async || (send(&key).await.code() == "revoked_key").then_some(()))
        .await;
    assert!(
        failure(&["keys", "revoke", "--data-dir", &dir, "00000000-0000-0000-0000-000000000001"], &here)
            .contains("there is no key")
    );
    wait_for("the use of the key to be written down", async || {
        let list = success(&["keys", "list", "--data-dir", &dir], &here);
        let line = list.lines().find(|line| line.contains("the shop"))?;
        let requests: u64 = line.split_whitespace().nth(5)?.parse().ok()?;
        (requests > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_give_events_their_context() {
    let server = ServerBuilder::default().env("GOSIGHT_PROCESS_PROFILES_CACHE_LIFE", "1ms").start();
    let dir = server.dir().to_string_lossy().into_owned();
    let file = server.dir().join("users.ndjson");
    std::fs::write(&file, r#"{"id":"u-1","profile":{"type":"premium","skill":0.4}}"#).unwrap();
    let file = file.to_string_lossy();
    let args = ["profiles", "put", "--data-dir", &dir, "--kind", "user", &file];
    assert!(success(&args, server.dir()).contains("1 profiles stored"));
    let event = json!({"event_name": "attempt", "user_id": "u-1", "session_id": "s", "timestamp": now_ms(),
        "metadata": {"response_time_ms": 700, "correct": true}});
    server.api(INGEST_KEY).post("/api/v1/events", event.to_string()).await;
    server.api(ADMIN_KEY).processed().await;
    let api = server.api(READ_KEY);
    let event = &api.session_events("s").await[0];
    assert_eq!(event["context"]["user"]["type"], "premium", "{event}");
    assert_eq!(event["context"]["derived"]["response_time"], "fast", "{event}");
    assert_eq!(event["routes"], json!(["rapid_fire", "premium"]));
    let attempts = api.get_json("/processor/aggregation?aggregator=user_hourly_attempts&key=user:u-1").await;
    let measures = &attempts["windows"][0]["measures"];
    assert_eq!(
        (&measures["accuracy"]["avg"], &measures["response_time_ms"]["max"]),
        (&json!(1.0), &json!(700.0)),
        "{attempts}"
    );
}

#[test]
fn the_configuration_is_checked_and_printed() {
    let dir = tempfile::tempdir().unwrap();
    let printed = success(&["config", "check"], dir.path());
    assert!(printed.contains("listen: 127.0.0.1:8080"), "{printed}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "checking touches nothing");
    let file = dir.path().join("gosight.yaml");
    std::fs::write(&file, printed).unwrap();
    success(&["config", "check", "--config", "gosight.yaml"], dir.path());

    std::fs::write(&file, "http:\n  listn: 0.0.0.0:80\n").unwrap();
    let error = failure(&["config", "check", "--config", "gosight.yaml"], dir.path());
    assert!(error.contains("gosight.yaml: http.listn: unknown field `listn`"), "{error}");
    std::fs::write(&file, "log: {partitions: 0}").unwrap();
    let error = failure(&["serve", "--config", "gosight.yaml", "--data-dir", "d"], dir.path());
    assert!(error.contains("gosight.yaml: log.partitions: is 0, must be 1 to 1024"), "{error}");
    assert!(!dir.path().join("d").exists(), "a bad setting is found before anything is touched");
    for (setting, said) in [
        ("logs: {filter: 'a=b=c'}", "gosight.yaml: logs.filter"),
        ("data_dir: ''", "gosight.yaml: data_dir: must not be empty"),
        ("keys: {cache_life: 2000years}", "gosight.yaml: keys.cache_life: must be at most 100years"),
        ("http: {max_events_body: much}", "gosight.yaml: http.max_events_body: must be a size such as 5MiB"),
        ("http: {body_timeout: 5}", "gosight.yaml: http.body_timeout: must be a duration such as 30s"),
        ("http: {body_timeout: soon}", "gosight.yaml: http.body_timeout: must be a duration such as 30s"),
        ("http: {trusted_proxies: [10.0.0.1]}", "must be a network such as 10.0.0.0/8"),
        ("http: {listen: 'localhost:8080'}", "must be an address such as 127.0.0.1:8080"),
    ] {
        std::fs::write(&file, setting).unwrap();
        let error = failure(&["config", "check", "--config", "gosight.yaml"], dir.path());
        assert!(error.contains(said), "{setting}: {error}");
    }
    std::fs::write(&file, "enrich: {geoip: {database_path: nowhere.mmdb}}").unwrap();
    let checked = run(&["config", "check", "--config", "gosight.yaml"], dir.path());
    assert!(checked.status.success() && String::from_utf8_lossy(&checked.stderr).contains("nowhere.mmdb"));
}

#[test]
fn what_cannot_be_started_says_why() {
    let server = Server::start();
    let error = ServerBuilder::default().try_start_in(server.dir()).unwrap_err();
    assert!(error.contains("is used by another gosight process"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let taken = server.url().trim_start_matches("http://");
    let path = dir.path().to_string_lossy();
    let error = failure(&["serve", "--http", taken, "--data-dir", &path], dir.path());
    assert!(error.contains(&format!("cannot listen on {taken}")), "{error}");
    let error = failure(&["serve", "--data-dir", &path, "--bootstrap-read-key", "short"], dir.path());
    assert!(error.contains("the read key") && error.contains("must start with gs_live_"), "{error}");
    assert!(!error.contains("key key"), "{error}");
    let error = failure(&["send", "nothing.ndjson"], dir.path());
    assert!(error.contains("nothing.ndjson"), "{error}");
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
    let error = failure(&["serve", "--config", "nothing.yaml"], dir.path());
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
    let error = failure(&["serve", "--http", "localhost:8080"], dir.path());
    assert!(error.contains("must be an address such as 127.0.0.1:8080"), "{error}");
    success(&["help"], dir.path());
    let recording = dir.path().join("one.ndjson");
    let request = json!({"method": "POST", "path": "/v1/events", "body": {"events": []}}).to_string();
    std::fs::write(&recording, format!("{request}\n{request}\n")).unwrap();
    let nobody = ["send", "--server", "http://127.0.0.1:1", "--json", "one.ndjson"];
    let output = run(&nobody, dir.path());
    assert!(!output.status.success());
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["failed"], json!({"no answer": 1, "not sent": 1}));
}
