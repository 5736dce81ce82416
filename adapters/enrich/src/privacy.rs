//! How much of a client's address is kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What is kept of a client's address once its place is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpPrivacy {
    /// All of it.
    #[default]
    Keep,
    /// Its network: the first 24 bits of IPv4, the first 48 of IPv6. The rest is zero.
    Truncate,
    /// Nothing.
    Drop,
}

/// First 16 bits of a 6to4 address, which has an IPv4 address in the next 32.
const SIX_TO_FOUR: u16 = 0x2002;

impl IpPrivacy {
    /// What is kept of `ip`. An IPv4 address in IPv6 clothes (`::ffff:1.2.3.4`) counts as IPv4.
    pub fn apply(self, ip: IpAddr) -> Option<IpAddr> {
        match self {
            Self::Keep => Some(ip.to_canonical()),
            Self::Truncate => Some(truncate(ip.to_canonical())),
            Self::Drop => None,
        }
    }
}

fn truncate(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(ip) => {
            // 48 bits of a 6to4 address hold a whole IPv4 address; its last 8 bits go, as they do for IPv4.
            let kept = if ip.segments()[0] == SIX_TO_FOUR { 40 } else { 48 };
            Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - kept))).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(privacy: IpPrivacy, ip: &str) -> Option<String> {
        privacy.apply(ip.parse().unwrap()).map(|ip| ip.to_string())
    }

    #[test]
    fn keep_keeps_all() {
        for ip in ["81.2.69.160", "2001:db8:1:2:3:4:5:6", "127.0.0.1", "::1"] {
            assert_eq!(kept(IpPrivacy::Keep, ip).as_deref(), Some(ip));
        }
        assert_eq!(kept(IpPrivacy::Keep, "::ffff:81.2.69.160").as_deref(), Some("81.2.69.160"));
    }

    #[test]
    fn truncate_keeps_the_network() {
        for (ip, network) in [
            ("81.2.69.160", "81.2.69.0"),
            ("255.255.255.255", "255.255.255.0"),
            ("0.0.0.0", "0.0.0.0"),
            ("2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8:85a3::"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::"),
            ("::1", "::"),
            ("::ffff:81.2.69.160", "81.2.69.0"),
            ("2002:5102:45a0::1", "2002:5102:4500::"),
        ] {
            assert_eq!(kept(IpPrivacy::Truncate, ip).as_deref(), Some(network), "{ip}");
        }
    }

    #[test]
    fn drop_keeps_nothing() {
        assert_eq!(kept(IpPrivacy::Drop, "81.2.69.160"), None);
        assert_eq!(kept(IpPrivacy::Drop, "2001:db8::1"), None);
    }

    #[test]
    fn names_are_snake_case() {
        let names = serde_json::to_string(&[IpPrivacy::Keep, IpPrivacy::Truncate, IpPrivacy::Drop]).unwrap();
        assert_eq!(names, r#"["keep","truncate","drop"]"#);
    }
}
