//! Sessions that began before what is kept and went on after it: folded again from the events that are kept.

use gosight_application::ports::{Nothing, PortError};
use gosight_application::sessions::{SessionRules, fold_into};
use gosight_domain::{Event, Session, Timestamp};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use crate::store::EmbeddedStore;
use crate::store::apply::put_sessions;
use crate::store::codec::from_json;
use crate::store::writer::Transaction;

/// Sessions that one transaction folds: writers wait for it.
const SESSIONS_AT_ONCE: i64 = 100;
/// Events that are in memory at a time.
const EVENTS_AT_ONCE: i64 = 1_000;

impl EmbeddedStore {
    /// Takes what happened before `before` out of all sessions.
    pub(super) async fn cut_sessions(
        &self,
        before: Timestamp,
        rules: &SessionRules,
    ) -> Result<(), PortError<Nothing>> {
        let mut last = 0;
        loop {
            let mut writer = self.database.writer.lock().await;
            let cut =
                writer.transact(async |transaction| cut_some(transaction, before, last, rules).await).await?;
            match cut {
                Some(next) => last = next,
                None => return Ok(()),
            }
        }
    }
}

/// Cuts some of the sessions with a greater number than `after`; gives the greatest number of them.
async fn cut_some(
    transaction: &mut Transaction<'_>,
    before: Timestamp,
    after: i64,
    rules: &SessionRules,
) -> sqlx::Result<Option<i64>> {
    let found = sqlx::query(
        "SELECT id, project FROM sessions
         WHERE started_at < ? AND ended_at >= ? AND id > ? AND length(state) > 0 ORDER BY id LIMIT ?",
    )
    .bind(before.as_millis())
    .bind(before.as_millis())
    .bind(after)
    .bind(SESSIONS_AT_ONCE)
    .fetch_all(&mut *transaction.connection)
    .await?;
    let mut rows = Vec::with_capacity(found.len());
    let mut last = None;
    for row in &found {
        let (number, project): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        last = Some(number);
        // A session without events was merged by itself, and has nothing to be folded again from.
        if let Some(session) = fold(transaction.connection, (number, project), before).await? {
            rows.push(rules.row(session));
        }
    }
    put_sessions(transaction, rows).await?;
    Ok(last)
}

/// The fold of the session's events from `from` on.
async fn fold(
    connection: &mut SqliteConnection,
    (number, project): (i64, i64),
    from: Timestamp,
) -> sqlx::Result<Option<Session>> {
    let mut session: Option<Session> = None;
    let mut after = (from.as_millis() - 1, i64::MAX, Uuid::max());
    loop {
        let rows = sqlx::query(
            "SELECT timestamp, sequence, event_id, event FROM events
             WHERE session = ? AND project = ? AND (timestamp, sequence, event_id) > (?, ?, ?)
             ORDER BY timestamp, sequence, event_id LIMIT ?",
        )
        .bind(number)
        .bind(project)
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(EVENTS_AT_ONCE)
        .fetch_all(&mut *connection)
        .await?;
        let Some(last) = rows.last() else { return Ok(session) };
        after = (last.try_get(0)?, last.try_get(1)?, last.try_get(2)?);
        for row in &rows {
            match from_json::<Event>(row.try_get(3)?) {
                Ok(event) => fold_into(&mut session, &event),
                Err(error) => tracing::warn!(%error, session = number, "stored event unreadable"),
            }
        }
    }
}
