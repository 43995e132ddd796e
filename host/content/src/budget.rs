//! The memory that collected bodies may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The step in which a permit of a large body grows, so that a body costs an atomic operation for each of them and not
/// for each read.
const STEP: usize = 64 * 1024;

/// The least that a permit takes.
const LEAST: usize = 4 * 1024;

/// The budget of a process: the bytes that all bodies may take which are held for plugins.
#[derive(Debug)]
pub struct Budget {
    taken: AtomicUsize,
    limit: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        })
    }

    /// Changes the limit. Permits that are held stay, so less may be free than nothing for a while.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// The bytes that are taken at this moment.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes room for so many bytes. `None` if there is not as much.
    pub fn admit(self: &Arc<Budget>, bytes: usize) -> Option<Permit> {
        let mut permit = self.permit();
        permit.cover(bytes).then_some(permit)
    }

    /// A permit for nothing yet.
    pub fn permit(self: &Arc<Budget>) -> Permit {
        Permit {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    // The counter orders nothing else, so relaxed operations are enough.
    fn take(&self, bytes: usize) -> bool {
        let limit = self.limit();
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= limit);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }
}

/// A part of the budget, which is given back when the permit is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Permit {
    /// The bytes that it holds.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes
    }

    /// The budget that it is a part of.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Grows until it covers so many bytes. `false` if the budget has not as much; the permit stays as it was.
    #[must_use]
    pub fn cover(&mut self, bytes: usize) -> bool {
        let more = rounded(bytes).saturating_sub(self.bytes);
        let covers = more == 0 || self.budget.take(more);
        if covers {
            self.bytes += more;
        }
        covers
    }

    /// Grows until it covers so many bytes, beyond the limit if need be: for memory that a call needs and
    /// that ends with it. What is taken beyond keeps further bodies out.
    pub fn cover_beyond(&mut self, bytes: usize) {
        let more = rounded(bytes).saturating_sub(self.bytes);
        if more > 0 {
            self.budget.taken.fetch_add(more, Ordering::Relaxed);
            self.bytes += more;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// The size of the permit for so many bytes: small bodies are many, and steps of the size of large ones would fill the
/// budget with nothing.
fn rounded(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..STEP => bytes.next_power_of_two().max(LEAST),
        _ => bytes.checked_next_multiple_of(STEP).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn permit_gives_back_all_it_took() {
        let budget = Budget::new(200 * 1024);
        let mut permit = budget.admit(1).expect("there is room");
        assert_eq!(budget.taken(), 4 * 1024);
        assert!(permit.cover(4 * 1024));
        assert_eq!(budget.taken(), 4 * 1024);
        assert!(permit.cover(65 * 1024));
        assert_eq!(budget.taken(), 128 * 1024);
        drop(permit);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn full_budget_admits_nothing_and_leaves_permits_as_they_were() {
        let budget = Budget::new(128 * 1024);
        let mut first = budget.admit(64 * 1024).expect("there is room");
        let second = budget.admit(64 * 1024).expect("there is room");
        assert!(budget.admit(1).is_none());
        assert!(!first.cover(64 * 1024 + 1));
        assert!(!first.cover(usize::MAX));
        assert_eq!((first.bytes(), budget.taken()), (64 * 1024, 128 * 1024));
        drop(second);
        assert!(first.cover(64 * 1024 + 1));
    }

    #[test]
    fn memory_beyond_the_limit_keeps_further_bodies_out() {
        let budget = Budget::new(64 * 1024);
        let mut permit = budget.permit();
        permit.cover_beyond(1024 * 1024);
        assert_eq!(budget.taken(), 1024 * 1024);
        assert!(budget.admit(1).is_none());
        drop(permit);
        assert!(budget.admit(1).is_some());
    }

    #[test]
    fn lower_limit_holds_for_what_comes() {
        let budget = Budget::new(1024 * 1024);
        let held = budget.admit(512 * 1024).expect("there is room");
        budget.set_limit(256 * 1024);
        assert!(budget.admit(1).is_none());
        drop(held);
        assert!(budget.admit(256 * 1024).is_some());
    }

    #[test]
    fn threads_together_never_get_more_than_the_limit() {
        let budget = Budget::new(10 * STEP);
        let most = AtomicUsize::new(0);
        let held = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5000 {
                        if let Some(permit) = budget.admit(3 * STEP) {
                            let now = held.fetch_add(permit.bytes(), Ordering::SeqCst) + permit.bytes();
                            most.fetch_max(now, Ordering::SeqCst);
                            held.fetch_sub(permit.bytes(), Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!((3 * STEP..=9 * STEP).contains(&most.into_inner()));
        assert_eq!(budget.taken(), 0);
    }
}
