use std::sync::LazyLock;

use async_trait::async_trait;
use deadpool_redis::redis::{Cmd, Script};
use gosight_application::ports::{LogPosition, PortError, SessionCache, SessionCacheError};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};
use uuid::Uuid;

use crate::ADAPTER;
use crate::client::{Redis, millis, script_call};

/// Folds of live sessions on Redis.
///
/// Each partition has a marker: a *generation*, and the offset up to which its folds are right. A fold carries the
/// generation it was saved in and counts only as long as the marker has the same. A save that joins on keeps the
/// generation; any other (after a batch that was missed, an emptied server, a processor that had lost the partition)
/// begins a new one, and with it everything older is forgotten. A save that is larger than one script call takes the
/// marker away first and sets it with the last call, so one that breaks off leaves nothing that is believed.
///
/// Folds may be evicted by the server at any time. Two processors may hold the same partition for a while; the worst
/// that comes of it is an empty cache.
#[derive(Debug, Clone)]
pub struct RedisSessionCache {
    redis: Redis,
}

static LOAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/load_sessions.lua")));
static SAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/save_sessions.lua")));

/// Most sessions of one script call, so that the server's other clients are not kept waiting.
const SESSIONS_PER_CALL: usize = 1_000;
/// Most bytes of sessions in one script call, about.
const BYTES_PER_CALL: usize = 1 << 20;

impl RedisSessionCache {
    /// Keeps folds on `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn marker_key(&self, log: &str, partition: u32) -> String {
        self.redis.key(format_args!("sessions:{{{partition}/{log}}}"))
    }

    fn session_key(&self, log: &str, partition: u32, project: &ProjectId, session: &SessionId) -> String {
        self.redis.key(format_args!("session:{{{partition}/{log}}}:{project}/{session}"))
    }

    fn load_call(&self, at: &LogPosition, sessions: &[SessionKey]) -> Cmd {
        let mut keys = vec![self.marker_key(&at.log, at.partition)];
        keys.extend(
            sessions
                .iter()
                .map(|key| self.session_key(&at.log, at.partition, &key.project_id, &key.session_id)),
        );
        script_call(&LOAD, &keys, &[at.offset])
    }

    fn save_call(&self, save: &Save<'_>, part: &'static str, folds: &[(&Session, Vec<u8>)]) -> Cmd {
        let Save { span, token } = *save;
        let ttl = self.redis.config().session_ttl;
        let mut keys = vec![self.marker_key(&span.log, span.partition)];
        let mut args = vec![
            token.as_bytes().to_vec(),
            span.first.to_string().into_bytes(),
            span.next().to_string().into_bytes(),
            millis(ttl).to_string().into_bytes(),
            // The marker outlives the folds, which without it are worth nothing.
            millis(ttl.saturating_mul(2)).to_string().into_bytes(),
            part.as_bytes().to_vec(),
        ];
        for (fold, value) in folds {
            keys.push(self.session_key(&span.log, span.partition, &fold.project_id, &fold.session_id));
            args.push(value.clone());
        }
        script_call(&SAVE, &keys, &args)
    }
}

/// A save under way, whose calls know each other by the token.
#[derive(Clone, Copy)]
struct Save<'a> {
    span: &'a BatchSpan,
    token: Uuid,
}

#[async_trait]
impl SessionCache for RedisSessionCache {
    async fn load(
        &self,
        at: &LogPosition,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionCacheError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let parts: Vec<_> = sessions.chunks(SESSIONS_PER_CALL).collect();
        let calls: Vec<Cmd> = parts.iter().map(|part| self.load_call(at, part)).collect();
        let answers: Vec<Vec<Option<Vec<u8>>>> =
            self.redis.run(Some(&LOAD), calls, self.redis.config().command_timeout).await?;
        let mut loaded = Vec::with_capacity(sessions.len());
        for (part, answer) in parts.into_iter().zip(answers) {
            let mut values = answer.into_iter();
            loaded.extend(part.iter().map(|wanted| unpack(&values.next()??, wanted)));
        }
        Ok(loaded)
    }

    async fn save(&self, span: &BatchSpan, folds: &[&Session]) -> Result<(), SessionCacheError> {
        let packed =
            folds.iter().map(|fold| pack(fold).map(|value| (*fold, value))).collect::<Result<Vec<_>, _>>()?;
        let save = Save { span, token: Uuid::new_v4() };
        let parts = parts(&packed);
        let last = parts.len().saturating_sub(1);
        let name = |part| match part {
            0 if last == 0 => "only",
            0 => "first",
            part if part == last => "last",
            _ => "middle",
        };
        let calls: Vec<Cmd> =
            parts.iter().enumerate().map(|(n, part)| self.save_call(&save, name(n), part)).collect();
        let kept: Vec<bool> = self.redis.run(Some(&SAVE), calls, self.redis.config().command_timeout).await?;
        if kept.contains(&false) {
            // The next batch begins anew; nothing is wrong with this one.
            tracing::debug!(%span, "session cache saved concurrently");
        }
        Ok(())
    }
}

/// Splits folds so that no call is too large; at least one part, for the marker.
fn parts<'a, T>(packed: &'a [(T, Vec<u8>)]) -> Vec<&'a [(T, Vec<u8>)]> {
    let mut parts: Vec<&'a [(T, Vec<u8>)]> = Vec::new();
    let mut rest = packed;
    while !rest.is_empty() || parts.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(SESSIONS_PER_CALL).take_while(|(_, value)| {
            let fits = bytes < BYTES_PER_CALL;
            bytes += value.len();
            fits
        });
        let (part, others) = rest.split_at(fits.count());
        parts.push(part);
        rest = others;
    }
    parts
}

/// `MessagePack` with field names, so that fields can be added.
fn pack(fold: &Session) -> Result<Vec<u8>, SessionCacheError> {
    rmp_serde::to_vec_named(fold).map_err(|error| PortError::fatal(ADAPTER, error))
}

/// The fold, if it is one and the one that is wanted.
fn unpack(value: &[u8], wanted: &SessionKey) -> Option<Session> {
    match rmp_serde::from_slice::<Session>(value) {
        Ok(fold) if fold.key() == *wanted => Some(fold),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, "cached session unreadable");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(values: &[(u8, Vec<u8>)]) -> Vec<usize> {
        parts(values).into_iter().map(<[_]>::len).collect()
    }

    #[test]
    fn a_part_has_neither_too_many_folds_nor_too_many_bytes() {
        assert_eq!(lengths(&[]), [0]);
        assert_eq!(lengths(&vec![(0, vec![0; 10]); 2_500]), [1_000, 1_000, 500]);
        assert_eq!(lengths(&vec![(0, vec![0; BYTES_PER_CALL + 1]); 3]), [1, 1, 1]);
        assert_eq!(lengths(&vec![(0, vec![0; BYTES_PER_CALL / 4]); 6]), [4, 2]);
    }
}
