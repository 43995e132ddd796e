//! The results of work that is done once per version of a pool.

use crate::Backends;

/// The versions kept at the same time, of all pools. A plugin that serves more works the oldest out anew, which is
/// slower and otherwise the same.
const MOST: usize = 128;

/// The versions of one pool among them. A request keeps the version that it began with for its retries, so two are
/// asked for in turns after a change.
const MOST_OF_A_POOL: usize = 2;

/// The pools that an instance has seen lately, and what it has worked out for each of their versions.
#[derive(Debug)]
pub struct Pools<T>(Vec<Known<T>>);

#[derive(Debug)]
struct Known<T> {
    version: u64,
    name: String,
    worked_out: T,
}

impl<T> Pools<T> {
    /// No pools.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The result for the present version of a pool. If there is none, `work_out` is given the pool's name, and the
    /// result for an earlier version of it.
    pub fn current(
        &mut self,
        backends: &impl Backends,
        work_out: impl FnOnce(&str, Option<&T>) -> T,
    ) -> &mut T {
        let version = backends.version();
        // No two pools share a version, so the name is not needed.
        let place = match self.0.iter().position(|known| known.version == version) {
            Some(place) => place,
            None => self.add(version, backends.pool(), work_out),
        };
        &mut self.0[place].worked_out
    }

    #[cold]
    fn add(&mut self, version: u64, name: String, work_out: impl FnOnce(&str, Option<&T>) -> T) -> usize {
        let of_the_pool = || self.0.iter().filter(|known| known.name == name);
        let before = of_the_pool().next_back().map(|known| &known.worked_out);
        let worked_out = work_out(&name, before);
        let oldest = match of_the_pool().count() {
            MOST_OF_A_POOL.. => self.0.iter().position(|known| known.name == name),
            _ => (self.0.len() >= MOST).then_some(0),
        };
        if let Some(oldest) = oldest {
            self.0.remove(oldest);
        }
        self.0.push(Known {
            version,
            name,
            worked_out,
        });
        self.0.len() - 1
    }
}

impl<T> Default for Pools<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Pool;

    fn pool(name: &str, version: u64) -> Pool {
        Pool {
            name: name.to_owned(),
            version,
            ..Pool::weighted(&[1])
        }
    }

    #[test]
    fn version_is_worked_out_once() {
        let mut pools = Pools::new();
        for _ in 0..2 {
            let found = pools.current(&pool("a", 1), |name, before| (name.to_owned(), before.is_some()));
            assert_eq!(*found, ("a".to_owned(), false));
        }
        let a = pool("a", 1);
        pools.current(&a, |_, _| unreachable!("it is known"));
        assert_eq!(a.calls.get(), 1, "the version identifies the pool");
    }

    #[test]
    fn new_version_is_given_the_latest_result_of_its_pool() {
        let mut pools = Pools::new();
        let mut work_out = |name, version| {
            *pools.current(&pool(name, version), |_, before| {
                before.map_or(version, |before| before * 10 + version)
            })
        };
        assert_eq!(work_out("a", 1), 1);
        assert_eq!(work_out("b", 2), 2);
        assert_eq!(work_out("a", 3), 13);
        assert_eq!(work_out("a", 4), 134);
        assert_eq!(work_out("a", 3), 13, "one earlier version is kept");
        assert_eq!(work_out("a", 1), 1341, "and no other");
        assert_eq!(work_out("b", 2), 2);
    }

    #[test]
    fn oldest_gives_way_when_there_are_too_many() {
        let mut pools = Pools::new();
        for version in 0..2 * MOST as u64 {
            pools.current(&pool(&version.to_string(), version), |_, _| version);
            assert!(pools.0.len() <= MOST);
        }
        assert_eq!(pools.0[0].version, MOST as u64);
    }
}
