//! How long readers of a real server wait for the first byte of a recording.

use std::process::Command;
use std::time::{Duration, Instant};

use gosight_e2e::truth::archive_all;
use gosight_e2e::{ADMIN_KEY, Api, READ_KEY, ServerBuilder, gosight, recordings};
use reqwest::Method;
use tokio::runtime::Runtime;

use crate::is_measured;

pub(crate) fn measure() {
    let (files, rounds) = if is_measured() { (usize::MAX, 50) } else { (2, 1) };
    let server = ServerBuilder::default()
        .env("GOSIGHT_EVENTS_MAX_AGE", "100years")
        .env("GOSIGHT_EVENTS_MAX_FUTURE", "100years")
        .env("GOSIGHT_STORE_RETENTION_DAYS", "0")
        .env("GOSIGHT_ARCHIVE_GRACE", "0s")
        .start();
    let mut send = Command::new(gosight());
    send.args(["send", "--server", server.url(), "--json"]).args(recordings::files().iter().take(files));
    assert!(send.output().expect("it runs").status.success());
    Runtime::new().expect("a runtime").block_on(async {
        let (api, admin) = (server.api(READ_KEY), server.api(ADMIN_KEY));
        admin.processed().await;
        report("hot", &api, rounds).await;
        archive_all(&api, &admin).await;
        report("archived", &api, rounds).await;
    });
}

async fn report(storage: &str, api: &Api, rounds: usize) {
    let sessions = api.sessions().await;
    for encoding in ["identity", "gzip"] {
        let (mut firsts, mut wholes) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for session in &sessions {
                let session = session["session_id"].as_str().expect("a session");
                let path = format!("/api/v1/sessions/{session}/replay/events");
                let (first, whole) = read(api, &path, encoding).await;
                firsts.push(first);
                wholes.push(whole);
            }
        }
        println!(
            "{storage:<9} {encoding:<9} first byte {}, whole recording {}, of {} reads",
            percentiles(firsts),
            percentiles(wholes),
            rounds * sessions.len()
        );
    }
}

/// How long the first byte of the body took, and the last.
async fn read(api: &Api, path: &str, encoding: &str) -> (Duration, Duration) {
    let start = Instant::now();
    let request = api.request(Method::GET, path).header("accept-encoding", encoding);
    let mut answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("an answer");
    assert!(answer.chunk().await.expect("a part").is_some());
    let first = start.elapsed();
    while answer.chunk().await.expect("a part").is_some() {}
    (first, start.elapsed())
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", at(50), at(95), at(99))
}
