//! The recorded browser sessions, and what their visitors really did.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

/// The folder with the recordings: all of them where they stand beside the project, else the ones in the project.
pub fn folder() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let beside = project.join("../shared/data/browser-sessions");
    if beside.join("truth.json").exists() { beside } else { project.join("tests/data/browser-sessions") }
}

/// What is known of each session.
pub fn truth() -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join("truth.json")).expect("truth.json");
    let truth: Value = serde_json::from_str(&text).expect("JSON");
    truth["sessions"].as_array().expect("sessions").clone()
}

/// The files of all sessions.
pub fn files() -> Vec<PathBuf> {
    truth().iter().map(|session| folder().join(session["file"].as_str().expect("a file"))).collect()
}

/// The requests of all sessions.
pub fn requests() -> impl Iterator<Item = Value> {
    files().into_iter().flat_map(|file| {
        let recording = std::fs::File::open(file).expect("a recording");
        let lines: Vec<_> = BufReader::new(GzDecoder::new(recording)).lines().collect();
        lines.into_iter().map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
    })
}
