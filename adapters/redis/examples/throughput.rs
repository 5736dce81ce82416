//! How many claims, loads and saves a second one client gets done, in batches of 5,000 as a processor makes them.
//!
//! ```sh
//! cargo run --release --example throughput -p gosight-redis -- redis://127.0.0.1:16379
//! ```

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gosight_application::ports::{
    Claim, Clock, Deduplicator, LogPosition, SessionCache, StoredEvents, StoredEventsError, SystemClock,
};
use gosight_conformance::factory::{LOG, click, event, fold, project, session_id, shared, span};
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, EventId, Session};
use gosight_redis::{Redis, RedisConfig, RedisDeduplicator, RedisSessionCache};
use uuid::Uuid;

const BATCH: u64 = 5_000;
const BATCHES: u64 = 60;
/// Events of a session when it is saved.
const EVENTS: u32 = 10;

#[derive(Debug)]
struct NothingStored;

#[async_trait]
impl StoredEvents for NothingStored {
    async fn positions(&self, claims: &[Claim]) -> Result<Vec<Option<LogPosition>>, StoredEventsError> {
        Ok(vec![None; claims.len()])
    }
}

type BoxError = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:16379".to_owned());
    let config = RedisConfig {
        url: url.into(),
        prefix: format!("throughput-{}:", Uuid::new_v4()),
        // Nothing is left behind for long.
        session_ttl: Duration::from_mins(2),
        dedup_window: Duration::from_hours(2),
        ..RedisConfig::default()
    };
    let redis = Redis::new(&config)?;
    claims(&redis).await?;
    sessions(&redis).await
}

async fn claims(redis: &Redis) -> Result<(), BoxError> {
    let deduplicator = RedisDeduplicator::new(redis.clone(), Arc::new(NothingStored));
    let batch = |number: u64| -> Vec<Claim> {
        let offsets = number * BATCH..(number + 1) * BATCH;
        offsets
            .map(|offset| Claim {
                project_id: project("p"),
                event_id: EventId::from_uuid(Uuid::new_v4()),
                session_id: None,
                timestamp: SystemClock.now(),
                position: LogPosition { log: shared(LOG), partition: 0, offset },
            })
            .collect()
    };
    let batches: Vec<Vec<Claim>> = (0..BATCHES).map(batch).collect();
    for what in ["new events", "redelivered events"] {
        let mut times = Vec::new();
        for batch in &batches {
            let start = Instant::now();
            deduplicator.claim(batch).await?;
            times.push(start.elapsed());
        }
        report(&format!("claims of {what}"), times)?;
    }
    Ok(())
}

async fn sessions(redis: &Redis) -> Result<(), BoxError> {
    let cache = RedisSessionCache::new(redis.clone());
    let sessions: Vec<Session> = (0..BATCH).map(session).collect();
    let names: Vec<SessionKey> = sessions.iter().map(Session::key).collect();
    let folds: Vec<&Session> = sessions.iter().collect();
    let (mut saves, mut loads) = (Vec::new(), Vec::new());
    for number in 0..BATCHES {
        let span = span(number * BATCH, BATCH);
        let start = Instant::now();
        cache.save(&span, &folds).await?;
        saves.push(start.elapsed());
        let at = LogPosition { log: shared(LOG), partition: 0, offset: span.next() };
        let start = Instant::now();
        let loaded = cache.load(&at, &names).await?;
        loads.push(start.elapsed());
        if loaded.iter().any(Option::is_none) {
            return Err("a session is missing".into());
        }
    }
    let both = saves.iter().zip(&loads).map(|(save, load)| *save + *load).collect();
    report("saves of sessions", saves)?;
    report("loads of sessions", loads)?;
    report("saves and loads", both)
}

fn session(n: u64) -> Session {
    let named = |event: Event| Event { session_id: Some(session_id(&format!("session-{n}"))), ..event };
    let clicks = (1..EVENTS).map(|n| named(click(n.into(), i64::from(n) * 900)));
    let events: Vec<Event> = std::iter::once(named(event(0, "page_view", 0))).chain(clicks).collect();
    fold(&events)
}

fn report(what: &str, mut times: Vec<Duration>) -> Result<(), BoxError> {
    times.sort();
    let total: Duration = times.iter().sum();
    let items = u32::try_from(BATCH * BATCHES)?;
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let per_second = f64::from(items) / total.as_secs_f64();
    writeln!(
        std::io::stdout(),
        "{what:<28} {per_second:>9.0}/s   a batch of {BATCH}: median {median:.1?}, slowest {slowest:.1?}"
    )?;
    Ok(())
}
