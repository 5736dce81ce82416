//! Every sentence of a contract has a wrong adapter.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::{
    batch_store, deduplicator, event_enricher, event_measure, event_sink, key_validator, ledger,
    replay_store, session_store,
};

/// The ports that are proven so, with the file of each and the sentences that its wrong adapters break.
const PORTS: [(&str, &str, &[&[usize]]); 9] = [
    ("EventEnricher", "event_enricher.rs", &[event_enricher::WRONG]),
    ("EventMeasure", "event_measure.rs", &[event_measure::WRONG]),
    ("EventSink", "event_sink.rs", &[event_sink::WRONG]),
    ("SessionStore", "session_store.rs", &[session_store::WRONG, session_store::partitioned::WRONG]),
    ("ReplayStore", "replay_store.rs", &[replay_store::WRONG]),
    ("KeyValidator", "keys.rs", &[key_validator::WRONG]),
    (
        "BatchStore",
        "batch_store.rs",
        &[batch_store::WRONG, batch_store::refusing::WRONG, batch_store::stepped::WRONG],
    ),
    ("Ledger", "ledger.rs", &[ledger::WRONG]),
    ("Deduplicator", "deduplicator.rs", &[deduplicator::WRONG]),
];

/// The documentation of the trait `port`, line by line.
fn documentation<'t>(text: &'t str, port: &str) -> Vec<&'t str> {
    let head = format!("pub trait {port}:");
    let before: Vec<&str> = text.lines().take_while(|line| !line.starts_with(&head)).collect();
    assert!(before.len() < text.lines().count(), "there is no trait {port}");
    let above = before.iter().rev().skip_while(|line| line.starts_with("#["));
    let mut lines: Vec<&str> = above.map_while(|line| line.strip_prefix("///")).map(str::trim).collect();
    lines.reverse();
    lines
}

/// The numbers of the sentences of a contract.
fn sentences(documentation: &[&str]) -> Vec<usize> {
    let contract = documentation.iter().skip_while(|line| **line != "# Contract").skip(1);
    let contract = contract.take_while(|line| !line.starts_with('#'));
    contract.filter_map(|line| line.split_once(". ")?.0.parse().ok()).collect()
}

fn sentences_of(port: &str, file: &str) -> Vec<usize> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../application/src/ports").join(file);
    let text = std::fs::read_to_string(&path).expect("the file of the port");
    let sentences = sentences(&documentation(&text, port));
    assert!(!sentences.is_empty(), "{port} has no contract");
    assert_eq!(sentences, (1..=sentences.len()).collect::<Vec<_>>(), "the numbers of {port}");
    sentences
}

#[test]
fn every_sentence_has_a_wrong_adapter() {
    for (port, file, wrong) in PORTS {
        let broken: BTreeSet<usize> = wrong.iter().copied().flatten().copied().collect();
        let sentences: BTreeSet<usize> = sentences_of(port, file).into_iter().collect();
        let missing: Vec<_> = sentences.difference(&broken).collect();
        assert!(missing.is_empty(), "{port} has no wrong adapter for the sentences {missing:?}");
        let unknown: Vec<_> = broken.difference(&sentences).collect();
        assert!(unknown.is_empty(), "{port} has no sentences {unknown:?}, but wrong adapters for them");
    }
}

#[test]
fn sentences_are_counted_for_the_trait_that_is_asked_for() {
    let text = "
/// One.
///
/// # Contract
/// 1. A sentence, which goes on
///    with 2. of something. A second one.
/// 2. Another.
///
/// 7 is no sentence.
///
/// # Panics
/// 3. Never.
#[async_trait]
#[other]
pub trait One: fmt::Debug {
    /// 4. No.
}

/// Two.
pub trait Two: One {}
";
    assert_eq!(sentences(&documentation(text, "One")), [1, 2]);
    assert_eq!(sentences(&documentation(text, "Two")), [0; 0]);
}
