//! Stores that are slow, busy or gone, and connections that are cut.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use gosight_application::ports::{Effect, Health, HealthCheck, ReplayArchive, whole_object};
use gosight_s3::{S3Config, S3ReplayArchive, S3RetryConfig};
use gosight_services::{Instance, Service};

use crate::place::{Place, raw_bucket, server_config};
use crate::proxy::{Act, Proxy};
use crate::{fatal_text, in_time, read, transient_effect, until_up};

/// An archive behind a proxy, with one straight to the store beside it.
struct Setup {
    proxy: Proxy,
    archive: S3ReplayArchive,
    straight: S3ReplayArchive,
    place: Place,
}

/// The archive tries each request `attempts` times.
async fn setup(attempts: u32) -> Setup {
    let place = Place::new();
    let straight = place.archive().await;
    let proxy = Proxy::start().await;
    let archive = behind(&proxy, &place, attempts, Duration::from_secs(20));
    Setup { proxy, archive, straight, place }
}

/// An archive behind the proxy, without any connection yet.
fn behind(proxy: &Proxy, place: &Place, attempts: u32, request_timeout: Duration) -> S3ReplayArchive {
    let config = S3Config {
        endpoint: format!("http://{}", proxy.address),
        request_timeout,
        retry: S3RetryConfig { attempts, ..place.config().retry },
        ..place.config()
    };
    S3ReplayArchive::open(&config).unwrap()
}

impl Setup {
    /// The same archive, whose attempts are given up soon.
    fn impatient(&self, attempts: u32) -> S3ReplayArchive {
        behind(&self.proxy, &self.place, attempts, Duration::from_millis(300))
    }

    /// The same archive, for which the store is busy twice.
    fn busy(&self) -> S3ReplayArchive {
        self.proxy.will(&[Act::Answer(500, "InternalError"), Act::Answer(503, "SlowDown")]);
        behind(&self.proxy, &self.place, 3, Duration::from_secs(20))
    }
}

fn object(byte: u8) -> Bytes {
    vec![byte; 500_000].into()
}

