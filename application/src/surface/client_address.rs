//! The address of a client behind proxies.
//!
//! A forwarding header says what its last writer wants it to say, so it is read only when the peer is a proxy that is
//! trusted, and from the right: each trusted proxy vouches for the address before its own.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The headers (or metadata) by which proxies pass on the address of a client. Values of several headers of one name stand in
/// the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct ForwardingHeaders<'a> {
    /// `X-Forwarded-For`.
    pub x_forwarded_for: Vec<&'a str>,
    /// `Forwarded` (RFC 7239).
    pub forwarded: Vec<&'a str>,
    /// `X-Real-IP`.
    pub x_real_ip: Option<&'a str>,
}

/// Proxies whose forwarding headers are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Believes peers with addresses of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The client of a request that came from `peer`; `None` when not even the peer is known.
    ///
    /// Where a forwarding header is malformed, or names trusted proxies only, the farthest address that a trusted proxy
    /// vouched for counts.
    pub fn client(&self, peer: Option<IpAddr>, headers: &ForwardingHeaders<'_>) -> Option<IpAddr> {
        let peer = peer?.to_canonical();
        if !self.contains(peer) {
            return Some(peer);
        }
        let forwarded_for = hops(&headers.x_forwarded_for);
        if !forwarded_for.is_empty() {
            return Some(self.farthest(peer, forwarded_for.iter().map(|hop| address(hop))));
        }
        let forwarded = hops(&headers.forwarded);
        if !forwarded.is_empty() {
            return Some(self.farthest(peer, forwarded.iter().map(|hop| forwarded_address(hop))));
        }
        Some(headers.x_real_ip.and_then(address).unwrap_or(peer))
    }

    fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&ip))
    }

    fn farthest(&self, peer: IpAddr, hops: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut known = peer;
        for hop in hops.rev() {
            let Some(ip) = hop else { break };
            known = ip;
            if !self.contains(ip) {
                break;
            }
        }
        known
    }
}

/// The entries of all headers of one name, the nearest proxy's last.
fn hops<'a>(values: &[&'a str]) -> Vec<&'a str> {
    values.iter().flat_map(|value| value.split(',')).map(str::trim).collect()
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

    fn resolve(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].into_iter().map(|net| net.parse().unwrap()).collect();
        let all = |name| -> Vec<&str> {
            headers.iter().filter(|(header, _)| *header == name).map(|(_, value)| *value).collect()
        };
        let headers = ForwardingHeaders {
            x_forwarded_for: all("x-forwarded-for"),
            forwarded: all("forwarded"),
            x_real_ip: all("x-real-ip").first().copied(),
        };
        TrustedProxies::new(trusted).client(Some(peer.parse().unwrap()), &headers).unwrap().to_string()
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        for header in [XFF, "x-real-ip", "forwarded"] {
            assert_eq!(resolve("192.0.2.9", &[(header, "198.51.100.1")]), "192.0.2.9");
        }
        assert_eq!(TrustedProxies::default().client(None, &ForwardingHeaders::default()), None);
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
