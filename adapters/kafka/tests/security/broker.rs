//! A broker with a certificate, which asks everybody for a password.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gosight_kafka::KafkaConfig;
use gosight_services::{Instance, Proxy, Service};
use tempfile::TempDir;

pub const USER: &str = "gosight";
pub const PASSWORD: &str = "the-secret";
const KEYSTORE_PASSWORD: &str = "keystore";

/// The broker. Its secure listener is the one that stands behind a proxy.
pub struct SecureBroker {
    proxy: Proxy,
    certificates: TempDir,
    _broker: Instance,
}

/// Makes a key and a certificate of its own authority for this machine, as `{name}.p12` and `{name}.pem`.
fn certify(dir: &Path, name: &str) {
    let store = dir.join(format!("{name}.p12"));
    let keytool = |args: &[&str]| {
        let mut command = Command::new("keytool");
        command.args(args).arg("-keystore").arg(&store).args(["-storepass", KEYSTORE_PASSWORD]);
        let output = command.args(["-alias", "broker"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let person = format!("CN={name}");
    keytool(&[
        "-genkeypair",
        "-keyalg",
        "EC",
        "-storetype",
        "PKCS12",
        "-validity",
        "2",
        "-dname",
        &person,
        "-ext",
        "bc:c",
        "-ext",
        "san=ip:127.0.0.1",
    ]);
    let certificate = dir.join(format!("{name}.pem"));
    keytool(&["-exportcert", "-rfc", "-file", &certificate.to_string_lossy()]);
}

impl SecureBroker {
    pub fn start() -> Self {
        let certificates = tempfile::tempdir().unwrap();
        certify(certificates.path(), "broker");
        certify(certificates.path(), "other");
        let store = certificates.path().join("broker.p12");
        let plain = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"
        );
        let broker = Instance::start_with(
            Service::Kafka,
            &[
                ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXY:SASL_SSL"),
                ("listener.name.proxy.ssl.keystore.type", "PKCS12"),
                ("listener.name.proxy.ssl.keystore.location", &store.to_string_lossy()),
                ("listener.name.proxy.ssl.keystore.password", KEYSTORE_PASSWORD),
                ("listener.name.proxy.sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512"),
                ("listener.name.proxy.plain.sasl.jaas.config", &plain),
                (
                    "listener.name.proxy.scram-sha-512.sasl.jaas.config",
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                ),
                ("--add-scram", &format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")),
                ("-Xmx", "256m"),
            ],
        );
        Self { proxy: broker.proxy(), certificates, _broker: broker }
    }

    pub fn config(&self) -> KafkaConfig {
        super::with_papers(self.proxy.address().to_string(), self.certificates.path().join("broker.pem"))
    }

    /// An authority that the broker's certificate does not come from.
    pub fn other_authority(&self) -> PathBuf {
        self.certificates.path().join("other.pem")
    }

    /// Breaks all connections, and some new ones in the middle of their handshakes.
    pub async fn break_connections(&self) {
        let before = self.proxy.answers_cut();
        self.proxy.cut_answers(true);
        self.proxy.cut();
        while self.proxy.answers_cut() < before + 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.proxy.cut_answers(false);
    }
}
