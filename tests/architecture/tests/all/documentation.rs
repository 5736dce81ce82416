//! What has to be looked up is written down.

use std::collections::BTreeSet;

use gosight_application::surface::FAILURES;
use gosight_application::telemetry::Metric;
use gosight_domain::ViolationCode;

use crate::root;

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

#[test]
fn every_error_code_has_a_row_with_its_status() {
    let text = read("error-codes.md");
    for (code, status, _) in FAILURES {
        assert!(
            text.contains(&format!("| `{code}` | {status} |")),
            "docs/error-codes.md lacks {code} ({status})"
        );
    }
    for code in ViolationCode::ALL {
        assert!(text.contains(&format!("| `{code}` |")), "docs/error-codes.md lacks {code}");
    }
}

#[test]
fn every_metric_has_a_row() {
    let text = read("metrics.md");
    for metric in Metric::ALL {
        assert!(
            text.contains(&format!("| `{}` |", metric.name())),
            "docs/metrics.md lacks {}",
            metric.name()
        );
    }
}

#[test]
fn alarms_are_on_metrics_that_there_are() {
    let text = std::fs::read_to_string(root().join("deploy/alerts.yaml")).unwrap();
    let rules = text.lines().filter_map(|line| line.trim_start().strip_prefix("expr: "));
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = rules.flat_map(|rule| rule.split(|letter| !is_word(letter)));
    // No label that the rules name has two words.
    let named: BTreeSet<&str> = words.filter(|word| word.contains('_')).collect();
    let known: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    assert!(named.len() >= 5, "{named:?}");
    assert!(named.is_subset(&known), "{:?} are no metrics", named.difference(&known));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.starts_with("http") {
                continue;
            }
            let target = document.parent().unwrap().join(path);
            assert!(target.exists(), "{} links to {link}", document.display());
        }
    }
}
