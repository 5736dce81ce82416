//! Whether the store has what was acknowledged: each event once, and nothing else.

use std::collections::BTreeMap;

use gosight_distributed_tests::{Process, Set};
use gosight_e2e::ledger_sum;
use gosight_e2e::load::{LOG, Sent};
use uuid::Uuid;

/// Waits until everything is processed. Then the raw rows, the hourly counts, the counters of sessions, the window
/// aggregates and the ledger must all say what was acknowledged. What nobody knows about may be there, once.
pub async fn assert_exact(set: &Set, api: &Process, sent: &Sent) {
    let ledger = Set::admin(api).processed().await;
    let stored = raw_rows(set).await;
    assert_eq!(missing(&stored, &sent.acknowledged), 0, "of {} events are lost", sent.acknowledged.len());
    let mut known = sent.acknowledged.clone();
    known.extend(sent.unknown.clone());
    assert_eq!(missing(&known, &stored), 0, "of {} rows are of other events", stored.len());
    let total = stored.len() as u64;
    let reader = Set::reader(api);
    assert_eq!(reader.total_count().await, total, "the hourly counts");
    let counted = set.ask_store("SELECT sum(total_count) FROM events_hourly").await;
    assert_eq!(counted, total.to_string(), "the hourly counts, asked by hand");
    assert_eq!(
        session_counters(&reader.sessions().await),
        sizes_of_sessions(&stored),
        "the counters of sessions"
    );
    let windows = reader.get_json("/processor/aggregation?aggregator=system_5m&key=system").await;
    let windows = windows["windows"].as_array().unwrap().iter();
    assert_eq!(windows.filter_map(|window| window["count"].as_u64()).sum::<u64>(), total, "the windows");
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(ledger_sum(&ledger, LOG, "stored"), total, "the ledger");
}

/// The rows as they lie there: no `FINAL`, nothing grouped. None is there twice.
async fn raw_rows(set: &Set) -> BTreeMap<Uuid, String> {
    let rows = set.ask_store("SELECT event_id, session_id FROM events").await;
    let mut stored = BTreeMap::new();
    let mut twice = Vec::new();
    for row in rows.lines() {
        let (id, session) = row.split_once('\t').unwrap();
        let id = id.parse().unwrap();
        if stored.insert(id, session.to_owned()).is_some() {
            twice.push(id);
        }
    }
    assert!(twice.is_empty(), "{} events are there twice: {:?}", twice.len(), twice.first());
    stored
}

/// How many of `wanted` are not in `there`, or in another session.
fn missing(there: &BTreeMap<Uuid, String>, wanted: &BTreeMap<Uuid, String>) -> usize {
    wanted.iter().filter(|(id, session)| there.get(id) != Some(session)).count()
}

fn session_counters(sessions: &[serde_json::Value]) -> BTreeMap<&str, u64> {
    sessions
        .iter()
        .map(|session| (session["session_id"].as_str().unwrap(), session["event_count"].as_u64().unwrap()))
        .collect()
}

fn sizes_of_sessions(stored: &BTreeMap<Uuid, String>) -> BTreeMap<&str, u64> {
    let mut sizes = BTreeMap::new();
    for session in stored.values() {
        *sizes.entry(session.as_str()).or_default() += 1;
    }
    sizes
}
