//! How many connections one address, and one network of addresses, may have.
//!
//! Invariant: an address is in the table only while a connection of it is counted, so the table is never larger than the
//! number of connections. It is touched when a connection opens and closes, never for a message.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use slab::Slab;

/// Where a connection is counted: 4 bytes instead of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(NonZeroU32);

/// Why a connection is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded;

/// The connections of all shards by address and by network: /24 of IPv4, /64 of IPv6.
#[derive(Debug)]
pub(crate) struct Admission {
    per_address_max: u32,
    per_prefix_max: u32,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    places: HashMap<IpAddr, Place>,
    addresses: Slab<Counted>,
    prefixes: HashMap<IpAddr, u32>,
}

#[derive(Debug)]
struct Counted {
    address: IpAddr,
    connections: u32,
}

impl Place {
    fn new(key: usize) -> Self {
        let key = u32::try_from(key + 1).ok().and_then(NonZeroU32::new);
        Self(key.expect("fewer than 2^32 connections"))
    }

    const fn key(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Admission {
    pub(crate) fn new(per_address_max: u32, per_prefix_max: u32) -> Self {
        Self { per_address_max, per_prefix_max, table: Mutex::default() }
    }

    /// Counts a connection of `address`.
    ///
    /// # Errors
    /// The address or its network has as many as it may; nothing is counted then.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, Crowded> {
        let address = address.to_canonical();
        let table = &mut *self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let place = table.places.get(&address).copied();
        let here = place.map_or(0, |place| table.addresses[place.key()].connections);
        let prefix = prefix_of(address);
        let near = table.prefixes.get(&prefix).copied().unwrap_or(0);
        if here >= self.per_address_max || near >= self.per_prefix_max {
            return Err(Crowded);
        }
        table.prefixes.insert(prefix, near + 1);
        Ok(match place {
            Some(place) => {
                table.addresses[place.key()].connections += 1;
                place
            }
            None => {
                let place = Place::new(table.addresses.insert(Counted { address, connections: 1 }));
                table.places.insert(address, place);
                place
            }
        })
    }

    /// The address that is counted in `place`.
    pub(crate) fn address(&self, place: Place) -> Option<IpAddr> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.addresses.get(place.key()).map(|counted| counted.address)
    }

    /// A connection counted in `place` is gone.
    pub(crate) fn release(&self, place: Place) {
        let table = &mut *self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counted) = table.addresses.get_mut(place.key()) else { return };
        let address = counted.address;
        counted.connections -= 1;
        if counted.connections == 0 {
            table.addresses.remove(place.key());
            table.places.remove(&address);
        }
        let prefix = prefix_of(address);
        if let Some(near) = table.prefixes.get_mut(&prefix) {
            *near -= 1;
            if *near == 0 {
                table.prefixes.remove(&prefix);
            }
        }
    }
}

/// The first address of the network: what a household or a small office has (/24, /64).
fn prefix_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_its_limit_and_one_more_after_each_release() {
        let admission = Admission::new(2, 100);
        let first = admission.admit(ip("192.0.2.1")).unwrap();
        assert_eq!(admission.admit(ip("192.0.2.1")), Ok(first));
        assert_eq!(
            admission.admit(ip("::ffff:192.0.2.1")),
            Err(Crowded),
            "the same address, written as IPv6"
        );
        assert!(admission.admit(ip("192.0.2.2")).is_ok());
        admission.release(first);
        assert_eq!(admission.admit(ip("192.0.2.1")), Ok(first));
        assert_eq!(admission.address(first), Some(ip("192.0.2.1")));
    }

    #[test]
    fn a_network_gets_its_limit_whatever_its_addresses() {
        let admission = Admission::new(10, 3);
        for last in 1..=3 {
            assert!(admission.admit(ip(&format!("2001:db8::{last}"))).is_ok());
        }
        assert_eq!(admission.admit(ip("2001:db8::ffff:ffff:ffff:ffff")), Err(Crowded));
        assert!(admission.admit(ip("2001:db8:0:1::")).is_ok());
        assert!(admission.admit(ip("192.0.2.255")).is_ok() && admission.admit(ip("192.0.3.0")).is_ok());
    }

    #[test]
    fn the_table_is_empty_when_all_are_gone() {
        let admission = Admission::new(10, 100);
        let places: Vec<_> =
            (0..100).map(|n| admission.admit(ip(&format!("192.0.2.{}", n % 10))).unwrap()).collect();
        for place in places {
            admission.release(place);
        }
        let table = admission.table.lock().unwrap();
        assert!(table.places.is_empty() && table.addresses.is_empty() && table.prefixes.is_empty());
    }
}
