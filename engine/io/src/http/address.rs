//! Which addresses a request may reach: the IANA special-purpose registries as a table.
//!
//! What a newcomer gets wrong: one IPv4 address has many spellings in IPv6. An address that carries
//! another (mapped, NAT64, 6to4) is judged by what it carries.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use waxwing_flow::ports::Addresses;

/// An address that a policy forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// What kind it is: `private`, `loopback`, …
    pub kind: &'static str,
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a {} address", self.address, self.kind)
    }
}

/// Ok if the policy allows a connection to the address.
///
/// The metadata services of clouds hand out credentials, so a range that happens to hold their
/// address is not enough: it has to be listed by itself.
pub fn check(addresses: &Addresses, address: IpAddr) -> Result<(), Refused> {
    let Addresses::PublicAnd(ranges) = addresses else {
        return Ok(());
    };
    let meant = carried(address).map_or(address, IpAddr::V4);
    let Some(kind) = special(meant) else {
        return Ok(());
    };
    let listed = |range: &waxwing_core::settings::AddressRange| {
        let narrow = range.prefix_len() == range.max_prefix_len();
        (range.contains(&meant) || range.contains(&address)) && (narrow || kind != METADATA)
    };
    if ranges.iter().any(listed) {
        Ok(())
    } else {
        Err(Refused { address, kind })
    }
}

const METADATA: &str = "cloud metadata";

/// What kind of special address it is; none for a public one.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => find(V4, |(net, length, _)| {
            starts_alike(net, &address.octets(), *length)
        }),
        IpAddr::V6(address) => {
            let inside =
                |net: Ipv6Addr, length| starts_alike(&net.octets(), &address.octets(), length);
            find(V6, |(net, length, _)| inside(Ipv6Addr::from(*net), *length)).or_else(|| {
                // Global unicast is all that is ever public (RFC 4291 section 2.4).
                let global = inside(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
                (!global).then_some("reserved")
            })
        }
    }
}

fn find<N>(
    table: &'static [(N, u32, &'static str)],
    matches: impl Fn(&(N, u32, &'static str)) -> bool,
) -> Option<&'static str> {
    table
        .iter()
        .find(|row| matches(row))
        .map(|(_, _, kind)| *kind)
}

