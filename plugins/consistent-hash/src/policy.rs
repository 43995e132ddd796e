//! The choice of the backend for a key.

mod account;
mod hash;
mod layout;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use balancing::{Backends, Eligible, Pools};

use crate::config::MaxLoad;
use account::Account;
use layout::{Identity, Layout};
use table::Table;

pub use hash::hash;

/// The hash of a client: of its IPv4 address, or of the network of 64 bits that it has in IPv6.
pub fn hash_of_client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => hash(&address.octets()),
        IpAddr::V6(address) => hash(&address.octets()[..8]),
    }
}

/// Picks backends by the hash of a key.
pub struct ConsistentHash {
    max_load: MaxLoad,
    pools: Pools<Pool>,
}

/// One version of a pool.
struct Pool {
    layout: Arc<Layout>,
    /// Whether each backend may be asked, by index.
    standing: Box<[Standing]>,
    /// A table of the preferred backends, if they are less than half of those with a weight. It is asked when the
    /// layout's has been asked in vain.
    of_few: Option<Table>,
    /// The requests in flight, if they are bounded.
    account: Option<Account>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Preferred,
    Spare,
    /// Nothing new.
    Out,
}

impl ConsistentHash {
    /// A policy that has seen no pool yet.
    pub const fn new(max_load: MaxLoad) -> Self {
        Self {
            max_load,
            pools: Pools::new(),
        }
    }

    /// The backend for an attempt, counted from 1, of a request whose key has this hash. `None` if no backend is left.
    pub fn pick(&mut self, backends: &impl Backends, attempt: u32, hash: u64) -> Option<u32> {
        let pool = self.pools.current(backends, |_, before| {
            Pool::of(backends, before.map(|pool| &pool.layout), self.max_load)
        });
        pool.pick(backends, attempt, hash)
    }
}

impl Pool {
    /// Prepares a version of a pool. The layout is the one before if addresses and weights are the same.
    fn of(backends: &impl Backends, before: Option<&Arc<Layout>>, max_load: MaxLoad) -> Self {
        let identities: Box<[Identity]> = (0..backends.count())
            .map(|index| Identity {
                hash: hash(backends.address(index).as_bytes()),
                weight: backends.weight(index),
            })
            .collect();
        let weights = identities.iter().map(|identity| identity.weight);
        let states = weights.zip((0..).map(|index| backends.health(index)));
        let eligible = Eligible::sorted(states);
        let mut standing = vec![Standing::Out; identities.len()];
        for (members, is) in [
            (&eligible.preferred, Standing::Preferred),
            (&eligible.spare, Standing::Spare),
        ] {
            for member in members {
                standing[member.index as usize] = is;
            }
        }
        let layout = match before {
            Some(before) if before.is_of(&identities) => Arc::clone(before),
            _ => Arc::new(Layout::new(identities)),
        };
        let few = layout.len() > 2 * eligible.preferred.len();
        let is_preferred = |index: u32| standing[index as usize] == Standing::Preferred;
        Self {
            of_few: few.then(|| layout.table_of(is_preferred)),
            layout,
            standing: standing.into(),
            account: max_load
                .0
                .map(|percent| Account::new(percent, &eligible.preferred, backends)),
        }
    }

    fn pick(&mut self, backends: &impl Backends, attempt: u32, hash: u64) -> Option<u32> {
        let standing = |index: u32| self.standing.get(index as usize).copied();
        let is_left = |index: u32| attempt == 1 || !backends.tried(index);
        let mut preferred = self
            .layout
            .choices(hash, self.of_few.as_ref())
            .filter(|&index| standing(index) == Some(Standing::Preferred) && is_left(index));
        let picked = match &mut self.account {
            None => preferred.next(),
            Some(account) => account.first_with_room(backends, preferred),
        };
        picked.or_else(|| {
            let mut others = self.layout.clockwise(hash);
            others.find(|&index| standing(index) == Some(Standing::Spare) && is_left(index))
        })
    }
}

#[cfg(test)]
mod tests;