async fn put(archive: &S3ReplayArchive, object: Bytes) -> Result<(), gosight_application::ports::PortError> {
    let parts: Vec<_> = object.chunks(1 << 20).map(|part| Ok(object.slice_ref(part))).collect();
    in_time(archive.put("p/s.gz", futures::stream::iter(parts).boxed())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_is_asked_again() {
    let setup = setup(3).await;
    put(&setup.busy(), object(1)).await.unwrap();
    assert_eq!(read(&setup.busy(), "p/s.gz", None).await.unwrap(), Some(object(1)));
    assert_eq!(read(&setup.busy(), "p/s.gz", Some(5..9)).await.unwrap(), Some(object(1).slice(5..9)));
    assert_eq!(setup.busy().stat("p/s.gz").await.unwrap().unwrap().bytes, 500_000);
    assert_eq!(setup.busy().list("", None, 10).await.unwrap().len(), 1);
    setup.busy().delete("p/s.gz").await.unwrap();
    assert_eq!(setup.straight.stat("p/s.gz").await.unwrap(), None);
    assert_eq!(setup.proxy.left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted() {
    let setup = setup(3).await;
    setup.proxy.will(&[Act::Answer(500, "InternalError"); 5]);
    assert_eq!(transient_effect(put(&setup.archive, object(1)).await), Effect::Unknown);
    assert_eq!(setup.proxy.left(), 2);
    setup.proxy.will(&[Act::Hangup]);
    assert_eq!(transient_effect(read(&setup.archive, "p/s.gz", None).await), Effect::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_to_mend_is_not_asked_again() {
    let setup = setup(3).await;
    setup.proxy.will(&[Act::Answer(403, "AccessDenied"), Act::Answer(400, "InvalidArgument")]);
    let text = fatal_text(put(&setup.archive, object(1)).await);
    assert!(text.contains("AccessDenied") && text.contains("allowed"), "{text}");
    assert_eq!(setup.proxy.left(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_upload_is_never_an_object() {
    let setup = setup(1).await;
    let cuts = [100, 2_000, 100_000, 400_000];
    for cut in cuts {
        setup.proxy.will(&[Act::CutRequest(cut)]);
        transient_effect(put(&setup.archive, object(1)).await);
        assert_eq!(read(&setup.straight, "p/s.gz", None).await.unwrap(), None, "cut after {cut}");
    }
    assert_eq!(setup.straight.list("", None, 10).await.unwrap(), []);

    put(&setup.straight, object(7)).await.unwrap();
    for cut in cuts {
        setup.proxy.will(&[Act::CutRequest(cut)]);
        transient_effect(put(&setup.archive, object(1)).await);
        assert_eq!(read(&setup.straight, "p/s.gz", None).await.unwrap(), Some(object(7)), "cut after {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_is_sent_again_whole() {
    let setup = setup(4).await;
    setup.proxy.will(&[Act::CutRequest(200_000), Act::Hangup, Act::CutAnswer(10)]);
    put(&setup.archive, object(1)).await.unwrap();
    assert_eq!(setup.proxy.left(), 0);
    assert_eq!(read(&setup.straight, "p/s.gz", None).await.unwrap(), Some(object(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_answer_is_lost_may_have_been_stored() {
    let setup = setup(1).await;
    setup.proxy.will(&[Act::CutAnswer(10)]);
    assert_eq!(transient_effect(put(&setup.archive, object(1)).await), Effect::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_damaged_on_its_way_is_refused_and_sent_again() {
    let setup = setup(1).await;
    // Far behind the head of the request.
    setup.proxy.will(&[Act::Damage(300_000)]);
    transient_effect(put(&setup.archive, object(1)).await);
    assert_eq!(setup.straight.stat("p/s.gz").await.unwrap(), None);

    let setup = self::setup(2).await;
    setup.proxy.will(&[Act::Damage(300_000)]);
    put(&setup.archive, object(1)).await.unwrap();
    assert_eq!(read(&setup.straight, "p/s.gz", None).await.unwrap(), Some(object(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_download_is_never_given_out() {
    let setup = setup(1).await;
    put(&setup.straight, object(1)).await.unwrap();
    for range in [None, Some(1..499_999)] {
        setup.proxy.will(&[Act::CutAnswer(250_000)]);
        assert_eq!(transient_effect(read(&setup.archive, "p/s.gz", range).await), Effect::None);
    }
    assert_eq!(read(&setup.archive, "p/s.gz", None).await.unwrap(), Some(object(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_is_given_up_and_asked_again() {
    let setup = setup(1).await;
    let (once, often) = (setup.impatient(1), setup.impatient(10));
    setup.proxy.will(&[Act::Silence]);
    assert_eq!(transient_effect(put(&once, object(1)).await), Effect::Unknown);
    setup.proxy.will(&[Act::Silence]);
    assert_eq!(transient_effect(in_time(read(&once, "p/s.gz", None)).await), Effect::None);
    setup.proxy.will(&[Act::Silence]);
    assert_eq!(in_time(often.list("", None, 10)).await.unwrap(), []);

    setup.proxy.will(&[Act::Silence]);
    assert!(matches!(in_time(setup.archive.check()).await, Health::Degraded(_)));
    until_up(&setup.archive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_did_nothing() {
    let place = Place::new();
    // A port that was free a moment ago, and that nothing listens on.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let archive = S3ReplayArchive::open(&S3Config { endpoint, ..place.config() }).unwrap();
    assert_eq!(transient_effect(put(&archive, object(1)).await), Effect::None);
    assert_eq!(transient_effect(in_time(archive.delete("p/s.gz")).await), Effect::None);
    assert!(matches!(in_time(archive.check()).await, Health::Degraded(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_over_pages_that_fail() {
    let setup = setup(3).await;
    for n in 0..5 {
        let path = format!("p/{n}");
        setup.straight.put(&path, whole_object("x")).await.unwrap();
    }
    setup.proxy.will(&[Act::Answer(503, "SlowDown"), Act::Hangup]);
    assert_eq!(setup.archive.list("p/", None, 10).await.unwrap().len(), 5);
}

/// Longer than one part, so it is uploaded in three.
fn long(byte: u8) -> Bytes {
    vec![byte; 20 << 20].into()
}

/// Uploads in parts that were begun and neither completed nor given up.
async fn unfinished_uploads(place: &Place) -> usize {
    let listed = raw_bucket(&place.config()).list_multiparts_uploads(Some(&place.key("p/s.gz")), None).await;
    listed.unwrap().iter().map(|page| page.uploads.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_upload_goes_on_over_requests_that_fail() {
    let setup = setup(3).await;
    // Each request once or twice.
    let (busy, cut) = (Act::Answer(503, "SlowDown"), Act::Hangup);
    setup.proxy.will(&[busy, Act::Pass, cut, Act::Pass, busy, cut, Act::Pass, cut, Act::Pass, busy]);
    put(&setup.archive, long(1)).await.unwrap();
    assert_eq!(setup.proxy.left(), 0);
    assert_eq!(read(&setup.straight, "p/s.gz", None).await.unwrap(), Some(long(1)));
    assert_eq!(unfinished_uploads(&setup.place).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_upload_that_fails_anywhere_changes_nothing() {
    let setup = setup(1).await;
    put(&setup.straight, object(7)).await.unwrap();
    // Uploads of it that were begun before are looked for, one is begun, three parts are sent, and it is completed.
    for at in 0..6 {
        let passed = vec![Act::Pass; at];
        setup.proxy.will(&[passed, vec![Act::Answer(500, "InternalError")]].concat());
        // Without a connection that an earlier upload has left.
        let archive = behind(&setup.proxy, &setup.place, 1, Duration::from_secs(20));
        transient_effect(put(&archive, long(1)).await);
        assert_eq!(setup.proxy.left(), 0, "at {at}");
        assert_eq!(read(&setup.straight, "p/s.gz", None).await.unwrap(), Some(object(7)), "at {at}");
        assert_eq!(unfinished_uploads(&setup.place).await, 0, "at {at}");
    }
    put(&setup.archive, long(1)).await.unwrap();
    assert_eq!(read(&setup.straight, "p/s.gz", None).await.unwrap(), Some(long(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_that_died_has_uploaded_goes_with_the_next_upload_or_the_object() {
    let setup = setup(1).await;
    let begin = async || {
        let bucket = raw_bucket(&setup.place.config());
        let key = setup.place.key("p/s.gz");
        bucket.initiate_multipart_upload(&key, "application/json").await.unwrap();
        assert_eq!(unfinished_uploads(&setup.place).await, 1);
    };
    begin().await;
    put(&setup.archive, long(1)).await.unwrap();
    assert_eq!(unfinished_uploads(&setup.place).await, 0);
    begin().await;
    setup.archive.delete("p/s.gz").await.unwrap();
    assert_eq!(unfinished_uploads(&setup.place).await, 0);
    assert_eq!(setup.straight.stat("p/s.gz").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_download_goes_on_over_requests_that_fail_and_is_of_one_version() {
    let setup = setup(3).await;
    put(&setup.straight, long(1)).await.unwrap();
    setup.proxy.will(&[Act::CutAnswer(1_000_000), Act::Pass, Act::Answer(503, "SlowDown"), Act::Hangup]);
    assert_eq!(read(&setup.archive, "p/s.gz", None).await.unwrap(), Some(long(1)));
    assert_eq!(setup.proxy.left(), 0);

    let mut parts = setup.archive.get("p/s.gz", None).await.unwrap().unwrap();
    parts.next().await.unwrap().unwrap();
    put(&setup.straight, long(2)).await.unwrap();
    let next = parts.next().await.unwrap();
    assert_eq!(transient_effect(next), Effect::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_survives_a_kill_and_all_goes_on_after_it() {
    let instance = Instance::start(Service::S3);
    let config = S3Config {
        endpoint: instance.s3_access().endpoint,
        create_bucket: true,
        retry: S3RetryConfig { attempts: 1, ..server_config().retry },
        ..server_config()
    };
    let archive = S3ReplayArchive::connect(&config).await.unwrap();
    for n in 1..=2 {
        put(&archive, object(n)).await.unwrap();
        instance.kill();
        assert_eq!(transient_effect(put(&archive, object(9)).await), Effect::None);
        assert_eq!(transient_effect(in_time(read(&archive, "p/s.gz", None)).await), Effect::None);
        instance.start_again();
        until_up(&archive).await;
        assert_eq!(read(&archive, "p/s.gz", None).await.unwrap(), Some(object(n)));
    }
}