/// Special ranges of IPv4 (RFC 6890 and its registry), narrow ones first.
const V4: &[([u8; 4], u32, &str)] = &[
    ([169, 254, 169, 254], 32, METADATA),
    // Azure's host service, in a public range.
    ([168, 63, 129, 16], 32, METADATA),
    ([100, 100, 100, 200], 32, METADATA),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([192, 0, 0, 0], 24, "protocol"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([198, 18, 0, 0], 15, "benchmark"),
    ([172, 16, 0, 0], 12, "private"),
    ([100, 64, 0, 0], 10, "shared"),
    ([0, 0, 0, 0], 8, "local"),
    ([10, 0, 0, 0], 8, "private"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// Special ranges of IPv6, narrow ones first. What is outside 2000::/3 is special anyway; the rows
/// give those that are met a name.
const V6: &[([u16; 8], u32, &str)] = &[
    ([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254], 128, METADATA),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "local"),
    ([0x0064, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "translated"),
    // Teredo hides a peer behind two addresses and is no longer in use.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "tunnelled"),
    ([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private"),
];

/// The IPv4 address that an IPv6 address stands for.
fn carried(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        // Mapped (RFC 4291 section 2.5.5.2), and its translated sibling (RFC 2765 section 2.1).
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) => Some(join(g, h)),
        // Compatible, which is obsolete (RFC 4291 section 2.5.5.1); not :: and ::1.
        (0, 0, 0, 0, 0, 0) if g != 0 => Some(join(g, h)),
        // NAT64 (RFC 6052 section 2.1): how a host without IPv4 reaches public addresses.
        (0x0064, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)),
        // 6to4 (RFC 3056 section 2).
        (0x2002, high, low, ..) => Some(join(high, low)),
        _ => None,
    }
}

fn starts_alike(net: &[u8], address: &[u8], length: u32) -> bool {
    (0..length).all(|bit| {
        let (byte, mask) = (bit as usize / 8, 0x80 >> (bit % 8));
        net[byte] & mask == address[byte] & mask
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str, ranges: &[&str]) -> Option<&'static str> {
        let ranges = ranges
            .iter()
            .map(|range| range.parse().expect("a range"))
            .collect();
        let address = address.parse().expect("an address");
        check(&Addresses::PublicAnd(ranges), address)
            .err()
            .map(|refused| refused.kind)
    }

    #[test]
    fn special_addresses_are_refused_in_every_spelling() {
        let table = [
            ("9.9.9.9", None),
            ("2620:fe::fe", None),
            ("172.15.255.255", None),
            ("172.32.0.0", None),
            ("100.63.255.255", None),
            ("100.128.0.0", None),
            ("0.0.0.0", Some("local")),
            ("10.1.2.3", Some("private")),
            ("100.64.0.1", Some("shared")),
            ("127.0.0.53", Some("loopback")),
            ("169.254.1.1", Some("link-local")),
            ("169.254.169.254", Some("cloud metadata")),
            ("100.100.100.200", Some("cloud metadata")),
            ("168.63.129.16", Some("cloud metadata")),
            ("172.16.0.1", Some("private")),
            ("172.31.255.255", Some("private")),
            ("192.0.0.170", Some("protocol")),
            ("192.0.2.1", Some("documentation")),
            ("192.88.99.1", Some("relay")),
            ("192.168.0.1", Some("private")),
            ("198.19.255.255", Some("benchmark")),
            ("198.51.100.7", Some("documentation")),
            ("203.0.113.7", Some("documentation")),
            ("224.0.0.1", Some("multicast")),
            ("240.0.0.1", Some("reserved")),
            ("255.255.255.255", Some("broadcast")),
            ("::", Some("local")),
            ("::1", Some("loopback")),
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::ffff:9.9.9.9", None),
            ("::ffff:0:10.0.0.1", Some("private")),
            ("::10.0.0.1", Some("private")),
            ("64:ff9b::a9fe:a9fe", Some("cloud metadata")),
            ("64:ff9b::9.9.9.9", None),
            ("64:ff9b:1::1", Some("translated")),
            ("2002:7f00:1::1", Some("loopback")),
            ("2002:909:909::1", None),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Some("tunnelled")),
            ("2001:10::1", Some("protocol")),
            ("2001:db8::1", Some("documentation")),
            ("3fff::1", Some("documentation")),
            ("100::1", Some("reserved")),
            ("5f00::1", Some("reserved")),
            ("4000::1", Some("reserved")),
            ("fc00::1", Some("private")),
            ("fd00:ec2::254", Some("cloud metadata")),
            ("fd00:ec2::253", Some("private")),
            ("fe80::1", Some("link-local")),
            ("fec0::1", Some("site-local")),
            ("ff02::1", Some("multicast")),
        ];
        for (address, want) in table {
            assert_eq!(kind(address, &[]), want, "{address}");
        }
    }

    #[test]
    fn listed_ranges_are_allowed_and_metadata_only_by_its_own_address() {
        let table = [
            ("127.0.0.1", &["127.0.0.0/8"][..], None),
            ("::ffff:127.0.0.1", &["127.0.0.0/8"], None),
            ("10.0.0.1", &["127.0.0.0/8"], Some("private")),
            ("fd12::1", &["fd12::/16", "10.0.0.0/8"], None),
            (
                "169.254.169.254",
                &["169.254.0.0/16"],
                Some("cloud metadata"),
            ),
            ("169.254.169.254", &["169.254.169.254/32"], None),
            ("fd00:ec2::254", &["fc00::/7"], Some("cloud metadata")),
        ];
        for (address, ranges, want) in table {
            assert_eq!(kind(address, ranges), want, "{address} {ranges:?}");
        }
        let metadata = "169.254.169.254".parse().expect("an address");
        assert_eq!(check(&Addresses::Any, metadata), Ok(()));
    }
}
