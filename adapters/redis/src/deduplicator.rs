use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use deadpool_redis::redis::{self, Cmd, Script};
use gosight_application::ports::{
    Claim, ClaimVerdict, Deduplicator, DeduplicatorError, LogPosition, PortError, StoredEvents,
};
use gosight_domain::ProjectId;
use gosight_domain::time::HOUR_MS;
use tokio::sync::OnceCell;

use crate::ADAPTER;
use crate::client::{Redis, millis, script_call};
use crate::error::Failure;

/// Marks of known events on Redis, in front of the stored events.
///
/// A mark says which record an event belongs to, and lives for the *window* after it was last asked for. The marks are
/// in 16 buckets, and each knows since when and in which run of the server it is complete. The stored events are asked,
/// once for a batch, about
///
/// - claims that would be granted while a bucket is younger than the window: after a flush, a restart of the server or a
///   failover, and in the first days of a pipeline;
/// - claims of events that happened about a window ago or earlier, whose marks may have lived their life.
///
/// Where a stored event has another position than its mark, the stored one counts, and the mark is set right.
///
/// A mark takes about 200 bytes of the server's memory. A server that evicts keys is refused, because marks would be gone
/// without a trace; one that is full refuses claims, which then wait.
///
/// One case stays open: an event that is in two partitions, granted to one of them, lost with the marks *before* its
/// batch is stored, and claimed by the other before that. Records of one session are in one partition, and one partition
/// is processed batch by batch, so this takes a client that sends an event again under another session.
#[derive(Debug, Clone)]
pub struct RedisDeduplicator {
    redis: Redis,
    stored: Arc<dyn StoredEvents>,
    fit: Arc<OnceCell<()>>,
}

static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/claim_events.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release_events.lua")));

/// Hash tags that the marks are spread over.
const BUCKETS: u8 = 16;
/// Most claims of one script call, so that the server's other clients are not kept waiting.
const CLAIMS_PER_CALL: usize = 1_000;
/// About the bytes of a key, and of a position.
const CLAIM_BYTES: usize = 64;
/// By how much clocks, and the corrections of a client's clock, may differ.
const CLOCK_SLACK_MS: i64 = HOUR_MS;

/// What the marks say of a claim.
struct Opinion {
    verdict: ClaimVerdict,
    /// Whether the stored events may know better.
    doubtful: bool,
}

impl RedisDeduplicator {
    /// Keeps marks on `redis`, and asks `stored` about what they may have lost.
    pub fn new(redis: Redis, stored: Arc<dyn StoredEvents>) -> Self {
        Self { redis, stored, fit: Arc::default() }
    }

    fn window_ms(&self) -> u64 {
        millis(self.redis.config().dedup_window)
    }

    fn mark_key(&self, claim: &Claim) -> Vec<u8> {
        let mut key = self.mark_prefix(claim);
        key.extend_from_slice(claim.event_id.as_uuid().as_bytes());
        key
    }

    /// What the keys of a bucket's and project's marks begin with.
    fn mark_prefix(&self, claim: &Claim) -> Vec<u8> {
        let (bucket, project) = (bucket(claim), &claim.project_id);
        self.redis.key(format_args!("seen:{{{bucket}}}:{project}/")).into_bytes()
    }

    /// Asks once whether the server keeps marks at all.
    async fn check_server(&self) -> Result<(), DeduplicatorError> {
        let check = || async {
            let info = self.redis.server_info(self.redis.config().command_timeout).await?;
            info.unfit_for_marks().map_or(Ok(()), |reason| Err(PortError::fatal(ADAPTER, reason)))
        };
        self.fit.get_or_try_init(check).await.copied()
    }

    /// Written into the command as it goes, because there is one key and one position for each event.
    fn call(&self, bucket: u8, claims: &[&Claim]) -> Cmd {
        let mut call = Cmd::with_capacity(4 + 2 * claims.len(), 2 * CLAIM_BYTES * claims.len());
        call.arg("EVALSHA").arg(CLAIM.get_hash()).arg(1 + claims.len());
        call.arg(self.redis.key(format_args!("seen-since:{{{bucket}}}")));
        let mut key = Vec::with_capacity(CLAIM_BYTES);
        let mut known: Option<(&ProjectId, usize)> = None;
        for claim in claims {
            match known {
                Some((project, length)) if *project == claim.project_id => key.truncate(length),
                _ => {
                    key = self.mark_prefix(claim);
                    known = Some((&claim.project_id, key.len()));
                }
            }
            key.extend_from_slice(claim.event_id.as_uuid().as_bytes());
            call.arg(&key[..]);
        }
        call.arg(self.window_ms());
        let mut position = String::with_capacity(CLAIM_BYTES);
        for claim in claims {
            position.clear();
            // A text takes all that is written to it.
            let _ = write!(position, "{}", claim.position);
            call.arg(&position);
        }
        call
    }

