use async_trait::async_trait;
use clickhouse::Row;
use gosight_application::ports::{
    CommitError, EventRows, EventRowsError, EventsOf, Fence, FoldScope, PortError, RowOfRecord, StoredEvent,
};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, EventId, ProjectId, SessionId, Violation};
use serde::Deserialize;
use uuid::Uuid;

use super::{ClickHouseStore, event_block};
use crate::ADAPTER;
use crate::error::read_error;
use crate::event_row::{EventRow, event_columns};
use crate::fence;
use crate::query_params::parts;

/// Most offsets in one statement: the server takes no longer lists.
const OFFSETS_AT_ONCE: usize = 4_000;

/// A row of events that is there before its batch is stored.
#[derive(Row, Deserialize)]
struct Found {
    log_offset: u64,
    #[serde(with = "clickhouse::serde::uuid")]
    event_id: Uuid,
    project_id: String,
    session_id: String,
}

#[derive(Row, Deserialize)]
struct Number {
    number: u64,
}

impl Found {
    fn read(self) -> Result<RowOfRecord, Violation> {
        let session = match self.session_id.as_str() {
            "" => None,
            _ => Some(SessionKey {
                project_id: ProjectId::new(self.project_id)?,
                session_id: SessionId::new(self.session_id)?,
            }),
        };
        Ok(RowOfRecord { offset: self.log_offset, event_id: EventId::from_uuid(self.event_id), session })
    }
}

#[async_trait]
impl EventRows for ClickHouseStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), EventRowsError> {
        fence::adopt(&self.connection, fence).await
    }

    async fn insert(&self, fence: &Fence, events: &[&StoredEvent]) -> Result<(), CommitError> {
        for block in event_block::blocks(fence.place(), events.iter().copied()) {
            fence::insert(&self.connection, fence, "events", block).await?;
        }
        Ok(())
    }

    async fn rows(&self, fence: &Fence, span: &BatchSpan) -> Result<Vec<RowOfRecord>, EventRowsError> {
        let sql = "SELECT log_offset, event_id, project_id, session_id FROM events
            WHERE log = {log:String} AND log_partition = {partition:UInt32}
              AND log_offset BETWEEN {first:UInt64} AND {last:UInt64}";
        let rows = fence::query_of(&self.connection, fence.place(), sql)
            .param("first", span.first)
            .param("last", span.last)
            .fetch_all::<Found>();
        let rows = self.connection.within(rows).await.map_err(read_error)?;
        rows.into_iter().map(|row| row.read().map_err(|error| PortError::fatal(ADAPTER, error))).collect()
    }

    async fn end(&self, fence: &Fence, from: u64) -> Result<Option<u64>, EventRowsError> {
        let sql = "SELECT if(count() = 0, 0, max(log_offset) + 1) AS number FROM events
            WHERE log = {log:String} AND log_partition = {partition:UInt32} AND log_offset >= {from:UInt64}";
        let end = fence::query_of(&self.connection, fence.place(), sql).param("from", from);
        let end = self.connection.within(end.fetch_one::<Number>()).await.map_err(read_error)?;
        Ok(Some(end.number).filter(|end| *end > 0))
    }

    async fn remove(&self, fence: &Fence, offsets: &[u64]) -> Result<(), EventRowsError> {
        for part in offsets.chunks(OFFSETS_AT_ONCE) {
            let rows = ("events", "log_offset IN {offsets:Array(UInt64)}");
            fence::delete(&self.connection, fence, rows, |delete| delete.param("offsets", part)).await?;
        }
        Ok(())
    }

    async fn each_of(
        &self,
        fence: &Fence,
        of: &EventsOf<'_>,
        visit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), EventRowsError> {
        let of_partition = match of.scope {
            FoldScope::Session => "",
            FoldScope::Partition => "AND log = {log:String} AND log_partition = {partition:UInt32}",
        };
        let sql = format!(
            "SELECT {} FROM events WHERE (project_id, session_id)
             IN arrayZip({{projects:Array(String)}}, {{sessions:Array(String)}}) {of_partition}
             AND NOT (log = {{log:String}} AND log_partition = {{partition:UInt32}}
                      AND has({{except:Array(UInt64)}}, log_offset))",
            event_columns()
        );
        for part in parts(of.sessions, |key| [key.project_id.as_str(), key.session_id.as_str()]) {
            let projects: Vec<&str> = part.iter().map(|key| key.project_id.as_str()).collect();
            let names: Vec<&str> = part.iter().map(|key| key.session_id.as_str()).collect();
            let rows = fence::query_of(&self.connection, fence.place(), &sql)
                .param("projects", projects)
                .param("sessions", names)
                .param("except", of.except)
                .fetch::<EventRow>();
            let mut rows = rows.map_err(read_error)?;
            while let Some(row) = self.connection.within(rows.next()).await.map_err(read_error)? {
                visit(row.into_event()?);
            }
        }
        Ok(())
    }
}
