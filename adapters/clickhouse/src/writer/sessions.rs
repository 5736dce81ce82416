use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use clickhouse::Row;
use gosight_application::ports::{CommitError, LogPosition, PortError, ProcessedBatch, QueryError};
use gosight_domain::insight::{Insight, InsightKind, detect};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{Event, ProjectId, Session, SessionId};
use serde::Deserialize;

use super::ClickHouseWriter;
use super::partition::Held;
use crate::ADAPTER;
use crate::block::Block;
use crate::error::read_error;
use crate::lists::parts;
use crate::query::{EventRow, event_columns};

/// Project and session.
pub(super) type SessionName = (String, String);

#[derive(Row, Deserialize)]
struct StateRow {
    project_id: String,
    session_id: String,
    #[serde(with = "serde_bytes")]
    state: Vec<u8>,
}

impl StateRow {
    fn session(&self) -> Result<Session, PortError> {
        rmp_serde::from_slice(&self.state).map_err(|error| {
            let Self { project_id, session_id, .. } = self;
            PortError::fatal(
                ADAPTER,
                format!("the state of session {session_id:?} of {project_id} cannot be read: {error}"),
            )
        })
    }
}

fn name(session: &Session) -> SessionName {
    (session.project_id.to_string(), session.session_id.to_string())
}

fn texts((project, session): &SessionName) -> [&str; 2] {
    [project, session]
}

impl ClickHouseWriter {
    /// Joins the folds of a batch with the sessions as they are before it.
    pub(super) async fn merge(&self, span: &BatchSpan, folds: &[Session]) -> Result<Vec<Session>, PortError> {
        let mut known = self.cached(span, folds).await;
        let unknown: Vec<SessionName> =
            folds.iter().map(name).filter(|name| !known.contains_key(name)).collect();
        known.extend(self.states(span, &unknown).await?);
        let merged = |fold: &Session| match known.remove(&name(fold)) {
            Some(mut session) => {
                session.merge(fold.clone());
                session
            }
            None => fold.clone(),
        };
        Ok(folds.iter().map(merged).collect())
    }

    /// What the cache knows of the sessions as of the start of `span`. Nothing when it is away: the store knows all.
    async fn cached(&self, span: &BatchSpan, folds: &[Session]) -> HashMap<SessionName, Session> {
        let Some(cache) = self.cache.as_ref().filter(|_| !folds.is_empty()) else { return HashMap::new() };
        let at = LogPosition { log: span.log.clone(), partition: span.partition, offset: span.first };
        let names: Vec<(ProjectId, SessionId)> =
            folds.iter().map(|fold| (fold.project_id.clone(), fold.session_id.clone())).collect();
        match cache.load(&at, &names).await {
            Ok(sessions) => sessions.into_iter().flatten().map(|session| (name(&session), session)).collect(),
            Err(error) => {
                tracing::warn!(%error, "sessions are read from the store, because the cache is away");
                HashMap::new()
            }
        }
    }

    /// Tells the cache what the sessions are now. It is not believed later if it did not hear.
    pub(super) async fn cache_sessions(&self, span: &BatchSpan, sessions: &[Session]) {
        if let Some(cache) = &self.cache
            && let Err(error) = cache.save(span, sessions).await
        {
            tracing::warn!(%error, "sessions were not cached");
        }
    }

    /// The stored folds of the sessions called `names`, of the events of the partition that `span` lies in.
    async fn states(
        &self,
        span: &BatchSpan,
        names: &[SessionName],
    ) -> Result<HashMap<SessionName, Session>, QueryError> {
        let mut states = HashMap::with_capacity(names.len());
        for part in parts(names, texts) {
            states.extend(self.states_of(span, part).await?);
        }
        Ok(states)
    }

    async fn states_of(
        &self,
        span: &BatchSpan,
        names: &[SessionName],
    ) -> Result<HashMap<SessionName, Session>, QueryError> {
        let (projects, sessions): (Vec<&str>, Vec<&str>) =
            names.iter().map(|(project, session)| (project.as_str(), session.as_str())).unzip();
        let states = self
            .store
            .connection
            .query(
                "SELECT project_id, session_id, argMax(state, event_count) AS state FROM sessions
                 WHERE (project_id, session_id) IN arrayZip({projects:Array(String)}, {sessions:Array(String)})
                   AND log = {log:String} AND log_partition = {partition:UInt32}
                 GROUP BY project_id, session_id",
            )
            .param("log", &*span.log)
            .param("partition", span.partition)
            .param("projects", projects)
            .param("sessions", sessions)
            .fetch_all::<StateRow>();
        let states = self.store.connection.within(states).await.map_err(read_error)?;
        states
            .into_iter()
            .map(|row| Ok(((row.project_id.clone(), row.session_id.clone()), row.session()?)))
            .collect()
    }

    /// Folds the batch's sessions again, from all of their events: some of these may be counted in what is stored of the
    /// session and some not.
    pub(super) async fn fold_again(
        &self,
        batch: &ProcessedBatch,
        strays: BTreeSet<SessionName>,
    ) -> Result<Vec<Session>, PortError> {
        let mut names: BTreeSet<SessionName> = batch.sessions.iter().map(name).collect();
        self.forget_sessions(&batch.ledger.span, &strays).await?;
        names.extend(strays);
        names.retain(|(_, session)| !session.is_empty());
        let names: Vec<SessionName> = names.into_iter().collect();
        let mut folds = Vec::with_capacity(names.len());
        for part in parts(&names, texts) {
            folds.extend(self.fold_all_of(&batch.ledger.span, part).await?);
        }
        Ok(folds)
    }

