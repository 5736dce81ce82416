//! Configuration: defaults, then a YAML file, then environment variables, then command line flags.
//!
//! Every setting has a path such as `http.listen` and an environment variable made from it, `GOSIGHT_HTTP_LISTEN`.
//! In the file, `${VAR}` and `${VAR:-default}` stand for environment variables. Unknown settings and bad values are
//! errors that say where they come from, what is wrong, and what is allowed.

mod env;
mod expand;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::settings::InvalidSetting;
use env::Environment;
use tree::{Kind, Tree};

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, if any. One that is named must exist.
    pub file: Option<PathBuf>,
    /// Environment variables. Passed in, so that tests set none of the process.
    pub env: Vec<(String, String)>,
    /// Variables that start like settings but are flags of a command.
    pub other_variables: Vec<&'static str>,
    /// Settings from flags: the flag, the setting's path, its value.
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A command line flag.
    Flag(&'static str),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no YAML.
    #[error("{}: is not valid YAML: {reason}", .path.display())]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// A setting is unknown, or its value is bad.
    #[error("{origin}: {key}: {reason}")]
    Bad {
        /// Where it was set.
        origin: Origin,
        /// Path of the setting.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// An environment variable looks like a setting but is none.
    #[error("environment variable {name} {}", no_setting(.name, .nearest.as_deref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The one that is spelt most alike.
        nearest: Option<String>,
    },
}

/// What is wrong with a variable, and what to do.
fn no_setting(name: &str, nearest: Option<&str>) -> String {
    let section = name.strip_prefix("GOSIGHT_").and_then(|name| name.split('_').next());
    match (nearest, section.and_then(|section| without_feature(&section.to_lowercase()))) {
        (Some(name), _) => format!("is no setting; did you mean {name}?"),
        (None, Some(reason)) => reason,
        (None, None) => "is no setting".to_owned(),
    }
}

/// A configuration with where its values come from.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The settings.
    pub config: T,
    origins: BTreeMap<String, Origin>,
}

impl<T> Loaded<T> {
    /// An error about the value at `key`, which a later check found.
    pub fn bad(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Bad { origin: origin_of(&self.origins, key), key: key.to_owned(), reason: reason.into() }
    }
}

/// Reads the configuration. What nobody sets is as `defaults` has it.
///
/// # Errors
/// [`ConfigError`] for the first thing that is wrong.
pub fn load<T: Serialize + DeserializeOwned>(
    defaults: &T,
    sources: &Sources,
) -> Result<Loaded<T>, ConfigError> {
    let mut tree = Tree::of_defaults(defaults);
    let environment = Environment::new(&sources.env);
    if let Some(path) = &sources.file {
        let file = read_file(path, &environment, &tree)?;
        tree.merge(file, &Origin::File(path.clone()));
    }
    environment.apply(&mut tree, &sources.other_variables)?;
    for (flag, key, value) in &sources.flags {
        tree.set(key, value.clone(), Origin::Flag(flag));
    }
    let (values, origins) = tree.into_parts();
    match serde_path_to_error::deserialize(values) {
        Ok(config) => Ok(Loaded { config, origins }),
        Err(error) => {
            let key = error.path().to_string();
            let reason = in_words(error.into_inner().to_string());
            Err(ConfigError::Bad { origin: origin_of(&origins, &key), key, reason })
        }
    }
}

/// Reads the configuration and checks that it can work.
///
/// # Errors
/// [`ConfigError`] for the first thing that is wrong.
pub fn load_valid<T: Serialize + DeserializeOwned>(
    defaults: &T,
    sources: &Sources,
    validate: impl FnOnce(&T) -> Result<(), InvalidSetting>,
) -> Result<T, ConfigError> {
    let loaded = load(defaults, sources)?;
    validate(&loaded.config).map_err(|error| loaded.bad(&error.key, error.reason))?;
    Ok(loaded.config)
}

/// Sections of settings that a build has with the feature of their name.
const FEATURES: [&str; 5] = ["kafka", "clickhouse", "redis", "postgres", "s3"];

/// What to do where the section `name` is not known because this build is without its feature.
fn without_feature(name: &str) -> Option<String> {
    let name = FEATURES.into_iter().find(|feature| *feature == name)?;
    Some(format!("is not in this build; build it with the feature {name:?}"))
}

/// What the parsers of values say, in words that tell how such a value is written.
fn in_words(reason: String) -> String {
    const WORDS: [(&str, &str); 5] = [
        ("expected parsable string", "must be a size such as 5MiB"),
        ("expected a duration", "must be a duration such as 30s, 5m or 90days"),
        ("invalid IP address syntax", "must be a network such as 10.0.0.0/8, or 10.0.0.1/32 for one address"),
        ("invalid socket address syntax", "must be an address such as 127.0.0.1:8080"),
        ("expected usize", "must be a whole number"),
    ];
    let section = reason.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    if let Some(reason) = section.and_then(|(name, _)| without_feature(name)) {
        return reason;
    }
    let words = WORDS.iter().find(|(found, _)| reason.contains(found));
    words.map_or(reason, |(_, words)| (*words).to_owned())
}

fn read_file(path: &Path, environment: &Environment<'_>, tree: &Tree) -> Result<Value, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let not_yaml = |reason: String| ConfigError::NotYaml { path: path.to_owned(), reason };
    let mut values: Value = if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'))
    {
        Value::Null
    } else {
        parse_yaml(&text).map_err(not_yaml)?
    };
    if values.is_null() {
        values = Value::Object(serde_json::Map::new());
    }
    if !values.is_object() {
        return Err(not_yaml("the file must be a mapping of settings".to_owned()));
    }
    expand::expand(&mut values, "", &|key| tree.kind(key), environment)
        .map_err(|(key, reason)| ConfigError::Bad { origin: Origin::File(path.to_owned()), key, reason })?;
    Ok(values)
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    // Only true and false are booleans: `NO` is a country.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// The value that `text` stands for where a value of `kind` is wanted.
fn parse_as(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Text => Value::String(text.to_owned()),
        // What is no YAML is left as text for the error to show.
        Kind::Other => parse_yaml(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

/// Who set the value at `key`: what was set there, inside it, or around it.
fn origin_of(origins: &BTreeMap<String, Origin>, key: &str) -> Origin {
    let inside = || {
        let start = if key == "." { String::new() } else { format!("{key}.") };
        origins.range(start.clone()..).take_while(|(path, _)| path.starts_with(&start)).map(|(_, o)| o).next()
    };
    let around = || {
        let dots = key.match_indices(['.', '[']).map(|(at, _)| at);
        dots.rev().find_map(|at| origins.get(&key[..at]))
    };
    origins.get(key).or_else(around).or_else(inside).cloned().unwrap_or(Origin::Default)
}

/// The configuration as YAML.
///
/// # Errors
/// A message when a value cannot be written.
pub fn to_yaml<T: Serialize>(config: &T) -> Result<String, String> {
    serde_saphyr::to_string(config).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
