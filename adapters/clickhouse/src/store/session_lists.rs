use std::collections::{BTreeMap, HashSet};

use clickhouse::Row;
use gosight_application::ports::{
    IdleQuery, PortError, QueryError, SessionFlagFilter, SessionQuery, SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::insight::Insight;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, SessionId, Timestamp};
use serde::Deserialize;

use crate::ADAPTER;
use crate::client::Connection;
use crate::error::read_error;
use crate::query_params::parts;

/// The latest fold of the events that a session has from one partition.
#[derive(Row, Deserialize)]
struct Fold {
    session_id: String,
    insights: String,
    #[serde(with = "serde_bytes")]
    state: Vec<u8>,
}

#[derive(Row, Deserialize)]
struct WithReplay {
    session_id: String,
}

impl Fold {
    fn read(&self) -> Result<SessionRow, PortError> {
        let unreadable = |error: String| {
            PortError::fatal(ADAPTER, format!("session {:?} cannot be read: {error}", self.session_id))
        };
        let session = rmp_serde::from_slice(&self.state).map_err(|error| unreadable(error.to_string()))?;
        let mut insights: Vec<Insight> =
            serde_json::from_str(&self.insights).map_err(|error| unreadable(error.to_string()))?;
        insights.sort_by_key(|insight| (insight.kind, insight.first_at, insight.event_id));
        Ok(SessionRow { session, insights })
    }
}

/// Sessions, each joined from its folds.
fn join(folds: &[Fold], rules: &SessionRules) -> Result<Vec<SessionRow>, PortError> {
    let mut by_session: BTreeMap<SessionKey, Vec<SessionRow>> = BTreeMap::new();
    for fold in folds {
        let row = fold.read()?;
        by_session.entry(row.session.key()).or_default().push(row);
    }
    Ok(by_session.into_values().filter_map(|rows| rules.join(rows)).collect())
}

/// A page of sessions, latest start first. The page is found by the small columns, and only its folds are read.
pub(super) async fn list(
    connection: &Connection,
    rules: &SessionRules,
    project_id: &ProjectId,
    query: &SessionQuery,
) -> Result<Vec<SessionSummary>, QueryError> {
    let sql = format!(
        "WITH page AS (
            SELECT session_id, min(started) AS started_first FROM (
                SELECT session_id,
                    argMax(toUnixTimestamp64Milli(started_at), event_count) AS started,
                    argMax(user_id, event_count) AS user,
                    argMax((has_error, has_rage_click, has_dead_click), event_count) AS flags,
                    argMax(is_bounce, event_count) AS bounced
                FROM sessions WHERE project_id = {{project:String}}
                GROUP BY session_id, log, log_partition
            )
            GROUP BY session_id HAVING 1 {}
            ORDER BY started_first DESC, session_id LIMIT {{limit:UInt64}}
         )
         SELECT session_id, argMax(insights, event_count) AS insights, argMax(state, event_count) AS state
         FROM sessions
         WHERE project_id = {{project:String}} AND session_id IN (SELECT session_id FROM page)
         GROUP BY session_id, log, log_partition",
        conditions(query)
    );
    let SessionQuery { from, to, user_id, after, limit, flags: _ } = query;
    let folds = connection
        .query(&sql)
        .param("project", project_id.as_str())
        .param("from", from.map_or(i64::MIN, Timestamp::as_millis))
        .param("to", to.map_or(i64::MAX, Timestamp::as_millis))
        .param("user", user_id.as_ref().map_or("", |id| id.as_str()))
        .param("after_start", after.as_ref().map_or(0, |after| after.started_at.as_millis()))
        .param("after_id", after.as_ref().map_or("", |after| after.session_id.as_str()))
        .param("limit", *limit as u64)
        .fetch_all::<Fold>();
    let folds = connection.within(folds).await.map_err(read_error)?;
    let mut page = summaries(connection, rules, project_id, &folds).await?;
    page.sort_by(|a, b| (b.started_at, &a.session_id).cmp(&(a.started_at, &b.session_id)));
    Ok(page)
}

