//! Senders that go on while something is done to the servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gosight_distributed_tests::Process;
use gosight_e2e::load::{Sender, Sent};
use tokio::task::JoinSet;

/// Events that are sent while something is killed, in each scenario that kills.
pub const EVENTS: usize = 200_000;
/// At once, each with a session of its own.
const SENDERS: usize = 8;

/// Senders at work. Whatever they send is acknowledged in the end.
pub struct Traffic {
    senders: JoinSet<Sent>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    /// `events` in all, as fast as they go through.
    pub fn of(ingestor: &Process, round: usize, events: usize) -> Self {
        let share = |sender: usize| events / SENDERS + usize::from(sender < events % SENDERS);
        // A session lives on over several rounds.
        Self::start(ingestor, |sender| (format!("session-{sender}-{}", round / 3), share(sender), None))
    }

    /// So many events a second and more, until it is ended.
    pub fn steady(ingestor: &Process, batches_per_second: u32) -> Self {
        let every = Duration::from_secs(1) * u32::try_from(SENDERS).unwrap() / batches_per_second;
        Self::start(ingestor, |sender| (format!("session-{sender}"), usize::MAX, Some(every)))
    }

    fn start(ingestor: &Process, work: impl Fn(usize) -> (String, usize, Option<Duration>)) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (session, events, every) = work(sender);
            let sender = Sender { url: ingestor.follow(), session, events, every, stop: stop.clone() };
            senders.spawn(sender.run());
        }
        Self { senders, stop }
    }

    /// Waits until all is sent.
    pub async fn all(mut self, sent: &mut Sent) {
        while let Some(of_sender) = self.senders.join_next().await {
            sent.merge(of_sender.unwrap());
        }
    }

    /// Ends it.
    pub async fn end(self, sent: &mut Sent) {
        self.stop.store(true, Ordering::Relaxed);
        self.all(sent).await;
    }
}

/// Lets the traffic flow for a random time, in ms.
pub async fn pause(range: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(range))).await;
}
