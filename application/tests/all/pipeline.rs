//! A pipeline of which parts were replaced: each part that is given is the one that is used.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gosight_application::access::AccessError;
use gosight_application::ingest::{ClientFacts, IngestError};
use gosight_application::pipeline::{
    BuildError, Combination, Pipeline, PipelinePorts, Reach, ReplaceParts, StorePorts,
};
use gosight_application::ports::{
    EventSink, IdleQuery, KeyError, KeyValidator, PortError, ProfileKind, ProfileStore, SessionFlagFilter,
    SessionQuery, SinkError,
};
use gosight_application::sessions::SessionRules;
use gosight_application::{LogSink, logs};
use gosight_conformance::factory::{NOON, project, replay_session, session_id};
use gosight_conformance::key_store::{key, presented};
use gosight_domain::Event;
use gosight_domain::key::{Grant, KeyRefusal, PresentedKey, Scoped};
use gosight_domain::replay::ReplayDraft;
use gosight_domain::validate::EventDraft;
use gosight_memory::{ManualClock, MemoryParts, MemoryReplayArchive, MemoryStore};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::support::{Numbers, epoch, may_send, unavailable};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOON))
}

fn draft<'a>(id: &'a str, event_type: &'a str) -> EventDraft<'a> {
    EventDraft {
        event_id: Some(id.into()),
        event_type: Some(event_type.into()),
        timestamp: Some(epoch(-1_000)),
        session_id: Some("s".into()),
        ..EventDraft::default()
    }
}

