use gosight_domain::field::{EventFields, FieldPath};
use gosight_domain::{Violation, ViolationCode};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition as configured: a field, an operator, and what to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionConfig {
    /// Path of the field, such as `payload.price`.
    pub field: FieldPath,
    /// How to compare.
    pub op: Operator,
    /// What to compare with; a list for `in`, `not_in` and `between`, nothing for `exists` and `missing`.
    #[serde(default)]
    pub value: Value,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    Contains,
    Matches,
    In,
    NotIn,
    /// From the first to the second of two numbers, both included.
    Between,
    Exists,
    Missing,
}

/// Largest compiled regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A condition, ready to use.
#[derive(Debug)]
pub(super) struct Condition {
    field: FieldPath,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Eq(Value),
    Ne(Value),
    Number { op: Operator, bound: f64 },
    Between(f64, f64),
    Contains(String),
    Matches(Regex),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Exists,
    Missing,
}

impl Condition {
    pub(super) fn new(config: &ConditionConfig) -> Result<Self, Violation> {
        let wrong = |what: &str| {
            Violation::new(
                "value",
                ViolationCode::WrongType,
                format!("{} of the condition on {} must be {what}", config.value, config.field),
            )
        };
        let value = &config.value;
        let text = || value.as_str().ok_or_else(|| wrong("text"));
        let list = || value.as_array().cloned().ok_or_else(|| wrong("a list"));
        let test = match config.op {
            Operator::Eq => Test::Eq(value.clone()),
            Operator::Ne => Test::Ne(value.clone()),
            op @ (Operator::Gt | Operator::Gte | Operator::Lt | Operator::Lte) => {
                Test::Number { op, bound: value.as_f64().ok_or_else(|| wrong("a number"))? }
            }
            Operator::Between => match list()?.iter().map(Value::as_f64).collect::<Vec<_>>()[..] {
                [Some(low), Some(high)] => Test::Between(low, high),
                _ => return Err(wrong("a list of two numbers")),
            },
            Operator::Contains => Test::Contains(text()?.to_owned()),
            Operator::Matches => {
                let regex = RegexBuilder::new(text()?).size_limit(MAX_REGEX_BYTES).build();
                Test::Matches(regex.map_err(|error| wrong(&format!("a regular expression: {error}")))?)
            }
            Operator::In => Test::In(list()?),
            Operator::NotIn => Test::NotIn(list()?),
            Operator::Exists => Test::Exists,
            Operator::Missing => Test::Missing,
        };
        Ok(Self { field: config.field.clone(), test })
    }

    /// Whether the condition holds; `None` when the field's value cannot be compared so. An absent field is equal to
    /// nothing, and no comparison but `ne`, `not_in` and `missing` holds for it.
    pub(super) fn holds(&self, fields: &EventFields<'_>) -> Option<bool> {
        if let Test::Eq(Value::String(other)) = &self.test
            && let Some(text) = fields.str(&self.field)
        {
            return Some(text == other);
        }
        let found = fields.get(&self.field);
        let Some(value) = found.as_deref() else {
            return Some(matches!(self.test, Test::Ne(_) | Test::NotIn(_) | Test::Missing));
        };
        match &self.test {
            Test::Eq(other) => Some(same(value, other)),
            Test::Ne(other) => Some(!same(value, other)),
            Test::Number { op, bound } => {
                let number = value.as_f64()?;
                Some(match op {
                    Operator::Gt => number > *bound,
                    Operator::Gte => number >= *bound,
                    Operator::Lt => number < *bound,
                    _ => number <= *bound,
                })
            }
            Test::Between(low, high) => value.as_f64().map(|number| (*low..=*high).contains(&number)),
            Test::Contains(part) => match value {
                Value::String(text) => Some(text.contains(part.as_str())),
                Value::Array(items) => Some(items.iter().any(|item| item.as_str() == Some(part))),
                _ => None,
            },
            Test::Matches(regex) => value.as_str().map(|text| regex.is_match(text)),
            Test::In(list) => Some(list.iter().any(|other| same(value, other))),
            Test::NotIn(list) => Some(!list.iter().any(|other| same(value, other))),
            Test::Exists => Some(true),
            Test::Missing => Some(false),
        }
    }
}

/// Equality of values; numbers are equal when they stand for the same, however written.
#[expect(clippy::float_cmp, reason = "the same number written twice is the same float")]
fn same(a: &Value, b: &Value) -> bool {
    // Ids can be integers that a float does not tell from their neighbours.
    let is_integer = |value: &Value| value.is_i64() || value.is_u64();
    match (a.as_f64(), b.as_f64()) {
        (Some(a_float), Some(b_float)) if !is_integer(a) || !is_integer(b) => a_float == b_float,
        _ => a == b,
    }
}
