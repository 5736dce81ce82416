//! Filter rules: mark, block, route or change events as configured.
//!
//! Rules are tried in order. A rule that matches does its action; all but `block` go on to the next rule. A condition
//! that cannot be evaluated (a comparison of text with a number, say) does not match and is counted, so a wrong rule
//! never loses events.

mod condition;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gosight_domain::decoded::DecodedEvent;
use gosight_domain::field::EventFields;
use gosight_domain::{JsonObject, Violation, ViolationCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use condition::Condition;
pub use condition::{ConditionConfig, Operator};

/// A rule as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterRuleConfig {
    /// Names the rule in counts and in the ledger.
    pub name: String,
    /// All of these must hold; none means always.
    #[serde(default)]
    pub when: Vec<ConditionConfig>,
    /// What is done with an event that matches.
    pub action: FilterAction,
}

/// What a rule does with an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FilterAction {
    /// Lets it through with this mark among its routes.
    Allow {
        /// The mark.
        mark: String,
    },
    /// Keeps it out of the store. The ledger says so.
    Block,
    /// Adds hints for what comes after to its routes.
    Route {
        /// The hints.
        to: Vec<String>,
    },
    /// Changes its payload.
    Transform {
        /// Top-level fields of the payload to set.
        #[serde(default)]
        set: BTreeMap<String, Value>,
        /// Top-level fields of the payload to remove.
        #[serde(default)]
        remove: Vec<String>,
    },
}

/// What a set of rules says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It is kept out.
    Block {
        /// By this rule.
        rule: Arc<str>,
    },
}

/// How often a rule was tried and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilterStats {
    /// Events that it was tried on.
    pub evaluated: u64,
    /// Events that it matched.
    pub matched: u64,
    /// Events on which it could not be evaluated.
    pub errors: u64,
}

/// Rules, ready to use.
#[derive(Debug, Default)]
pub struct FilterSet {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    when: Vec<Condition>,
    action: FilterAction,
    evaluated: AtomicU64,
    matched: AtomicU64,
    errors: AtomicU64,
}

impl FilterSet {
    /// Prepares rules.
    ///
    /// # Errors
    /// [`Violation`] that names the rule and what is wrong with it.
    pub fn new(rules: &[FilterRuleConfig]) -> Result<Self, Violation> {
        let mut names = std::collections::BTreeSet::new();
        let rules = rules.iter().enumerate().map(|(index, config)| {
            let place = format!("filters[{index}]");
            if config.name.is_empty() || !names.insert(config.name.as_str()) {
                return Err(Violation::new(
                    format!("{place}.name"),
                    ViolationCode::NotAllowed,
                    format!("{:?} must be a name that no other rule has", config.name),
                ));
            }
            let when: Result<Vec<Condition>, Violation> = config.when.iter().map(Condition::new).collect();
            Ok(Rule {
                name: config.name.as_str().into(),
                when: when.map_err(|violation| violation.within(&format!("{place}.when")))?,
                action: config.action.clone(),
                evaluated: AtomicU64::new(0),
                matched: AtomicU64::new(0),
                errors: AtomicU64::new(0),
            })
        });
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What each rule did so far, in order.
    pub fn stats(&self) -> Vec<(Arc<str>, FilterStats)> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.rules
            .iter()
            .map(|rule| {
                let stats = FilterStats {
                    evaluated: load(&rule.evaluated),
                    matched: load(&rule.matched),
                    errors: load(&rule.errors),
                };
                (rule.name.clone(), stats)
            })
            .collect()
    }

    /// Applies the rules to `event`.
    pub fn apply(&self, event: &mut DecodedEvent) -> Verdict {
        let mut next = 0;
        while next < self.rules.len() {
            let mut routes = Vec::new();
            let mut change = None;
            let fields = event.fields();
            while let Some(rule) = self.rules.get(next) {
                next += 1;
                if !rule.matches(&fields) {
                    continue;
                }
                match &rule.action {
                    FilterAction::Block => return Verdict::Block { rule: rule.name.clone() },
                    FilterAction::Allow { mark } => routes.push(Arc::from(mark.as_str())),
                    FilterAction::Route { to } => routes.extend(to.iter().map(|to| Arc::from(to.as_str()))),
                    FilterAction::Transform { set, remove } => {
                        change = Some((set, remove));
                        break;
                    }
                }
            }
            event.add_routes(routes);
            if let Some((set, remove)) = change {
                transform(event, set, remove);
            }
        }
        Verdict::Pass
    }
}

impl Rule {
    fn matches(&self, fields: &EventFields<'_>) -> bool {
        self.evaluated.fetch_add(1, Ordering::Relaxed);
        for condition in &self.when {
            match condition.holds(fields) {
                Some(true) => {}
                Some(false) => return false,
                None => {
                    self.errors.fetch_add(1, Ordering::Relaxed);
                    return false;
                }
            }
        }
        self.matched.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// A rule must not make an event that no store can hold: it stays as it is then.
fn transform(event: &mut DecodedEvent, set: &BTreeMap<String, Value>, remove: &[String]) {
    if let Ok(payload) = changed(&event.event().payload, set, remove) {
        let _ = event.set_payload(payload);
    }
}

/// `payload` without `remove` and with `set`. What is not touched keeps its text: a number is not written anew.
fn changed(
    payload: &JsonObject,
    set: &BTreeMap<String, Value>,
    remove: &[String],
) -> serde_json::Result<JsonObject> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(payload.as_str())?;
    for field in remove {
        fields.remove(field);
    }
    for (field, value) in set {
        fields.insert(field.clone(), to_raw_value(value)?);
    }
    serde_json::from_str(&serde_json::to_string(&fields)?)
}

#[cfg(test)]
mod tests;
