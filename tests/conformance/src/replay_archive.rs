//! Suite of `ReplayArchive`.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use gosight_application::ports::{
    ObjectEntry, ObjectStat, ObjectStream, PortError, ReplayArchive, read_object, whole_object,
};
use gosight_domain::replay::ContentHash;

use crate::{Keep, factory::bytes, suite};

suite! { $ replay_archive_suite, replay_archive(ReplayArchiveFixture):
    an_object_is_read_back_as_it_was
    a_large_object_is_read_back_as_it_was
    putting_again_replaces_the_whole_object
    a_reader_sees_one_version_whole
    a_stream_that_fails_changes_nothing
    however_an_object_is_cut_it_is_the_same
    a_range_is_cut_at_the_end_of_the_object
    an_empty_object_is_an_object
    what_is_not_there_is_none
    paths_have_all_their_characters_and_long_names
    objects_are_listed_in_order_of_their_paths
    a_listing_starts_after_a_path_and_ends_at_the_limit
    more_objects_than_any_page_are_listed
    deleting_takes_one_object_and_may_be_repeated
}

/// An archive without objects.
pub struct ReplayArchiveFixture {
    /// The port.
    pub archive: Arc<dyn ReplayArchive>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

/// More than one page of any store: S3's have 1,000 objects.
const MANY: usize = 1_050;
/// Objects that are written at the same time.
const AT_ONCE: usize = 16;

impl ReplayArchiveFixture {
    async fn put(&self, path: &str, object: impl Into<Bytes>) {
        self.archive.put(path, whole_object(object)).await.expect("put");
    }

    async fn get(&self, path: &str) -> Option<Bytes> {
        self.read(path, None).await
    }

    async fn range(&self, path: &str, range: Range<u64>) -> Option<Bytes> {
        self.read(path, Some(range)).await
    }

    async fn read(&self, path: &str, range: Option<Range<u64>>) -> Option<Bytes> {
        let object = self.archive.get(path, range).await.expect("read")?;
        Some(read_object(object).await.expect("read to its end"))
    }

