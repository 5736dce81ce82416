use std::sync::{Arc, Mutex, PoisonError};

use gosight_application::ports::PortError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{Failure, read_error};

/// The last error of a connection that the library reported. Its calls say no more than that they had no answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastClientError(Arc<Mutex<Option<ClientError>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ClientError {
    code: Option<Code>,
    reason: String,
}

impl ClientError {
    fn new(code: Option<Code>, text: &str) -> Self {
        // How long it took differs each time.
        let mut reason = text.split_once(" (after ").map_or(text, |(reason, _)| reason).to_owned();
        if text.contains("APIVERSION_QUERY") {
            reason.push_str("; is kafka.security.protocol what the broker has on this port?");
        }
        Self { code, reason }
    }

    /// What a person has to do, if waiting does not mend it.
    fn advice(&self) -> Option<&'static str> {
        match self.code? {
            // A broker that goes away in the middle of a handshake has this code too.
            Code::SSL if self.reason.contains("certificate") => Some(
                "check kafka.security.ca_file, and that kafka.brokers names the hosts as their certificates do",
            ),
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                Some("check kafka.security.sasl_mechanism, sasl_user and sasl_password")
            }
            _ => None,
        }
    }
}

impl LastClientError {
    /// Keeps the error. One that a person has to mend is logged, once as long as it stays the same.
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        let client_error = ClientError::new(error.rdkafka_error_code(), reason);
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match client_error.advice() {
            Some(advice) if latest.as_ref() != Some(&client_error) => {
                tracing::error!(reason = client_error.reason, advice, "client error needs a person");
            }
            _ => tracing::debug!(%error, reason, "client error"),
        }
        // Why each broker is unavailable says more than that all of them are.
        if client_error.code != Some(Code::AllBrokersDown) {
            *latest = Some(client_error);
        }
    }

    /// Keeps a line of the library's log about a connection, which is all that it says of many.
    pub(crate) fn note_line(&self, facility: &str, line: &str) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if facility == "FAIL" && latest.as_ref().is_none_or(|known| known.advice().is_none()) {
            // After the name of the library's thread.
            let text = line.split_once("]: ").map_or(line, |(_, text)| text);
            *latest = Some(ClientError::new(None, text));
        }
    }

    /// Why a question had no answer.
    pub(crate) fn explain(&self, error: KafkaError) -> PortError {
        self.explain_failure(read_error(error))
    }

    /// The same of a failure that was judged already.
    pub(crate) fn explain_failure(&self, error: PortError) -> PortError {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(client_error) = latest else { return error };
        let ClientError { reason, .. } = &client_error;
        match (client_error.advice(), error) {
            (Some(advice), _) => Failure::TurnedAway { reason: reason.clone(), advice }.fatal(),
            (None, PortError::Transient { source, .. }) => {
                Failure::NotReached { error: source.to_string(), reason: reason.clone() }.transient()
            }
            (None, other) => other,
        }
    }

    /// The same for a person.
    pub(crate) fn text(&self, error: KafkaError) -> String {
        self.explain(error).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(code: Code, reason: &str) -> PortError {
        let last_error = LastClientError::default();
        last_error.note(&KafkaError::Global(code), reason);
        last_error.note(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        last_error.explain(KafkaError::MetadataFetch(Code::BrokerTransportFailure))
    }

    #[test]
    fn what_a_person_has_to_mend_says_what_to_do() {
        let password =
            "sasl_ssl://b:9093/1: SASL authentication error: invalid credentials (after 7ms in state X)";
        let error = explained(Code::Authentication, password);
        assert!(matches!(error, PortError::Fatal { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("invalid credentials: check") && text.contains("sasl_password"), "{text}");
        let error = explained(Code::SSL, "SSL handshake failed: certificate verify failed");
        assert!(error.to_string().contains("kafka.security.ca_file"), "{error}");
    }

    #[test]
    fn what_may_pass_is_waited_for_with_its_reason() {
        for (code, reason) in [
            (Code::SSL, "SSL handshake failed: Disconnected"),
            (Code::BrokerTransportFailure, "Connect to ipv4#127.0.0.1:1 failed: Connection refused"),
        ] {
            let error = explained(code, reason);
            assert!(error.is_transient() && error.to_string().contains(reason), "{error}");
        }
        let cut = LastClientError::default();
        cut.note_line(
            "FAIL",
            "[thrd:a:1/1]: a:1/1: Disconnected: closed (after 2ms in state APIVERSION_QUERY)",
        );
        cut.note_line("OTHER", "something else");
        let text = cut.text(KafkaError::MetadataFetch(Code::BrokerTransportFailure));
        assert!(text.contains(": a:1/1: Disconnected: closed; is kafka.security.protocol"), "{text}");
        let silent = LastClientError::default().explain(KafkaError::MetadataFetch(Code::OperationTimedOut));
        assert!(silent.is_transient(), "{silent}");
    }
}
