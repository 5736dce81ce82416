use std::time::Duration;

use gosight_domain::ProjectId;

use super::*;
use crate::config::GeoIpConfig;
use crate::testing::{TEST_PLACES, TestPlace, write_database, write_test_database};

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:159.0) Gecko/20100101 Firefox/159.0";

fn enricher(ip_privacy: IpPrivacy) -> (tempfile::TempDir, Arc<PlaceEnricher>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("city.mmdb");
    write_test_database(&path).unwrap();
    let geoip = GeoIpConfig { database_path: Some(path), ..GeoIpConfig::default() };
    let enricher = PlaceEnricher::new(&EnrichConfig { ip_privacy, geoip, ..EnrichConfig::default() });
    (dir, Arc::new(enricher))
}

fn place(enricher: &PlaceEnricher, ip: Option<&str>) -> Enrichment {
    let project_id = ProjectId::new("p").unwrap();
    let ip = ip.map(|ip| ip.parse().unwrap());
    let client = Client { project_id: &project_id, ip, user_agent: Some(FIREFOX) };
    enricher.client_at_once(&client).unwrap()
}

fn geo(enricher: &PlaceEnricher, ip: &str) -> (Option<String>, Option<String>, Option<String>) {
    let geo = place(enricher, Some(ip)).geo;
    let text = |part: Option<Arc<str>>| part.map(|part| part.to_string());
    (geo.ip.map(|ip| ip.to_string()), text(geo.country), text(geo.city))
}

fn some(ip: &str, country: &str, city: &str) -> (Option<String>, Option<String>, Option<String>) {
    (Some(ip.to_owned()), Some(country.to_owned()), Some(city.to_owned()))
}

#[test]
fn a_device_is_told_from_the_user_agent_alone() {
    let enricher = UserAgentEnricher::new(UserAgentConfig::default());
    let project_id = ProjectId::new("p").unwrap();
    let client = Client {
        project_id: &project_id,
        ip: Some(IpAddr::from([81, 2, 69, 160])),
        user_agent: Some(FIREFOX),
    };
    let found = enricher.client_at_once(&client).unwrap();
    assert_eq!(found.device.browser.as_deref(), Some("Firefox"));
    assert_eq!(found.device.device_type.as_deref(), Some("desktop"));
    assert!(found.geo.is_empty());
    assert!(enricher.client_at_once(&Client { user_agent: None, ..client }).unwrap().is_empty());
}

#[test]
fn a_place_is_told_from_the_address_alone() {
    let (_dir, enricher) = enricher(IpPrivacy::Keep);
    let found = place(&enricher, Some("81.2.69.160"));
    assert_eq!(found.geo.country.as_deref(), Some("GB"));
    assert!(found.device.is_empty());
    assert!(place(&enricher, None).is_empty());
}

#[test]
fn ipv4_in_ipv6_is_ipv4() {
    let (_dir, enricher) = enricher(IpPrivacy::Keep);
    assert_eq!(geo(&enricher, "::ffff:89.160.20.112"), some("89.160.20.112", "SE", "Linköping"));
}

#[test]
fn an_address_is_looked_up_before_it_is_cut() {
    // The database knows a single address, and its network is somewhere else.
    let (dir, enricher) = enricher(IpPrivacy::Truncate);
    let single =
        TestPlace { network: "81.2.69.160".parse().unwrap(), prefix: 32, city: "Here", ..TEST_PLACES[0] };
    write_database(dir.path().join("city.mmdb"), &[TEST_PLACES[0], single]).unwrap();
    assert_eq!(enricher.refresh(), Refresh::Loaded);
    assert_eq!(geo(&enricher, "81.2.69.160"), some("81.2.69.0", "GB", "Here"));
    assert_eq!(geo(&enricher, "::ffff:81.2.69.160"), some("81.2.69.0", "GB", "Here"));
}

#[test]
fn a_dropped_address_leaves_its_place() {
    let (_dir, enricher) = enricher(IpPrivacy::Drop);
    let (ip, country, city) = geo(&enricher, "2001:db8:1::1");
    assert_eq!((ip, country.as_deref(), city.as_deref()), (None, Some("DE"), Some("Berlin")));
}

#[test]
fn an_address_without_a_place_is_kept() {
    let (_dir, enricher) = enricher(IpPrivacy::Keep);
    assert_eq!(geo(&enricher, "192.168.1.7"), (Some("192.168.1.7".to_owned()), None, None));
}

#[tokio::test]
async fn readiness_has_a_part_named_geoip() {
    let (_dir, enricher) = enricher(IpPrivacy::Keep);
    assert_eq!(HealthCheck::name(&*enricher), "geoip");
    assert_eq!(enricher.check().await, Health::Up);
    let without = PlaceEnricher::new(&EnrichConfig::default());
    assert!(matches!(without.check().await, Health::Degraded(_)));
}

#[tokio::test(start_paused = true)]
async fn a_watched_file_is_taken_within_the_interval() {
    let (dir, enricher) = enricher(IpPrivacy::Keep);
    let shutdown = CancellationToken::new();
    let watch = tokio::spawn(Arc::clone(&enricher).watch(shutdown.clone()));
    let renamed = TestPlace { city: "Nodnol", ..TEST_PLACES[0] };
    write_database(dir.path().join("city.mmdb"), &[renamed]).unwrap();

    // The clock stands still while a file is read, so this is not a race.
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(geo(&enricher, "81.2.69.160"), some("81.2.69.160", "GB", "London"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(geo(&enricher, "81.2.69.160"), some("81.2.69.160", "GB", "Nodnol"));

    shutdown.cancel();
    watch.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn watching_nothing_ends_at_shutdown() {
    let shutdown = CancellationToken::new();
    let watch = tokio::spawn(Arc::new(PlaceEnricher::new(&EnrichConfig::default())).watch(shutdown.clone()));
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(!watch.is_finished());
    shutdown.cancel();
    watch.await.unwrap();
}
