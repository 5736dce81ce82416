//! A server with recordings, and `gosight replay` asking it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gosight_e2e::{ADMIN_KEY, INGEST_KEY, READ_KEY, Server, ServerBuilder, gosight};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server that takes recordings of any date, and a folder for pages.
pub struct Recorder {
    server: Server,
    dir: TempDir,
}

impl Recorder {
    pub fn start() -> Self {
        let server = ServerBuilder::default()
            .env("GOSIGHT_EVENTS_MAX_AGE", "100years")
            .env("GOSIGHT_EVENTS_MAX_FUTURE", "100years")
            .env("GOSIGHT_STORE_RETENTION_DAYS", "0")
            .start();
        Self { server, dir: tempfile::tempdir().unwrap() }
    }

    /// Sends recordings with `gosight send`, and waits until they can be read.
    pub async fn send(&self, files: &[PathBuf]) {
        let sent = Command::new(gosight()).args(["send", "--server", self.server.url()]).args(files).output();
        let sent = sent.unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        self.server.api(ADMIN_KEY).processed().await;
    }

    /// Sends one chunk of a made-up recording, and waits until it can be read.
    pub async fn record(&self, session: &str, chunk_index: u16, events: &[Value]) {
        let times: Vec<i64> = events.iter().map(|event| event["timestamp"].as_i64().unwrap()).collect();
        let chunk = json!({
            "session_id": session,
            "chunk_index": chunk_index,
            "timestamp_start": times.iter().min(),
            "timestamp_end": times.iter().max(),
            "has_full_snapshot": events.iter().any(|event| event["type"] == 2),
            "events": events,
        });
        let answer = self.server.api(INGEST_KEY).post("/v1/replay", chunk.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.server.api(ADMIN_KEY).processed().await;
    }

    /// Runs `gosight replay`.
    pub fn replay(&self, args: &[&str]) -> Output {
        let mut command = Command::new(gosight());
        command.arg("replay").args(args).current_dir(self.dir.path());
        command.args(["--server", self.server.url()]).env("GOSIGHT_KEY", READ_KEY);
        command.output().unwrap()
    }

    /// What a successful `gosight replay` prints.
    pub fn printed(&self, args: &[&str]) -> String {
        let output = self.replay(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exports a session; gives the page and what was printed.
    pub fn export(&self, session: &str) -> (PathBuf, String) {
        let printed = self.printed(&["export", session, "--output", "page.html"]);
        (self.dir.path().join("page.html"), printed)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A copy of a recording as if one chunk had been lost on its way.
    pub fn lose_chunk(&self, recording: &Path, chunk_index: u16) -> PathBuf {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(recording).unwrap()).read_to_string(&mut text).unwrap();
        let is_it = |line: &&str| {
            let request: Value = serde_json::from_str(line).unwrap();
            request["path"] == "/v1/replay" && request["body"]["chunk_index"] == chunk_index
        };
        assert_eq!(text.lines().filter(is_it).count(), 1);
        let copy = self.dir.path().join("lost.ndjson.gz");
        let mut writer = GzEncoder::new(std::fs::File::create(&copy).unwrap(), Compression::fast());
        for line in text.lines().filter(|line| !is_it(line)) {
            writeln!(writer, "{line}").unwrap();
        }
        writer.finish().unwrap();
        copy
    }
}
