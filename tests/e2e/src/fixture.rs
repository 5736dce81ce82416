//! What version 09ea4e6 wrote to every storage, and what has to come out of it: the folder `tests/fixtures/09ea4e6`.

pub mod answers;
pub mod compare;
pub mod model;
pub mod new_chunks;
pub mod new_events;
mod raw_chunk;
mod sent;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use sent::Sent;

use crate::Api;

/// The projects of a fixture, each with the key that its questions are asked with.
pub const PROJECTS: [(&str, &str); 2] = [("default", "admin"), ("shop", "shop")];
/// The project that most of it is of.
pub const DEFAULT: &str = "default";
/// The project with the same ids.
pub const SHOP: &str = "shop";

/// What has to be answered to a key that wants to read: the status, and the code of the error.
const KEYS: [(&str, u16, &str); 6] = [
    ("read", 200, ""),
    ("default", 403, "insufficient_scope"),
    ("expires", 403, "insufficient_scope"),
    ("expired", 401, "expired_key"),
    ("revoked", 401, "revoked_key"),
    ("unknown", 401, "invalid_key"),
];

/// What runs gosight: there is a fixture of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `gosight serve`.
    Embedded,
    /// The processes on servers.
    Distributed,
}

impl Mode {
    /// The name in files and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        }
    }
}

/// Keys and times of a fixture.
#[derive(Debug, Clone, Deserialize)]
pub struct Facts {
    /// The times of its events are near this one, in epoch ms.
    pub base_ms: i64,
    /// When it was made, in epoch ms.
    pub made_at: i64,
    keys: BTreeMap<String, String>,
    /// Rows of unfinished batches of events, by partition, and how many chunks are such rows.
    #[serde(default)]
    pub unfinished: BTreeMap<String, Value>,
}

/// What the version answers once it has processed everything.
#[derive(Debug, Deserialize)]
pub struct Expected {
    /// By project and path.
    pub answers: BTreeMap<String, BTreeMap<String, Value>>,
    /// What commands print.
    pub commands: BTreeMap<String, String>,
}

/// The fixture of one mode.
#[derive(Debug)]
pub struct Fixture {
    mode: Mode,
    /// Keys and times.
    pub facts: Facts,
}

impl Fixture {
    /// Opens it, and checks that its files are whole.
    pub fn open(mode: Mode) -> Self {
        check_sums();
        let facts = fs::read_to_string(path(&format!("facts-{}.json", mode.as_str()))).expect("facts");
        Self { mode, facts: serde_json::from_str(&facts).expect("JSON") }
    }

    /// The key with this name.
    pub fn key(&self, name: &str) -> &str {
        &self.facts.keys[name]
    }

    /// Checks what a server says to each kind of key that asks it something.
    ///
    /// # Panics
    /// When it lets in one that may not, or does not let in one that may.
    pub async fn check_keys(&self, api: &Api) {
        for (name, status, code) in KEYS {
            let answer = api.with_key(self.key(name)).get("/api/v1/sessions?limit=1").await;
            assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{name}");
        }
    }

    /// The project that `key` is of.
    fn project_of(&self, key: &str) -> &'static str {
        if key == self.key(SHOP) { SHOP } else { DEFAULT }
    }

    /// What the version answers.
    pub fn expected(&self) -> Expected {
        let text = read_gz(&format!("expected-{}.json.gz", self.mode.as_str()));
        serde_json::from_slice(&text).expect("JSON")
    }

    /// All requests that were sent.
    pub fn sent(&self) -> Vec<Sent> {
        let lines: Vec<sent::Line> = lines("sent.ndjson.gz");
        let of_mode = lines.into_iter().filter(|line| line.mode == self.mode.as_str());
        of_mode.map(|line| line.read(self)).collect()
    }

    /// Unpacks the data directory into `dir`; gives its path.
    pub fn unpack(&self, dir: &Path) -> PathBuf {
        let mut tar = std::process::Command::new("tar");
        tar.arg("--extract").arg("--gzip").arg("--file").arg(path("embedded.tar.gz"));
        let status = tar.arg("--directory").arg(dir).status().expect("tar runs");
        assert!(status.success(), "the data directory cannot be unpacked");
        dir.join("data")
    }
}

/// A file of the fixture.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/09ea4e6").join(name)
}

/// The content of a compressed file.
pub fn read_gz(name: &str) -> Vec<u8> {
    let file = File::open(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut content = Vec::new();
    MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut content).expect("gzip");
    content
}

/// The lines of a compressed file with one JSON object a line.
pub fn lines<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let content = read_gz(name);
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

fn check_sums() {
    let sums = fs::read_to_string(path("SHA256SUMS")).expect("SHA256SUMS");
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").expect("a sum and a name");
        let content = fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(sha256(&content), sum, "{name} is not what was written");
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
