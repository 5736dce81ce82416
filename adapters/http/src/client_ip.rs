//! The address of a client behind proxies.
//!
//! A forwarding header says what its last writer wants it to say, so it is read only when the peer is a proxy that is
//! trusted, and from the right: each trusted proxy vouches for the address before its own.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

/// The client of a request that came from `peer`; `None` when not even the peer is known.
///
/// Where a forwarding header is malformed, or names trusted proxies only, the farthest address that a trusted proxy
/// vouched for counts.
pub(crate) fn client_ip(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    if !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let forwarded_for = hops(headers, "x-forwarded-for");
    if !forwarded_for.is_empty() {
        return Some(farthest(peer, forwarded_for.iter().map(|hop| address(hop)), trusted));
    }
    let forwarded = hops(headers, header::FORWARDED.as_str());
    if !forwarded.is_empty() {
        return Some(farthest(peer, forwarded.iter().map(|hop| forwarded_address(hop)), trusted));
    }
    let real_ip = headers.get("x-real-ip").and_then(|value| value.to_str().ok()).and_then(address);
    Some(real_ip.unwrap_or(peer))
}

fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

/// The entries of all headers of this name, the nearest proxy's last.
fn hops<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

fn farthest(
    peer: IpAddr,
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut known = peer;
    for hop in hops.rev() {
        let Some(ip) = hop else { break };
        known = ip;
        if !is_trusted(ip, trusted) {
            break;
        }
    }
    known
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|addr| addr.ip()))?;
    Some(IpAddr::to_canonical(&ip))
}

/// The `for` of one element of a `Forwarded` header (RFC 7239).
fn forwarded_address(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].into_iter().map(|net| net.parse().unwrap()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        client_ip(Some(peer.parse().unwrap()), &map, &trusted).unwrap().to_string()
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        for header in [XFF, "x-real-ip", "forwarded"] {
            assert_eq!(resolve("192.0.2.9", &[(header, "198.51.100.1")]), "192.0.2.9");
        }
        assert_eq!(client_ip(None, &HeaderMap::new(), &[]), None);
    }

    #[test]
    fn trusted_proxies_are_skipped_from_the_right() {
        for (value, client) in [
            ("198.51.100.1", "198.51.100.1"),
            ("198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("203.0.113.7, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("198.51.100.1:4711,10.0.0.2", "198.51.100.1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("2001:db8::1, fd00::1", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(resolve("10.0.0.1", &[(XFF, value)]), client, "{value}");
        }
        let two = [(XFF, "203.0.113.7"), (XFF, "198.51.100.1")];
        assert_eq!(resolve("::ffff:10.0.0.1", &two), "198.51.100.1");
    }

    #[test]
    fn malformed_or_trusted_only_gives_the_farthest_that_is_vouched_for() {
        for (value, client) in [
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("198.51.100.1, nonsense, 10.0.0.2", "10.0.0.2"),
            ("nonsense", "10.0.0.1"),
            ("198.51.100.1,", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("unknown, 198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(resolve("10.0.0.1", &[(XFF, value)]), client, "{value}");
        }
    }

    #[test]
    fn other_headers_count_from_trusted_peers() {
        assert_eq!(resolve("10.0.0.1", &[("x-real-ip", "198.51.100.1")]), "198.51.100.1");
        assert_eq!(resolve("10.0.0.1", &[("x-real-ip", "?")]), "10.0.0.1");
        assert_eq!(resolve("10.0.0.1", &[]), "10.0.0.1");
        for (value, client) in [
            ("for=198.51.100.1;proto=https", "198.51.100.1"),
            ("for=203.0.113.7, For=\"[2001:db8::1]:4711\";by=10.0.0.1", "2001:db8::1"),
            ("for=198.51.100.1, for=10.0.0.2", "198.51.100.1"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
        ] {
            assert_eq!(resolve("10.0.0.1", &[("forwarded", value)]), client, "{value}");
        }
    }
}
