//! Which addresses lead outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whether an address may be asked: it leads outside, or to a network that was opened.
pub(super) fn is_open(address: IpAddr, allow: &[IpNet]) -> bool {
    let address = address.to_canonical();
    is_outside(address) || allow.iter().any(|network| network.contains(&address))
}

/// Whether a name is one of this machine: `localhost`, or one below it, however it is written.
pub(super) fn is_local(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// Whether an address is one of the public Internet, by the registries of special addresses
/// (RFC 6890).
fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_outside_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_outside_v4(address),
            None => is_outside_v6(address),
        },
    }
}

fn is_outside_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = a == 192 && b == 0 && c == 0;
    let is_benchmark = a == 198 && (18..20).contains(&b);
    !(a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || is_shared
        || is_protocol
        || is_benchmark)
}

fn is_outside_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is given out; within it, documentation and the special assignments of
    // 2001::/23 lead nowhere that anyone should ask.
    let [first, second, ..] = address.segments();
    let is_unicast = first & 0xe000 == 0x2000;
    let is_special = first == 0x2001 && (second < 0x200 || second == 0xdb8);
    is_unicast && !is_special
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, 6to4, NAT64.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => of(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}
