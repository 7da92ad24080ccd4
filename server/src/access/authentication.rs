//! Whether somebody is who they say: password, address and time, for the configured user and those made in SQL.
//!
//! What is wrong is not told: a wrong password, an unknown user and a wrong address have one answer.

use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs};

use pumphouse_query::error::codes;
use pumphouse_query::sql::access::{AuthenticationMethod, EntityKind, Host, UserDefinition};
use pumphouse_query::text::parse_date_time64;
use pumphouse_query::{Error, Result};
use pumphouse_storage::types::TimeZone;

use super::{DEFAULT_USER, passwords};
use crate::server::Server;

/// The user's name if it may enter from `peer` with this password; error 516 else.
pub fn authenticate(server: &Server, user: &str, password: &str, peer: IpAddr) -> Result<String> {
    let is_right = match user {
        DEFAULT_USER => configured(server, password, peer),
        _ => kept(server, user, password, peer),
    };
    if is_right {
        return Ok(user.to_string());
    }
    Err(Error::new(
        codes::AUTHENTICATION_FAILED,
        format!(
            "{user}: Authentication failed: password is incorrect, or there is no user with such name."
        ),
    ))
}

/// Without a password in the configuration only loopback may enter.
fn configured(server: &Server, password: &str, peer: IpAddr) -> bool {
    let wanted = &server.config.password;
    if wanted.is_empty() {
        return peer.is_loopback() && password.is_empty();
    }
    passwords::equal_in_constant_time(password.as_bytes(), wanted.as_bytes())
}

fn kept(server: &Server, name: &str, password: &str, peer: IpAddr) -> bool {
    let entities = server.access.entities(&server.store.snapshot());
    let Some(user) = entities.find(EntityKind::User, name).and_then(|e| e.user()) else {
        // As long as with a user.
        let nobody = AuthenticationMethod { kind: "sha256_hash".into(), ..Default::default() };
        passwords::is_right(&nobody, password);
        return false;
    };
    let now = (server.clock.now_us() / 1_000_000) as i64;
    let valid = |until: &Option<String>| until.as_deref().is_none_or(|t| is_valid_until(t, now));
    let right = user.methods.iter().filter(|m| passwords::is_right(m, password));
    let enters = right.filter(|m| valid(&m.valid_until) && valid(&user.valid_until)).count() > 0;
    enters && comes_from(user, peer) && !entities.is_partial()
}

/// A time of VALID UNTIL in seconds, read in UTC.
pub fn moment(text: &str) -> Option<i64> {
    parse_date_time64(text.trim().as_bytes(), 0, TimeZone::UTC).ok()
}

/// Whether a time of VALID UNTIL is still to come.
fn is_valid_until(text: &str, now_seconds: i64) -> bool {
    text == "infinity" || moment(text).is_some_and(|until| now_seconds < until)
}

fn comes_from(user: &UserDefinition, peer: IpAddr) -> bool {
    user.hosts.as_deref().unwrap_or(&[Host::Any]).iter().any(|host| match host {
        Host::Any => true,
        Host::None | Host::Regexp(_) | Host::Like(_) => false,
        Host::Local => peer.is_loopback() || mapped(peer).is_loopback(),
        Host::Ip(text) => Subnet::parse(text).is_some_and(|net| net.contains(peer)),
        Host::Name(name) => (name.as_str(), 0)
            .to_socket_addrs()
            .is_ok_and(|mut found| found.any(|a| mapped(a.ip()) == mapped(peer))),
    })
}

/// An IPv4 address in IPv6 as what it is.
fn mapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 => v4,
    }
}

/// `10.0.0.0/8`, `::1`, `10.0.0.0/255.0.0.0`.
pub struct Subnet {
    address: u128,
    mask: u128,
}

impl Subnet {
    pub fn parse(text: &str) -> Option<Subnet> {
        let (address, mask) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
        let address: IpAddr = address.trim().parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let mask = match mask {
            None => u128::MAX,
            Some(mask) => match mask.parse::<u32>() {
                Ok(bits) if bits <= width => u128::MAX.checked_shl(width - bits).unwrap_or(0),
                Ok(_) => return None,
                Err(_) => wide(mask.parse().ok()?) | if address.is_ipv4() { !0 << 32 } else { 0 },
            },
        };
        let mask = if address.is_ipv4() { mask | !0 << 32 } else { mask };
        Some(Subnet { address: wide(address), mask })
    }

    fn contains(&self, peer: IpAddr) -> bool {
        (wide(mapped(peer)) ^ self.address) & self.mask == 0
    }
}

fn wide(address: IpAddr) -> u128 {
    let v6: Ipv6Addr = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    u128::from(v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        let has = |net: &str, peer: &str| {
            Subnet::parse(net).is_some_and(|n| n.contains(peer.parse().unwrap()))
        };
        assert!(has("10.0.0.0/8", "10.1.2.3") && !has("10.0.0.0/8", "11.1.2.3"));
        assert!(has("10.0.0.0/255.0.0.0", "10.9.9.9") && !has("10.0.0.0/255.0.0.0", "127.0.0.1"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && has("::1", "::1") && !has("::1", "::2"));
        assert!(has("1.2.3.4", "::ffff:1.2.3.4") && has("fe80::/10", "fe80::7"));
        assert!(Subnet::parse("10.0.0.0/33").is_none() && Subnet::parse("x").is_none());
    }
}
