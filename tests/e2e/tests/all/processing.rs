//! What the processors of the binary tell about themselves.

use gosight_e2e::load::now_ms;
use gosight_e2e::{ADMIN_KEY, INGEST_KEY, READ_KEY, Server, wait_for};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_measured_and_how_much_there_is_to_do_is_told() {
    let server = Server::start();
    let attempt = |correct: Value| json!({"event_type": "attempt", "timestamp": now_ms(), "user_id": "u-1", "payload": {"correct": correct}});
    let body = json!({"events": [attempt(json!(true)), attempt(json!("yes")), attempt(json!("no"))]});
    assert_eq!(server.api(INGEST_KEY).post("/v1/events", body.to_string()).await.status, 200);
    let admin = server.api(ADMIN_KEY);
    admin.processed().await;

    let path = "/processor/aggregation?aggregator=user_hourly_attempts&key=user:u-1";
    // The batch is in the ledger a moment before it is counted.
    let answer = wait_for("what was skipped to be shown", async || {
        let answer = server.api(READ_KEY).get_json(path).await;
        answer["skipped"].is_array().then_some(answer)
    })
    .await;
    let windows = answer["windows"].as_array().unwrap();
    let sum = |of: &str| windows.iter().filter_map(|window| window.pointer(of)?.as_u64()).sum::<u64>();
    assert_eq!((sum("/count"), sum("/measures/accuracy/count"), sum("/skipped/accuracy")), (3, 1, 2));
    let skipped = &answer["skipped"][0];
    assert_eq!((&skipped["measure"], &skipped["reason"]), (&json!("accuracy"), &json!("not_a_number")));
    assert_eq!(skipped["events"], 2, "{answer}");
    assert!(skipped["last_error"].is_string() && skipped["last_at"].is_i64(), "{answer}");
    let name = r#"aggregation_measures_skipped_total{aggregation="user_hourly_attempts",measure="accuracy",reason="not_a_number"} 2"#;
    assert!(admin.get("/metrics").await.text.contains(name));

    let status = wait_for("what was stored is known everywhere", async || {
        let status = admin.get_json("/processor/status").await;
        let events = &status["consumers"][0];
        (events["lag"] == 0 && events["records_in_hand"] == 0).then(|| status.clone())
    })
    .await;
    let partitions = status["consumers"][0]["partitions"].as_array().unwrap();
    let stored = partitions.iter().find(|partition| partition["last_committed_at"].is_i64()).unwrap();
    assert_eq!(
        stored["last_committed_offset"].as_u64().unwrap() + 1,
        stored["next_offset"].as_u64().unwrap()
    );
    assert!(stored["utilization_percent"].is_number() && stored["status"] == "running", "{stored}");
    let metrics = admin.get_json("/metrics/processor").await;
    assert_eq!(metrics["consumers"][0]["partitions"].as_array().unwrap().len(), partitions.len());
}
