//! As much of the [`MaxMind` DB format](https://maxmind.github.io/MaxMind-DB/) as a small database needs: an IPv6
//! search tree with records of 24 bits (IPv4 networks are below `::/96`), the data, and the description of both.

use std::io;
use std::net::IpAddr;

use super::TestPlace;

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Zero bytes between tree and data.
const SEPARATOR: usize = 16;
/// When the database claims to be built: the same each time, so that the bytes are.
const BUILD_EPOCH: u64 = 1_700_000_000;

/// The bytes of a database with `places`.
pub(super) fn encode(places: &[TestPlace<'_>]) -> io::Result<Vec<u8>> {
    let mut tree = Tree::default();
    let mut data = Vec::new();
    for place in places {
        tree.insert(place, data.len())?;
        record(place).write(&mut data)?;
    }
    let mut out = tree.encode(data.len())?;
    out.extend([0; SEPARATOR]);
    out.extend(data);
    out.extend(MARKER);
    metadata(tree.node_count()?).write(&mut out)?;
    Ok(out)
}

fn record<'a>(place: &TestPlace<'a>) -> Value<'a> {
    let city = Value::Map(vec![("names", Value::Map(vec![("en", Value::Text(place.city))]))]);
    let country = Value::Map(vec![("iso_code", Value::Text(place.country))]);
    Value::Map(vec![("city", city), ("country", country)])
}

fn metadata(node_count: u32) -> Value<'static> {
    Value::Map(vec![
        ("binary_format_major_version", Value::U16(2)),
        ("binary_format_minor_version", Value::U16(0)),
        ("build_epoch", Value::U64(BUILD_EPOCH)),
        ("database_type", Value::Text("GeoLite2-City")),
        ("description", Value::Map(vec![("en", Value::Text("A few places for tests"))])),
        ("ip_version", Value::U16(6)),
        ("languages", Value::Array(vec![Value::Text("en")])),
        ("node_count", Value::U32(node_count)),
        ("record_size", Value::U16(24)),
    ])
}

/// A binary tree over the bits of an address.
struct Tree {
    nodes: Vec<[Branch; 2]>,
}

#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(usize),
    Data(usize),
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![[Branch::Nothing; 2]] }
    }
}

impl Tree {
    fn insert(&mut self, place: &TestPlace<'_>, data: usize) -> io::Result<()> {
        let (address, prefix) = path(place)?;
        let mut node = 0;
        for depth in 0..prefix - 1 {
            node = self.descend(node, bit(address, depth));
        }
        self.nodes[node][bit(address, prefix - 1)] = Branch::Data(data);
        Ok(())
    }

    /// The node on this side of `node`; a new one takes over what was there.
    fn descend(&mut self, node: usize, side: usize) -> usize {
        match self.nodes[node][side] {
            Branch::Node(next) => next,
            inherited => {
                let next = self.nodes.len();
                self.nodes.push([inherited; 2]);
                self.nodes[node][side] = Branch::Node(next);
                next
            }
        }
    }

    fn node_count(&self) -> io::Result<u32> {
        u32::try_from(self.nodes.len()).map_err(|_| invalid("too many networks"))
    }

    fn encode(&self, data_length: usize) -> io::Result<Vec<u8>> {
        let nodes = self.nodes.len();
        if nodes + SEPARATOR + data_length >= 1 << 24 {
            return Err(invalid("too many networks"));
        }
        let values = self.nodes.as_flattened().iter().map(|branch| match *branch {
            Branch::Nothing => nodes,
            Branch::Node(node) => node,
            Branch::Data(offset) => nodes + SEPARATOR + offset,
        });
        Ok(values.flat_map(|value| low_bytes::<3>(value as u64)).collect())
    }
}

/// The bits of a network in the tree, and how many there are: at least 1.
fn path(place: &TestPlace<'_>) -> io::Result<(u128, u32)> {
    let (address, skipped, width) = match place.network {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 0, 128),
    };
    match u32::from(place.prefix) {
        0 => Err(invalid("a prefix of 0 bits")),
        prefix if prefix > width => Err(invalid("a prefix longer than the address")),
        prefix => Ok((address, skipped + prefix)),
    }
}

fn bit(address: u128, depth: u32) -> usize {
    usize::from(address >> (127 - depth) & 1 == 1)
}

