//! Which parts go together.

use std::fmt;

/// How far a part reaches, and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The memory of this process: gone with it.
    Memory,
    /// A directory that one process at a time has.
    Directory,
    /// Servers that any number of processes use.
    Servers,
}

/// What the parts of a pipeline are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combination {
    /// The log.
    pub log: Reach,
    /// The store.
    pub store: Reach,
    /// Projects and keys, and which replays are archived.
    pub accounts: Reach,
    /// Objects of archived replays, if there is an archive.
    pub archive: Option<Reach>,
    /// Marks of known events, rate limits, accepted chunks.
    pub state: Reach,
    /// Whether other processes do a part of the work.
    pub is_shared: bool,
}

/// Parts that do not go together: events would be lost, or counted twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} {what}: {reason}")]
pub struct BadCombination {
    /// The part that does not fit.
    pub part: &'static str,
    /// What it is.
    what: &'static str,
    /// Why that does not work with the others.
    pub reason: &'static str,
}

impl BadCombination {
    /// A part that several processes cannot have.
    pub(super) fn shared(part: &'static str, reason: &'static str) -> Self {
        Self { part, what: "in several processes", reason }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reach {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::Directory => "in a directory",
            Self::Servers => "on servers",
        }
    }
}

impl Combination {
    /// All parts in memory.
    pub const MEMORY: Self = Self {
        log: Reach::Memory,
        store: Reach::Memory,
        accounts: Reach::Memory,
        archive: Some(Reach::Memory),
        state: Reach::Memory,
        is_shared: false,
    };

    /// Checks that the parts go together.
    ///
    /// # Errors
    /// [`BadCombination`] with the reason.
    pub fn check(&self) -> Result<(), BadCombination> {
        let bad = |part, reach: Reach, reason| Err(BadCombination { part, what: reach.as_str(), reason });
        if self.log == Reach::Memory && self.store != Reach::Memory {
            let reason = "its offsets begin again with each process, and the store would take new events for stored ones";
            return bad("a log", self.log, reason);
        }
        if self.store == Reach::Memory && self.log != Reach::Memory {
            let reason = "it forgets what became of the records of a log that outlives it, and some are not there any more";
            return bad("a store", self.store, reason);
        }
        if self.archive == Some(Reach::Memory) && self.store != Reach::Memory {
            let reason = "what moves to it is deleted in a store that outlives it";
            return bad("an archive", Reach::Memory, reason);
        }
        if self.accounts == Reach::Memory && self.archive.is_some_and(|archive| archive != Reach::Memory) {
            let reason = "they forget which replays an archive has that outlives them";
            return bad("accounts", self.accounts, reason);
        }
        if self.state == Reach::Memory && self.log == Reach::Servers {
            let reason = "another process of the log's group would not know the marks of this one's events";
            return bad("state", self.state, reason);
        }
        self.check_shared()
    }

    /// Checks that all processes have the same parts.
    fn check_shared(self) -> Result<(), BadCombination> {
        let parts = [
            ("a log", Some(self.log)),
            ("a store", Some(self.store)),
            ("accounts", Some(self.accounts)),
            ("an archive", self.archive),
            ("state", Some(self.state)),
        ];
        let own = parts.into_iter().find(|(_, reach)| reach.is_some_and(|reach| reach != Reach::Servers));
        match own.filter(|_| self.is_shared) {
            Some((part, reach)) => Err(BadCombination {
                part,
                what: reach.unwrap_or(Reach::Memory).as_str(),
                reason: "the other processes could not use it",
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reach::{Directory, Memory, Servers};
    use super::*;

    fn all(reach: Reach) -> Combination {
        let (archive, is_shared) = (Some(reach), false);
        Combination { log: reach, store: reach, accounts: reach, archive, state: reach, is_shared }
    }

    #[test]
    fn what_works_is_let_through() {
        for good in [
            all(Memory),
            all(Servers),
            Combination { is_shared: true, ..all(Servers) },
            Combination { state: Memory, ..all(Directory) },
            Combination { state: Memory, archive: Some(Servers), ..all(Directory) },
            Combination { state: Memory, store: Servers, ..all(Directory) },
            Combination { store: Servers, ..all(Directory) },
            Combination { accounts: Directory, archive: None, ..all(Servers) },
            Combination { store: Directory, ..all(Servers) },
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn what_would_lose_or_double_events_is_refused_with_the_part() {
        for (bad, part) in [
            (Combination { log: Memory, ..all(Directory) }, "a log in memory"),
            (Combination { log: Memory, ..all(Servers) }, "a log in memory"),
            (Combination { store: Memory, ..all(Directory) }, "a store in memory"),
            (Combination { archive: Some(Memory), ..all(Directory) }, "an archive in memory"),
            (Combination { accounts: Memory, ..all(Directory) }, "accounts in memory"),
            (Combination { state: Memory, ..all(Servers) }, "state in memory"),
            (Combination { accounts: Directory, is_shared: true, ..all(Servers) }, "accounts in a directory"),
            (Combination { store: Directory, is_shared: true, ..all(Servers) }, "a store in a directory"),
            (
                Combination { archive: Some(Directory), is_shared: true, ..all(Servers) },
                "an archive in a directory",
            ),
            (Combination { is_shared: true, state: Memory, ..all(Directory) }, "a log in a directory"),
        ] {
            let text = bad.check().unwrap_err().to_string();
            assert!(text.starts_with(&format!("{part}: ")), "{text}");
        }
    }
}
