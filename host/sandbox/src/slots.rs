//! Slots for instances: every thread keeps, for each runtime, a table with one instance for each use of a plugin.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::instance::Instance;

/// The slots of one [`Runtime`](super::Runtime), and the uses of plugins that own them.
pub(super) struct Slots {
    owners: Mutex<Owners>,
    /// Counts the uses that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct Owners {
    /// The use that owns each slot. Slots are given out again, so that the threads' tables stay as short as the
    /// configuration is.
    of_slots: Vec<Option<u64>>,
    last_id: u64,
}

/// A slot that a use of a plugin owns. Dropping it frees the slot.
pub(super) struct Slot {
    slots: Arc<Slots>,
    index: usize,
    /// Tells this owner from earlier ones of the same slot.
    pub(super) owner: u64,
}

/// The instances that one thread keeps for one runtime, by slot.
struct Table {
    /// The table does not keep the runtime's slots alive: instances of a runtime that is gone are of no use.
    slots: Weak<Slots>,
    instances: Vec<Option<Box<Instance>>>,
}

thread_local! {
    /// This thread's tables: one in a program that has one runtime.
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

impl Slots {
    pub(super) fn new() -> Slots {
        Slots {
            owners: Mutex::default(),
            ended: watch::Sender::new(0),
        }
    }

    /// Gives out a free slot.
    pub(super) fn take(self: &Arc<Self>) -> Slot {
        let mut owners = self.owners.lock();
        let Owners { of_slots, last_id } = &mut *owners;
        let index = of_slots.iter().position(Option::is_none).unwrap_or_else(|| {
            of_slots.push(None);
            of_slots.len() - 1
        });
        *last_id += 1;
        of_slots[index] = Some(*last_id);
        Slot {
            slots: Arc::clone(self),
            index,
            owner: *last_id,
        }
    }

    /// Changes whenever a slot is freed.
    pub(super) fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Drops this thread's instances whose slots have been freed, and those of runtimes that are gone.
    pub(super) fn sweep(&self) {
        let is_gone = |table: &mut Table| table.slots.strong_count() == 0;
        let unused = TABLES.with_borrow_mut(|tables| {
            let of_gone_runtimes: Vec<Table> = tables.extract_if(.., is_gone).collect();
            let own = tables.iter_mut().find(|table| table.belongs_to(self));
            let freed = own.map(|table| table.take_freed(&self.owners.lock()));
            (of_gone_runtimes, freed)
        });
        // Dropping an instance may run other code of ours, so nothing is borrowed or locked meanwhile.
        drop(unused);
    }
}

impl Slot {
    /// Lends this thread's place for the slot: empty, or with an instance of this owner or of an earlier one.
    pub(super) fn with_instance<T>(&self, run: impl FnOnce(&mut Option<Box<Instance>>) -> T) -> T {
        TABLES.with_borrow_mut(|tables| {
            let table = match tables.iter().position(|table| table.belongs_to(&self.slots)) {
                Some(position) => &mut tables[position],
                None => add_table(tables, &self.slots),
            };
            if table.instances.len() <= self.index {
                table.instances.resize_with(self.index + 1, || None);
            }
            run(&mut table.instances[self.index])
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.owners.lock().of_slots[self.index] = None;
        self.slots
            .ended
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Table {
    fn belongs_to(&self, slots: &Slots) -> bool {
        std::ptr::eq(self.slots.as_ptr(), slots)
    }

    /// Takes out the instances whose owner does not have the slot any more.
    fn take_freed(&mut self, owners: &Owners) -> Vec<Option<Box<Instance>>> {
        let slots = self.instances.iter_mut().zip(&owners.of_slots);
        slots
            .map(|(place, owner)| place.take_if(|instance| Some(instance.owner) != *owner))
            .collect()
    }
}

#[cold]
fn add_table<'a>(tables: &'a mut Vec<Table>, slots: &Arc<Slots>) -> &'a mut Table {
    tables.push_mut(Table {
        slots: Arc::downgrade(slots),
        instances: Vec::new(),
    })
}
