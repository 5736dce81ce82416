//! What is special about objects of S3: headers, hashes, keys.

use base64::Engine as _;
use bytes::Bytes;
use gosight_application::ports::{ObjectStat, ReplayArchive, ReplayArchiveError, whole_object};
use gosight_domain::replay::ContentHash;
use gosight_s3::{S3Config, S3ReplayArchive};

use crate::place::{Place, raw_bucket};
use crate::{fatal_text, read};

async fn put(archive: &S3ReplayArchive, path: &str, object: &[u8]) -> Result<(), ReplayArchiveError> {
    archive.put(path, whole_object(Bytes::copy_from_slice(object))).await
}

/// `[]` as one gzip member.
const GZIP: [u8; 22] = [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 139, 142, 5, 0, 41, 187, 76, 13, 2, 0, 0, 0];

#[tokio::test(flavor = "multi_thread")]
async fn compressed_objects_say_so_and_come_back_compressed() {
    let place = Place::new();
    let archive = place.archive().await;
    put(&archive, "p/s.gz", &GZIP).await.unwrap();
    let (head, _) = raw_bucket(&place.config()).head_object(place.key("p/s.gz")).await.unwrap();
    assert_eq!(head.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(head.content_type.as_deref(), Some("application/json"));
    assert_eq!(head.content_length, Some(22));
    assert_eq!(read(&archive, "p/s.gz", None).await.unwrap().as_deref(), Some(&GZIP[..]));
    assert_eq!(read(&archive, "p/s.gz", Some(0..10)).await.unwrap().as_deref(), Some(&GZIP[..10]));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_objects_are_not_called_compressed() {
    let place = Place::new();
    let archive = place.archive().await;
    for (path, content_type) in [("p/s.json", "application/json"), ("p/gz", "application/octet-stream")] {
        put(&archive, path, b"{}").await.unwrap();
        let (head, _) = raw_bucket(&place.config()).head_object(place.key(path)).await.unwrap();
        assert_eq!((head.content_encoding, head.content_type.as_deref()), (None, Some(content_type)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_stands_with_the_object_and_the_store_knows_it_too() {
    let place = Place::new();
    put(&place.archive().await, "p/s.gz", &GZIP).await.unwrap();
    let mut bucket = raw_bucket(&place.config());
    bucket.add_header("x-amz-checksum-mode", "ENABLED");
    let (head, _) = bucket.head_object(place.key("p/s.gz")).await.unwrap();
    let kept = head.metadata.unwrap();
    assert_eq!(kept["sha256"], ContentHash::of(&GZIP).to_string());
    let object = bucket.get_object(place.key("p/s.gz")).await.unwrap();
    assert!(object.headers().contains_key("x-amz-checksum-sha256"), "{:?}", object.headers());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_changed_behind_the_archive_is_not_given_out() {
    let place = Place::new();
    let archive = place.archive().await;
    let bucket = raw_bucket(&place.config());
    let changed = bucket
        .put_object_builder(place.key("p/s"), b"other bytes")
        .with_metadata("sha256", ContentHash::of(b"the bytes").to_string());
    changed.unwrap().execute().await.unwrap();
    let text = fatal_text(read(&archive, "p/s", None).await);
    assert!(text.contains("damaged"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_the_store_contradicts_is_not_vouched_for() {
    let place = Place::new();
    let archive = place.archive().await;
    let checksum = base64::engine::general_purpose::STANDARD.encode(ContentHash::of(b"other bytes").0);
    let changed = raw_bucket(&place.config())
        .put_object_builder(place.key("p/s"), b"other bytes")
        .with_header("x-amz-checksum-sha256", checksum)
        .unwrap()
        .with_metadata("sha256", ContentHash::of(b"the bytes").to_string())
        .unwrap()
        .execute()
        .await;
    changed.unwrap();
    let text = fatal_text(archive.stat("p/s").await);
    assert!(text.contains(&ContentHash::of(b"other bytes").to_string()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_a_hash_can_be_read_but_not_vouched_for() {
    let place = Place::new();
    let archive = place.archive().await;
    raw_bucket(&place.config()).put_object(place.key("p/s"), b"by hand").await.unwrap();
    assert_eq!(read(&archive, "p/s", None).await.unwrap().as_deref(), Some(&b"by hand"[..]));
    assert_eq!(archive.stat("p/s").await.unwrap(), Some(ObjectStat { bytes: 7, content: None }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_path_never_reaches_the_store() {
    let place = Place::new();
    let archive = place.archive().await;
    let too_long = "d/".repeat(600) + "s";
    for path in
        ["", "/p", "p/", "p//s", "p/../q/s", ".", "p/./s", "p s", "p?versionId=1", "ä", "p\\s", &too_long]
    {
        fatal_text(put(&archive, path, b"x").await);
        fatal_text(read(&archive, path, None).await);
        fatal_text(archive.stat(path).await);
        fatal_text(archive.delete(path).await);
    }
    assert_eq!(archive.list("", None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_archives_of_one_bucket_apart() {
    let place = Place::new();
    let archive = place.archive().await;
    let inner = S3Config { prefix: place.key("inner/"), ..place.config() };
    let inner = S3ReplayArchive::connect(&inner).await.unwrap();
    put(&inner, "p/s", b"inner").await.unwrap();
    put(&archive, "p/s", b"outer").await.unwrap();
    assert_eq!(read(&inner, "p/s", None).await.unwrap().as_deref(), Some(&b"inner"[..]));
    let paths = |entries: Vec<gosight_application::ports::ObjectEntry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.path).collect()
    };
    assert_eq!(paths(inner.list("", None, 10).await.unwrap()), ["p/s"]);
    assert_eq!(paths(inner.list("p", Some("p/r"), 10).await.unwrap()), ["p/s"]);
    assert_eq!(paths(archive.list("", None, 10).await.unwrap()), ["inner/p/s", "p/s"]);
}
