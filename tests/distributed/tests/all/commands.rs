//! The commands of `gosight` on the servers.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use gosight_application::logs;
use gosight_application::ports::{Record, RecordLog};
use gosight_distributed_tests::{Binary, Servers, Set, one_at_a_time};
use gosight_e2e::Api;
use gosight_e2e::load::now_ms;
use gosight_kafka::KafkaLog;
use serde_json::{Value, json};

use crate::log::kafka;
use crate::replays::chunks_have_a_ttl;

fn success(set: &Set, args: &[&str]) -> String {
    let output = set.gosight(&[args, &["--distributed"]].concat()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failure(set: &Set, args: &[&str]) -> String {
    let output = set.gosight(&[args, &["--distributed"]].concat()).output().unwrap();
    assert!(!output.status.success(), "{args:?} succeeded");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_revoked() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared()).with("KEYS_CACHE_LIFE", "100ms");
    let gosight = set.start(Binary::Gosight);
    let project = format!("made-{}", now_ms());
    let key = success(&set, &["keys", "create", "--scope", "read", "--project", &project]);
    let key = key.trim();
    assert_eq!(Api::new(gosight.url(), Some(key)).total_count().await, 0);
    let listed = success(&set, &["keys", "list", "--project", &project]);
    let line = listed.lines().nth(1).unwrap();
    assert!(line.contains(&project) && line.contains("active") && !listed.contains(key), "{listed}");
    let key_id = line.split_whitespace().next().unwrap();
    success(&set, &["keys", "revoke", key_id]);
    assert!(success(&set, &["keys", "list", "--project", &project]).contains("revoked"));
    let profiles = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&profiles, json!({"id": "u-1", "profile": {"type": "premium"}}).to_string()).unwrap();
    let file = profiles.path().to_string_lossy();
    let put = success(&set, &["profiles", "put", "--project", &project, "--kind", "user", &file]);
    assert_eq!(put, "1 profiles stored\n");
}

#[test]
fn one_process_that_waits_for_its_servers_stops_when_it_is_told_to() {
    // Nobody listens there.
    let set = Set::new(&Servers::shared()).with("CLICKHOUSE_URL", "http://127.0.0.1:9");
    let mut serve = set.gosight(&["serve", "--distributed", "--http", "127.0.0.1:0"]);
    let mut waiting = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    said.find(|line| line.contains("not there yet")).expect("it waits");
    let kill = Command::new("kill").args(["-TERM", &waiting.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert!(waiting.wait().unwrap().success(), "{:?}", said.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_repaired_and_put_through_once_while_everything_runs() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared()).with("CLICKHOUSE_REPLAY_RETENTION_DAYS", "30");
    let gosight = set.start(Binary::Gosight);
    let event = json!({"event_id": "14cb7f4d-533f-46d6-841e-efb2338730c8", "project_id": "default",
        "event_type": "purchase", "timestamp": now_ms(), "received_at": now_ms()})
    .to_string();
    let log = KafkaLog::new(&kafka(&set)).unwrap();
    let broken = Record { key: "k".into(), value: event.as_bytes()[1..].to_vec().into() };
    log.append(logs::EVENTS, vec![broken]).await.unwrap();
    log.close().await.unwrap();
    Set::admin(&gosight).processed().await;

    let list = success(&set, &["dlq", "list"]);
    let letter: Value = serde_json::from_str(list.trim()).unwrap();
    assert_eq!(letter["reason"], json!("invalid_record"), "{letter}");
    let position = letter["position"].as_str().unwrap();
    assert_eq!(success(&set, &["dlq", "show", "--record", position]), event[1..]);
    assert!(failure(&set, &["dlq", "replay", position]).contains("repair it first"));
    let repaired = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&repaired, &event).unwrap();
    let file = repaired.path().to_string_lossy();
    // How long chunks are kept is for the processes to say, whatever the settings of the command.
    let of_command = set.clone().with("CLICKHOUSE_REPLAY_RETENTION_DAYS", "0");
    success(&of_command, &["dlq", "replay", position, "--record", &file]);
    assert!(chunks_have_a_ttl(&set).await);
    assert_eq!(success(&set, &["dlq", "list"]), "");
    assert!(failure(&set, &["dlq", "drop", position]).contains("there is no dead letter"));
    Set::admin(&gosight).processed().await;
    assert_eq!(Set::reader(&gosight).total_count().await, 1);
}
