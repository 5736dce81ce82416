//! Where a client presents its key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gosight_domain::key::PresentedKey;

use super::head::Head;

/// One place where a key may stand. Empty text is no key, wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A header of this name, in lower case.
    Header(&'static str),
    /// `Authorization: Bearer <key>` (RFC 6750).
    Bearer,
    /// The user of `Authorization: Basic <base64 of user:password>` (RFC 7617); the password is not looked at.
    BasicUser,
    /// A parameter of the query. It is seen by whoever logs addresses.
    Query(&'static str),
    /// The body: [`Dialect::read`](super::Dialect::read) finds it. What can be held of such a body is less, because nobody knows
    /// yet whose it is.
    Body,
}

impl Credential {
    /// The key in this place of `head`. A body is no part of it.
    pub fn find(self, head: &Head<'_>) -> Option<PresentedKey> {
        let text = match self {
            Self::Header(name) => head.text(name),
            Self::Bearer => authorization(head, "bearer"),
            Self::BasicUser => authorization(head, "basic").map(|credentials| basic_user(&credentials)),
            Self::Query(name) => parameter(head.query?, name),
            Self::Body => None,
        };
        let text = text?;
        Some(text.trim()).filter(|text| !text.is_empty()).map(PresentedKey::new)
    }

    /// A key that a body has.
    pub fn in_body(text: Option<&str>) -> Option<PresentedKey> {
        text.map(str::trim).filter(|key| !key.is_empty()).map(PresentedKey::new)
    }
}

fn authorization(head: &Head<'_>, scheme: &str) -> Option<String> {
    let value = head.text("authorization")?;
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim().to_owned())
}

/// What cannot be read is still a key, and one that nobody has.
fn basic_user(credentials: &str) -> String {
    let decoded = STANDARD.decode(credentials).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = decoded.unwrap_or_else(|_| credentials.to_owned());
    text.split(':').next().unwrap_or_default().to_owned()
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(credential: Credential, headers: &[(&str, &str)], query: Option<&str>) -> Option<String> {
        let header = |name: &str| {
            headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_bytes())
        };
        let head = Head { path: "/", query, header: &header };
        credential.find(&head).map(|key| key.reveal().to_owned())
    }

    #[test]
    fn each_place_is_read_as_its_standard_says() {
        let own = Credential::Header("x-project-key");
        assert_eq!(key(own, &[("x-project-key", " a ")], None).as_deref(), Some("a"));
        let authorized = |credential, value| key(credential, &[("authorization", value)], None);
        assert_eq!(authorized(Credential::Bearer, "bEARER   b ").as_deref(), Some("b"));
        // base64 of "key:" and of "key:secret".
        assert_eq!(authorized(Credential::BasicUser, "Basic a2V5Og==").as_deref(), Some("key"));
        assert_eq!(authorized(Credential::BasicUser, "basic a2V5OnNlY3JldA==").as_deref(), Some("key"));
        let query = |query| key(Credential::Query("key"), &[], Some(query));
        assert_eq!(query("a=1&key=k%2B1&key=2").as_deref(), Some("k+1"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for value in ["Basic a2V5Og==", "Bearer", "Bearer ", ""] {
            assert_eq!(key(Credential::Bearer, &[("authorization", value)], None), None, "{value}");
        }
        for value in ["Bearer key", "Basic Og==", "Basic"] {
            assert_eq!(key(Credential::BasicUser, &[("authorization", value)], None), None, "{value}");
        }
        assert_eq!(key(Credential::Query("key"), &[], Some("key=&other=1")), None);
        assert_eq!(key(Credential::Query("key"), &[], None), None);
        assert!(Credential::in_body(Some(" ")).is_none());
    }

    #[test]
    fn what_cannot_be_read_is_a_key_that_nobody_has() {
        assert!(key(Credential::Header("x-project-key"), &[("x-project-key", "schlüssel")], None).is_some());
        assert!(key(Credential::BasicUser, &[("authorization", "Basic ???")], None).is_some());
    }
}
