use super::*;

fn with_url(url: &str) -> PostgresConfig {
    PostgresConfig { url: url.into(), ..PostgresConfig::default() }
}

#[test]
fn the_defaults_are_valid_and_survive_a_round_trip() {
    let config = PostgresConfig::default();
    config.validate().unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert!(text.contains(r#""statement_timeout":"5s""#), "{text}");
    assert_eq!(serde_json::from_str::<PostgresConfig>(&text).unwrap(), config);
}

#[test]
fn settings_are_read_with_their_units() {
    let config: PostgresConfig = serde_json::from_str(
        r#"{"url": "postgres://a:b@c:1234/d", "max_connections": 3, "acquire_timeout": "250ms"}"#,
    )
    .unwrap();
    assert_eq!(config.acquire_timeout, Duration::from_millis(250));
    assert_eq!(config.options().unwrap().get_port(), 1234);
    assert!(serde_json::from_str::<PostgresConfig>(r#"{"max_conections": 3}"#).is_err());
}

#[test]
fn what_cannot_work_is_named() {
    let default = PostgresConfig::default;
    for (config, key) in [
        (with_url(""), "url"),
        (with_url("mysql://localhost/gosight"), "url"),
        (with_url("postgres://user:pass:word@host/gosight?port=x"), "url"),
        (with_url("postgres://localhost/gosight?sslmode=maybe"), "url"),
        (PostgresConfig { max_connections: 0, ..default() }, "max_connections"),
        (PostgresConfig { acquire_timeout: Duration::ZERO, ..default() }, "acquire_timeout"),
        (PostgresConfig { statement_timeout: Duration::from_micros(1), ..default() }, "statement_timeout"),
        (PostgresConfig { statement_timeout: Duration::from_hours(25), ..default() }, "statement_timeout"),
    ] {
        assert_eq!(config.validate().unwrap_err().key, key, "{config:?}");
    }
}

#[test]
fn tls_is_refused_by_a_build_without_it() {
    let refused = with_url("postgres://localhost/gosight?sslmode=verify-full").validate().is_err();
    assert_eq!(refused, !cfg!(feature = "tls"));
}

#[test]
fn no_password_is_ever_shown() {
    for (url, shown) in [
        ("postgres://ann:s3cret@db:5432/gosight", "postgres://ann:***@db:5432/gosight"),
        ("postgres://ann:s3cret@db/g?sslmode=require", "postgres://ann:***@db/g?sslmode=require"),
        ("postgres://ann:s3c/r@e?t@db/gosight", "postgres://ann:***@db/gosight"),
        ("postgres://ann@db/gosight", "postgres://ann@db/gosight"),
        ("postgres://db/gosight?user=ann&password=s3cret", "postgres://db/gosight?***"),
        ("s3cret", "***"),
    ] {
        let config = with_url(url);
        assert_eq!(config.url.to_string(), shown);
        let seen = [format!("{config:?}"), serde_json::to_string(&config).unwrap()];
        let refused = config.validate().err().map(|error| format!("{error:?} {error}"));
        for text in seen.iter().chain(&refused) {
            assert!(!text.contains("s3c"), "{text}");
        }
    }
}