async fn send(pipeline: &Pipeline, drafts: &[EventDraft<'_>]) -> Result<usize, IngestError> {
    let drafts: Vec<_> = drafts.iter().cloned().map(Ok).collect();
    let ingest = pipeline.ingest.as_ref().unwrap();
    Ok(ingest.events(&may_send(), &ClientFacts::default(), &drafts).await?.accepted())
}

async fn send_chunk(pipeline: &Pipeline) {
    let events = RawValue::from_string(format!(r#"[{{"type":4,"timestamp":{}}}]"#, NOON.as_millis()));
    let events = events.unwrap();
    let chunk = ReplayDraft {
        session_id: Some("s".into()),
        chunk_index: Some(0.0),
        timestamp_start: Some(epoch(0)),
        timestamp_end: Some(epoch(0)),
        events: Some(&events),
        ..ReplayDraft::default()
    };
    pipeline.ingest.as_ref().unwrap().replay(&may_send(), Ok(chunk)).await.unwrap();
}

/// How many events session `s` has, and whether it has a replay.
async fn session(pipeline: &Pipeline) -> Option<(u64, bool)> {
    let scope = Scoped::vouched(project("p"));
    let found = pipeline.query.as_ref().unwrap().session(&scope, &session_id("s")).await.unwrap();
    found.map(|detail| (detail.summary.event_count, detail.summary.has_replay))
}

#[tokio::test]
async fn sessions_of_one_s_own_are_where_sessions_are_kept_and_read() {
    let (parts, own) = (MemoryParts::default(), Arc::new(MemoryStore::default()));
    let pipeline =
        Pipeline::builder(parts.ports()).with_clock(clock()).with_sessions(own.clone()).build().unwrap();
    let running = pipeline.start();
    send(&pipeline, &[draft("a", "page_view"), draft("b", "click")]).await.unwrap();
    send(&pipeline, &[draft("b", "click"), draft("c", "click")]).await.unwrap();
    send_chunk(&pipeline).await;
    pipeline.drained().await;
    assert_eq!(session(&pipeline).await, Some((3, true)));
    let count = async |store: &Arc<MemoryStore>| {
        let ports = StorePorts::of(store, store.deduplicator(), None);
        let (rules, query) = (SessionRules::default(), SessionQuery { limit: 10, ..SessionQuery::default() });
        ports.sessions.list(&rules, &project("p"), &query).await.unwrap().len()
    };
    assert_eq!((count(&own).await, count(&parts.store).await), (1, 0));
    assert_eq!((own.events().len(), parts.store.events().len()), (0, 3));
    // Lists say which sessions have a replay, although it is in the other store.
    let (query, scope) = (pipeline.query.as_ref().unwrap(), Scoped::vouched(project("p")));
    let idle = IdleQuery { before: NOON, after: None, limit: 10 };
    assert!(query.idle_sessions(&scope, idle).await.unwrap()[0].has_replay);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn replays_of_one_s_own_are_where_chunks_are_kept_read_and_archived_from() {
    let (parts, own) = (MemoryParts::default(), Arc::new(MemoryStore::default()));
    let archive = Arc::new(MemoryReplayArchive::default());
    let pipeline = Pipeline::builder(parts.ports())
        .with_clock(clock())
        .with_replays(own.clone())
        .with_archive(archive.clone())
        .build()
        .unwrap();
    let running = pipeline.start();
    send(&pipeline, &[draft("a", "page_view")]).await.unwrap();
    send_chunk(&pipeline).await;
    pipeline.drained().await;
    assert_eq!(session(&pipeline).await, Some((1, true)));
    let replays = async |store: &Arc<MemoryStore>| {
        let ports = StorePorts::of(store, store.deduplicator(), None);
        ports.replays.headers(&replay_session("p", "s")).await.unwrap().len()
    };
    assert_eq!((replays(&own).await, replays(&parts.store).await), (1, 0));
    pipeline.archiver.as_ref().unwrap().archive(&replay_session("p", "s")).await.unwrap();
    let objects = gosight_application::ports::ReplayArchive::list(&*archive, "", None, 10).await.unwrap();
    assert!(!objects.is_empty());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_page_of_sessions_with_a_replay_is_short_at_the_end_only() {
    let (parts, own) = (MemoryParts::default(), Arc::new(MemoryStore::default()));
    let pipeline = Pipeline::builder(parts.ports()).with_clock(clock()).with_sessions(own).build().unwrap();
    let running = pipeline.start();
    send_chunk(&pipeline).await;
    // The recorded session is the first of all, and lists begin with the last.
    send(&pipeline, &[EventDraft { timestamp: Some(epoch(-2_000)), ..draft("first", "click") }])
        .await
        .unwrap();
    for part in 0..11 {
        let names: Vec<String> = (0..1_000).map(|n| format!("s-{part}-{n}")).collect();
        let named = |name: &'_ String| EventDraft {
            event_id: Some(name.clone().into()),
            session_id: Some(name.clone().into()),
            ..draft("", "click")
        };
        send(&pipeline, &names.iter().map(named).collect::<Vec<_>>()).await.unwrap();
    }
    pipeline.drained().await;
    let flags = SessionFlagFilter { has_replay: Some(true), ..SessionFlagFilter::default() };
    let query = SessionQuery { limit: 10, flags, ..SessionQuery::default() };
    let scope = Scoped::vouched(project("p"));
    let found = pipeline.query.as_ref().unwrap().sessions(&scope, query).await.unwrap();
    assert_eq!(found.iter().map(|found| found.session_id.as_str()).collect::<Vec<_>>(), ["s"]);
    running.stop().await.unwrap();
}

/// Lets one key in, and nobody else.
#[derive(Debug)]
struct OneKey;

#[async_trait]
impl KeyValidator for OneKey {
    async fn validate(&self, presented: &PresentedKey) -> Result<Grant, KeyError> {
        let is_mine = presented.hash() == key(7).hash;
        let grant = if is_mine { key(7).grant(NOON) } else { Err(KeyRefusal::Unknown) };
        grant.map_err(|refused| PortError::Rejected { adapter: "one key", refused })
    }
}

/// Lets a key in without a look at its end.
#[derive(Debug)]
struct Careless;

#[async_trait]
impl KeyValidator for Careless {
    async fn validate(&self, _: &PresentedKey) -> Result<Grant, KeyError> {
        let grant = key(7).grant(NOON).unwrap();
        Ok(Grant { expires_at: Some(NOON.plus_millis(1_000)), ..grant })
    }
}

#[tokio::test]
async fn keys_of_one_s_own_end_at_their_very_moment() {
    let clock = clock();
    let keys = Arc::new(Careless);
    let pipeline = gosight_memory::pipeline().with_clock(clock.clone()).with_keys(keys).build().unwrap();
    clock.advance(999);
    pipeline.access.grant(Some(&presented(7))).await.unwrap();
    clock.advance(1);
    for n in [7, 8] {
        let refused = pipeline.access.grant(Some(&presented(n))).await.unwrap_err();
        assert!(matches!(refused, AccessError::Refused(KeyRefusal::Expired)), "{n}: {refused}");
    }
}

#[tokio::test]
async fn keys_of_one_s_own_are_those_that_open() {
    let pipeline =
        gosight_memory::pipeline().with_clock(clock()).with_keys(Arc::new(OneKey)).build().unwrap();
    let grant = pipeline.access.grant(Some(&presented(7))).await.unwrap();
    assert_eq!(grant.project_id, project("p"));
    let refused = pipeline.access.grant(Some(&presented(8))).await.unwrap_err();
    assert!(matches!(refused, AccessError::Refused(KeyRefusal::Unknown)), "{refused}");
}

/// A sink that fails so many times, and then hands on what it gets.
#[derive(Debug)]
struct Flaky {
    failures: Mutex<u32>,
    sink: LogSink,
}

#[async_trait]
impl EventSink for Flaky {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(unavailable());
            }
        }
        self.sink.append(events).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_of_one_s_own_is_asked_again_when_it_fails_for_a_moment() {
    for (failures, is_accepted) in [(0, true), (2, true), (3, false)] {
        let (parts, numbers) = (MemoryParts::default(), Numbers::default());
        let flaky = |log: &str| {
            let sink = LogSink::new(parts.log.clone(), log);
            Arc::new(Flaky { failures: Mutex::new(failures), sink })
        };
        let ports = PipelinePorts { telemetry: numbers.telemetry(), ..parts.ports() };
        let pipeline = Pipeline::builder(ports)
            .with_clock(clock())
            .with_events(flaky(logs::EVENTS))
            .also_send_to(flaky("mine"))
            .build()
            .unwrap();
        assert_eq!(send(&pipeline, &[draft("a", "click")]).await.is_ok(), is_accepted, "{failures}");
        let count = usize::from(is_accepted);
        assert_eq!(parts.log.records(logs::EVENTS).len(), count);
        assert_eq!(parts.log.records("mine").len(), count);
        let outcome = if is_accepted { "ok" } else { "transient" };
        for name in ["events", "also_1"] {
            let series = format!(r#"sink_append_seconds{{sink="{name}",outcome="{outcome}"}}"#);
            assert_eq!(numbers.observations(&series), 1, "{series}");
        }
    }
}

#[tokio::test]
async fn without_an_event_log_an_event_is_stored_when_it_is_acknowledged() {
    let parts = MemoryParts::default();
    let pipeline = Pipeline::builder(parts.ports()).with_clock(clock()).without_event_log().build().unwrap();
    send(&pipeline, &[draft("a", "page_view"), draft("b", "click")]).await.unwrap();
    send(&pipeline, &[draft("a", "page_view")]).await.unwrap();
    assert_eq!(parts.store.events().len(), 2);
    assert!(parts.log.records(logs::EVENTS).is_empty());
    assert_eq!(session(&pipeline).await, Some((2, false)));
}

#[tokio::test]
async fn without_an_event_log_events_get_their_context_too() {
    let parts = MemoryParts::default();
    let known = serde_json::from_str(r#"{"type": "premium"}"#).unwrap();
    parts.profiles.put(&project("p"), ProfileKind::User, &[("ada".to_owned(), known)]).await.unwrap();
    let pipeline = Pipeline::builder(parts.ports()).with_clock(clock()).without_event_log().build().unwrap();
    send(&pipeline, &[EventDraft { user_id: Some("ada".into()), ..draft("a", "click") }]).await.unwrap();
    let stored = parts.store.events();
    assert!(stored[0].context.as_str().contains("premium"), "{}", stored[0].context.as_str());
}

#[tokio::test]
async fn two_sinks_without_a_log_over_one_store_acknowledge_what_is_stored_and_nothing_else() {
    let parts = MemoryParts::default();
    let sink = || {
        let builder = Pipeline::builder(parts.ports()).with_clock(clock()).without_event_log();
        builder.build().unwrap()
    };
    let (one, other) = (sink(), sink());
    let mut acknowledged = 0;
    for (pipeline, ids) in [(&one, &["a", "b", "c"][..]), (&other, &["d"]), (&one, &["e"]), (&one, &["f"])] {
        let drafts: Vec<_> = ids.iter().map(|id| draft(id, "click")).collect();
        acknowledged += send(pipeline, &drafts).await.unwrap_or(0);
    }
    assert_eq!(parts.store.events().len(), acknowledged);
    assert!(acknowledged >= 5, "the sink goes on after it has noticed the other: {acknowledged}");
}

#[tokio::test]
async fn what_an_event_log_has_is_processed_without_one_too() {
    let parts = MemoryParts::default();
    let with_log = Pipeline::builder(parts.ports()).with_clock(clock()).build().unwrap();
    send(&with_log, &[draft("a", "page_view")]).await.unwrap();
    let pipeline = Pipeline::builder(parts.ports()).with_clock(clock()).without_event_log().build().unwrap();
    let running = pipeline.start();
    send(&pipeline, &[draft("b", "click")]).await.unwrap();
    pipeline.drained().await;
    assert_eq!(session(&pipeline).await, Some((2, false)));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_several_processes_cannot_do_is_refused() {
    let parts = MemoryParts::default();
    let servers = Combination {
        log: Reach::Servers,
        store: Reach::Servers,
        accounts: Reach::Servers,
        archive: None,
        state: Reach::Servers,
        is_shared: true,
    };
    let ports = || PipelinePorts { combination: servers, ..parts.ports() };
    let direct = Pipeline::builder(ports()).without_event_log().build().unwrap_err();
    assert!(direct.to_string().contains("the same offsets"), "{direct}");
    // Memory has one row for each session.
    let sessions = Pipeline::builder(ports()).with_sessions(parts.store.clone()).build().unwrap_err();
    assert!(sessions.to_string().contains("overwrite each other's"), "{sessions}");
    let nowhere = PipelinePorts { store: None, sources: Vec::new(), ..parts.ports() };
    let error = Pipeline::builder(nowhere).without_event_log().build().unwrap_err();
    assert!(matches!(error, BuildError::NothingToStoreIn), "{error}");
}

#[tokio::test]
async fn a_log_that_is_processed_needs_a_store_and_a_place_for_dead_letters() {
    let parts = MemoryParts::default();
    let without_store = PipelinePorts { store: None, ..parts.ports() };
    let store = StorePorts::of(&parts.store, parts.store.deduplicator(), None);
    let without_letters = PipelinePorts { store: Some(store), ..parts.ports() };
    for ports in [without_store, without_letters] {
        let error = Pipeline::builder(ports).build().unwrap_err();
        assert!(matches!(&error, BuildError::NoStore(log) if &**log == logs::EVENTS), "{error}");
    }
}

#[tokio::test]
async fn refusals_are_in_the_errors_log_once_a_pipeline_has_stopped() {
    let parts = MemoryParts::default();
    let pipeline = Pipeline::builder(parts.ports()).with_clock(clock()).build().unwrap();
    let running = pipeline.start();
    let nameless = EventDraft { event_type: None, ..draft("a", "click") };
    assert_eq!(send(&pipeline, &[nameless]).await.unwrap(), 0);
    running.stop().await.unwrap();
    assert_eq!(parts.log.records(logs::ERRORS).len(), 1);
    let stopped = CancellationToken::new();
    stopped.cancel();
    pipeline.ingest.as_ref().unwrap().write_refusals(stopped).await;
    assert_eq!(parts.log.records(logs::ERRORS).len(), 1, "each once");
}
