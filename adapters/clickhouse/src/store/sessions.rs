use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use clickhouse::Row;
use gosight_application::ports::{
    CommitError, Fence, FoldScope, IdleQuery, PortError, SessionDetail, SessionQuery, SessionStore,
    SessionStoreError, SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::insight::InsightKind;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};
use serde::Deserialize;

use super::{ClickHouseStore, session_lists};
use crate::ADAPTER;
use crate::block::Block;
use crate::error::read_error;
use crate::fence;
use crate::query_params::parts;

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

fn texts(key: &SessionKey) -> [&str; 2] {
    [key.project_id.as_str(), key.session_id.as_str()]
}

/// Projects and sessions of `keys`, each as a list.
fn unzip(keys: &[SessionKey]) -> (Vec<&str>, Vec<&str>) {
    keys.iter().map(|key| (key.project_id.as_str(), key.session_id.as_str())).unzip()
}

impl ClickHouseStore {
    async fn states(
        &self,
        fence: &Fence,
        keys: &[SessionKey],
    ) -> Result<HashMap<(String, String), Session>, PortError> {
        let mut states = HashMap::with_capacity(keys.len());
        for part in parts(keys, texts) {
            let (projects, sessions) = unzip(part);
            let sql = "SELECT project_id, session_id, argMax(state, event_count) AS state FROM sessions
                WHERE (project_id, session_id) IN arrayZip({projects:Array(String)}, {sessions:Array(String)})
                  AND log = {log:String} AND log_partition = {partition:UInt32}
                GROUP BY project_id, session_id";
            let rows = fence::query_of(&self.connection, fence.place(), sql)
                .param("projects", projects)
                .param("sessions", sessions)
                .fetch_all::<StateRow>();
            for row in self.connection.within(rows).await.map_err(read_error)? {
                let session = row.session()?;
                states.insert((row.project_id, row.session_id), session);
            }
        }
        Ok(states)
    }
}

#[async_trait]
impl SessionStore for ClickHouseStore {
    fn scope(&self) -> FoldScope {
        FoldScope::Partition
    }

    async fn acquired(&self, fence: &Fence) -> Result<(), SessionStoreError> {
        fence::adopt(&self.connection, fence).await
    }

    async fn load(
        &self,
        fence: &Fence,
        _at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        let mut states = self.states(fence, sessions).await?;
        let mut state =
            |key: &SessionKey| states.remove(&(key.project_id.to_string(), key.session_id.to_string()));
        Ok(sessions.iter().map(&mut state).collect())
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        if rows.is_empty() {
            return Ok(());
        }
        fence::insert(&self.connection, fence, "sessions", encode(fence, rows)?).await
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        for part in parts(sessions, texts) {
            let (projects, sessions) = unzip(part);
            let rows = (
                "sessions",
                "(project_id, session_id) IN arrayZip({projects:Array(String)}, {sessions:Array(String)})",
            );
            let bind = |delete: clickhouse::query::Query| {
                delete.param("projects", projects).param("sessions", sessions)
            };
            fence::delete(&self.connection, fence, rows, bind).await?;
        }
        Ok(())
    }

    async fn get(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        let row = session_lists::read(&self.connection, rules, project_id, session_id).await?;
        Ok(row.map(SessionRow::into_detail))
    }

    async fn list(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        session_lists::list(&self.connection, rules, project_id, query).await
    }

    async fn list_idle(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        session_lists::list_idle(&self.connection, rules, project_id, query).await
    }
}

fn encode(fence: &Fence, rows: &[SessionRow]) -> Result<Block, CommitError> {
    let failed = |error: &dyn std::fmt::Display| CommitError::fatal(ADAPTER, error.to_string());
    let packed: Result<Vec<Vec<u8>>, _> =
        rows.iter().map(|row| rmp_serde::to_vec_named(&row.session)).collect();
    let packed = packed.map_err(|error| failed(&error))?;
    let listed: Result<Vec<String>, _> =
        rows.iter().map(|row| serde_json::to_string(&row.insights)).collect();
    let listed = listed.map_err(|error| failed(&error))?;
    let mut block = Block::new(rows.len());
    let each = || rows.iter().map(|row| &row.session);
    let shows = |kind| rows.iter().map(move |row| row.shows(kind));
    block.texts("project_id", each().map(|session| session.project_id.as_str()));
    block.texts("session_id", each().map(|session| session.session_id.as_str()));
    block.texts("log", each().map(|_| &**fence.log()));
    block.u32s("log_partition", each().map(|_| fence.partition()));
    block.u64s("event_count", each().map(|session| session.event_count));
    block.times("started_at", each().map(|session| session.started_at.as_millis()));
    block.times("ended_at", each().map(|session| session.ended_at.as_millis()));
    block.texts("user_id", each().map(|session| session.user_id().map_or("", |id| id.as_str())));
    block.u64s("page_count", each().map(|session| session.page_count));
    block.u64s("click_count", each().map(|session| session.click_count));
    block.u64s("error_count", each().map(|session| session.error_count));
    block.bools("has_error", each().map(Session::has_error));
    block.bools("has_rage_click", shows(InsightKind::RageClick));
    block.bools("has_dead_click", shows(InsightKind::DeadClick));
    block.bools("is_bounce", each().map(Session::is_bounce));
    put_pages_and_device(&mut block, rows);
    block.texts("insights", listed.iter());
    block.texts("state", packed.iter());
    Ok(block)
}

/// What the state says as well, for people who ask by hand.
fn put_pages_and_device(block: &mut Block, rows: &[SessionRow]) {
    fn text(text: Option<&Arc<str>>) -> &str {
        text.map_or("", |text| text)
    }
    let each = || rows.iter().map(|row| &row.session);
    block.texts("entry_url", each().map(|session| session.entry_page().map_or("", |page| page.url)));
    block.texts("entry_path", each().map(|session| session.entry_page().map_or("", |page| page.path)));
    block.texts("exit_url", each().map(|session| session.exit_page().map_or("", |page| page.url)));
    block.texts("exit_path", each().map(|session| session.exit_page().map_or("", |page| page.path)));
    block.u8s("max_scroll_depth", each().map(|session| session.max_scroll_depth));
    let devices = || each().map(Session::device);
    block.texts("browser", devices().map(|device| text(device.and_then(|device| device.browser.as_ref()))));
    block.texts("os", devices().map(|device| text(device.and_then(|device| device.os.as_ref()))));
    block.texts(
        "device_type",
        devices().map(|device| text(device.and_then(|device| device.device_type.as_ref()))),
    );
    block.texts("country", each().map(|session| text(session.geo().and_then(|geo| geo.country.as_ref()))));
}
