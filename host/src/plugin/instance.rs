//! One instance of a plugin: entering it under limits, and telling how it ended.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline};

use super::backtrace;
use super::code::Exports;
use super::engine::TICK;
use super::guest::Guest;
use super::program::Use;
use crate::config::Limits;
use crate::escape::Shown;
use crate::hook::{Call, Failure, FailureReason};

/// An instance that has been configured.
pub(super) struct Instance {
    store: Store<Guest>,
    exports: Exports,
    /// Which use of a plugin it was made for.
    pub(super) owner: u64,
    calls: u32,
    time: TimeLimit,
}

/// What an instance has used since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Linear memory, in bytes.
    pub memory: usize,
    /// Calls of host functions.
    pub calls_out: u64,
    /// Instructions, if they are counted; wasmtime counts none for `nop`, `drop`, `block` and `loop`.
    pub instructions: Option<u64>,
}

/// The time limit of a call, in ticks of the engine's clock.
///
/// It is meant to stop code that runs away, not code that the operating system did not let run. So the
/// first half is kept by the wall clock alone, which costs nothing, and only a hook that has passed it is
/// asked, tick by tick, whether the thread has really had the second half of processor time.
#[derive(Clone, Copy)]
struct TimeLimit {
    first_half: u64,
    second_half: Duration,
}

impl TimeLimit {
    fn new(limit: Duration) -> TimeLimit {
        let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
        TimeLimit {
            // One more, because the tick in which the call begins is part over.
            first_half: u64::try_from(ticks.div_ceil(2)).unwrap_or(u64::MAX / 2) + 1,
            second_half: limit / 2,
        }
    }
}

impl Instance {
    /// Makes and configures an instance.
    pub(super) fn new(used: &Use) -> Result<Instance, Failure> {
        let generation = &used.generation;
        let limits = generation.limits;
        let environment = &generation.program.environment;
        let guest = Guest::new(generation, Arc::clone(&used.scope));
        let mut store = Store::new(&environment.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        // What a call may make the host copy. Bytes that overlap in the guest's memory count each time, so
        // that small lists cannot stand for large ones.
        store.set_hostcall_fuel(limits.memory);
        if environment.counts_instructions {
            store.set_fuel(u64::MAX).expect("the engine counts fuel");
        }
        let time = TimeLimit::new(limits.time);
        let clock = Arc::clone(&environment.clock);
        store.epoch_deadline_callback(move |guest| {
            clock.keep_running();
            Ok(past_first_half(guest, time))
        });

        environment.clock.keep_running();
        store.set_epoch_deadline(time.first_half);
        let exports = match generation
            .program
            .code
            .instantiate(&mut store, generation.program.hooks)
        {
            Ok(exports) => exports,
            Err(error) => return Err(failure_to_start(&store, limits, &error)),
        };

        let mut instance = Instance {
            store,
            exports,
            owner: used.id,
            calls: 0,
            time,
        };
        let configured = instance.enter(used, |exports, store| exports.configure(store, &used.config));
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

    /// Calls a hook while what `call` borrows is lent to it. After an error the instance must be dropped.
    pub(super) fn run<T>(
        &mut self,
        used: &Use,
        call: Call<'_>,
        hook: impl FnOnce(&Exports, StoreContextMut<'_, Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        /// Takes back what was lent, also when a host function panics.
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

    /// What it has used so far.
    pub(super) fn usage(&self) -> Usage {
        let guest = self.store.data();
        Usage {
            memory: guest.memory.used(),
            calls_out: guest.calls_out,
            instructions: self.store.get_fuel().ok().map(|left| u64::MAX - left),
        }
    }

    /// Whether it has become too large or too old to go on.
    pub(super) fn is_worn(&self, limits: &Limits) -> bool {
        self.store.data().memory.used() > limits.recycle_memory
            || (limits.recycle_uses != 0 && self.calls > limits.recycle_uses)
    }

    fn enter<T>(
        &mut self,
        used: &Use,
        call: impl FnOnce(&Exports, StoreContextMut<'_, Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        used.generation.program.environment.clock.keep_running();
        self.calls = self.calls.wrapping_add(1);
        let guest = self.store.data_mut();
        guest.overtime_since = None;
        guest.edits.begin();
        self.store.set_epoch_deadline(self.time.first_half);
        call(
            &self.exports,
            wasmtime::AsContextMut::as_context_mut(&mut self.store),
        )
        .map_err(|error| failure(&self.store, used.generation.limits, &error))
    }
}

/// Called once per tick when the first half of the time is over.
fn past_first_half(mut guest: StoreContextMut<'_, Guest>, time: TimeLimit) -> UpdateDeadline {
    let now = thread_time();
    let since = *guest.data_mut().overtime_since.get_or_insert(now);
    if now.saturating_sub(since) >= time.second_half && now != since {
        UpdateDeadline::Interrupt
    } else {
        UpdateDeadline::Continue(1)
    }
}

/// How long this thread has been running on a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
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
    if matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt)) {
        return Failure {
            reason: FailureReason::Deadline,
            detail: format!("it ran for longer than its {:?}; {backtrace}", limits.time),
        };
    }
    Failure {
        reason: FailureReason::Trap,
        detail: backtrace,
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