    async fn fold_all_of(&self, span: &BatchSpan, names: &[SessionName]) -> Result<Vec<Session>, PortError> {
        let (projects, sessions): (Vec<&str>, Vec<&str>) =
            names.iter().map(|(project, session)| (project.as_str(), session.as_str())).unzip();
        let sql = format!(
            "SELECT {} FROM events WHERE (project_id, session_id)
             IN arrayZip({{projects:Array(String)}}, {{sessions:Array(String)}})
             AND log = {{log:String}} AND log_partition = {{partition:UInt32}}",
            event_columns()
        );
        let mut rows = self
            .store
            .connection
            .query(&sql)
            .param("log", &*span.log)
            .param("partition", span.partition)
            .param("projects", projects)
            .param("sessions", sessions)
            .fetch::<EventRow>()
            .map_err(read_error)?;
        let mut folds: BTreeMap<SessionName, Session> = BTreeMap::new();
        while let Some(row) = self.store.connection.within(rows.next()).await.map_err(read_error)? {
            fold(&mut folds, &row.into_event()?);
        }
        Ok(folds.into_values().collect())
    }

    /// Removes the folds of sessions that lose events, for the smaller ones to come.
    async fn forget_sessions(
        &self,
        span: &BatchSpan,
        names: &BTreeSet<SessionName>,
    ) -> Result<(), PortError> {
        let names: Vec<SessionName> = names.iter().cloned().collect();
        for part in parts(&names, texts) {
            self.forget_those(span, part).await?;
        }
        Ok(())
    }

    async fn forget_those(&self, span: &BatchSpan, names: &[SessionName]) -> Result<(), PortError> {
        let (projects, sessions): (Vec<&str>, Vec<&str>) =
            names.iter().map(|(project, session)| (project.as_str(), session.as_str())).unzip();
        let delete = self
            .store
            .connection
            .query(
                "ALTER TABLE sessions DELETE WHERE (project_id, session_id)
                 IN arrayZip({projects:Array(String)}, {sessions:Array(String)})
                 AND log = {log:String} AND log_partition = {partition:UInt32} SETTINGS mutations_sync = 2",
            )
            .param("log", &*span.log)
            .param("partition", span.partition)
            .param("projects", projects)
            .param("sessions", sessions);
        self.store.connection.execute(delete).await.map_err(read_error)
    }

    /// Stores what the sessions are now.
    pub(super) async fn insert_sessions(
        &self,
        held: &mut Held,
        sessions: &[Session],
    ) -> Result<(), CommitError> {
        if sessions.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(sessions.len());
        for session in sessions {
            let insights = detect(session.trail(), &self.store.thresholds);
            let packed =
                rmp_serde::to_vec_named(session).map_err(|error| PortError::fatal(ADAPTER, error))?;
            let listed =
                serde_json::to_string(&insights).map_err(|error| PortError::fatal(ADAPTER, error))?;
            rows.push(SessionToStore { session, insights, listed, packed });
        }
        let block = encode(held.place(), &rows);
        held.insert(&self.store.connection, "sessions", block).await
    }
}

fn fold(folds: &mut BTreeMap<SessionName, Session>, event: &Event) {
    // Stored events passed the rules of their columns; one that does not any more counts without its details.
    let details = event.details().unwrap_or_default();
    let Some(session_id) = &event.session_id else { return };
    let name = (event.project_id.to_string(), session_id.to_string());
    if let Some(session) = folds.get_mut(&name) {
        session.apply(event, &details);
    } else if let Some(session) = Session::of(event, &details) {
        folds.insert(name, session);
    }
}

struct SessionToStore<'a> {
    session: &'a Session,
    insights: Vec<Insight>,
    listed: String,
    packed: Vec<u8>,
}

fn encode((log, partition): (Arc<str>, u32), rows: &[SessionToStore<'_>]) -> Block {
    let mut block = Block::new(rows.len());
    let each = || rows.iter().map(|row| row.session);
    let has = |kind| rows.iter().map(move |row| row.insights.iter().any(|insight| insight.kind == kind));
    block.texts("project_id", each().map(|session| session.project_id.as_str()));
    block.texts("session_id", each().map(|session| session.session_id.as_str()));
    block.texts("log", each().map(|_| &*log));
    block.u32s("log_partition", each().map(|_| partition));
    block.u64s("event_count", each().map(|session| session.event_count));
    block.times("started_at", each().map(|session| session.started_at.as_millis()));
    block.times("ended_at", each().map(|session| session.ended_at.as_millis()));
    block.texts("user_id", each().map(|session| session.user_id().map_or("", |id| id.as_str())));
    block.u64s("page_count", each().map(|session| session.page_count));
    block.u64s("click_count", each().map(|session| session.click_count));
    block.u64s("error_count", each().map(|session| session.error_count));
    block.bools("has_error", each().map(Session::has_error));
    block.bools("has_rage_click", has(InsightKind::RageClick));
    block.bools("has_dead_click", has(InsightKind::DeadClick));
    block.bools("is_bounce", each().map(Session::is_bounce));
    block.texts("insights", rows.iter().map(|row| &row.listed));
    block.texts("state", rows.iter().map(|row| &row.packed));
    block
}
