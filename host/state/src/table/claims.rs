use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cell::ClaimId;
use super::{Claimed, Now, Table, TableError};
use crate::keyed::{Key, Lookup, StoredKey};

/// The claims of one request: the values that it has undertaken to make. They end with it.
pub struct Claims {
    /// Tells the request from others.
    id: ClaimId,
    held: Vec<(Arc<Table>, StoredKey)>,
}

impl Default for Claims {
    fn default() -> Claims {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Claims {
            id: ClaimId::new(id).expect("no process lives for 2^64 claims"),
            held: Vec::new(),
        }
    }
}

impl Claims {
    /// The most claims that a request holds.
    pub const MAX: usize = 8;

    /// The number that tells the request from others.
    pub fn id(&self) -> ClaimId {
        self.id
    }

    /// Gets a value, or the task to make it: of all requests that ask for a missing value at the same time, one is
    /// told [`Claimed::Yours`] and the others [`Claimed::Others`].
    ///
    /// The claim ends when a value is put, when the request removes it, when so many milliseconds are over, or when
    /// this is dropped. Claimed again, it is held for the new time.
    pub fn claim(
        &mut self,
        table: &Arc<Table>,
        key: &[u8],
        ttl: u64,
        now: Now,
    ) -> Result<Claimed, TableError> {
        let key = Lookup::from(Key::Bytes(key));
        let is_it = |(of, held): &(Arc<Table>, StoredKey)| Arc::ptr_eq(of, table) && held.lookup() == key;
        let is_held = self.held.iter().any(is_it);
        if !is_held && self.held.len() >= Claims::MAX {
            // Some may be over.
            let id = self.id;
            self.held
                .retain(|(of, held)| of.is_claimed(&held.lookup(), id, now));
            if self.held.len() >= Claims::MAX {
                return Err(TableError::TooMany);
            }
        }
        let claimed = table.claim(&key, self.id, ttl, now)?;
        if claimed == Claimed::Yours && !is_held {
            self.held.push((Arc::clone(table), key.store()));
        }
        Ok(claimed)
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        for (table, key) in self.held.drain(..) {
            table.release(&key.lookup(), self.id);
        }
    }
}