    async fn stat(&self, path: &str) -> Option<ObjectStat> {
        self.archive.stat(path).await.expect("read")
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let entries = self.archive.list(prefix, after, limit).await.expect("listed");
        entries.into_iter().map(|entry| entry.path).collect()
    }
}

/// Checks what a stat of `object` says: an archive that keeps the hash of its content must keep the right one.
fn assert_stat(stat: Option<&ObjectStat>, object: &[u8]) {
    assert!(stat.is_some_and(|stat| is_stat_of(stat, object)), "{stat:?}");
}

fn is_stat_of(stat: &ObjectStat, object: &[u8]) -> bool {
    stat.bytes == object.len() as u64 && stat.content.is_none_or(|content| content == ContentHash::of(object))
}

/// An object that comes in parts of these lengths, and fails after them if `fails`.
fn streamed(object: &Bytes, parts: &[usize], fails: bool) -> ObjectStream {
    let mut rest = object.clone();
    let mut parts: Vec<_> = parts.iter().map(|&length| Ok(rest.split_to(length.min(rest.len())))).collect();
    if fails {
        parts.push(Err(PortError::transient("the writer", "it died")));
    } else {
        parts.push(Ok(rest));
    }
    futures::stream::iter(parts).boxed()
}

/// Bytes of every value that never repeat for long.
fn patterned(length: u32) -> Bytes {
    (0..length).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

pub async fn an_object_is_read_back_as_it_was(fixture: ReplayArchiveFixture) {
    // What starts like gzip and is none must come back unread.
    for object in [patterned(1_000), bytes("\u{1f}\u{8b}\u{8}\0 no gzip")] {
        fixture.put("p/2026/11/s.gz", object.clone()).await;
        assert_eq!(fixture.get("p/2026/11/s.gz").await.as_ref(), Some(&object));
        assert_stat(fixture.stat("p/2026/11/s.gz").await.as_ref(), &object);
    }
}

pub async fn a_large_object_is_read_back_as_it_was(fixture: ReplayArchiveFixture) {
    let object = patterned(20 << 20);
    fixture.put("p/2026/11/large.gz", object.clone()).await;
    assert_stat(fixture.stat("p/2026/11/large.gz").await.as_ref(), &object);
    assert!(fixture.get("p/2026/11/large.gz").await.as_ref() == Some(&object), "the same bytes");
    let middle = 7_000_001..13_000_003;
    let part = fixture.range("p/2026/11/large.gz", middle).await.expect("there");
    assert!(part == object.slice(7_000_001..13_000_003), "the same bytes");
}

pub async fn putting_again_replaces_the_whole_object(fixture: ReplayArchiveFixture) {
    for object in [patterned(5_000), patterned(10), patterned(5_000)] {
        fixture.put("p/s.gz", object.clone()).await;
        fixture.put("p/s.gz", object.clone()).await;
        assert_eq!(fixture.get("p/s.gz").await.as_ref(), Some(&object));
        assert_stat(fixture.stat("p/s.gz").await.as_ref(), &object);
    }
    assert_eq!(fixture.list("", None, 10).await, ["p/s.gz"]);
}

pub async fn a_reader_sees_one_version_whole(fixture: ReplayArchiveFixture) {
    const ROUNDS: usize = 30;
    let versions = [Bytes::from(vec![b'a'; 300_000]), Bytes::from(vec![b'b'; 200_000])];
    fixture.put("p/s.gz", versions[0].clone()).await;
    let write = async {
        for round in 0..ROUNDS {
            fixture.put("p/s.gz", versions[round % 2].clone()).await;
        }
    };
    let read = async {
        for _ in 0..ROUNDS {
            let seen = fixture.get("p/s.gz").await.expect("always there");
            assert!(versions.contains(&seen), "{} bytes of {:?}", seen.len(), seen.first());
            let stat = fixture.stat("p/s.gz").await.expect("always there");
            assert!(versions.iter().any(|version| is_stat_of(&stat, version)), "{stat:?}");
        }
    };
    tokio::join!(write, read);
}

pub async fn a_stream_that_fails_changes_nothing(fixture: ReplayArchiveFixture) {
    let long = patterned(30 << 20);
    let old = patterned(50);
    fixture.put("p/old.gz", old.clone()).await;
    for parts in [&[][..], &[10], &[100, 0, 200], &[1 << 20, 8 << 20, 20 << 20]] {
        for path in ["p/new.gz", "p/old.gz"] {
            let failed = fixture.archive.put(path, streamed(&long, parts, true)).await;
            assert!(failed.expect_err("the stream failed").to_string().contains("it died"));
        }
        assert_eq!(fixture.get("p/new.gz").await, None);
        assert_eq!(fixture.list("", None, 10).await, ["p/old.gz"]);
        assert_eq!(fixture.get("p/old.gz").await.as_ref(), Some(&old));
        assert_stat(fixture.stat("p/old.gz").await.as_ref(), &old);
    }
}

pub async fn however_an_object_is_cut_it_is_the_same(fixture: ReplayArchiveFixture) {
    let object = patterned(18 << 20);
    for parts in [&[][..], &[0, 1, 0, 5_000], &[8 << 20, 8 << 20], &[(8 << 20) + 1, 1 << 20]] {
        fixture.archive.put("p/s.gz", streamed(&object, parts, false)).await.expect("put");
        assert!(fixture.get("p/s.gz").await.as_ref() == Some(&object), "the same bytes, in {parts:?}");
        assert_stat(fixture.stat("p/s.gz").await.as_ref(), &object);
    }
}

pub async fn a_range_is_cut_at_the_end_of_the_object(fixture: ReplayArchiveFixture) {
    let object = patterned(1_000);
    fixture.put("p/s.gz", object.clone()).await;
    for (range, wanted) in [
        (0..1_000, 0..1_000),
        (0..1, 0..1),
        (999..1_000, 999..1_000),
        (200..300, 200..300),
        (900..5_000, 900..1_000),
        (0..u64::MAX, 0..1_000),
        (1_000..1_001, 0..0),
        (5_000..6_000, 0..0),
        (u64::MAX - 1..u64::MAX, 0..0),
        (10..10, 0..0),
        (1_000..1_000, 0..0),
    ] {
        let got = fixture.range("p/s.gz", range.clone()).await;
        assert_eq!(got, Some(object.slice(wanted)), "{range:?}");
    }
}

pub async fn an_empty_object_is_an_object(fixture: ReplayArchiveFixture) {
    fixture.put("p/empty", Bytes::new()).await;
    assert_eq!(fixture.get("p/empty").await, Some(Bytes::new()));
    assert_eq!(fixture.range("p/empty", 0..10).await, Some(Bytes::new()));
    assert_stat(fixture.stat("p/empty").await.as_ref(), b"");
    let entries = fixture.archive.list("p/", None, 10).await.expect("listed");
    assert_eq!(entries, [ObjectEntry { path: "p/empty".into(), bytes: 0 }]);
}

pub async fn what_is_not_there_is_none(fixture: ReplayArchiveFixture) {
    fixture.put("p/2026/11/s.gz", patterned(10)).await;
    // A part of a path is no object.
    for path in ["p/2026/11/t.gz", "p/2026/11/s", "p/2026/11/s.g", "p/2026/11", "p", "q/2026/11/s.gz"] {
        assert_eq!(fixture.get(path).await, None, "{path}");
        assert_eq!(fixture.range(path, 0..10).await, None, "{path}");
        assert_eq!(fixture.range(path, 5..5).await, None, "{path}");
        assert_eq!(fixture.stat(path).await, None, "{path}");
    }
}

pub async fn paths_have_all_their_characters_and_long_names(fixture: ReplayArchiveFixture) {
    let long = format!("p/2026/11/{}.gz", "n".repeat(240));
    let deep = format!("{}/s.gz", vec!["d".repeat(100); 7].join("/"));
    let mut paths = [
        "-_.~%/azAZ09",
        "p/2026/11/%E2%98%95%2F%2e%2e%00.gz",
        "p/2026/11/100%.gz",
        "p/2026/11/%.gz",
        "p/2026/11/~s~.gz",
        "p/2026/11/s.gz",
        "p/2026/11/s.gz.json",
        "p/2026/11/S.gz",
        "p/2026/11/...",
        "p/2026/11/.hidden",
        &long,
        &deep,
    ];
    paths.sort_unstable();
    for path in paths {
        fixture.put(path, bytes(path)).await;
    }
    for path in paths {
        assert_eq!(fixture.get(path).await, Some(bytes(path)));
        assert_stat(fixture.stat(path).await.as_ref(), path.as_bytes());
        assert_eq!(fixture.list(path, None, 1).await, [path]);
    }
    assert_eq!(fixture.list("", None, 100).await, paths);
    for path in paths {
        fixture.archive.delete(path).await.expect("deleted");
        assert_eq!(fixture.get(path).await, None, "{path}");
    }
    assert_eq!(fixture.list("", None, 100).await, [] as [&str; 0]);
}

pub async fn objects_are_listed_in_order_of_their_paths(fixture: ReplayArchiveFixture) {
    // `-` and `.` come before `/`, digits and letters after it.
    let paths = ["a-b/1", "a-b/10", "a-b/2", "a.b/1", "a/B", "a/b", "a/b-c", "a0/x", "ab/x", "b"];
    for path in paths.iter().rev() {
        fixture.put(path, bytes(path)).await;
    }
    let entries = fixture.archive.list("", None, 100).await.expect("listed");
    let wanted: Vec<ObjectEntry> =
        paths.iter().map(|path| ObjectEntry { path: (*path).to_owned(), bytes: path.len() as u64 }).collect();
    assert_eq!(entries, wanted);
}

pub async fn a_listing_starts_after_a_path_and_ends_at_the_limit(fixture: ReplayArchiveFixture) {
    for path in ["p/1/a", "p/1/b", "p/10/a", "p/2/a", "q/1/a"] {
        fixture.put(path, bytes(path)).await;
    }
    for (prefix, after, limit, wanted) in [
        ("p/", None, 100, &["p/1/a", "p/1/b", "p/10/a", "p/2/a"][..]),
        ("p/1", None, 100, &["p/1/a", "p/1/b", "p/10/a"]),
        ("p/1/", None, 100, &["p/1/a", "p/1/b"]),
        ("p/1/b", None, 100, &["p/1/b"]),
        ("p/3", None, 100, &[]),
        ("", None, 2, &["p/1/a", "p/1/b"]),
        ("", None, 0, &[]),
        ("p/", Some("p/1/b"), 100, &["p/10/a", "p/2/a"]),
        ("p/", Some("p/1/b"), 1, &["p/10/a"]),
        // A path that is not there, one before the prefix, one after all of it.
        ("p/", Some("p/1/aa"), 1, &["p/1/b"]),
        ("p/1/", Some("a"), 100, &["p/1/a", "p/1/b"]),
        ("p/", Some("q"), 100, &[]),
        ("", Some("q/1/a"), 100, &[]),
    ] {
        let listed = fixture.list(prefix, after, limit).await;
        assert_eq!(listed, wanted, "{prefix:?} after {after:?}, at most {limit}");
    }
}

pub async fn more_objects_than_any_page_are_listed(fixture: ReplayArchiveFixture) {
    let paths: Vec<String> = (0..MANY).map(|n| format!("p/2026/11/s-{n:05}.gz")).collect();
    let puts: Vec<_> = paths.iter().map(|path| fixture.put(path, bytes("x")).boxed()).collect();
    futures::stream::iter(puts).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    assert_eq!(fixture.list("p/", None, usize::MAX).await, paths);
    assert_eq!(fixture.list("p/", None, MANY - 1).await, paths[..MANY - 1]);
    assert_eq!(fixture.list("p/", Some(&paths[20]), MANY).await, paths[21..]);

    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = fixture.list("p/", seen.last().map(String::as_str), 400).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, paths);
}

pub async fn deleting_takes_one_object_and_may_be_repeated(fixture: ReplayArchiveFixture) {
    for path in ["p/a", "p/a.gz", "p/ab"] {
        fixture.put(path, bytes(path)).await;
    }
    for _ in 0..2 {
        fixture.archive.delete("p/a").await.expect("deleted, or not there");
        assert_eq!(fixture.list("", None, 10).await, ["p/a.gz", "p/ab"]);
    }
    assert_eq!(fixture.stat("p/a").await, None);
    fixture.archive.delete("never/there").await.expect("not there");
    fixture.put("p/a", bytes("again")).await;
    assert_eq!(fixture.get("p/a").await, Some(bytes("again")));
}
