//! API keys: who may do what.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::text::ProjectId;
use crate::time::Timestamp;
use crate::violation::{Violation, ViolationCode};

/// A key as its holder presents it. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedKey(String);

/// Characters of a key that are kept to recognise it by: the prefix and four more.
const SHOWN_CHARS: usize = 12;

impl PresentedKey {
    /// Longest text that is looked up as a key, in bytes.
    pub const MAX_BYTES: usize = 256;
    /// Shortest key that may be created, in characters.
    pub const MIN_CHARS: usize = 16;

    /// A key as presented, whatever it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A new key from 192 random bits: `gs_live_` and 48 hexadecimal digits (`gs_test_` when `test`).
    pub fn from_random(random: [u8; 24], test: bool) -> Self {
        let mut key = String::from(if test { "gs_test_" } else { "gs_live_" });
        for byte in random {
            key.push(char::from(HEX[usize::from(byte >> 4)]));
            key.push(char::from(HEX[usize::from(byte & 15)]));
        }
        Self(key)
    }

    /// Checks a key that an operator chose.
    ///
    /// # Errors
    /// [`Violation`] when it does not start with `gs_live_` or `gs_test_`, or is too short or too long.
    pub fn check_chosen(&self) -> Result<(), Violation> {
        let has_prefix = self.0.starts_with("gs_live_") || self.0.starts_with("gs_test_");
        let plain = self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !has_prefix || !plain || self.0.len() < Self::MIN_CHARS || self.0.len() > Self::MAX_BYTES {
            return Err(Violation::new(
                "key",
                ViolationCode::NotAllowed,
                format!(
                    "must start with gs_live_ or gs_test_ and have {} to {} letters, digits, - and _",
                    Self::MIN_CHARS,
                    Self::MAX_BYTES
                ),
            ));
        }
        Ok(())
    }

    /// What is stored and looked up in place of the key.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The start of the key, to recognise it by.
    pub fn shown_prefix(&self) -> String {
        self.0.chars().take(SHOWN_CHARS).collect()
    }

    /// The key itself, to show it once to whom it was made for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PresentedKey {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedKey(***)")
    }
}

/// SHA-256 of a whole key. Looking up by it takes the same time whatever part of a guess is right, because a guess
/// that differs in one character has nothing of the hash in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send events and replays.
    Ingest,
    /// Ask questions.
    Read,
    /// See what concerns all projects, and manage.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Read, Self::Admin];

    /// The name in rows, commands and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The scope with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A key as it is stored: without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key in lists and commands.
    pub key_id: Uuid,
    /// The tenant it belongs to.
    pub project_id: ProjectId,
    /// What it is for, in the words of who made it.
    pub name: String,
    /// What it is looked up by.
    pub hash: KeyHash,
    /// Its first characters, to recognise it by.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// False once revoked.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, about.
    pub last_used_at: Option<Timestamp>,
    /// How often it was used, about.
    pub request_count: u64,
}

/// Why a key that exists is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No such key.
    #[error("the key is not known")]
    Unknown,
    /// It was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the key has expired")]
    Expired,
}

impl ApiKey {
    /// What the key grants at `now`.
    ///
    /// # Errors
    /// [`KeyRefusal`] when it was revoked or has expired.
    pub fn grant(&self, now: Timestamp) -> Result<Grant, KeyRefusal> {
        if !self.is_active {
            return Err(KeyRefusal::Revoked);
        }
        let grant = Grant {
            key_id: self.key_id,
            project_id: self.project_id.clone(),
            scopes: self.scopes.clone(),
            expires_at: self.expires_at,
        };
        grant.at(now)
    }
}

/// What a valid key allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The key.
    pub key_id: Uuid,
    /// The tenant.
    pub project_id: ProjectId,
    /// What is allowed.
    pub scopes: Vec<Scope>,
    /// From when on the key is refused, whoever remembers this grant.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// The grant, if the key has not expired at `now`: for those who remember grants.
    ///
    /// # Errors
    /// [`KeyRefusal::Expired`] when it has.
    pub fn at(self, now: Timestamp) -> Result<Self, KeyRefusal> {
        if self.expires_at.is_some_and(|end| now >= end) { Err(KeyRefusal::Expired) } else { Ok(self) }
    }
}

