//! Slots for instances: every thread keeps, for each runtime, a table with a place for each use of a plugin.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::generation::Generation;
use super::instance::Instance;
use pace_hook::Failure;

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
    places: Vec<Place>,
}

/// The instances that one thread keeps for one use of a plugin: of the slot's owner, or of an earlier one until it is swept.
#[derive(Default)]
pub(super) struct Place {
    /// The instance that is called.
    pub(super) current: Option<Box<Instance>>,
    /// Instances that are worn and have messages open, the oldest first. Nothing else is called in them.
    #[expect(clippy::vec_box, reason = "they come from `current`, and are large")]
    retired: Vec<Box<Instance>>,
}

/// The most retired instances in a place. A plugin that wears out several instances while a message passes has its oldest
/// messages lost, and not all the memory of the machine.
const MAX_RETIRED: usize = 4;

impl Place {
    /// Takes out the instance that is called, if it is the owner's. Instances of an earlier owner are dropped.
    pub(super) fn take(&mut self, owner: u64) -> Option<Box<Instance>> {
        match self.current.take() {
            Some(instance) if instance.owner == owner => Some(instance),
            earlier => {
                self.retired.retain(|instance| instance.owner == owner);
                drop(earlier);
                None
            }
        }
    }

    /// Puts an instance back that has done its call. One that has become too large or too old is not called again, and stays
    /// for its open messages alone.
    pub(super) fn put(&mut self, instance: Box<Instance>, generation: &Generation) {
        let Some(wear) = instance.wear(&generation.limits) else {
            self.current = Some(instance);
            return;
        };
        generation.recycled(wear);
        if instance.messages > 0 {
            if self.retired.len() >= MAX_RETIRED {
                self.retired.remove(0);
            }
            self.retired.push(instance);
        }
    }

    /// The messages that are open in all instances of an owner.
    pub(super) fn messages(&self, owner: u64) -> u32 {
        let all = self.current.iter().chain(&self.retired);
        let of_owner = all.filter(|instance| instance.owner == owner);
        of_owner.map(|instance| instance.messages).sum()
    }

    /// Runs in the instance with this number; `None` if it is gone. An instance that fails is dropped, and with it all its
    /// messages.
    pub(super) fn with_numbered<T>(
        &mut self,
        number: u64,
        generation: &Generation,
        run: impl FnOnce(&mut Instance) -> Result<T, Failure>,
    ) -> Option<Result<T, Failure>> {
        if let Some(mut instance) = self.current.take_if(|instance| instance.number == number) {
            let result = run(&mut instance);
            if result.is_ok() {
                self.put(instance, generation);
            }
            return Some(result);
        }
        let place = self
            .retired
            .iter()
            .position(|instance| instance.number == number)?;
        let mut instance = self.retired.remove(place);
        let result = run(&mut instance);
        if result.is_ok() && instance.messages > 0 {
            self.retired.insert(place, instance);
        }
        Some(result)
    }

    /// Takes out the instances whose owner is not this one.
    fn take_freed(&mut self, owner: Option<u64>) -> Place {
        let is_freed = |instance: &mut Box<Instance>| Some(instance.owner) != owner;
        Place {
            current: self.current.take_if(is_freed),
            retired: self.retired.extract_if(.., is_freed).collect(),
        }
    }
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
    /// Lends this thread's place for the slot.
    pub(super) fn with_place<T>(&self, run: impl FnOnce(&mut Place) -> T) -> T {
        TABLES.with_borrow_mut(|tables| run(self.place(tables)))
    }

    /// Lends this thread's place for the slot, unless the thread is at its end.
    pub(super) fn try_with_place<T>(&self, run: impl FnOnce(&mut Place) -> T) -> Option<T> {
        let found = TABLES.try_with(|tables| {
            let mut tables = tables.try_borrow_mut().ok()?;
            Some(run(self.place(&mut tables)))
        });
        found.ok().flatten()
    }

    fn place<'t>(&self, tables: &'t mut Vec<Table>) -> &'t mut Place {
        let table = match tables.iter().position(|table| table.belongs_to(&self.slots)) {
            Some(position) => &mut tables[position],
            None => add_table(tables, &self.slots),
        };
        if table.places.len() <= self.index {
            table.places.resize_with(self.index + 1, Place::default);
        }
        &mut table.places[self.index]
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
    fn take_freed(&mut self, owners: &Owners) -> Vec<Place> {
        let slots = self.places.iter_mut().zip(&owners.of_slots);
        slots.map(|(place, owner)| place.take_freed(*owner)).collect()
    }
}

#[cold]
fn add_table<'a>(tables: &'a mut Vec<Table>, slots: &Arc<Slots>) -> &'a mut Table {
    tables.push_mut(Table {
        slots: Arc::downgrade(slots),
        places: Vec::new(),
    })
}
