//! What operators do with replays, by command.

use std::process::{Command, Output};

use gosight_e2e::{ADMIN_KEY, INGEST_KEY, READ_KEY, Server, ServerBuilder, gosight, recordings};

fn run(server: &Server, args: &[&str]) -> Output {
    let mut command = Command::new(gosight());
    command.args(args).env("GOSIGHT_SERVER", server.url()).env("GOSIGHT_KEY", ADMIN_KEY);
    command.output().unwrap()
}

fn success(server: &Server, args: &[&str]) -> String {
    let output = run(server, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_are_listed_archived_verified_and_purged() {
    let server = ServerBuilder::default()
        .env("GOSIGHT_EVENTS_MAX_AGE", "100years")
        .env("GOSIGHT_EVENTS_MAX_FUTURE", "100years")
        .start();
    let files = recordings::files();
    let files = files.iter().map(|file| file.to_str().unwrap());
    let send: Vec<&str> = ["send", "--json", "--key", INGEST_KEY].into_iter().chain(files).collect();
    success(&server, &send);
    server.api(ADMIN_KEY).processed().await;
    let sessions = recordings::truth().len();

    let hot = success(&server, &["replay", "list"]);
    assert_eq!(hot.lines().filter(|line| line.ends_with("  hot")).count(), sessions, "{hot}");
    let session = hot.split_whitespace().next().unwrap();
    assert_eq!(success(&server, &["replay", "archive", session]), format!("{session}: archived\n"));
    let listed = success(&server, &["replay", "list"]);
    let line = listed.lines().find(|line| line.starts_with(session)).unwrap();
    assert!(line.contains("  both  ") && line.contains(".gz"), "{line}");
    assert_eq!(success(&server, &["replay", "verify"]), "1 of 1 are whole\n");

    let would = success(&server, &["replay", "purge", "--project"]);
    assert_eq!(would.matches(": would delete ").count(), sessions, "{would}");
    assert!(would.ends_with(&format!("1 objects of {sessions} sessions\n")), "{would}");
    assert_eq!(success(&server, &["replay", "list"]), listed, "nothing was deleted");
    let deleted = success(&server, &["replay", "purge", "--project", "--yes"]);
    assert_eq!(deleted, would.replace("would delete", "deleted"));
    assert_eq!(success(&server, &["replay", "list"]), "");
    let manifest = server.api(READ_KEY).get(&format!("/api/v1/sessions/{session}/replay")).await;
    assert_eq!(manifest.status, 404, "{}", manifest.text);

    let nothing = run(&server, &["replay", "purge"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("--project"), "{nothing:?}");
}
