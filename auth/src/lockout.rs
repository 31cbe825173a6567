//! Shutting out who guesses.
//!
//! Failures are counted by address, and by address and name together; never by the name alone, or a
//! stranger could shut out its owner. A few are free, then each doubles the wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use wharf_storage::clock::Timestamp;

/// How many failures a name at an address has before it waits.
const FREE_FOR_NAME: u32 = 5;
/// How many failures an address has: several people may share one.
const FREE_FOR_ADDRESS: u32 = 50;
/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(900);
/// How many are remembered at once.
const MOST: usize = 100_000;

/// Failures lately.
#[derive(Debug, Default)]
pub struct Lockout {
    tallies: Mutex<Tallies>,
}

#[derive(Debug, Default)]
struct Tallies {
    addresses: HashMap<IpAddr, Tally>,
    names: HashMap<(IpAddr, String), Tally>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    failures: u32,
    until: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Lockout {
    /// How long whoever tries this name from this address still has to wait.
    #[must_use]
    pub fn wait(&self, address: IpAddr, name: &str, now: Timestamp) -> Option<Duration> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        let of_address = tallies.addresses.get(&address);
        let of_name = tallies.names.get(&(address, name.to_owned()));
        let waits = [of_address, of_name].into_iter().flatten();
        waits.filter_map(|tally| tally.wait(now)).max()
    }

    /// Counts a failure.
    pub fn failed(&self, address: IpAddr, name: &str, now: Timestamp) {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        let of_address = entry(&mut tallies.addresses, address, now);
        of_address.fail(FREE_FOR_ADDRESS, now);
        // A name that is longer than any is not kept.
        let name: String = name.chars().take(128).collect();
        entry(&mut tallies.names, (address, name), now).fail(FREE_FOR_NAME, now);
    }

    /// Forgets the failures of a name that got in at last.
    pub fn succeeded(&self, address: IpAddr, name: &str) {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.names.remove(&(network(address), name.to_owned()));
    }
}

impl Tally {
    fn wait(&self, now: Timestamp) -> Option<Duration> {
        let left = self.until?.as_micros().saturating_sub(now.as_micros());
        let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
        // Nobody waits for longer, so the clock was set back, and tells nothing of this wait.
        Some(Duration::from_micros(left)).filter(|left| *left <= LONGEST)
    }

    fn fail(&mut self, free: u32, now: Timestamp) {
        // Who has been quiet for long begins anew.
        if self.last.is_some_and(|last| last.after(LONGEST) < now) {
            *self = Self::default();
        }
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        if let Some(more) = self.failures.checked_sub(free) {
            let wait = FIRST.saturating_mul(1 << more.min(10)).min(LONGEST);
            self.until = Some(now.after(wait));
        }
    }
}

/// Who has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn entry<K: Eq + Hash>(tallies: &mut HashMap<K, Tally>, key: K, now: Timestamp) -> &mut Tally {
    if tallies.len() >= MOST {
        tallies.retain(|_, tally| tally.last.is_some_and(|last| last.after(LONGEST) >= now));
    }
    // A flood from everywhere: those that wait already are forgotten rather than memory grow.
    if tallies.len() >= MOST {
        tallies.clear();
    }
    tallies.entry(key).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn who_fails_often_waits_longer_and_longer_and_nobody_else_does() {
        let lockout = Lockout::default();
        for _ in 0..4 {
            lockout.failed(HERE, "alice", at(0));
        }
        assert_eq!(lockout.wait(HERE, "alice", at(0)), None);
        lockout.failed(HERE, "alice", at(0));
        assert_eq!(
            lockout.wait(HERE, "alice", at(0)),
            Some(Duration::from_secs(1))
        );
        lockout.failed(HERE, "alice", at(0));
        assert_eq!(
            lockout.wait(HERE, "alice", at(0)),
            Some(Duration::from_secs(2))
        );
        assert_eq!(lockout.wait(HERE, "alice", at(2)), None);
        assert_eq!(lockout.wait(HERE, "bob", at(0)), None);
        assert_eq!(lockout.wait(THERE, "alice", at(0)), None);
        for _ in 0..40 {
            lockout.failed(HERE, "alice", at(3));
        }
        assert_eq!(lockout.wait(HERE, "alice", at(3)), Some(LONGEST));
    }

    #[test]
    fn who_gets_in_or_stays_away_begins_anew() {
        let lockout = Lockout::default();
        for _ in 0..6 {
            lockout.failed(HERE, "alice", at(0));
        }
        lockout.succeeded(HERE, "alice");
        assert_eq!(lockout.wait(HERE, "alice", at(0)), None);
        for _ in 0..6 {
            lockout.failed(HERE, "bob", at(0));
        }
        lockout.failed(HERE, "bob", at(1000));
        assert_eq!(lockout.wait(HERE, "bob", at(1000)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out() {
        let lockout = Lockout::default();
        for _ in 0..6 {
            lockout.failed(HERE, "alice", at(0));
        }
        assert!(lockout.wait(HERE, "alice", at(0)).is_some());
        assert_eq!(lockout.wait(HERE, "alice", at(-86_400)), None);
        // Who goes on guessing is shut out by the clock as it stands now.
        lockout.failed(HERE, "alice", at(-86_400));
        assert!(lockout.wait(HERE, "alice", at(-86_400)).is_some());
    }

    #[test]
    fn an_address_that_tries_many_names_waits_too() {
        let lockout = Lockout::default();
        for number in 0..50 {
            lockout.failed(HERE, &format!("user-{number}"), at(0));
        }
        assert!(lockout.wait(HERE, "another", at(0)).is_some());
        assert_eq!(lockout.wait(THERE, "another", at(0)), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let lockout = Lockout::default();
        for number in 0..50 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, number);
            lockout.failed(address.into(), "alice", at(0));
        }
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9);
        assert!(lockout.wait(address.into(), "alice", at(0)).is_some());
    }
}
