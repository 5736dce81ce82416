use super::*;

fn valid() -> S3Config {
    S3Config { access_key: "AKIA".into(), secret_key: "s3cret".into(), ..S3Config::default() }
}

#[test]
fn the_defaults_lack_only_the_keys() {
    valid().validate().unwrap();
    assert_eq!(S3Config::default().validate().unwrap_err().key, "access_key");
    let text = serde_json::to_string(&S3Config::default()).unwrap();
    assert!(text.contains(r#""request_timeout":"1m""#), "{text}");
    assert_eq!(serde_json::from_str::<S3Config>(&text).unwrap(), S3Config::default());
}

#[test]
fn settings_are_read_with_their_units() {
    let config: S3Config = serde_json::from_str(
        r#"{"secret_key": "s3cret", "request_timeout": "5s", "retry": {"initial_wait": "10ms"}}"#,
    )
    .unwrap();
    assert_eq!(config.secret_key.reveal(), "s3cret");
    assert_eq!(config.retry.policy().initial, Duration::from_millis(10));
    assert!(serde_json::from_str::<S3Config>(r#"{"buckett": "b"}"#).is_err());
}

#[test]
fn what_cannot_work_is_named() {
    let retry = |retry| S3Config { retry, ..valid() };
    for (config, key) in [
        (S3Config { endpoint: "localhost:9000".into(), ..valid() }, "endpoint"),
        (S3Config { endpoint: "http://".into(), ..valid() }, "endpoint"),
        (S3Config { endpoint: "http://host/path".into(), ..valid() }, "endpoint"),
        (S3Config { endpoint: "http://user:pass@host".into(), ..valid() }, "endpoint"),
        (S3Config { bucket: "Gosight".into(), ..valid() }, "bucket"),
        (S3Config { bucket: "a/b".into(), ..valid() }, "bucket"),
        (S3Config { region: String::new(), ..valid() }, "region"),
        (S3Config { access_key: " x".into(), ..valid() }, "access_key"),
        (S3Config { secret_key: "a\nb".into(), ..valid() }, "secret_key"),
        (S3Config { prefix: "archive".into(), ..valid() }, "prefix"),
        (S3Config { prefix: "/".into(), ..valid() }, "prefix"),
        (S3Config { prefix: "../".into(), ..valid() }, "prefix"),
        (S3Config { request_timeout: Duration::ZERO, ..valid() }, "request_timeout"),
        (retry(S3RetryConfig { attempts: 0, ..S3RetryConfig::default() }), "retry.attempts"),
        (retry(S3RetryConfig { max_wait: Duration::ZERO, ..S3RetryConfig::default() }), "retry.max_wait"),
    ] {
        assert_eq!(config.validate().unwrap_err().key, key, "{config:?}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let config = valid();
    for text in [format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(text.contains("***") && !text.contains("s3cret"), "{text}");
    }
    let bad = S3Config { secret_key: "s3cret s3cret".into(), ..valid() }.validate().unwrap_err();
    assert!(!format!("{bad:?} {bad}").contains("s3cret"));
}
