//! Senders that go on while something is done to the servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gosight_distributed_tests::Process;
use gosight_e2e::load::{Sent, send_until};
use tokio::task::JoinSet;

const SENDERS: usize = 8;

/// Senders that go on until they are told to stop.
pub struct Traffic {
    senders: JoinSet<Sent>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    pub fn start(ingestor: &Process, round: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (url, stop) = (ingestor.url().to_owned(), stop.clone());
            // A session lives on over several rounds.
            let session = format!("session-{sender}-{}", round / 3);
            senders.spawn(async move { send_until(&url, &session, &stop).await });
        }
        Self { senders, stop }
    }

    pub async fn end(mut self, sent: &mut Sent) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(of_sender) = self.senders.join_next().await {
            sent.merge(of_sender.unwrap());
        }
    }
}

/// Lets the traffic flow for a random time, in ms.
pub async fn pause(range: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(range))).await;
}
