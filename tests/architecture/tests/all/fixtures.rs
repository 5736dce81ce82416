//! What earlier versions wrote is whole: later versions are tested with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::root;

const SUMS: &str = "SHA256SUMS";
/// Files that have no line among the sums.
const NOT_SUMMED: [&str; 2] = [SUMS, "README.md"];
/// Most bytes of all fixtures.
const MAX_BYTES: u64 = 5 << 20;

/// The folders with what a version wrote.
fn fixtures() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("tests/fixtures")).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = folders.filter(|folder| folder.join(SUMS).exists()).collect();
    assert!(!found.is_empty(), "there is no fixture");
    found
}

/// All files below `folder`, by their paths in `fixture`.
fn files(fixture: &Path, folder: &Path, found: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(fixture, &path, found);
        } else {
            let name = path.strip_prefix(fixture).unwrap().to_str().unwrap().to_owned();
            found.insert(name, path);
        }
    }
}

fn all_files(fixture: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    files(fixture, fixture, &mut found);
    found
}

fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(fs::read(path).unwrap());
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn every_file_of_a_fixture_has_its_sum() {
    for fixture in fixtures() {
        let sums = fs::read_to_string(fixture.join(SUMS)).unwrap();
        let listed: BTreeMap<&str, &str> = sums
            .lines()
            .map(|line| line.split_once("  ").expect("a sum, two spaces, a path"))
            .map(|(sum, name)| (name, sum))
            .collect();
        let mut there = all_files(&fixture);
        for name in NOT_SUMMED {
            assert!(there.remove(name).is_some(), "{} has no {name}", fixture.display());
        }
        let names: Vec<&str> = there.keys().map(String::as_str).collect();
        assert_eq!(names, listed.keys().copied().collect::<Vec<_>>(), "{}", fixture.display());
        for (name, path) in &there {
            assert_eq!(sha256(path), listed[name.as_str()], "{}", path.display());
        }
    }
}

#[test]
fn fixtures_are_small() {
    let paths = fixtures().into_iter().flat_map(|fixture| all_files(&fixture).into_values());
    let bytes: u64 = paths.map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes <= MAX_BYTES, "the fixtures have {bytes} bytes");
}

#[test]
fn every_compressed_file_can_be_read_to_its_end() {
    let paths = fixtures().into_iter().flat_map(|fixture| all_files(&fixture).into_values());
    let compressed: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
    assert!(!compressed.is_empty(), "no file is compressed");
    for path in compressed {
        let mut content = MultiGzDecoder::new(BufReader::new(File::open(&path).unwrap()));
        let read = io::copy(&mut content, &mut io::sink());
        read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
