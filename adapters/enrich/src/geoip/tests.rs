use std::fs;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use tempfile::TempDir;

use super::*;
use crate::testing::{TEST_PLACES, TestPlace, replace_file, write_database, write_test_database};

const LONDON: &str = "81.2.69.160";

struct Setup {
    /// Removed when dropped.
    _dir: TempDir,
    path: PathBuf,
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("city.mmdb");
        Self { _dir: dir, path }
    }

    fn with_database() -> Self {
        let setup = Self::new();
        write_test_database(&setup.path).unwrap();
        setup
    }

    fn open(&self) -> GeoIp {
        GeoIp::open(&GeoIpConfig { database_path: Some(self.path.clone()), ..GeoIpConfig::default() })
    }

    /// Makes the file look as if it was written long ago.
    fn age(&self) {
        let file = fs::File::options().append(true).open(&self.path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    }
}

/// London, by another name of the same length.
fn renamed() -> TestPlace<'static> {
    TestPlace { city: "Nodnol", ..TEST_PLACES[0] }
}

fn city(geoip: &GeoIp, ip: &str) -> Option<String> {
    geoip.find(ip.parse().unwrap()).city.map(|city| city.to_string())
}

#[track_caller]
fn assert_degraded(geoip: &GeoIp, expected: &[&str]) {
    let Health::Degraded(reason) = geoip.health() else { panic!("{:?}", geoip.health()) };
    for part in expected {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn places_are_found() {
    let geoip = Setup::with_database().open();
    for (ip, country, name) in [
        ("81.2.69.0", "GB", "London"),
        ("81.2.69.255", "GB", "London"),
        ("89.160.20.112", "SE", "Linköping"),
        ("216.160.83.56", "US", "Milton"),
        ("203.0.113.7", "NZ", "Auckland"),
        ("2001:db8:1::1", "DE", "Berlin"),
        ("2001:db8:1:ffff:ffff:ffff:ffff:ffff", "DE", "Berlin"),
    ] {
        let place = geoip.find(ip.parse().unwrap());
        assert_eq!((place.country.as_deref(), place.city.as_deref()), (Some(country), Some(name)), "{ip}");
    }
    assert_eq!(geoip.health(), Health::Up);
}

#[test]
fn other_addresses_have_no_place() {
    let geoip = Setup::with_database().open();
    for ip in [
        "81.2.68.255",
        "81.2.70.0",
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "::1",
        "fe80::1",
        "2001:db8:2::1",
    ] {
        assert_eq!(geoip.find(ip.parse().unwrap()), Place::default(), "{ip}");
    }
    assert_eq!(geoip.health(), Health::Up);
}

#[test]
fn what_a_record_lacks_is_not_known() {
    let setup = Setup::new();
    let nowhere = TestPlace { city: "", ..TEST_PLACES[0] };
    write_database(&setup.path, &[nowhere]).unwrap();
    let place = setup.open().find(LONDON.parse().unwrap());
    assert_eq!((place.country.as_deref(), place.city), (Some("GB"), None));
}

#[test]
fn no_database_is_said() {
    let geoip = GeoIp::open(&GeoIpConfig::default());
    assert_eq!(geoip.find(LONDON.parse().unwrap()), Place::default());
    assert_eq!(geoip.refresh(), Refresh::NotConfigured);
    assert_degraded(&geoip, &["no database configured"]);
}

#[test]
fn an_absent_file_may_come_later() {
    let setup = Setup::new();
    let geoip = setup.open();
    assert_eq!(city(&geoip, LONDON), None);
    assert_degraded(&geoip, &["city.mmdb", "cannot be read", "no country"]);
    assert_eq!(geoip.refresh(), Refresh::Failed);

    write_test_database(&setup.path).unwrap();
    assert_eq!(geoip.refresh(), Refresh::Loaded);
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("London"));
    assert_eq!(geoip.health(), Health::Up);
}

#[test]
fn files_that_are_no_databases_are_said() {
    let whole = {
        let setup = Setup::with_database();
        fs::read(&setup.path).unwrap()
    };
    for content in [&b""[..], b"not a database", &whole[..whole.len() / 2], &whole[..whole.len() - 20]] {
        let setup = Setup::new();
        fs::write(&setup.path, content).unwrap();
        let geoip = setup.open();
        assert_degraded(&geoip, &["city.mmdb", "not a readable MaxMind database"]);
        assert_eq!(city(&geoip, LONDON), None);
    }
}

#[test]
fn a_directory_is_no_database() {
    let setup = Setup::new();
    fs::create_dir(&setup.path).unwrap();
    assert_degraded(&setup.open(), &["city.mmdb: not a file"]);
}

#[test]
fn a_database_without_countries_is_said() {
    let setup = Setup::new();
    write_database(&setup.path, &[]).unwrap();
    assert_degraded(&setup.open(), &["GeoLite2-City database, which holds no countries"]);
}

#[test]
fn a_replacement_is_taken_once() {
    let setup = Setup::with_database();
    setup.age();
    let geoip = setup.open();
    assert_eq!(geoip.refresh(), Refresh::Unchanged);

    write_database(&setup.path, &[renamed()]).unwrap();
    setup.age();
    assert_eq!(geoip.refresh(), Refresh::Loaded);
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("Nodnol"));
    assert_eq!(city(&geoip, "89.160.20.112"), None);
    assert_eq!(geoip.refresh(), Refresh::Unchanged);
}

