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
        .env("GOSIGHT_ARCHIVE_GRACE", "0s")
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

    // One that is damaged, and one that is gone, are named, and the others are looked at all the same.
    let others: Vec<&str> = hot.lines().skip(1).take(2).map(|line| line.split(' ').next().unwrap()).collect();
    success(&server, &[&["replay", "archive"], &others[..]].concat());
    let objects = success(&server, &["replay", "list"]);
    let object = |session: &str| {
        let line = objects.lines().find(|line| line.starts_with(session)).unwrap();
        let path = line.split(' ').next_back().unwrap();
        std::fs::canonicalize(server.dir().join("archive").join("objects").join(path)).unwrap()
    };
    let (damaged, gone) = (object(others[0]), object(others[1]));
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    std::fs::remove_file(&gone).unwrap();
    let verified = run(&server, &["replay", "verify"]);
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(!verified.status.success() && said.ends_with("1 of 3 are whole\n"), "{said}");
    assert!(said.contains(&format!("{}: damaged it has the SHA-256", others[0])), "{said}");
    assert!(said.contains(&format!("{}: damaged it is not there", others[1])), "{said}");
    // All of it is in the hot store still, from where the archive is mended.
    success(&server, &[&["replay", "archive"], &others[..]].concat());
    assert_eq!(success(&server, &["replay", "verify"]), "3 of 3 are whole\n");
    let listed = success(&server, &["replay", "list"]);

    let would = success(&server, &["replay", "purge", "--project"]);
    assert_eq!(would.matches(": would delete ").count(), sessions, "{would}");
    assert!(would.ends_with(&format!("objects of {sessions} sessions\n")), "{would}");
    assert_eq!(success(&server, &["replay", "list"]), listed, "nothing was deleted");
    let deleted = success(&server, &["replay", "purge", "--project", "--yes"]);
    assert_eq!(deleted, would.replace("would delete", "deleted"));
    assert_eq!(success(&server, &["replay", "list"]), "");
    let manifest = server.api(READ_KEY).get(&format!("/api/v1/sessions/{session}/replay")).await;
    assert_eq!(manifest.status, 404, "{}", manifest.text);

    let nothing = run(&server, &["replay", "purge"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("--project"), "{nothing:?}");
}
