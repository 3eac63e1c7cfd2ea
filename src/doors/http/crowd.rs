//! How many connections an address holds and how often it failed to name the token. Pure and bounded.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::Limits;
use crate::policy::Moment;

/// Addresses whose failures are remembered; the one that failed longest ago goes first.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// Wrong tokens that may come one right behind the other.
const FAILURES_AT_ONCE: u32 = 10;

/// One more may come after this.
const FAILURE_EVERY: Duration = Duration::from_secs(6);

/// A client: an address, or the 64 bits of an IPv6 address that a network hands to one house.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Those who are connected.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    clients: HashMap<Client, usize>,
    total: usize,
}

impl Crowd {
    /// Lets one in; false when there are too many already.
    pub(super) fn enter(&mut self, client: Client, limits: &Limits) -> bool {
        let held = self.clients.get(&client).copied().unwrap_or_default();
        if self.total >= limits.connections || held >= limits.connections_per_address {
            return false;
        }
        self.clients.insert(client, held + 1);
        self.total += 1;
        true
    }

    /// One that was let in has gone.
    pub(super) fn leave(&mut self, client: Client) {
        if let Some(held) = self.clients.get_mut(&client) {
            *held -= 1;
            self.total -= 1;
            if *held == 0 {
                self.clients.remove(&client);
            }
        }
    }
}

/// Those who named a wrong token, each with the moment at which all of it is forgiven.
///
/// Only failures are held up: with 128 bits nobody guesses the token, and an address may have honest clients too.
#[derive(Debug)]
pub(super) struct Failures(LruCache<Client, Moment>);

impl Failures {
    pub(super) fn new() -> Self {
        Self(LruCache::new(REMEMBERED))
    }

    /// One more failure; false when these are too many.
    pub(super) fn allow(&mut self, client: Client, now: Moment) -> bool {
        let forgiven = self.0.get(&client).copied().unwrap_or(now).max(now) + FAILURE_EVERY;
        let allowed = forgiven.since(now) <= FAILURE_EVERY * FAILURES_AT_ONCE;
        if allowed {
            self.0.put(client, forgiven);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn one_address_cannot_take_all_connections() {
        let limits = Limits { connections: 5, connections_per_address: 3, ..Limits::default() };
        let mut crowd = Crowd::default();
        let (one, other) = (client("10.0.0.1"), client("10.0.0.2"));
        assert!((0..3).all(|_| crowd.enter(one, &limits)));
        assert!(!crowd.enter(one, &limits));
        assert!((0..2).all(|_| crowd.enter(other, &limits)));
        assert!(!crowd.enter(other, &limits), "the house is full");
        crowd.leave(one);
        assert!(crowd.enter(other, &limits));
        for _ in 0..3 {
            crowd.leave(one);
            crowd.leave(other);
        }
        assert!(crowd.clients.is_empty());
        assert_eq!(crowd.total, 0);
    }

    #[test]
    fn the_default_lets_64_connections_of_one_address_in() {
        let mut crowd = Crowd::default();
        assert!((0..64).all(|_| crowd.enter(client("127.0.0.1"), &Limits::default())));
    }

    #[test]
    fn a_house_on_ipv6_is_one_client() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }

    #[test]
    fn failures_are_held_up_and_forgiven() {
        let mut failures = Failures::new();
        let (one, other) = (client("10.0.0.1"), client("10.0.0.2"));
        let mut now = Moment::after_start(Duration::from_secs(100));
        assert!((0..10).all(|_| failures.allow(one, now)));
        assert!((0..100).all(|_| !failures.allow(one, now)));
        assert!(failures.allow(other, now));
        now += FAILURE_EVERY;
        assert!(failures.allow(one, now));
        assert!(!failures.allow(one, now));
        now += Duration::from_secs(3600);
        assert!((0..10).all(|_| failures.allow(one, now)));
        assert!(!failures.allow(one, now));
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let mut failures = Failures::new();
        for bits in 0..5000 {
            failures.allow(Client(std::net::Ipv4Addr::from_bits(bits).into()), Moment::START);
        }
        assert_eq!(failures.0.len(), REMEMBERED.get());
    }
}
