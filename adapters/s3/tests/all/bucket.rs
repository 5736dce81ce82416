//! Opening: buckets that are there or not, keys that are let in or not.

use gosight_application::ports::{Health, HealthCheck, ReplayArchive, whole_object};
use gosight_s3::{S3Config, S3ReplayArchive};

use crate::place::{Place, raw_bucket, server_config, unique};
use crate::{fatal_text, in_time, read, until_up};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named_with_what_to_do() {
    let config = S3Config { bucket: unique("missing"), ..server_config() };
    let text = fatal_text(S3ReplayArchive::connect(&config).await);
    assert!(text.contains(&config.bucket) && text.contains("create_bucket"), "{text}");

    // The same when it goes missing later: never "no such object".
    let archive = S3ReplayArchive::open(&config).unwrap();
    for text in [
        fatal_text(read(&archive, "p/s", None).await),
        fatal_text(read(&archive, "p/s", Some(0..1)).await),
        fatal_text(read(&archive, "p/s", Some(1..1)).await),
        fatal_text(archive.stat("p/s").await),
        fatal_text(archive.list("", None, 1).await),
        fatal_text(archive.delete("p/s").await),
        fatal_text(archive.put("p/s", whole_object("x")).await),
    ] {
        assert!(text.contains("NoSuchBucket") && text.contains("create_bucket"), "{text}");
    }
    assert!(matches!(archive.check().await, Health::Degraded(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_made_once_by_all_who_start() {
    let config = S3Config { bucket: unique("made"), create_bucket: true, ..server_config() };
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { S3ReplayArchive::connect(&config).await })
        })
        .collect();
    for start in starts {
        let archive = in_time(start).await.unwrap().expect("connected");
        until_up(&archive).await;
    }
    raw_bucket(&config).delete().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_let_in_need_a_person_and_are_not_told() {
    let place = Place::new();
    place.archive().await;
    for config in [
        S3Config { secret_key: "s3cret-guess".into(), ..place.config() },
        S3Config { access_key: "nobody".to_owned(), secret_key: "s3cret-guess".into(), ..place.config() },
    ] {
        let text = fatal_text(S3ReplayArchive::connect(&config).await);
        assert!(text.contains("403") && text.contains("access_key"), "{text}");
        let archive = S3ReplayArchive::open(&config).unwrap();
        // Such an answer to HEAD has no body.
        let stat = fatal_text(archive.stat("p/s").await);
        assert!(stat.contains("403") && stat.contains("access key"), "{stat}");
        let shown = format!("{text} {stat} {archive:?} {config:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_setting_is_fatal_before_anything_is_tried() {
    let config = S3Config { bucket: "UPPER".to_owned(), ..server_config() };
    assert!(fatal_text(S3ReplayArchive::connect(&config).await).contains("bucket"));
}
