//! How long to wait before trying again.

use std::time::Duration;

use rand::RngExt;

/// Exponential backoff with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for BackoffPolicy {
    /// 2 seconds, doubling, 60 at most.
    fn default() -> Self {
        Self { initial: Duration::from_secs(2), max: Duration::from_mins(1) }
    }
}

/// The waits of one series of attempts.
#[derive(Debug, Clone)]
pub struct Backoff {
    policy: BackoffPolicy,
    attempts: u32,
}

impl Backoff {
    /// A fresh series.
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { policy, attempts: 0 }
    }

    /// How often was waited so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next wait: doubled each time, between half of it and all of it so that many clients do not come back at
    /// once, and at least what the other side asked for.
    pub fn next_wait(&mut self, retry_after: Option<Duration>) -> Duration {
        let full =
            self.policy.initial.saturating_mul(2u32.saturating_pow(self.attempts)).min(self.policy.max);
        self.attempts = self.attempts.saturating_add(1);
        let jittered = full.mul_f64(rand::rng().random_range(0.5..=1.0));
        retry_after.map_or(jittered, |asked| jittered.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = BackoffPolicy { initial: Duration::from_secs(2), max: Duration::from_mins(1) };
        let mut backoff = Backoff::new(policy);
        for full in [2, 4, 8, 16, 32, 60, 60] {
            let wait = backoff.next_wait(None);
            assert!(wait >= Duration::from_secs(full) / 2 && wait <= Duration::from_secs(full), "{wait:?}");
        }
        assert_eq!(backoff.attempts(), 7);
    }

    #[test]
    fn the_other_side_is_heard() {
        let mut backoff = Backoff::new(BackoffPolicy::default());
        assert_eq!(backoff.next_wait(Some(Duration::from_secs(90))), Duration::from_secs(90));
        // But it is not let in sooner than by its own rule.
        assert!(backoff.next_wait(Some(Duration::from_millis(1))) >= Duration::from_secs(2));
    }

    #[test]
    fn many_attempts_wait_no_longer_than_the_longest() {
        let mut backoff = Backoff::new(BackoffPolicy::default());
        for _ in 0..1_000 {
            assert!(backoff.next_wait(None) <= Duration::from_mins(1));
        }
        assert!(backoff.next_wait(None) >= Duration::from_secs(30));
    }

    #[test]
    fn clients_do_not_come_back_all_at_once() {
        let first = |_| Backoff::new(BackoffPolicy::default()).next_wait(None);
        let waits: std::collections::BTreeSet<Duration> = (0..20).map(first).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