enum Value<'a> {
    Text(&'a str),
    U16(u16),
    U32(u32),
    U64(u64),
    Map(Vec<(&'static str, Value<'a>)>),
    Array(Vec<Value<'a>>),
}

impl Value<'_> {
    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Text(text) => write_text(out, text),
            Self::U16(n) => write_number(out, 5, &n.to_be_bytes()),
            Self::U32(n) => write_number(out, 6, &n.to_be_bytes()),
            Self::U64(n) => write_number(out, 9, &n.to_be_bytes()),
            Self::Map(entries) => {
                write_control(out, 7, entries.len())?;
                entries.iter().try_for_each(|(key, value)| {
                    write_text(out, key)?;
                    value.write(out)
                })
            }
            Self::Array(items) => {
                write_control(out, 11, items.len())?;
                items.iter().try_for_each(|item| item.write(out))
            }
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    write_control(out, 2, text.len())?;
    out.extend(text.as_bytes());
    Ok(())
}

fn write_number(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let bytes = &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..];
    write_control(out, kind, bytes.len())?;
    out.extend(bytes);
    Ok(())
}

/// The kind of a value and its length: kinds above 7 have a byte of their own, and so have lengths above 28.
fn write_control(out: &mut Vec<u8>, kind: u8, length: usize) -> io::Result<()> {
    let long = length.checked_sub(29).map(u8::try_from).transpose();
    let long = long.map_err(|_| invalid("longer than 284 bytes"))?;
    let [length] = low_bytes(length.min(29) as u64);
    if kind > 7 {
        out.extend([length, kind - 7]);
    } else {
        out.push(kind << 5 | length);
    }
    out.extend(long);
    Ok(())
}

/// The last `N` bytes of `n`, the highest first.
fn low_bytes<const N: usize>(n: u64) -> [u8; N] {
    let bytes = n.to_be_bytes();
    std::array::from_fn(|at| bytes[bytes.len() - N + at])
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use maxminddb::{Reader, geoip2};

    use super::*;
    use crate::testing::TEST_PLACES;

    #[test]
    fn the_reader_finds_nothing_wrong() {
        let reader = Reader::from_source(encode(&TEST_PLACES).unwrap()).unwrap();
        reader.verify().unwrap();
        assert_eq!(reader.metadata().database_type, "GeoLite2-City");
        assert_eq!(reader.metadata().ip_version, 6);
        assert_eq!(reader.networks(maxminddb::WithinOptions::default()).unwrap().count(), TEST_PLACES.len());
    }

    #[test]
    fn it_has_the_city_format() {
        let reader = Reader::from_source(encode(&TEST_PLACES).unwrap()).unwrap();
        for place in TEST_PLACES {
            let found = reader.lookup(place.network).unwrap();
            let city: geoip2::City<'_> = found.decode().unwrap().unwrap();
            assert_eq!(city.country.iso_code, Some(place.country));
            assert_eq!(city.city.names.english, Some(place.city));
            let network = format!("{}/{}", place.network, place.prefix);
            assert_eq!(found.network().unwrap().to_string(), network);
        }
    }

    #[test]
    fn the_later_of_two_networks_wins() {
        let wide = TestPlace { prefix: 8, city: "Wide", ..TEST_PLACES[0] };
        let narrow = TestPlace { prefix: 32, city: "Narrow", ..TEST_PLACES[0] };
        let reader = Reader::from_source(encode(&[wide, narrow]).unwrap()).unwrap();
        reader.verify().unwrap();
        for (ip, city) in [("81.2.69.0", "Narrow"), ("81.2.69.1", "Wide"), ("81.255.0.0", "Wide")] {
            let found = reader.lookup(ip.parse().unwrap()).unwrap();
            assert_eq!(found.decode::<geoip2::City<'_>>().unwrap().unwrap().city.names.english, Some(city));
        }
    }

    #[test]
    fn long_names_are_written_and_too_long_ones_refused() {
        for length in [28, 29, 284] {
            let name = "x".repeat(length);
            let place = TestPlace { city: &name, ..TEST_PLACES[0] };
            let reader = Reader::from_source(encode(&[place]).unwrap()).unwrap();
            let found = reader.lookup(place.network).unwrap();
            let city = found.decode::<geoip2::City<'_>>().unwrap().unwrap();
            assert_eq!(city.city.names.english, Some(&*name));
        }
        assert!(encode(&[TestPlace { city: &"x".repeat(285), ..TEST_PLACES[0] }]).is_err());
    }

    #[test]
    fn impossible_networks_are_refused() {
        for prefix in [0, 33] {
            assert!(encode(&[TestPlace { prefix, ..TEST_PLACES[0] }]).is_err());
        }
    }
}
