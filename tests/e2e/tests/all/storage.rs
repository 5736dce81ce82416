//! What happens when the store does not keep up.

use std::time::Duration;

use gosight_e2e::{ADMIN_KEY, INGEST_KEY, READ_KEY, Server, ServerBuilder, wait_for};
use sqlx::{Connection, SqliteConnection};

use gosight_e2e::load::batch;

async fn send(server: &Server, sessions: std::ops::Range<usize>) {
    let api = server.api(INGEST_KEY);
    for session in sessions {
        let (_, body) = batch(&format!("s-{session}"), 500);
        let answer = api.post("/v1/events", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_blocked_events_wait_in_the_log_and_memory_stays_bounded() {
    let server = ServerBuilder::default().env("GOSIGHT_PROCESS_BACKOFF_INITIAL", "100ms").start();
    send(&server, 0..20).await;
    server.api(ADMIN_KEY).processed().await;

    let database = server.dir().join("gosight.db");
    let mut blocker = SqliteConnection::connect(&database.to_string_lossy()).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut blocker).await.unwrap();
    send(&server, 20..60).await;
    wait_for("the worker to find the store blocked", async || {
        let ready = server.api(READ_KEY).get("/ready").await;
        ready.text.contains("waits since").then_some(())
    })
    .await;
    let before = server.resident_bytes();
    send(&server, 60..400).await;
    let after = server.resident_bytes();
    assert!(
        after < before + (96 << 20),
        "170,000 events in the log took {} MiB of memory",
        (after - before) >> 20
    );

    sqlx::query("ROLLBACK").execute(&mut blocker).await.unwrap();
    let ledger = server.api(ADMIN_KEY).processed().await;
    assert_eq!(ledger["balanced"], true);
    assert_eq!(server.api(READ_KEY).total_count().await, 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_turns_clients_away_until_there_is_room() {
    let server = ServerBuilder::default()
        .env("GOSIGHT_LOG_MAX_SIZE", "2MiB")
        .env("GOSIGHT_LOG_SEGMENT", "200KiB")
        .env("GOSIGHT_PROCESS_BACKOFF_INITIAL", "100ms")
        .start();
    let database = server.dir().join("gosight.db");
    let mut blocker = SqliteConnection::connect(&database.to_string_lossy()).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut blocker).await.unwrap();
    let api = server.api(INGEST_KEY);
    let mut taken = 0;
    let refused = loop {
        let (_, body) = batch("s", 500);
        let answer = api.post("/v1/events", body.to_string()).await;
        if !answer.status.is_success() {
            break answer;
        }
        taken += 500;
        assert!(taken < 100_000, "the log takes more than it may");
    };
    assert_eq!((refused.status.as_u16(), &*refused.code()), (503, "unavailable"));
    sqlx::query("ROLLBACK").execute(&mut blocker).await.unwrap();
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(server.api(READ_KEY).total_count().await, taken);
    // What is processed makes room, although it might be kept for an hour.
    wait_for("room in the log", async || {
        let (_, body) = batch("s", 1);
        api.post("/v1/events", body.to_string()).await.status.is_success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_takes_little() {
    let server = Server::start();
    send(&server, 0..1).await;
    server.api(ADMIN_KEY).processed().await;
    tokio::time::timeout(Duration::from_mins(1), server.api(READ_KEY).get("/health")).await.unwrap();
    let resident = server.resident_bytes();
    assert!(resident < 100 << 20, "{} MiB", resident >> 20);
}
