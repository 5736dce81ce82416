//! Files stay short, and say nothing that does not belong into them.

use std::path::{Path, PathBuf};

use crate::root;

/// Most lines of a file.
const MAX_LINES: usize = 400;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    assert!(found.len() > 100, "found {} files only", found.len());
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn no_file_is_long() {
    let long: Vec<String> = all_sources()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "files of more than {MAX_LINES} lines, is each one thing? {long:#?}");
}

#[test]
fn half_of_the_files_are_short() {
    let mut lines: Vec<usize> = all_sources().iter().map(|(_, text)| text.lines().count()).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median <= 150, "the median file has {median} lines");
}

#[test]
fn nothing_is_left_for_later_or_ignored() {
    // Written apart, so that this file does not find itself.
    let marks = ["TO", "FIX", "#[ig"].iter().zip(["DO", "ME", "nore"]).map(|(a, b)| format!("{a}{b}"));
    let marks: Vec<String> = marks.collect();
    let found: Vec<String> = all_sources()
        .iter()
        .filter_map(|(path, text)| {
            let mark = marks.iter().find(|mark| text.contains(mark.as_str()))?;
            Some(format!("{}: {mark}", path.display()))
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
