//! The administrator's list of private addresses that may be called.

use std::net::{IpAddr, SocketAddr};

/// The entry that stands for the servers of database sources.
pub(super) const DATABASES: &str = "databases";

/// The parsed list.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Allowed {
    names: Vec<(String, Option<u16>)>,
    networks: Vec<Network>,
}

/// An address block, for one port or all.
#[derive(Debug, Clone, PartialEq)]
struct Network {
    base: IpAddr,
    prefix: u8,
    port: Option<u16>,
}

impl Allowed {
    /// The error names the entry and says how to write one.
    pub(super) fn parse(entries: &[String]) -> Result<Self, String> {
        let mut allowed = Self::default();
        for entry in entries {
            let text = entry.trim();
            let known = network(text).map(|n| allowed.networks.push(n)).or_else(|| {
                let (name, port) = named(text)?;
                allowed.names.push((name, port));
                Some(())
            });
            known.ok_or_else(|| {
                format!(
                    "outbound.allow: \"{entry}\" is not an address: write host, host:port, 10.1.2.3:8080 or 10.0.0.0/8, \
                     without http:// and without a path"
                )
            })?;
        }
        Ok(allowed)
    }

    /// Whether database servers inside the company may be called without an entry of their own.
    pub(super) fn databases(&self) -> bool {
        self.name(DATABASES, 0)
    }

    /// Whether a host may be called by its name, wherever it resolves to.
    pub(super) fn name(&self, host: &str, port: u16) -> bool {
        let host = normal(host);
        self.names.iter().any(|(name, p)| *name == host && p.is_none_or(|p| p == port))
    }

    pub(super) fn address(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|n| n.contains(ip) && n.port.is_none_or(|p| p == port))
    }
}

impl Network {
    fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(base) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(base) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

fn network(text: &str) -> Option<Network> {
    let whole = |ip: IpAddr| (ip.to_canonical(), if ip.to_canonical().is_ipv4() { 32 } else { 128 });
    if let Ok(address) = text.parse::<SocketAddr>() {
        let (base, prefix) = whole(address.ip());
        return Some(Network { base, prefix, port: Some(address.port()) });
    }
    let (ip, prefix) = match text.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let ip: IpAddr = ip.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let (base, longest) = whole(ip);
    let prefix = prefix.unwrap_or(longest);
    (prefix <= longest).then_some(Network { base, prefix, port: None })
}

fn named(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
        None => (text, None),
    };
    let host = normal(host);
    let fits = !host.is_empty()
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))
        // Something like 10.0.0 or 300.1.1.1 is a mistyped address, not a name.
        && host.rsplit('.').next().is_some_and(|last| !last.chars().all(|c| c.is_ascii_digit()));
    fits.then_some((host, port))
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entries: &[&str]) -> Allowed {
        Allowed::parse(&entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn entries_open_exactly_what_they_say() {
        let list = allowed(
            &[
                "10.1.0.0/16",
                "127.0.0.1:9400",
                "erp.corp",
                "crm.corp:8443",
                "[fd00::1]:80",
                "fd11::/16",
                "0.0.0.0/0",
            ][..6],
        );
        let at = |ip: &str, port| list.address(ip.parse().unwrap(), port);
        assert!(at("10.1.255.1", 1) && !at("10.2.0.1", 1));
        assert!(at("127.0.0.1", 9400) && !at("127.0.0.1", 9401) && !at("127.0.0.2", 9400));
        assert!(at("::ffff:127.0.0.1", 9400), "the mapped spelling is the same address");
        assert!(at("fd00::1", 80) && !at("fd00::1", 81) && at("fd11:2::3", 9));
        assert!(list.name("ERP.corp.", 1) && list.name("crm.corp", 8443) && !list.name("crm.corp", 80));
        assert!(!list.name("x.erp.corp", 1));
        assert!(allowed(&["0.0.0.0/0"]).address("10.0.0.1".parse().unwrap(), 1));
    }

    #[test]
    fn malformed_entries_are_named() {
        for entry in ["http://erp.corp", "erp.corp/path", "10.0.0.0/33", "10.0.0", "host:port", ""] {
            let error = Allowed::parse(&[entry.to_owned()]).unwrap_err();
            assert!(error.contains("10.0.0.0/8") && error.contains(entry), "{error}");
        }
    }
}
