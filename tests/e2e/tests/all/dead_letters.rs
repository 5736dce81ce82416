//! What was dead-lettered: looked at while the server runs, repaired, put through once more, dropped.

use std::path::Path;
use std::process::{Command, Output};

use gosight_e2e::load::now_ms;
use gosight_e2e::{ADMIN_KEY, READ_KEY, Server, ServerBuilder, gosight};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

fn run(dir: &Path, args: &[&str]) -> Output {
    let place = ["--data-dir", &dir.to_string_lossy()];
    Command::new(gosight()).args(args).args(place).env_remove("GOSIGHT_CONFIG").output().unwrap()
}

fn success(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failure(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(!output.status.success(), "{args:?} succeeded");
    String::from_utf8(output.stderr).unwrap()
}

/// Dead-letters `record` at `offset`, as a processor does that cannot read it.
async fn dead_letter(dir: &Path, offset: i64, record: &str) {
    let database = dir.join("gosight.db");
    let mut connection = SqliteConnection::connect(&database.to_string_lossy()).await.unwrap();
    sqlx::query(
        "INSERT INTO dead_letters VALUES ('gosight.events.raw', 0, ?, NULL, 'not_json', 'why', ?, ?)",
    )
    .bind(offset)
    // Old letters are deleted.
    .bind(now_ms())
    .bind(record.as_bytes())
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_repaired_and_put_through_once() {
    let mut server = Server::start();
    let dir = server.dir().to_owned();
    let event = json!({"event_id": "14cb7f4d-533f-46d6-841e-efb2338730c8", "project_id": "default",
        "event_type": "purchase", "timestamp": now_ms(), "received_at": now_ms()})
    .to_string();
    dead_letter(&dir, 1_000, &event[1..]).await;
    dead_letter(&dir, 1_001, "lost").await;
    let list = success(&dir, &["dlq", "list"]);
    let letters: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 2, "{list}");
    assert_eq!(
        (&letters[0]["position"], &letters[0]["reason"], &letters[0]["detail"]),
        (&json!("gosight.events.raw/0/1000"), &json!("not_json"), &json!("why"))
    );
    let (first, second) = ("gosight.events.raw/0/1000", "gosight.events.raw/0/1001");
    assert_eq!(success(&dir, &["dlq", "show", "--record", first]), event[1..]);
    assert!(success(&dir, &["dlq", "show", second]).contains("\"record\": \"lost\""));
    success(&dir, &["dlq", "drop", second]);
    assert!(failure(&dir, &["dlq", "drop", second]).contains("there is no dead letter"));
    assert!(failure(&dir, &["dlq", "replay", first]).contains("is used by another gosight process"));

    assert!(server.stop().success());
    assert!(failure(&dir, &["dlq", "replay", first]).contains("repair it first"));
    let repaired = dir.join("repaired.json");
    std::fs::write(&repaired, &event).unwrap();
    success(&dir, &["dlq", "replay", first, "--record", &repaired.to_string_lossy()]);
    assert_eq!(success(&dir, &["dlq", "list"]), "");
    let server = server.restart_as(ServerBuilder::default());
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(server.api(READ_KEY).total_count().await, 1);
}

#[test]
fn a_mistyped_directory_is_no_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let typo = dir.path().join("gosihgt");
    for args in [
        &["keys", "list"][..],
        &["keys", "revoke", "00000000-0000-0000-0000-000000000001"],
        &["profiles", "put", "--kind", "user", "/dev/null"],
        &["dlq", "list"],
        &["dlq", "replay", "gosight.events.raw/0/0"],
    ] {
        let error = failure(&typo, args);
        assert!(error.contains(&*typo.to_string_lossy()) && error.contains("no data directory"), "{error}");
    }
    assert!(!typo.exists());
    let made = run(&typo, &["keys", "create", "--scope", "read"]);
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(said.contains(&format!("made a new data directory at {}", typo.display())), "{said}");
    success(&typo, &["keys", "list"]);
}
