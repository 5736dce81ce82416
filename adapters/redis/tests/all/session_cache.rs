//! What is special to the session cache on Redis.

use deadpool_redis::redis::cmd;
use gosight_application::ports::{LogPosition, SessionCache};
use gosight_conformance::factory::{LOG, click, event, fold, project, session_id, shared};
use gosight_domain::Session;
use gosight_domain::session::SessionKey;
use gosight_redis::{Redis, RedisConfig, RedisSessionCache};

use crate::harness::{Server, raw, shared_config, span};

fn at(offset: u64) -> LogPosition {
    LogPosition { log: shared(LOG), partition: 0, offset }
}

fn wanted() -> [SessionKey; 1] {
    [SessionKey { project_id: project("p"), session_id: session_id("s") }]
}

fn session() -> Session {
    fold(&[event(1, "page_view", 0), click(2, 100)])
}

fn cache(config: &RedisConfig) -> RedisSessionCache {
    RedisSessionCache::new(Redis::new(config).unwrap())
}

async fn loaded(cache: &RedisSessionCache, offset: u64) -> Option<Session> {
    cache.load(&at(offset), &wanted()).await.unwrap().remove(0)
}

/// The keys of a partition, as operators find them in the server.
const MARKER: &str = "sessions:{0/gosight.events.raw}";
const SESSION: &str = "session:{0/gosight.events.raw}:p/s";

#[tokio::test]
async fn a_session_stored_by_the_first_version_is_read() {
    let config = shared_config();
    let golden = include_bytes!("../golden/session.v1.bin");
    let mut raw = raw(&config).await;
    let mut value = b"generation-of-16".to_vec();
    value.extend_from_slice(golden);
    let set = async |raw: &mut _, key: &str, value: &[u8]| {
        cmd("SET").arg(format!("{}{key}", config.prefix)).arg(value).exec_async(raw).await.unwrap();
    };
    set(&mut raw, MARKER, b"generation-of-16@10").await;
    set(&mut raw, SESSION, &value).await;
    assert_eq!(loaded(&cache(&config), 10).await, Some(session()));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_known() {
    let config = shared_config();
    let cache = cache(&config);
    cache.save(&span(0, 10), &[&session()]).await.unwrap();
    let key = format!("{}{SESSION}", config.prefix);
    let mut raw = raw(&config).await;
    let value: Vec<u8> = cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
    for (bad, why) in [
        (&value[..value.len() - 1], "cut off"),
        (&value[..16], "a generation only"),
        (&value[..7], "less than a generation"),
        (b"".as_slice(), "empty"),
        (&[&value[..16], b"\xc1nonsense"].concat(), "nonsense"),
        (&[b"generation-of-16", &value[16..]].concat(), "another generation"),
    ] {
        cmd("SET").arg(&key).arg(bad).exec_async(&mut raw).await.unwrap();
        assert_eq!(loaded(&cache, 10).await, None, "{why}");
    }
    cmd("SET").arg(&key).arg(&value).exec_async(&mut raw).await.unwrap();
    assert_eq!(loaded(&cache, 10).await, Some(session()));
}

#[tokio::test]
async fn idle_sessions_leave_and_the_marker_stays_longer() {
    let config = shared_config();
    cache(&config).save(&span(0, 10), &[&session()]).await.unwrap();
    let mut raw = raw(&config).await;
    let life = async |raw: &mut _, key: &str| -> u64 {
        cmd("PTTL").arg(format!("{}{key}", config.prefix)).query_async(raw).await.unwrap()
    };
    let ttl = u64::try_from(config.session_ttl.as_millis()).unwrap();
    let session = life(&mut raw, SESSION).await;
    assert!(session <= ttl && session > ttl / 2, "{session}");
    assert!(life(&mut raw, MARKER).await > ttl);
}

#[tokio::test]
async fn a_flush_makes_everything_unknown_and_nothing_wrong() {
    let server = Server::forgetful();
    let cache = RedisSessionCache::new(server.redis());
    let other = fold(&[gosight_domain::Event { project_id: project("q"), ..event(1, "click", 5) }]);
    cache.save(&span(0, 10), &[&session(), &other]).await.unwrap();
    server.command("FLUSHALL").await;
    assert_eq!(loaded(&cache, 10).await, None);
    cache.save(&span(10, 20), &[&session()]).await.unwrap();
    server.command("SCRIPT FLUSH").await;
    let both = ["q", "p"].map(|name| SessionKey { project_id: project(name), session_id: session_id("s") });
    assert_eq!(cache.load(&at(20), &both).await.unwrap(), [None, Some(session())]);
}

#[tokio::test]
async fn evicted_sessions_are_not_known_and_the_others_are() {
    let config = shared_config();
    let cache = cache(&config);
    let other = fold(&[gosight_domain::Event { project_id: project("q"), ..event(1, "click", 5) }]);
    cache.save(&span(0, 10), &[&session(), &other]).await.unwrap();
    let key = format!("{}{SESSION}", config.prefix);
    cmd("DEL").arg(key).exec_async(&mut raw(&config).await).await.unwrap();
    let both = ["q", "p"].map(|name| SessionKey { project_id: project(name), session_id: session_id("s") });
    assert_eq!(cache.load(&at(10), &both).await.unwrap(), [Some(other), None]);
}
