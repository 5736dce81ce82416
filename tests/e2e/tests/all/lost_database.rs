//! What happens when the database does not belong to the log: it is gone, or an older one was restored.

use std::path::Path;

use gosight_e2e::load::batch;
use gosight_e2e::{ADMIN_KEY, INGEST_KEY, READ_KEY, Server, ServerBuilder, ledger_sum, wait_for};

const EVENTS: &str = "gosight.events.raw";
const DATABASE: [&str; 3] = ["gosight.db", "gosight.db-wal", "gosight.db-shm"];

/// Sends events of so many sessions, 500 each, and waits until they are processed.
async fn send(server: &Server, sessions: std::ops::Range<usize>) {
    let api = server.api(INGEST_KEY);
    for session in sessions {
        let (_, body) = batch(&format!("s-{session}"), 500);
        assert_eq!(api.post("/v1/events", body.to_string()).await.status, 200);
    }
    server.api(ADMIN_KEY).processed().await;
}

fn remove_database(dir: &Path) {
    for name in DATABASE {
        if dir.join(name).exists() {
            std::fs::remove_file(dir.join(name)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_filled_again_from_the_log() {
    let mut server = Server::start();
    send(&server, 0..4).await;
    server.signal("KILL");
    server.wait();
    remove_database(server.dir());

    let server = server.restart_as(ServerBuilder::default());
    let ledger = server.api(ADMIN_KEY).processed().await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(ledger_sum(&ledger, EVENTS, "stored"), 2_000);
    assert_eq!(server.api(READ_KEY).total_count().await, 2_000);
    assert!(server.output().contains("processing all that the log still has"), "{}", server.output());
}

/// Stops `server` and gives its database as it is.
fn stopped_with_backup(server: &mut Server) -> Vec<u8> {
    assert!(server.stop().success());
    std::fs::read(server.dir().join(DATABASE[0])).unwrap()
}

fn restore(server: &mut Server, backup: &[u8]) {
    assert!(server.stop().success());
    remove_database(server.dir());
    std::fs::write(server.dir().join(DATABASE[0]), backup).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_catches_up_from_the_log() {
    let mut server = Server::start();
    send(&server, 0..2).await;
    let backup = stopped_with_backup(&mut server);
    let mut server = server.restart_as(ServerBuilder::default());
    send(&server, 2..5).await;
    restore(&mut server, &backup);

    let server = server.restart_as(ServerBuilder::default());
    let ledger = server.api(ADMIN_KEY).processed().await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(server.api(READ_KEY).total_count().await, 2_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_gone_stop_the_server_until_that_is_accepted() {
    let forgetful = ServerBuilder::default()
        .env("GOSIGHT_LOG_PARTITIONS", "1")
        .env("GOSIGHT_LOG_SEGMENT", "50KiB")
        .env("GOSIGHT_LOG_RETAIN_FOR", "0s");
    let mut server = forgetful.clone().start();
    send(&server, 0..1).await;
    let backup = stopped_with_backup(&mut server);
    let mut server = server.restart_as(forgetful.clone());
    // Whatever is processed is deleted whenever a segment is full.
    for session in 1..6 {
        send(&server, session..session + 1).await;
    }
    restore(&mut server, &backup);

    let mut server = server.restart_as(forgetful.clone());
    assert!(!server.wait().success());
    assert!(server.output().contains("are gone from the log"), "{}", server.output());

    let accepting = forgetful.env("GOSIGHT_PROCESS_ACCEPT_LOST_RECORDS", "true");
    let server = server.restart_as(accepting);
    let api = server.api(ADMIN_KEY);
    let ledger = wait_for("the ledger reaches the end of the log", async || {
        let ledger = api.ledger().await;
        (ledger_sum(&ledger, EVENTS, "polled") == 3_000).then_some(ledger)
    })
    .await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    let stored = ledger_sum(&ledger, EVENTS, "stored");
    assert!((500..3_000).contains(&stored), "{ledger}");
    assert_eq!(server.api(READ_KEY).total_count().await, stored);
    let metrics = api.get("/metrics").await.text;
    let lost = format!("records_lost_total{{log=\"{EVENTS}\"}} {}", 3_000 - stored);
    assert!(metrics.contains(&lost), "{lost}");
}
