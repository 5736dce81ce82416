use std::collections::BTreeMap;

use super::tree::{Kind, Tree};
use super::{ConfigError, Origin, parse_as};

const PREFIX: &str = "GOSIGHT_";

/// The environment variables of the process, or of a test.
pub(super) struct Environment<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Environment<'a> {
    pub(super) fn new(variables: &'a [(String, String)]) -> Self {
        Self(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    /// Sets every setting that has a variable; `others` are variables that are none.
    pub(super) fn apply(&self, tree: &mut Tree, others: &[&str]) -> Result<(), ConfigError> {
        let settings: BTreeMap<String, String> =
            tree.settings().map(|key| (variable_of(key), key.to_owned())).collect();
        for (name, value) in &self.0 {
            if !name.starts_with(PREFIX) || others.contains(name) {
                continue;
            }
            let Some(key) = settings.get(*name) else {
                return Err(ConfigError::UnknownVariable {
                    name: (*name).to_owned(),
                    nearest: nearest(name, settings.keys()),
                });
            };
            let kind = tree.kind(key).unwrap_or(Kind::Text);
            tree.set(key, parse_as(kind, value), Origin::Variable((*name).to_owned()));
        }
        Ok(())
    }
}

/// The environment variable of a setting.
fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// The name that takes the fewest edits from `name`, if that is few.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n String>) -> Option<String> {
    let (distance, best) = known.map(|known| (edits(name, known), known)).min()?;
    (distance <= 5).then(|| best.clone())
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