/// What the sessions of the page must fulfil; values of a request are parameters.
fn conditions(query: &SessionQuery) -> String {
    const HAS_REPLAY: &str =
        "(session_id IN (SELECT session_id FROM replay_chunks WHERE project_id = {project:String})
          OR session_id IN (SELECT session_id FROM archived_replays FINAL
                            WHERE project_id = {project:String} AND is_archived))";
    const AFTER: &str = "(started_first < {after_start:Int64}
        OR started_first = {after_start:Int64} AND session_id > {after_id:String})";
    let SessionFlagFilter { has_error, has_rage_click, has_dead_click, has_replay, is_bounce } = query.flags;
    let given = [
        (query.from.is_some(), "started_first >= {from:Int64}"),
        (query.to.is_some(), "started_first < {to:Int64}"),
        (query.user_id.is_some(), "has(groupArray(user), {user:String})"),
        (query.after.is_some(), AFTER),
    ];
    let flags = [
        (has_error, "max(flags.1)"),
        (has_rage_click, "max(flags.2)"),
        (has_dead_click, "max(flags.3)"),
        (is_bounce, "min(bounced)"),
        (has_replay, HAS_REPLAY),
    ];
    let given = given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, text)| format!(" AND {text}"));
    let flags = flags.into_iter().filter_map(|(wanted, text)| {
        wanted.map(|wanted| if wanted { format!(" AND {text}") } else { format!(" AND NOT {text}") })
    });
    given.chain(flags).collect()
}

/// Which of the sessions have a recording.
async fn with_replay(
    connection: &Connection,
    project_id: &ProjectId,
    sessions: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, QueryError> {
    let sessions: Vec<&str> = sessions.collect();
    let mut with_replay = HashSet::new();
    for part in parts(&sessions, |session| [*session]) {
        let found = connection
            .query(
                "SELECT DISTINCT session_id FROM replay_chunks
                 WHERE project_id = {project:String} AND session_id IN {sessions:Array(String)}
                 UNION DISTINCT
                 SELECT session_id FROM archived_replays FINAL
                 WHERE project_id = {project:String} AND session_id IN {sessions:Array(String)} AND is_archived",
            )
            .param("project", project_id.as_str())
            .param("sessions", part)
            .fetch_all::<WithReplay>();
        let found = connection.within(found).await.map_err(read_error)?;
        with_replay.extend(found.into_iter().map(|row| row.session_id));
    }
    Ok(with_replay)
}

/// One session.
pub(super) async fn read(
    connection: &Connection,
    rules: &SessionRules,
    project_id: &ProjectId,
    session_id: &SessionId,
) -> Result<Option<SessionRow>, QueryError> {
    let folds = connection
        .query(
            "SELECT session_id, argMax(insights, event_count) AS insights, argMax(state, event_count) AS state
             FROM sessions WHERE project_id = {project:String} AND session_id = {session:String}
             GROUP BY session_id, log, log_partition",
        )
        .param("project", project_id.as_str())
        .param("session", session_id.as_str())
        .fetch_all::<Fold>();
    let folds = connection.within(folds).await.map_err(read_error)?;
    Ok(join(&folds, rules)?.pop())
}

/// A page of sessions whose latest event is old, earliest end first.
pub(super) async fn list_idle(
    connection: &Connection,
    rules: &SessionRules,
    project_id: &ProjectId,
    query: &IdleQuery,
) -> Result<Vec<SessionSummary>, QueryError> {
    let folds = connection
        .query(
            "WITH idle AS (
                SELECT session_id, max(ended) AS ended_last FROM (
                    SELECT session_id, argMax(toUnixTimestamp64Milli(ended_at), event_count) AS ended
                    FROM sessions WHERE project_id = {project:String}
                    GROUP BY session_id, log, log_partition
                )
                GROUP BY session_id
                HAVING ended_last < {before:Int64}
                    AND (ended_last, session_id) > ({after_end:Int64}, {after_id:String})
                ORDER BY ended_last, session_id LIMIT {limit:UInt64}
             )
             SELECT session_id, argMax(insights, event_count) AS insights, argMax(state, event_count) AS state
             FROM sessions
             WHERE project_id = {project:String} AND session_id IN (SELECT session_id FROM idle)
             GROUP BY session_id, log, log_partition",
        )
        .param("project", project_id.as_str())
        .param("before", query.before.as_millis())
        .param("after_end", query.after.as_ref().map_or(i64::MIN, |after| after.ended_at.as_millis()))
        .param("after_id", query.after.as_ref().map_or("", |after| after.session_id.as_str()))
        .param("limit", query.limit as u64)
        .fetch_all::<Fold>();
    let folds = connection.within(folds).await.map_err(read_error)?;
    let mut page = summaries(connection, rules, project_id, &folds).await?;
    page.sort_by(|a, b| (a.ended_at, &a.session_id).cmp(&(b.ended_at, &b.session_id)));
    Ok(page)
}

/// What readers see of the sessions of `folds`, in no order.
async fn summaries(
    connection: &Connection,
    rules: &SessionRules,
    project_id: &ProjectId,
    folds: &[Fold],
) -> Result<Vec<SessionSummary>, QueryError> {
    let sessions = join(folds, rules)?;
    let names = sessions.iter().map(|row| row.session.session_id.as_str());
    let replays = with_replay(connection, project_id, names).await?;
    Ok(sessions.iter().map(|row| row.summary(replays.contains(row.session.session_id.as_str()))).collect())
}