/// A key that is valid but not for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key lacks the scope {}", .needed.as_str())]
pub struct MissingScope {
    /// The scope that is needed.
    pub needed: Scope,
}

impl Grant {
    /// Proof that the grant has the scope `S`; use cases ask for it, so forgetting the check does not compile.
    ///
    /// # Errors
    /// [`MissingScope`] when the grant does not have it.
    pub fn require<S: ScopeMarker>(&self) -> Result<Scoped<S>, MissingScope> {
        if self.scopes.contains(&S::SCOPE) {
            Ok(Scoped { project_id: self.project_id.clone(), scope: PhantomData })
        } else {
            Err(MissingScope { needed: S::SCOPE })
        }
    }
}

/// A project, with proof that the caller may act on it in the way of `S`.
#[derive(Debug, Clone)]
pub struct Scoped<S> {
    project_id: ProjectId,
    scope: PhantomData<S>,
}

impl<S: ScopeMarker> Scoped<S> {
    /// Vouches for a caller that was checked by other means than a key, as in an embedder's own service.
    pub fn vouched(project_id: ProjectId) -> Self {
        Self { project_id, scope: PhantomData }
    }

    /// The project.
    pub fn project_id(&self) -> &ProjectId {
        &self.project_id
    }
}

/// A scope as a type.
pub trait ScopeMarker {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! scope_markers {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        impl ScopeMarker for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )+};
}

scope_markers! {
    /// May send.
    Ingest,
    /// May ask.
    Read,
    /// May manage.
    Admin,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scopes: &[Scope]) -> ApiKey {
        let presented = PresentedKey::from_random([7; 24], true);
        ApiKey {
            key_id: Uuid::from_u128(1),
            project_id: ProjectId::new("p").unwrap(),
            name: String::new(),
            hash: presented.hash(),
            prefix: presented.shown_prefix(),
            scopes: scopes.to_vec(),
            is_active: true,
            created_at: Timestamp::from_millis(0),
            expires_at: Some(Timestamp::from_millis(100)),
            last_used_at: None,
            request_count: 0,
        }
    }

    #[test]
    fn a_new_key_has_its_bits_and_shows_only_its_start() {
        let key = PresentedKey::from_random([0xAB; 24], false);
        assert_eq!(key.reveal(), format!("gs_live_{}", "ab".repeat(24)));
        assert_eq!(key.shown_prefix(), "gs_live_abab");
        assert!(!format!("{key:?}").contains("abab"));
        assert!(key.check_chosen().is_ok());
    }

    #[test]
    fn chosen_keys_have_a_form() {
        assert!(PresentedKey::new("gs_test_project_key").check_chosen().is_ok());
        for bad in ["", "abc", "gs_test_short", "sk_live_0123456789abcdef", "gs_live_with space in it"] {
            assert!(PresentedKey::new(bad).check_chosen().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_whole_key_decides() {
        let key = PresentedKey::new("gs_live_0123456789abcdef");
        for other in ["gs_live_0123", "gs_live_0123456789abcdee", "gs_live_0123456789abcdef0", ""] {
            assert_ne!(key.hash(), PresentedKey::new(other).hash());
        }
    }

    #[test]
    fn revoked_and_expired_keys_grant_nothing() {
        let now = Timestamp::from_millis(99);
        assert!(key(&[Scope::Read]).grant(now).is_ok());
        assert_eq!(key(&[]).grant(now.plus_millis(1)), Err(KeyRefusal::Expired));
        let revoked = ApiKey { is_active: false, ..key(&[Scope::Read]) };
        assert_eq!(revoked.grant(now), Err(KeyRefusal::Revoked));
    }

    #[test]
    fn a_scope_is_not_another() {
        let grant = key(&[Scope::Ingest]).grant(Timestamp::from_millis(0)).unwrap();
        assert!(grant.require::<Ingest>().is_ok());
        assert_eq!(grant.require::<Read>().unwrap_err().needed, Scope::Read);
        assert!(grant.require::<Admin>().is_err());
    }
}
