//! A small database of places, so that tests need no download.
//!
//! It has the City format of `MaxMind`, and places in networks that `MaxMind`'s own test data uses or that are set
//! aside for documentation:
//!
//! | network | country | city |
//! | --- | --- | --- |
//! | 81.2.69.0/24 | GB | London |
//! | 89.160.20.0/24 | SE | Linköping |
//! | 216.160.83.0/24 | US | Milton |
//! | 203.0.113.0/24 | NZ | Auckland |
//! | `2001:db8:1::/48` | DE | Berlin |
//!
//! `cargo run -p gosight-enrich --example make-test-mmdb -- OUT.mmdb` writes it too.

mod mmdb;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Where the addresses of one network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPlace<'a> {
    /// First address of the network.
    pub network: IpAddr,
    /// Bits that the network's addresses share: 1 to 32, or 1 to 128.
    pub prefix: u8,
    /// ISO 3166-1 alpha-2 code of the country.
    pub country: &'a str,
    /// Name of the city in English, of at most 284 bytes.
    pub city: &'a str,
}

/// The places of [`write_test_database`].
pub const TEST_PLACES: [TestPlace<'static>; 5] = [
    v4([81, 2, 69, 0], "GB", "London"),
    v4([89, 160, 20, 0], "SE", "Linköping"),
    v4([216, 160, 83, 0], "US", "Milton"),
    v4([203, 0, 113, 0], "NZ", "Auckland"),
    TestPlace {
        network: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0)),
        prefix: 48,
        country: "DE",
        city: "Berlin",
    },
];

const fn v4([a, b, c, d]: [u8; 4], country: &'static str, city: &'static str) -> TestPlace<'static> {
    TestPlace { network: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix: 24, country, city }
}

/// Writes a database with [`TEST_PLACES`]; the same bytes each time.
///
/// # Errors
/// The file system's.
pub fn write_test_database(path: impl AsRef<Path>) -> io::Result<()> {
    write_database(path, &TEST_PLACES)
}

/// Writes a database with `places`, and puts it in place of what is at `path` in one step. Of two networks that
/// overlap, the later one wins.
///
/// # Errors
/// The file system's; `InvalidInput` when a prefix or a name is too long.
pub fn write_database(path: impl AsRef<Path>, places: &[TestPlace<'_>]) -> io::Result<()> {
    replace_file(path.as_ref(), &mmdb::encode(places)?)
}

/// Puts `content` in place of what is at `path` in one step, as tools that download databases do.
///
/// # Errors
/// The file system's.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut new = OsString::from(path);
    new.push(".new");
    std::fs::write(&new, content)?;
    std::fs::rename(&new, path)
}
