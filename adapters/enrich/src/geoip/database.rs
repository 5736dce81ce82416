//! One database of places, in memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

/// Where an address is. Absent: not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// ISO 3166-1 alpha-2 code of the country.
    pub(crate) country: Option<Arc<str>>,
    /// Name of the city in English.
    pub(crate) city: Option<Arc<str>>,
}

/// Why a file is not a database of places.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is a directory, a pipe or the like.
    #[error("not a file")]
    NotAFile,
    /// It is damaged, or something else entirely.
    #[error("not a readable MaxMind database: {0}")]
    Format(#[from] MaxMindDbError),
    /// It is a database of something else.
    #[error("a {database_type} database, which holds no countries; one in the City format is needed")]
    NoPlaces {
        /// What it says it is.
        database_type: String,
    },
}

/// A whole file in the City format.
#[derive(Debug)]
pub(crate) struct Database {
    reader: Reader<Vec<u8>>,
    failed_lookups: AtomicU64,
}

/// The part of a record that is of interest.
#[derive(Debug, Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    country: Country<'a>,
    #[serde(borrow, default)]
    city: City<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
struct City<'a> {
    #[serde(borrow, default)]
    names: Names<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Names<'a> {
    en: Option<&'a str>,
}

/// Networks that are looked at to see whether a database knows countries.
const SAMPLE: usize = 1_000;

impl Database {
    /// Reads the whole file.
    pub(crate) fn read(mut file: File) -> Result<Self, DatabaseError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let reader = Reader::from_source(bytes)?;
        if !knows_countries(&reader)? {
            let database_type = reader.metadata().database_type.clone();
            return Err(DatabaseError::NoPlaces { database_type });
        }
        Ok(Self { reader, failed_lookups: AtomicU64::new(0) })
    }

    /// The place of `ip`; empty when it is not known, or when its record is damaged, which is counted.
    pub(crate) fn find(&self, ip: IpAddr) -> Place {
        if ip.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Place::default();
        }
        let found = self.reader.lookup(ip).and_then(|found| found.decode::<Record<'_>>());
        if found.is_err() {
            self.failed_lookups.fetch_add(1, Ordering::Relaxed);
        }
        found.ok().flatten().map(Place::from).unwrap_or_default()
    }

    /// How many lookups met a damaged record.
    pub(crate) fn failed_lookups(&self) -> u64 {
        self.failed_lookups.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Database {
    /// What it is and when it was built, such as `the GeoLite2-City of epoch 1700000000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metadata = self.reader.metadata();
        write!(f, "the {} of epoch {}", metadata.database_type, metadata.build_epoch)
    }
}

impl From<Record<'_>> for Place {
    fn from(record: Record<'_>) -> Self {
        let known = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(Arc::from);
        Self { country: known(record.country.iso_code), city: known(record.city.names.en) }
    }
}

/// Whether one of the first networks has a country. A database of something else would only ever say "not known".
fn knows_countries(reader: &Reader<Vec<u8>>) -> Result<bool, MaxMindDbError> {
    for network in reader.networks(WithinOptions::default())?.take(SAMPLE) {
        let record = network?.decode::<Record<'_>>()?;
        if record.is_some_and(|record| record.country.iso_code.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}