    /// Claims with the marks alone.
    async fn ask_marks(&self, claims: &[Claim]) -> Result<Vec<Opinion>, Failure> {
        let parts = parts(claims);
        let call = |part: &Vec<usize>| {
            let claims: Vec<&Claim> = part.iter().map(|&n| &claims[n]).collect();
            claims.first().map(|first| self.call(bucket(first), &claims))
        };
        let calls: Vec<Cmd> = parts.iter().filter_map(call).collect();
        let answers: Vec<(String, i64)> =
            self.redis.run(Some(&CLAIM), calls, self.redis.config().command_timeout).await?;
        let old_ms = i64::try_from(self.window_ms()).unwrap_or(i64::MAX) - CLOCK_SLACK_MS;
        let mut opinions: Vec<(usize, Opinion)> = Vec::with_capacity(claims.len());
        for (part, (letters, now_ms)) in parts.iter().zip(&answers) {
            for (&n, letter) in part.iter().zip(letters.bytes()) {
                let is_old = now_ms.saturating_sub(claims[n].timestamp.as_millis()) >= old_ms;
                opinions.push((n, opinion(letter, is_old)?));
            }
        }
        if opinions.len() != claims.len() {
            return Err(Failure::UnexpectedAnswer("fewer verdicts than claims".into()));
        }
        opinions.sort_unstable_by_key(|(n, _)| *n);
        Ok(opinions.into_iter().map(|(_, opinion)| opinion).collect())
    }

    /// Where the doubtful ones are stored; `None` for what is not stored, or not doubtful.
    async fn ask_stored(
        &self,
        claims: &[Claim],
        opinions: &[Opinion],
    ) -> Result<Vec<Option<LogPosition>>, DeduplicatorError> {
        let doubtful = || opinions.iter().enumerate().filter(|(_, opinion)| opinion.doubtful).map(|(n, _)| n);
        let asked: Vec<Claim> = doubtful().map(|n| claims[n].clone()).collect();
        let mut positions = vec![None; claims.len()];
        if asked.is_empty() {
            return Ok(positions);
        }
        let answers = self.stored.positions(&asked).await?;
        if answers.len() != asked.len() {
            return Err(PortError::fatal(
                ADAPTER,
                "the stored events gave fewer positions than there are claims",
            ));
        }
        for (n, answer) in doubtful().zip(answers) {
            positions[n] = answer;
        }
        Ok(positions)
    }

    /// Sets the marks of stored events to what is stored.
    async fn correct(
        &self,
        claims: &[Claim],
        positions: &[Option<LogPosition>],
    ) -> Result<(), DeduplicatorError> {
        let correction = |(claim, position): (&Claim, &Option<LogPosition>)| {
            let position = position.as_ref()?;
            let mut set = redis::cmd("SET");
            set.arg(self.mark_key(claim)).arg(format!("={position}")).arg("PX").arg(self.window_ms());
            Some(set)
        };
        let corrections: Vec<Cmd> = claims.iter().zip(positions).filter_map(correction).collect();
        if !corrections.is_empty() {
            let timeout = self.redis.config().command_timeout;
            let _: redis::Value = self.redis.run(None, corrections, timeout).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Deduplicator for RedisDeduplicator {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        self.check_server().await?;
        let opinions = self.ask_marks(claims).await?;
        // Marked first, looked up after: of two that claim at once, one sees the other's mark.
        let positions = self.ask_stored(claims, &opinions).await?;
        self.correct(claims, &positions).await?;
        let verdict = |((claim, opinion), position): ((&Claim, Opinion), Option<LogPosition>)| match position
        {
            Some(stored) if stored == claim.position => ClaimVerdict::Granted,
            Some(_) => ClaimVerdict::Duplicate,
            None => opinion.verdict,
        };
        Ok(claims.iter().zip(opinions).zip(positions).map(verdict).collect())
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), DeduplicatorError> {
        let call = |part: Vec<usize>| {
            let keys: Vec<Vec<u8>> = part.iter().map(|&n| self.mark_key(&claims[n])).collect();
            let positions: Vec<String> = part.iter().map(|&n| claims[n].position.to_string()).collect();
            script_call(&RELEASE, &keys, &positions)
        };
        let calls: Vec<Cmd> = parts(claims).into_iter().map(call).collect();
        if !calls.is_empty() {
            let timeout = self.redis.config().command_timeout;
            let _: Vec<u64> = self.redis.run(Some(&RELEASE), calls, timeout).await?;
        }
        Ok(())
    }
}

fn bucket(claim: &Claim) -> u8 {
    let [.., last] = claim.event_id.as_uuid().into_bytes();
    last % BUCKETS
}

/// The claims by number, split by bucket and size; those of one event stay in order.
fn parts(claims: &[Claim]) -> Vec<Vec<usize>> {
    let mut buckets: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (n, claim) in claims.iter().enumerate() {
        buckets.entry(bucket(claim)).or_default().push(n);
    }
    buckets.values().flat_map(|bucket| bucket.chunks(CLAIMS_PER_CALL).map(<[usize]>::to_vec)).collect()
}

fn opinion(letter: u8, is_old: bool) -> Result<Opinion, Failure> {
    let (verdict, doubtful) = match letter {
        b'g' => (ClaimVerdict::Granted, false),
        b'd' => (ClaimVerdict::Duplicate, false),
        b'G' => (ClaimVerdict::Granted, true),
        b'D' => (ClaimVerdict::Duplicate, true),
        _ => return Err(Failure::UnexpectedAnswer("a verdict that is none".into())),
    };
    Ok(Opinion { verdict, doubtful: doubtful || is_old })
}
