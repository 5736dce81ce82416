//! Ports for private servers.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

use anyhow::{Context, bail};

use crate::cache::Cache;

/// Below the ports that the system gives to outgoing connections: while a server is down, a client that tries again
/// and again would else get that very port for its own end, and meet itself. Above those of the shared set.
const FIRST: u16 = 20_000;
const COUNT: u16 = 4_000;

/// A free port that no other test on this machine gets while this lives, also when nobody listens on it.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes any that is free.
    pub(crate) fn take(cache: &Cache) -> anyhow::Result<Self> {
        let dir = cache.ports();
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        // Anywhere in the range, so that tests that start at once seldom try the same.
        let start = RandomState::new().hash_one(0) % u64::from(COUNT);
        let start = u16::try_from(start).unwrap_or(0);
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            let lock = File::create(dir.join(number.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no port from {FIRST} on is free")
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
