//! How the server starts, stops, and tells about itself.

use gosight_e2e::{ADMIN_KEY, Api, INGEST_KEY, READ_KEY, Server, ServerBuilder, wait_for};
use serde_json::json;

use gosight_e2e::load::{batch, now_ms};

/// The key in the line `  name  gs_live_…` of a first start.
fn shown_key(output: &str, name: &str) -> String {
    let line = output.lines().find(|line| line.trim().starts_with(name) && line.contains("gs_live_"));
    line.unwrap_or_else(|| panic!("no {name} key in\n{output}")).split_whitespace().nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_shows_keys_once_and_a_line_that_works() {
    let mut server = ServerBuilder::default().with_new_keys().start();
    let shown =
        wait_for("the keys", async || Some(server.output()).filter(|text| text.contains("/swagger/"))).await;
    let line = shown.split("Send an event:").nth(1).unwrap();
    let command = line.split("and count it, a second later:").next().unwrap().trim();
    let sent = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(answer["status"], "queued", "{answer}");
    let admin = Api::new(server.url(), Some(&shown_key(&shown, "admin")));
    admin.processed().await;
    let reader = Api::new(server.url(), Some(&shown_key(&shown, "read")));
    assert_eq!(reader.get_json("/api/v1/metrics?event_name=hello").await["total_count"], 1);

    assert!(server.stop().success());
    let server = server.restart_as(ServerBuilder::default().with_new_keys());
    let reader = Api::new(server.url(), Some(&shown_key(&shown, "read")));
    assert_eq!(reader.total_count().await, 1, "the key and the event are there after a restart");
    let text =
        wait_for("the hint", async || Some(server.output()).filter(|text| text.contains("/swagger/"))).await;
    assert!(
        !text.contains("gs_live_") && text.contains("gosight keys create"),
        "keys are shown once: {text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_finds_its_port_taken_makes_no_keys() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let builder = ServerBuilder::default().with_new_keys();
    let error = builder.clone().listen(&address).try_start_in(dir.path());
    assert!(error.unwrap_err().contains(&format!("cannot listen on {address}")));
    let server = builder.start_in(dir.path());
    let text =
        wait_for("the keys", async || Some(server.output()).filter(|text| text.contains("/swagger/"))).await;
    let reader = Api::new(server.url(), Some(&shown_key(&text, "read")));
    assert_eq!(reader.total_count().await, 0, "the next start shows keys that work");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_finishes_what_it_has_and_loses_nothing() {
    let mut server = Server::start();
    let api = server.api(INGEST_KEY);
    for session in 0..20 {
        let (_, body) = batch(&format!("s-{session}"), 50);
        assert_eq!(api.post("/v1/events", body.to_string()).await.status, 200);
    }
    assert!(server.stop().success(), "{}", server.output());
    let server = server.restart_as(ServerBuilder::default());
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(server.api(READ_KEY).total_count().await, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    // The first signal waits for a request whose body never comes.
    let mut server = ServerBuilder::default()
        .env("GOSIGHT_HTTP_DRAIN_TIMEOUT", "10min")
        .env("GOSIGHT_HTTP_BODY_TIMEOUT", "10min")
        .start();
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Project-Key: {INGEST_KEY}\r\nContent-Length: 10\r\n\r\n"
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    wait_for("the request to be in flight", async || {
        let metrics = server.api(READ_KEY).get("/health").await;
        metrics.status.is_success().then_some(())
    })
    .await;
    server.signal("TERM");
    wait_for("the first signal", async || {
        server.output().contains("a second signal ends at once").then_some(())
    })
    .await;
    assert!(!server.has_ended());
    server.signal("TERM");
    let status = server.wait();
    assert_eq!(status.code(), Some(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_each_part_and_what_is_missing() {
    let server = Server::start();
    let ready = server.api(READ_KEY).get("/ready").await;
    assert_eq!(ready.status, 200);
    let body = ready.json();
    assert_eq!(body["status"], "degraded", "there is no GeoIP database: {}", ready.text);
    let checks = body["checks"].as_array().unwrap();
    let status = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap()["status"].clone();
    for name in ["log", "store", "event processor", "replay processor"] {
        assert_eq!(status(name), "up", "{name}");
    }
    assert_eq!(status("geoip"), "degraded");
    assert_eq!(server.api(READ_KEY).get("/health").await.json(), json!({"status": "ok"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_there_for_prometheus_and_the_processor_routes_answer() {
    let server = Server::start();
    let (_, body) = batch("s", 30);
    server.api(INGEST_KEY).post("/v1/events", body.to_string()).await;
    server.api(ADMIN_KEY).processed().await;
    let api = server.api(READ_KEY);
    let expected = [
        "events_accepted_total 30",
        "events_processed_total{log=\"gosight.events.raw\"} 30",
        "processing_duration_seconds_count",
        "http_requests_total{route=\"/v1/events\",status=\"200\"} 1",
        "log_lag_records{",
        "# HELP events_accepted_total",
    ];
    let text = wait_for("the numbers", async || {
        let text = api.get("/metrics").await.text;
        expected.iter().all(|name| text.contains(name)).then_some(text)
    })
    .await;
    assert!(!text.contains(INGEST_KEY));
    let operator = server.api(ADMIN_KEY);
    let status = operator.get_json("/processor/status").await;
    assert!(status.to_string().contains("gosight.events.raw"), "{status}");
    let filters = operator.get_json("/processor/filters").await;
    assert!(filters.to_string().contains("rapid_fire"), "{filters}");
    assert!(operator.get("/processor/enrichment").await.status.is_success());
    assert!(operator.get("/metrics/processor").await.status.is_success());
    let windows = api.get_json("/processor/aggregation?aggregator=system_5m&key=system").await;
    let counted: u64 =
        windows["windows"].as_array().unwrap().iter().map(|w| w["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 30, "{windows}");
    assert!(api.get_json("/openapi.json").await["paths"]["/v1/events"].is_object());
    assert!(api.get("/swagger/").await.text.contains("swagger"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_the_server_and_it_goes_on() {
    let server = ServerBuilder::default().env("GOSIGHT_LOGS_FILTER", "trace").without_stderr().start();
    let (_, body) = batch("s", 3);
    assert_eq!(server.api(INGEST_KEY).post("/v1/events", body.to_string()).await.status, 200);
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(server.api(READ_KEY).total_count().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_leave_files_for_the_log() {
    let server = ServerBuilder::default().open_files(600, 600).start();
    assert!(server.output().contains("max_connections=344"), "{}", server.output());
    let address = server.url().trim_start_matches("http://").to_owned();
    let idle: Vec<_> = (0..700).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    let send = async |session: &str| {
        let (_, body) = batch(session, 50);
        let request = server.api(INGEST_KEY).request(reqwest::Method::POST, "/v1/events");
        Api::try_send(request.header("Content-Type", "application/json").body(body.to_string())).await
    };
    // It gets its turn once idle connections are closed for want of a request.
    let answer = send("s-1").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    drop(idle);
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(server.api(READ_KEY).total_count().await, 50);

    let server = ServerBuilder::default().open_files(300, 20_000).start();
    assert!(!server.output().contains("max_connections"), "it takes what it may have: {}", server.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_are_refused_and_times_come_in_three_forms() {
    let server = Server::start();
    let (_, body) = batch("s", 4);
    server.api(INGEST_KEY).post("/v1/events", body.to_string()).await;
    server.api(ADMIN_KEY).processed().await;
    let api = server.api(READ_KEY);
    let now = now_ms();
    let (from, to) = (now - 7_200_000, now + 7_200_000);
    for query in [
        format!("from={}&to={}", from / 1000, to / 1000),
        format!("from={from}&to={to}"),
        "from=2026-01-01T00:00:00Z&to=2126-01-01T00:00:00%2B02:00".to_owned(),
    ] {
        assert_eq!(api.get_json(&format!("/api/v1/metrics?{query}")).await["total_count"], 4, "{query}");
    }
    for (query, code) in [
        ("event=x", "unknown_parameter"),
        ("group_by=color", "invalid_parameter"),
        ("from=yesterday", "invalid_parameter"),
        ("channel=fax", "invalid_parameter"),
        ("limit=many", "invalid_parameter"),
    ] {
        let answer = api.get(&format!("/api/v1/metrics?{query}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (400, code), "{query}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_same_second_keep_the_order_of_their_request() {
    let server = Server::start();
    let second = now_ms() / 1_000;
    let paths = ["/first", "/then", "/and", "/so", "/on", "/last"];
    let events: Vec<_> =
        paths.iter().map(|path| json!({"type": "page_view", "timestamp": second, "path": path})).collect();
    let body = json!({"session_id": "s", "events": events});
    assert_eq!(server.api(INGEST_KEY).post("/v1/events", body.to_string()).await.status, 200);
    server.api(ADMIN_KEY).processed().await;
    let api = server.api(READ_KEY);
    let session = api.get_json("/api/v1/sessions/s").await;
    assert_eq!((&session["entry_path"], &session["exit_path"]), (&json!("/first"), &json!("/last")));
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get_json(&format!("/api/v1/sessions/s/events?limit=2{cursor}")).await;
        found.extend(page["events"].as_array().unwrap().iter().map(|event| event["path"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, paths);
}
