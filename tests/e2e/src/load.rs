//! Traffic whose every event is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Api, INGEST_KEY, ledger_sum};

/// The log of events.
pub const LOG: &str = "gosight.events.raw";

/// What was sent, and what of it was acknowledged.
#[derive(Debug, Default, Clone)]
pub struct Sent {
    /// Events by id, with their session.
    pub acknowledged: BTreeMap<Uuid, String>,
    /// Events that nobody knows about: the answer did not come.
    pub unknown: BTreeMap<Uuid, String>,
}

impl Sent {
    /// Adds what another sender sent.
    pub fn merge(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
        // What was sent again with success is known.
        self.unknown.retain(|id, _| !self.acknowledged.contains_key(id));
    }
}

/// Now, in epoch ms.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("as written");
    i64::try_from(since.as_millis()).expect("as written")
}

/// A batch of `count` events of `session`, and their ids.
pub fn batch(session: &str, count: usize) -> (Vec<Uuid>, Value) {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::from_u128(rand::random())).collect();
    let types = ["page_view", "click", "scroll", "custom"];
    let events: Vec<Value> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            json!({
                "event_id": id,
                "type": types[n % types.len()],
                "timestamp": now_ms(),
                "path": format!("/page/{}", n % 7),
            })
        })
        .collect();
    (ids, json!({"session_id": session, "user_id": format!("user of {session}"), "events": events}))
}

/// Sends batches of `session` until `stop`. A batch without an answer is sent once more with the same ids, half of
/// the time, so that copies of events that did get through come in too.
pub async fn send_until(url: &str, session: &str, stop: &std::sync::atomic::AtomicBool) -> Sent {
    let api = Api::new(url, Some(INGEST_KEY));
    let mut sent = Sent::default();
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let (ids, body) = batch(session, 20);
        let attempts = if rand::random() { 2 } else { 1 };
        let mut acknowledged = false;
        for _ in 0..attempts {
            let request = api.request(Method::POST, "/v1/events").body(body.to_string());
            match Api::try_send(request).await {
                Ok(answer) if answer.status.is_success() => {
                    acknowledged = true;
                    break;
                }
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text),
                Err(_) => {}
            }
        }
        let known = if acknowledged { &mut sent.acknowledged } else { &mut sent.unknown };
        known.extend(ids.into_iter().map(|id| (id, session.to_owned())));
        if !acknowledged {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    sent
}

/// Events of one request of [`Sender`].
const BATCH: usize = 50;
/// How long a sender waits before it sends a batch again.
const PAUSE: Duration = Duration::from_millis(20);

/// Sends events of one session, each batch with the same ids until it is acknowledged: copies of events that did get
/// through come in too, and in the end nothing is unknown.
#[derive(Debug)]
pub struct Sender<U> {
    /// Where the server is now: it may move when it is started again.
    pub url: U,
    /// The session.
    pub session: String,
    /// How many events to send.
    pub events: usize,
    /// How long to wait from one batch to the next.
    pub every: Option<Duration>,
    /// Ends it before all are sent.
    pub stop: Arc<AtomicBool>,
}

impl<U: Fn() -> String> Sender<U> {
    /// Sends them all.
    pub async fn run(self) -> Sent {
        let mut sent = Sent::default();
        let mut left = self.events;
        let mut pace = tokio::time::interval(self.every.unwrap_or(Duration::from_nanos(1)));
        while left > 0 && !self.stop.load(Ordering::Relaxed) {
            if self.every.is_some() {
                pace.tick().await;
            }
            let (ids, body) = batch(&self.session, left.min(BATCH));
            self.send(&body.to_string()).await;
            left -= ids.len();
            sent.acknowledged.extend(ids.into_iter().map(|id| (id, self.session.clone())));
        }
        sent
    }

    async fn send(&self, body: &str) {
        let mut api = Api::new(&(self.url)(), Some(INGEST_KEY));
        loop {
            let request = api.request(Method::POST, "/v1/events").body(body.to_owned());
            match Api::try_send(request).await {
                Ok(answer) if answer.status.is_success() => return,
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text),
                Err(_) => api = Api::new(&(self.url)(), Some(INGEST_KEY)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Checks that the server has every acknowledged event once, every other at most once, and that raw events, rollup,
/// session counters and ledger all say so.
pub async fn reconcile(api: &Api, admin: &Api, sent: &Sent) {
    let ledger = admin.processed().await;
    let sessions: BTreeSet<&String> = sent.acknowledged.values().chain(sent.unknown.values()).collect();
    let mut stored: BTreeMap<Uuid, u32> = BTreeMap::new();
    let mut counted_by_sessions = 0;
    let counters: BTreeMap<String, u64> = api
        .sessions()
        .await
        .iter()
        .map(|s| {
            (
                s["session_id"].as_str().expect("as written").to_owned(),
                s["event_count"].as_u64().expect("as written"),
            )
        })
        .collect();
    for session in sessions {
        let events = api.session_events(session).await;
        assert_eq!(events.len() as u64, counters.get(session).copied().unwrap_or(0), "session {session}");
        counted_by_sessions += events.len() as u64;
        for event in events {
            *stored
                .entry(event["event_id"].as_str().expect("as written").parse().expect("as written"))
                .or_default() += 1;
        }
    }
    let twice: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "counted twice: {twice:?}");
    let lost: Vec<_> = sent.acknowledged.keys().filter(|id| !stored.contains_key(id)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged events are lost", lost.len(), sent.acknowledged.len());
    let unexpected =
        stored.keys().filter(|id| !sent.acknowledged.contains_key(id) && !sent.unknown.contains_key(id));
    assert_eq!(unexpected.count(), 0);
    let raw = stored.len() as u64;
    assert_eq!(raw, counted_by_sessions);
    assert_eq!(api.total_count().await, raw, "the rollup");
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(ledger_sum(&ledger, LOG, "stored"), raw, "the ledger");
}
