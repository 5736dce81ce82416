use std::path::PathBuf;

use gosight_application::Secret;
use serde::{Deserialize, Serialize};

use super::{ConfigError, check};

/// Encryption and authentication.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// What connections are made of.
    pub protocol: Protocol,
    /// File with the certificates of the authorities that brokers' certificates come from; those of the system when
    /// there is none.
    pub ca_file: Option<PathBuf>,
    /// How this client proves who it is, with the `sasl_*` protocols.
    pub sasl_mechanism: SaslMechanism,
    /// User for SASL.
    pub sasl_user: Option<String>,
    /// Password for SASL.
    pub sasl_password: Option<Secret>,
}

/// What connections are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// Encrypted. Needs the feature `tls`.
    Ssl,
    /// Authenticated, not encrypted. Needs the feature `sasl`.
    SaslPlaintext,
    /// Encrypted and authenticated. Needs the features `tls` and `sasl`.
    SaslSsl,
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaslMechanism {
    /// User and password as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Challenge and response over SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Challenge and response over SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Protocol {
    /// Whether connections are encrypted.
    pub(crate) const fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether this client says who it is.
    pub(crate) const fn is_authenticated(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// As the client library writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

impl SaslMechanism {
    /// As the client library writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl SecurityConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let Self { protocol, ca_file, sasl_user, sasl_password, .. } = self;
        check("security.protocol", cfg!(feature = "tls") || !protocol.is_encrypted(), || {
            format!("{} needs a build with the feature tls", protocol.as_str())
        })?;
        check("security.protocol", cfg!(feature = "sasl") || !protocol.is_authenticated(), || {
            format!("{} needs a build with the feature sasl", protocol.as_str())
        })?;
        check("security.ca_file", ca_file.is_none() || protocol.is_encrypted(), || {
            format!("has no meaning with protocol {}", protocol.as_str())
        })?;
        for (key, is_set) in
            [("security.sasl_user", sasl_user.is_some()), ("security.sasl_password", sasl_password.is_some())]
        {
            check(key, is_set == protocol.is_authenticated(), || {
                let rule = if is_set { "has no meaning" } else { "must be set" };
                format!("{rule} with protocol {}", protocol.as_str())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_printed_nowhere() {
        let security = SecurityConfig { sasl_password: Some(Secret::from("hunter2")), ..Default::default() };
        let printed = format!("{security:?} {}", serde_json::to_string(&security).unwrap());
        assert!(!printed.contains("hunter2"), "{printed}");
        let read: SecurityConfig = serde_json::from_str(r#"{"sasl_password": "hunter2"}"#).unwrap();
        assert_eq!(read.sasl_password.unwrap().reveal(), "hunter2");
    }

    #[test]
    fn what_belongs_to_another_protocol_is_refused() {
        let with_user = SecurityConfig { sasl_user: Some("u".to_owned()), ..Default::default() };
        assert_eq!(with_user.validate().unwrap_err().key, "security.sasl_user");
        let with_ca = SecurityConfig { ca_file: Some("ca.pem".into()), ..Default::default() };
        assert_eq!(with_ca.validate().unwrap_err().key, "security.ca_file");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn encryption_without_its_feature_is_refused() {
        let security = SecurityConfig { protocol: Protocol::Ssl, ..Default::default() };
        assert!(security.validate().unwrap_err().reason.contains("feature tls"));
    }

    #[test]
    #[cfg(all(feature = "tls", feature = "sasl"))]
    fn sasl_over_tls_needs_user_and_password() {
        let mut security = SecurityConfig { protocol: Protocol::SaslSsl, ..Default::default() };
        assert_eq!(security.validate().unwrap_err().key, "security.sasl_user");
        security.sasl_user = Some("u".to_owned());
        assert_eq!(security.validate().unwrap_err().key, "security.sasl_password");
        security.sasl_password = Some(Secret::from("p"));
        security.validate().unwrap();
    }
}
