//! The pool that a request goes to, and its backends.

use std::sync::Arc;

use pace_wire::request::RequestHead;

use super::{Context, Visit};
use crate::route::{Forward, Split};
use crate::upstream::Pool;

impl Context {
    /// Replaces the members that the request sees by those of the moment. Backends that it has tried stay tried.
    pub(in crate::proxy) fn renew_members(&mut self) {
        let pool = self.pool();
        let Some(before) = &self.members else {
            self.members = Some(pool.members());
            return;
        };
        if before.version() == pool.version() {
            return;
        }
        let members = pool.members();
        let tried = self.tried.iter().map(|index| before.backend(*index));
        self.tried = tried.filter_map(|backend| members.index_of(backend)).collect();
        self.members = Some(members);
    }

    /// The request's route, as one that has a pool.
    pub(super) fn forward(&self) -> &Forward {
        let forward = self.route().forward();
        forward.expect("no attempt is made for a route without a pool")
    }

    /// The pools of the request's route.
    pub(in crate::proxy) fn split(&self) -> &Split<Arc<Pool>> {
        &self.forward().split
    }

    /// The pool of the attempt that is prepared or made: the request's, unless a plugin has named another for it.
    pub(in crate::proxy) fn pool(&self) -> &Arc<Pool> {
        self.split().pool(self.pool_index())
    }

    /// The pool of the last attempt that was begun, also while another is prepared elsewhere.
    pub(in crate::proxy) fn begun_pool(&self) -> &Arc<Pool> {
        self.split().pool(self.begun_at)
    }

    /// The pool with this index, or that of the request: the one that was chosen for it, or the first of its route.
    pub(in crate::proxy) fn pool_at(&self, index: Option<usize>) -> &Arc<Pool> {
        self.split().pool(index.or(self.choice).unwrap_or(0))
    }

    pub(super) fn pool_index(&self) -> usize {
        self.elsewhere.or(self.choice).unwrap_or(0)
    }

    /// The pool that a plugin has named for the attempt that is prepared or made.
    pub(in crate::proxy) fn elsewhere(&self) -> Option<usize> {
        self.elsewhere
    }

    /// Has the attempt that is prepared go to this pool, or to the request's. Backends that were tried there before stay tried.
    pub(in crate::proxy) fn go_to(&mut self, pool: Option<usize>) {
        let before = self.pool_index();
        self.elsewhere = pool;
        let now = self.pool_index();
        if now == before {
            return;
        }
        let known = self.visits.iter().position(|visit| visit.pool == now);
        let known = known.map(|at| self.visits.swap_remove(at));
        let (members, tried) = known.map_or_else(Default::default, |visit| (visit.members, visit.tried));
        self.visits.push(Visit {
            pool: before,
            members: std::mem::replace(&mut self.members, members),
            tried: std::mem::replace(&mut self.tried, tried),
        });
    }

    /// Whether plugins have sent the request to a pool where it has not been.
    pub(in crate::proxy) fn is_new_to_pool(&self) -> bool {
        self.attempting.is_some() && self.tried.is_empty()
    }

    /// Whether another attempt may follow the one with this number, by the pool of the request, and there is time for it.
    pub(in crate::proxy) fn has_attempt_after(&self, number: u32) -> bool {
        number < self.pool_at(None).settings.retry.attempts && !self.is_late()
    }

    /// Chooses one of the pools of the request's route: the one that a plugin has named, if one has.
    pub(in crate::proxy) fn choose_pool(&mut self, request: &RequestHead) {
        let named = self.state.pool();
        let choose = || self.forward().split.choose(self.client, request);
        self.choice = Some(named.unwrap_or_else(choose));
    }

    /// Whether there are backends that no attempt went to.
    pub(in crate::proxy) fn has_others(&self) -> bool {
        let members = self.members.as_ref().map_or(0, |members| members.len());
        members > self.tried.len()
    }
}
