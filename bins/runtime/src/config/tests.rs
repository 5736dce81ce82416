use std::io::Write;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    name: String,
    http: Http,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Http {
    listen: String,
    max_connections: u32,
    origins: Vec<String>,
    secret: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "n".into(), http: Http::default(), labels: BTreeMap::new() }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: "127.0.0.1:1".into(), max_connections: 10, origins: vec!["*".into()], secret: None }
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let file = file(text);
    let sources = Sources { file: Some(file.path().to_owned()), env: env(variables), ..Sources::default() };
    let name = file.path().display().to_string();
    load(&Settings::default(), &sources)
        .map(|loaded| loaded.config)
        .map_err(|error| error.to_string().replace(&name, "FILE"))
}

#[test]
fn later_sources_win() {
    let file = file("name: from file\nhttp:\n  listen: from file\n  max_connections: 20\n");
    let sources = Sources {
        file: Some(file.path().to_owned()),
        env: env(&[
            ("GOSIGHT_HTTP_LISTEN", "from env"),
            ("GOSIGHT_HTTP_MAX_CONNECTIONS", "30"),
            ("PATH", "x"),
        ]),
        other_variables: vec![],
        flags: vec![("--http", "http.listen", json!("from flag"))],
    };
    let config = load::<Settings>(&Settings::default(), &sources).unwrap().config;
    assert_eq!(config.name, "from file");
    assert_eq!(config.http.listen, "from flag");
    assert_eq!(config.http.max_connections, 30);
    assert_eq!(config.http.origins, ["*"]);
}

#[test]
fn no_sources_are_the_defaults() {
    assert_eq!(
        load::<Settings>(&Settings::default(), &Sources::default()).unwrap().config,
        Settings::default()
    );
    for empty in ["", "\n", "# only a comment\n", "{}"] {
        assert_eq!(load_text(empty, &[]).unwrap(), Settings::default(), "{empty:?}");
    }
}

#[test]
fn references_take_the_type_of_their_setting() {
    let text =
        "name: ${WHO} of ${PLACE:-here}\nhttp: { max_connections: '${MAX:-40}', origins: ['${O:-a}'] }\n";
    let config = load_text(text, &[("WHO", "me"), ("MAX", "")]).unwrap();
    assert_eq!(config.name, "me of here");
    assert_eq!(config.http.max_connections, 40);
    assert_eq!(config.http.origins, ["a"]);
    assert_eq!(
        load_text("name: '${N}'", &[("N", "12")]).unwrap().name,
        "12",
        "a number where text is wanted"
    );
    let error = load_text("http: { secret: '${NOBODY}' }", &[]).unwrap_err();
    assert_eq!(
        error,
        "FILE: http.secret: the environment variable NOBODY is not set; set it, or write ${NOBODY:-default}"
    );
}

#[test]
fn variables_take_lists_and_mappings_as_yaml() {
    let variables =
        [("GOSIGHT_HTTP_ORIGINS", "[a, b]"), ("GOSIGHT_LABELS", "{x: y}"), ("GOSIGHT_NAME", "123")];
    let config = load_text("", &variables).unwrap();
    assert_eq!(config.http.origins, ["a", "b"]);
    assert_eq!(config.labels["x"], "y");
    assert_eq!(config.name, "123");
}

#[test]
fn errors_say_where_and_what() {
    for (text, variables, expected) in [
        ("nme: x", vec![], "FILE: nme: unknown field `nme`, expected one of `name`, `http`, `labels`"),
        ("http: {lisen: x}", vec![], "FILE: http.lisen: unknown field `lisen`"),
        ("s3: {bucket: x}", vec![], "FILE: s3: is not in this build; build it with the feature \"s3\""),
        (
            "http: {max_connections: many}",
            vec![],
            "FILE: http.max_connections: invalid type: string \"many\"",
        ),
        ("http: {max_connections: -1}", vec![], "FILE: http.max_connections: invalid value"),
        ("http: {origins: [1]}", vec![], "FILE: http.origins[0]: invalid type"),
        ("http: 5", vec![], "FILE: http: invalid type"),
        ("- a", vec![], "FILE: is not valid YAML: the file must be a mapping"),
        ("a: [", vec![], "FILE: is not valid YAML"),
        (
            "",
            vec![("GOSIGHT_HTTP_MAX_CONNECTIONS", "many")],
            "environment variable GOSIGHT_HTTP_MAX_CONNECTIONS: http.max_connections: invalid type",
        ),
        (
            "",
            vec![("GOSIGHT_HTTP_LISTN", "x")],
            "environment variable GOSIGHT_HTTP_LISTN is no setting; did you mean GOSIGHT_HTTP_LISTEN?",
        ),
        (
            "",
            vec![("GOSIGHT_SOMETHING_ELSE", "x")],
            "environment variable GOSIGHT_SOMETHING_ELSE is no setting",
        ),
        (
            "",
            vec![("GOSIGHT_CLICKHOUSE_URL", "x")],
            "environment variable GOSIGHT_CLICKHOUSE_URL is not in this build; build it with the feature \"clickhouse\"",
        ),
    ] {
        let error = load_text(text, &variables).unwrap_err();
        assert!(error.starts_with(expected), "{error}\nshould start with\n{expected}");
    }
}

#[test]
fn a_file_that_is_named_must_exist() {
    let sources = Sources { file: Some("/no/such/file.yaml".into()), ..Sources::default() };
    let error = load::<Settings>(&Settings::default(), &sources).unwrap_err().to_string();
    assert!(error.starts_with("/no/such/file.yaml: "), "{error}");
}

#[test]
fn a_later_check_can_name_the_origin() {
    let sources = Sources { env: env(&[("GOSIGHT_HTTP_LISTEN", "nonsense")]), ..Sources::default() };
    let loaded = load::<Settings>(&Settings::default(), &sources).unwrap();
    let error = loaded.bad("http.listen", "is no address").to_string();
    assert_eq!(error, "environment variable GOSIGHT_HTTP_LISTEN: http.listen: is no address");
    assert_eq!(loaded.bad("name", "x").to_string(), "default: name: x");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let yaml = to_yaml(&Settings::default()).unwrap();
    assert_eq!(load_text(&yaml, &[]).unwrap(), Settings::default(), "{yaml}");
}
