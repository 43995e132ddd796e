//! The backends of a pool at a moment, and as one request sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Backend, Pool, StickyId};
use pace_hook::{AttemptFailure, Candidates, Health};

/// The backends of a pool at a moment. A change makes new members, so that a request sees one state of them.
pub struct Members {
    version: u64,
    list: Box<[Member]>,
    /// The indices of all backends by their names in cookies, sorted by name; empty without stickiness.
    sticky: Box<[(StickyId, u32)]>,
}

/// A backend of a pool, with the weight and the health that plugins see.
#[derive(Clone)]
pub struct Member {
    /// The server.
    pub backend: Arc<Backend>,
    /// Its share of requests, relative to the others.
    pub weight: u32,
    /// Its health.
    pub health: Health,
}

impl Members {
    pub(super) fn of(list: Vec<Member>, is_sticky: bool) -> Members {
        /// The next version. None is used twice, as `upstreams.version` promises.
        static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);
        let mut sticky = Vec::new();
        if is_sticky {
            sticky.extend(
                (0..)
                    .zip(&list)
                    .map(|(index, member)| (member.backend.sticky, index)),
            );
            sticky.sort_unstable();
        }
        Members {
            version: NEXT_VERSION.fetch_add(1, Ordering::Relaxed),
            list: list.into(),
            sticky: sticky.into(),
        }
    }

    /// The number that no other members have.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of backends.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no backend.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The backends, in the order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// The backend with an index.
    ///
    /// # Panics
    ///
    /// If the index is not below [`Members::len`].
    pub fn backend(&self, index: u32) -> &Arc<Backend> {
        &self.member(index).backend
    }

    /// Whether the backend with an index drains.
    pub fn drains(&self, index: u32) -> bool {
        self.member(index).health == Health::Draining
    }

    /// The index of a backend.
    pub fn index_of(&self, backend: &Arc<Backend>) -> Option<u32> {
        let mut all = (0..).zip(&self.list);
        all.find_map(|(index, member)| Arc::ptr_eq(&member.backend, backend).then_some(index))
    }

    /// The backend with this name in cookies, if it takes requests.
    pub fn called(&self, id: StickyId) -> Option<u32> {
        let at = self.sticky.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        let (_, index) = self.sticky[at];
        let Member { weight, health, .. } = self.member(index);
        (*weight > 0 && *health == Health::Healthy).then_some(index)
    }

    fn member(&self, index: u32) -> &Member {
        &self.list[index as usize]
    }

    pub(super) fn is_the_same_as(&self, list: &[Member]) -> bool {
        self.list.len() == list.len()
            && self.list.iter().zip(list).all(|(one, other)| {
                Arc::ptr_eq(&one.backend, &other.backend)
                    && one.weight == other.weight
                    && one.health == other.health
            })
    }
}

/// A pool as one request sees it.
pub struct Attempts<'a> {
    /// The pool that the attempt goes to.
    pub pool: &'a Pool,
    /// The pool's backends.
    pub members: &'a Members,
    /// The indices of the backends of earlier attempts.
    pub tried: &'a [u32],
    /// The failure of the last attempt.
    pub last_failure: Option<AttemptFailure>,
    /// The backend of the last attempt.
    pub last: Option<&'a Arc<Backend>>,
    /// Whether backends that have no room for another request count as tried.
    pub skips_full: bool,
    /// The backend at which the request is offered a place that no other can have.
    pub offered: Option<&'a Arc<Backend>>,
}

impl Attempts<'_> {
    fn has_room(&self, index: u32) -> bool {
        let backend = self.members.backend(index);
        backend.has_room() || self.offered.is_some_and(|offered| Arc::ptr_eq(offered, backend))
    }
}

impl Candidates for Attempts<'_> {
    fn count(&self) -> u32 {
        u32::try_from(self.members.list.len()).unwrap_or(u32::MAX)
    }

    fn version(&self) -> u64 {
        self.members.version
    }

    fn pool(&self) -> &str {
        &self.pool.name
    }

    fn last_failure(&self) -> Option<AttemptFailure> {
        self.last_failure
    }

    fn last_failed(&self) -> Option<u32> {
        self.members.index_of(self.last?)
    }

    fn tried(&self, index: u32) -> bool {
        self.tried.contains(&index) || (self.skips_full && !self.has_room(index))
    }

    fn address(&self, index: u32) -> &str {
        &self.members.backend(index).label
    }

    fn weight(&self, index: u32) -> u32 {
        self.members.member(index).weight
    }

    fn health(&self, index: u32) -> Health {
        self.members.member(index).health
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.members.backend(index).in_flight()
    }

    fn latency(&self, index: u32) -> Option<u64> {
        self.members.backend(index).latency()
    }
}
