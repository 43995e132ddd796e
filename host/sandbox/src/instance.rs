//! An instance of a plugin: entering it under limits, and telling how its calls ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline};

use super::backtrace;
use super::code::Exports;
use super::guest::Guest;
use super::lend::Call;
use super::meter::{self, Exceeded};
use super::program::Use;
use super::recycling::Wear;
use pace_base::escape::Shown;
use pace_config::Limits;
use pace_content::body::Content;
use pace_hook::{Failure, FailureReason};

/// An instance that has been configured.
pub(super) struct Instance {
    store: Store<Guest>,
    exports: Exports,
    /// The owner of its slot: the use of a plugin that the instance was made for.
    pub(super) owner: u64,
    /// Tells it from all other instances of the process.
    pub(super) number: u64,
    /// The messages that are open in it.
    pub(super) messages: u32,
    /// Its linear memory when it was configured, in bytes.
    pub(super) configured: usize,
    calls: u32,
}

/// The number of the instance that was made last.
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The usage of an instance since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Linear memory, in bytes.
    pub memory: usize,
    /// Calls of host functions.
    pub calls_out: u64,
    /// Instructions, if they are counted; wasmtime counts none for `nop`, `drop`, `block` and `loop`.
    pub instructions: Option<u64>,
}

impl Instance {
    /// Makes and configures an instance.
    pub(super) fn new(used: &Use) -> Result<Instance, Failure> {
        let generation = &used.generation;
        let limits = generation.limits;
        let platform = &generation.program.platform;
        let guest = Guest::new(generation, Arc::clone(&used.scope));
        let mut store = Store::new(&platform.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        // Bytes that overlap in the guest's memory count each time, so that small lists cannot stand for large
        // ones.
        store.set_hostcall_fuel(store.data().meter.largest_copy);
        // Of the handles that a component makes, those of its own messages are the runtime's, which keeps one for each that
        // is open as well.
        store.set_max_component_handles(limits.handles + 2 * limits.streams as usize);
        if platform.counts_instructions {
            store.set_fuel(u64::MAX).expect("the engine counts fuel");
        }
        store.epoch_deadline_callback(|mut guest| {
            Ok(match guest.data_mut().meter.deadline.is_over() {
                true => UpdateDeadline::Interrupt,
                false => UpdateDeadline::Continue(1),
            })
        });

        begin(&mut store, 0);
        let made = generation
            .program
            .code
            .instantiate(&mut store, generation.program.hooks);
        let exports = in_time(&mut store, made).map_err(|error| failure_to_start(&store, limits, &error))?;
        let mut instance = Instance {
            store,
            exports,
            owner: used.slot.owner,
            number: LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1,
            messages: 0,
            configured: 0,
            calls: 0,
        };
        let configured = instance.enter(used, |exports, store| exports.configure(store, &used.config));
        instance.configured = instance.store.data().memory.used();
        // Only calls of hooks count from here on.
        instance.calls = 0;
        match configured {
            Ok(Ok(())) => Ok(instance),
            Ok(Err(refusal)) => Err(Failure {
                reason: FailureReason::Configure,
                detail: Shown::new(refusal).into(),
            }),
            Err(failure) => Err(Failure {
                reason: FailureReason::Configure,
                detail: format!("configure failed: {failure}; {}", failure.advice()),
            }),
        }
    }

    /// Calls a hook, and lends it what `call` borrows meanwhile. After an error the instance must be dropped.
    pub(super) fn run<T>(
        &mut self,
        used: &Use,
        call: Call<'_, '_>,
        hook: impl FnOnce(&Exports, StoreContextMut<'_, Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        /// Ends the lending when it is dropped, also while a panic of a host function unwinds.
        struct End<'a>(&'a mut Instance);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store.data_mut().lending.end();
            }
        }
        let lent = End(self);
        // SAFETY: `lent` ends the lending when this function returns or unwinds, and the borrows in `call`
        // last until it has returned.
        unsafe { lent.0.store.data_mut().lending.begin(call) };
        lent.0.enter(used, hook)
    }

    /// The usage so far.
    pub(super) fn usage(&self) -> Usage {
        let guest = self.store.data();
        Usage {
            memory: guest.memory.used(),
            calls_out: guest.meter.calls_out,
            instructions: self.store.get_fuel().ok().map(|left| u64::MAX - left),
        }
    }

    /// Whether the instance has become too large or too old to be used again.
    pub(super) fn wear(&self, limits: &Limits) -> Option<Wear> {
        let grown = self.store.data().memory.used() - self.configured;
        if grown > limits.growth(self.configured) {
            let calls = self.calls;
            return Some(Wear::Memory { grown, calls });
        }
        (limits.recycle_uses != 0 && self.calls >= limits.recycle_uses).then_some(Wear::Uses)
    }

    /// Calls the instance without lending it anything. After an error it must be dropped.
    pub(super) fn enter<T>(
        &mut self,
        used: &Use,
        call: impl FnOnce(&Exports, StoreContextMut<'_, Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        self.calls = self.calls.wrapping_add(1);
        self.store.data_mut().edits.begin();
        let content = self.store.data().lending.content().map_or(0, Content::size);
        begin(&mut self.store, content);
        let result = call(
            &self.exports,
            wasmtime::AsContextMut::as_context_mut(&mut self.store),
        );
        in_time(&mut self.store, result).map_err(|error| failure(&self.store, used.generation.limits, &error))
    }
}

/// Starts the time of a call, and gives it anew what it may take of the host.
fn begin(store: &mut Store<Guest>, content: u32) {
    let first_half = store.data_mut().meter.begin(content);
    store.set_epoch_deadline(first_half);
}

/// Ends the time of a call. Its result counts only if the call was in time.
fn in_time<T>(store: &mut Store<Guest>, result: wasmtime::Result<T>) -> wasmtime::Result<T> {
    let deadline = &mut store.data_mut().meter.deadline;
    let is_over = deadline.is_over();
    deadline.end();
    match result {
        Ok(_) if is_over => Err(Trap::Interrupt.into()),
        result => result,
    }
}

#[cold]
fn failure(store: &Store<Guest>, limits: Limits, error: &wasmtime::Error) -> Failure {
    let backtrace = backtrace::of(error);
    if store.data().memory.exceeded {
        return Failure {
            reason: FailureReason::Memory,
            detail: backtrace,
        };
    }
    let exceeded = error.downcast_ref::<Exceeded>();
    if matches!(exceeded, Some(Exceeded::Time))
        || matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt))
    {
        return Failure {
            reason: FailureReason::Deadline,
            detail: format!("it ran for longer than its {:?}; {backtrace}", limits.time),
        };
    }
    if let Some(exceeded) = exceeded {
        return illegal_output(exceeded.to_string());
    }
    if meter::is_too_large_to_copy(error) {
        return illegal_output(format!(
            "it handed over or returned more than {} bytes at once",
            store.data().meter.largest_copy
        ));
    }
    Failure {
        reason: FailureReason::Trap,
        detail: backtrace,
    }
}

fn illegal_output(detail: String) -> Failure {
    Failure {
        reason: FailureReason::IllegalOutput,
        detail,
    }
}

#[cold]
fn failure_to_start(store: &Store<Guest>, limits: Limits, error: &wasmtime::Error) -> Failure {
    let cause = failure(store, limits, error);
    Failure {
        reason: FailureReason::Configure,
        detail: format!("starting the instance failed: {cause}"),
    }
}
