//! Which addresses belong to the public internet. What is not known to be public is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// False for private, loopback, link-local (cloud metadata), carrier, multicast and reserved addresses,
/// in every spelling that ends at one.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => public_v4(v4),
        IpAddr::V6(v6) => public_v6(v6),
    }
}

/// True for addresses where a company's own servers stand: private and loopback ones, never those of a cloud's
/// metadata.
pub(super) fn is_inner(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// IANA's special-purpose registry, RFC 6890 and later.
fn public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)          // this host, private, loopback
        | (100, 64..=127, _)          // carrier NAT; 100.100.100.200 is a cloud's metadata
        | (169, 254, _)               // link local; 169.254.169.254 is a cloud's metadata
        | (172, 16..=31, _)           // private
        | (192, 0, 0 | 2)             // protocol assignments, documentation
        | (192, 88, 99)               // 6to4 relays
        | (192, 168, _)               // private
        | (198, 18..=19, _)           // benchmarks
        | (198, 51, 100)              // documentation
        | (203, 0, 113)               // documentation
        | (224..=255, _, _) // multicast, reserved, broadcast
    );
    !special
}

fn public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    // Addresses that carry a v4 address are judged by it: mapped, compatible, NAT64.
    let low = Ipv4Addr::from((u32::from(s[6]) << 16) | u32::from(s[7]));
    if s[..5] == [0; 5] && s[5] == 0xffff {
        return public_v4(low);
    }
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return public_v4(low);
    }
    // Only 2000::/3 is assigned to the public internet; within it some blocks tunnel or document.
    let global = s[0] & 0xe000 == 0x2000;
    let special = match (s[0], s[1]) {
        (0x2001, second) => second < 0x0200 || second == 0x0db8, // Teredo, ORCHID, benchmarks; documentation
        (0x2002, _) => true,                                     // 6to4
        (0x3fff, second) => second < 0x1000,                     // documentation
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_reserved_addresses_are_not_public_in_any_spelling() {
        for text in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "223.5.5.5",
            "2400:3200::1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
