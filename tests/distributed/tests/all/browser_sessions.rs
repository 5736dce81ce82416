//! The recorded browser sessions, by the same checks as in the embedded mode.

use gosight_distributed_tests::{Binary, Process, Servers, Set, one_at_a_time};
use gosight_e2e::recordings;
use gosight_e2e::truth::{archive_all, assert_truth};
use serde_json::{Value, json};

fn set() -> Set {
    Set::new(&Servers::shared())
        .with("EVENTS_MAX_AGE", "100years")
        .with("EVENTS_MAX_FUTURE", "100years")
        .with("HTTP_TRUSTED_PROXIES", "[127.0.0.1/32, 192.0.2.254/32]")
}

fn send_recordings(set: &Set, to: &Process) {
    let mut send = set.gosight(&["send", "--server", to.url(), "--json"]);
    let sent = send.args(recordings::files()).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let summary: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!((&summary["failed"], &summary["refused"]), (&json!({}), &json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_visitors_did_comes_out_and_nothing_else() {
    let _turn = one_at_a_time().await;
    let set = set();
    let ingestor = set.start(Binary::Ingestor);
    let _events = set.start(Binary::EventProcessor);
    let _replays = set.start(Binary::ReplayProcessor);
    let api = set.start(Binary::Api);
    send_recordings(&set, &ingestor);
    assert_truth(&Set::reader(&api), &Set::admin(&api)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_does_it_all_too_and_archives_to_s3() {
    let _turn = one_at_a_time().await;
    let set = set().with_archive();
    let gosight = set.start(Binary::Gosight);
    send_recordings(&set, &gosight);
    let (reader, admin) = (Set::reader(&gosight), Set::admin(&gosight));
    assert_truth(&reader, &admin).await;
    archive_all(&reader, &admin).await;
    assert_truth(&reader, &admin).await;
}
