//! Replays whose every event is known, sent to servers that are killed meanwhile.

mod check;
mod chunk;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{ADMIN_KEY, Api, INGEST_KEY, PATIENCE, READ_KEY};
use chunk::Chunk;

pub use check::Counts;
pub use work::Work;

/// The log of replay chunks.
pub const REPLAY_LOG: &str = "gosight.replay.chunks";
/// Sessions that are sent at a time.
const SESSIONS: usize = 6;
/// How long to wait before a server is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// The answer did not come: the server is gone.
#[derive(Debug)]
pub struct Cut;

/// Where chunks go, and where replays are read and operated.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by their APIs")]
pub struct Apis {
    pub ingest: Api,
    pub read: Api,
    pub admin: Api,
}

impl Apis {
    /// Those of a server at `url` that does it all.
    pub fn at(url: &str) -> Self {
        let ingest = Api::new(url, Some(INGEST_KEY));
        Self { read: ingest.with_key(READ_KEY), admin: ingest.with_key(ADMIN_KEY), ingest }
    }
}

/// The chunks of one session, by index.
type Session = BTreeMap<u16, Chunk>;

/// What was sent, and what of it was acknowledged. Says its seed when the test fails.
#[derive(Debug)]
pub struct Replays {
    seed: u64,
    /// What is drawn from the seed.
    pub rng: StdRng,
    sessions: BTreeMap<String, Session>,
    /// The sessions that are sent now.
    current: Vec<String>,
    /// Chunks that were there when the session's purge began. Nothing is sent until it is done.
    being_purged: BTreeMap<String, u64>,
    /// Chunks that were stored and purged.
    purged: u64,
}

impl Drop for Replays {
    #[expect(clippy::print_stderr, reason = "it is for whoever reads why a test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("drawn again by GOSIGHT_TEST_SEED={}", self.seed);
        }
    }
}

/// Requests on their way.
#[derive(Debug)]
pub struct Burst {
    asking: JoinSet<Answered>,
    is_cut: bool,
}

/// What came of a request.
#[derive(Debug)]
enum Answered {
    /// The chunk was acknowledged, or not.
    Chunk(String, u16, bool),
    Archived,
    Cut,
}

impl Burst {
    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.asking.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.asking.is_empty()
    }
}

