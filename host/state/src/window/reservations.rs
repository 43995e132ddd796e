use std::sync::Arc;

use super::log::Taken;
use super::{Denial, Now, Standing, Window, WindowSpec};
use crate::keyed::{Key, Lookup, StoredKey};

/// The events that a request has counted for something whose real amount will be known later.
///
/// Plain numbers: if they are dropped, the events stay counted.
#[derive(Default)]
pub struct Reservations(Vec<Reservation>);

struct Reservation {
    window: Arc<Window>,
    key: StoredKey,
    amount: u32,
    taken: Taken,
}

impl Reservations {
    /// The most reservations that a request holds.
    pub const MAX: usize = 16;

    /// Counts so many events as [`Window::take`] does, and remembers them for this window and key.
    pub fn reserve(
        &mut self,
        window: &Arc<Window>,
        spec: &WindowSpec,
        key: Key<'_>,
        amount: u32,
        now: Now,
    ) -> Result<Standing, Denial> {
        let key = Lookup::from(key);
        if self.0.len() >= Reservations::MAX {
            return Err(Denial::TooMany);
        }
        let (standing, taken) = window.take_at(spec, &key, amount, now)?;
        self.0.push(Reservation {
            window: Arc::clone(window),
            key: key.store(),
            amount,
            taken,
        });
        Ok(standing)
    }

    /// Ends all reservations of this window and key, of which so many events were needed. The rest is taken
    /// back, and what is missing is counted, also beyond the limit. `None` without a reservation.
    pub fn settle(
        &mut self,
        window: &Arc<Window>,
        spec: &WindowSpec,
        key: Key<'_>,
        needed: u32,
        now: Now,
    ) -> Option<Standing> {
        let lookup = Lookup::from(key);
        let is_it = |held: &mut Reservation| Arc::ptr_eq(&held.window, window) && held.key.lookup() == lookup;
        let (mut missing, mut is_there) = (needed, false);
        for held in self.0.extract_if(.., is_it) {
            is_there = true;
            let unused = held.amount.saturating_sub(missing);
            missing -= held.amount - unused;
            if unused > 0 {
                window.refund_of(spec, &lookup, held.taken, unused, now);
            }
        }
        is_there.then(|| window.force(spec, &lookup, missing, now))
    }
}