#[test]
fn a_file_written_in_place_at_once_with_the_same_length_is_seen() {
    let setup = Setup::new();
    write_database(&setup.path, &[TEST_PLACES[0]]).unwrap();
    let before = fs::metadata(&setup.path).unwrap();
    let geoip = setup.open();
    let other = Setup::new();
    write_database(&other.path, &[renamed()]).unwrap();

    fs::write(&setup.path, fs::read(&other.path).unwrap()).unwrap();
    fs::File::options()
        .append(true)
        .open(&setup.path)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();

    assert_eq!(fs::metadata(&setup.path).unwrap().len(), before.len());
    assert_eq!(geoip.refresh(), Refresh::Loaded);
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("Nodnol"));
}

#[test]
fn the_last_good_database_stays_in_use() {
    let setup = Setup::with_database();
    let geoip = setup.open();

    replace_file(&setup.path, b"garbage").unwrap();
    for _ in 0..2 {
        assert_eq!(geoip.refresh(), Refresh::Failed);
        assert_eq!(city(&geoip, LONDON).as_deref(), Some("London"));
        assert_degraded(&geoip, &["not a readable", "the GeoLite2-City of epoch 1700000000 stays in use"]);
    }

    fs::remove_file(&setup.path).unwrap();
    assert_eq!(geoip.refresh(), Refresh::Failed);
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("London"));
    assert_degraded(&geoip, &["cannot be read", "stays in use"]);

    write_database(&setup.path, &[renamed()]).unwrap();
    assert_eq!(geoip.refresh(), Refresh::Loaded);
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("Nodnol"));
    assert_eq!(geoip.health(), Health::Up);
}

#[test]
fn damaged_records_cost_their_networks_alone_and_are_said() {
    let setup = Setup::with_database();
    let mut bytes = fs::read(&setup.path).unwrap();
    let at = bytes.windows(4).position(|window| window == b"Link").unwrap();
    bytes[at] = 0xff; // no UTF-8
    replace_file(&setup.path, &bytes).unwrap();

    let geoip = setup.open();
    assert_eq!(geoip.health(), Health::Up);
    assert_eq!(geoip.find("89.160.20.112".parse().unwrap()), Place::default());
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("London"));
    assert_degraded(&geoip, &["failed lookups: 1;"]);
}

#[test]
fn lookups_go_on_while_databases_are_swapped() {
    let setup = Setup::with_database();
    let geoip = setup.open();
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            for turn in 0..50 {
                let place = if turn % 2 == 0 { renamed() } else { TEST_PLACES[0] };
                write_database(&setup.path, &[place]).unwrap();
                assert_eq!(geoip.refresh(), Refresh::Loaded);
            }
        });
        while !swapping.is_finished() {
            let found = city(&geoip, LONDON);
            assert!(matches!(found.as_deref(), Some("London" | "Nodnol")), "{found:?}");
        }
    });
}

#[test]
fn an_interval_of_nothing_is_a_second() {
    let config = GeoIpConfig { reload_interval: Duration::ZERO, ..GeoIpConfig::default() };
    assert_eq!(GeoIp::open(&config).interval(), Duration::from_secs(1));
}

#[cfg(unix)]
#[test]
fn a_link_to_another_file_is_a_replacement() {
    let setup = Setup::new();
    let directory = setup.path.parent().unwrap();
    write_database(directory.join("a"), &[TEST_PLACES[0]]).unwrap();
    write_database(directory.join("b"), &[renamed()]).unwrap();
    std::os::unix::fs::symlink(directory.join("a"), &setup.path).unwrap();
    setup.age();
    let geoip = setup.open();
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("London"));

    fs::remove_file(&setup.path).unwrap();
    std::os::unix::fs::symlink(directory.join("b"), &setup.path).unwrap();
    setup.age();
    assert_eq!(geoip.refresh(), Refresh::Loaded);
    assert_eq!(city(&geoip, LONDON).as_deref(), Some("Nodnol"));
}

#[test]
fn unspecified_addresses_are_no_trouble() {
    let geoip = Setup::with_database().open();
    assert_eq!(geoip.find(Ipv4Addr::UNSPECIFIED.into()), Place::default());
}