impl Replays {
    /// None yet; drawn from `GOSIGHT_TEST_SEED`, or from any seed.
    pub fn seeded() -> Self {
        let chosen = std::env::var("GOSIGHT_TEST_SEED").ok();
        let seed =
            chosen.map_or_else(rand::random, |seed| seed.parse().expect("a number as GOSIGHT_TEST_SEED"));
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            sessions: BTreeMap::new(),
            current: Vec::new(),
            being_purged: BTreeMap::new(),
            purged: 0,
        }
    }

    /// Begins with other sessions, called after `name`.
    pub fn next_sessions(&mut self, name: &str) {
        self.current = (0..SESSIONS).map(|n| format!("{name}-{n}")).collect();
        for session in &self.current {
            self.sessions.entry(session.clone()).or_default();
        }
    }

    /// Sends, all at once, what was not acknowledged, a few new chunks, and some of them again.
    pub fn start_burst(&mut self, apis: &Apis) -> Burst {
        let mut chosen: Vec<(String, u16)> = self.unacknowledged();
        for _ in 0..self.rng.random_range(1..6) {
            let session = &self.current[self.rng.random_range(0..SESSIONS)];
            if self.being_purged.contains_key(session) {
                continue;
            }
            let chunks = self.sessions.get_mut(session).expect("a session");
            // Sometimes later than the next: what is between comes late, or never.
            let next = u16::try_from(chunks.len()).expect("few chunks") + self.rng.random_range(0..3);
            let is_free = !chunks.contains_key(&next);
            if is_free {
                chunks.insert(next, Chunk::draw(&mut self.rng, session, next));
            }
            chosen.push((session.clone(), next));
        }
        let mut asking = JoinSet::new();
        for (session, index) in chosen {
            let body = self.sessions[&session][&index].body.clone();
            let request = apis.ingest.request(Method::POST, "/v1/replay").body(body);
            asking.spawn(async move {
                match ask(request, &[StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE]).await {
                    Ok((status, _)) => Answered::Chunk(session, index, status == StatusCode::OK),
                    Err(Cut) => Answered::Cut,
                }
            });
        }
        Burst { asking, is_cut: false }
    }

    /// Has the current sessions archived at the same time.
    pub fn start_archiving(&self, apis: &Apis, burst: &mut Burst) {
        for session in self.current.clone() {
            let apis = apis.clone();
            burst.asking.spawn(async move {
                match archive(&apis, &session).await {
                    Ok(_) => Answered::Archived,
                    Err(Cut) => Answered::Cut,
                }
            });
        }
    }

    fn unacknowledged(&self) -> Vec<(String, u16)> {
        let mut found = Vec::new();
        for (session, chunks) in
            self.sessions.iter().filter(|(name, _)| !self.being_purged.contains_key(*name))
        {
            let open = chunks.iter().filter(|(_, chunk)| !chunk.is_acknowledged);
            found.extend(open.map(|(index, _)| (session.clone(), *index)));
        }
        found
    }

    /// Notes the next answer to `burst`; `false` after the last.
    pub async fn note_answer(&mut self, burst: &mut Burst) -> bool {
        let Some(answered) = burst.asking.join_next().await else { return false };
        match answered.expect("asked") {
            Answered::Chunk(session, index, is_acknowledged) => {
                let chunk = self.sessions.get_mut(&session).and_then(|chunks| chunks.get_mut(&index));
                chunk.expect("a chunk that was sent").is_acknowledged |= is_acknowledged;
            }
            Answered::Archived => {}
            Answered::Cut => burst.is_cut = true,
        }
        true
    }

    /// Sends a burst, and waits for its answers.
    ///
    /// # Errors
    /// [`Cut`].
    pub async fn burst(&mut self, apis: &Apis) -> Result<(), Cut> {
        let mut burst = self.start_burst(apis);
        while self.note_answer(&mut burst).await {}
        if burst.is_cut { Err(Cut) } else { Ok(()) }
    }

    /// Waits until everything that was logged is processed, and gives the ledger.
    ///
    /// # Errors
    /// [`Cut`].
    pub async fn processed(apis: &Apis) -> Result<Value, Cut> {
        let wait = async {
            loop {
                let (status, ledger) = get(&apis.admin, "/api/v1/ledger?from=0").await?;
                let logs = ledger["logs"].as_array().filter(|_| status == StatusCode::OK);
                if logs.is_some_and(|logs| logs.iter().all(|log| log["in_flight"] == 0)) {
                    return Ok(ledger);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("everything is processed in time")
    }

    /// Archives the current sessions, or cleans up after that, whichever is next for each.
    ///
    /// # Errors
    /// [`Cut`].
    pub async fn archive(&self, apis: &Apis) -> Result<(), Cut> {
        for session in &self.current {
            archive(apis, session).await?;
        }
        Ok(())
    }

    /// Purges one of the current sessions, or goes on with purges that were cut. What is purged is as if it were not
    /// sent, and is sent again.
    ///
    /// # Errors
    /// [`Cut`].
    pub async fn purge(&mut self, apis: &Apis) -> Result<(), Cut> {
        let session = self.current[self.rng.random_range(0..SESSIONS)].clone();
        let begun: Vec<String> = self.being_purged.keys().cloned().chain([session]).collect();
        for session in begun {
            self.purge_session(apis, &session).await?;
        }
        Ok(())
    }

    async fn purge_session(&mut self, apis: &Apis, session: &str) -> Result<(), Cut> {
        if !self.being_purged.contains_key(session) {
            let chunks = self.check_session(apis, session).await?;
            self.being_purged.insert(session.to_owned(), chunks);
        }
        let path = format!("/api/v1/sessions/{session}/replay");
        // It may still be leased by a server that was killed.
        let allowed = [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE];
        let (status, _) = ask(apis.admin.request(Method::DELETE, &path), &allowed).await?;
        if status != StatusCode::OK {
            return Ok(());
        }
        self.purged += self.being_purged.remove(session).unwrap_or_default();
        for chunk in self.sessions.get_mut(session).expect("a session").values_mut() {
            chunk.is_acknowledged = false;
        }
        let (status, _) = ask(apis.read.request(Method::GET, &path), &[StatusCode::NOT_FOUND]).await?;
        assert_eq!(status, StatusCode::NOT_FOUND, "{session} was purged");
        Ok(())
    }
}

/// Asks; any other status than the `allowed` ones fails the test.
async fn ask(request: reqwest::RequestBuilder, allowed: &[StatusCode]) -> Result<(StatusCode, String), Cut> {
    let answer = Api::try_send(request).await.map_err(|_| Cut)?;
    assert!(allowed.contains(&answer.status), "{} {}", answer.status, answer.text);
    Ok((answer.status, answer.text))
}

async fn get(api: &Api, path: &str) -> Result<(StatusCode, Value), Cut> {
    let allowed = [StatusCode::OK, StatusCode::NOT_FOUND];
    let (status, text) = ask(api.request(Method::GET, path), &allowed).await?;
    Ok((status, serde_json::from_str(&text).expect("JSON")))
}

/// Does the next step of archiving `session`, and says what it did.
async fn archive(apis: &Apis, session: &str) -> Result<String, Cut> {
    let path = format!("/api/v1/sessions/{session}/replay/archive");
    let (_, text) = ask(apis.admin.request(Method::POST, &path), &[StatusCode::OK]).await?;
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_ne!(answer, json!({"outcome": "quarantined"}), "{session}");
    Ok(answer["outcome"].as_str().expect("an outcome").to_owned())
}
