//! The clock by which hooks are stopped, and the deadline of a call.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::Engine;

/// The resolution of deadlines. A hook is stopped at most two ticks too late. Each tick takes the processor from threads
/// that serve requests: with 1 ms it was 1 % of their time.
const TICK: Duration = Duration::from_millis(2);

/// Ticks without a hook after which the clock stops, so that an idle Pace sleeps.
const IDLE_TICKS: u32 = 1500;

/// The time of a call, in ticks of the clock.
///
/// A deadline is meant to stop code that runs away, not code that the operating system did not let run. So the first
/// half of the time is kept by the wall clock alone, which costs nothing, and the second half by the processor time of
/// the thread, which is read only once a call has passed the first.
///
/// The engine looks at the time where code loops and where it calls, host functions do when they are called, and it is
/// looked at once more when the call returns. Code that does none of this for long is found to be over its time all the
/// same, because the clock notes the processor time of the thread when the first half is over.
pub(super) struct Deadline {
    clock: Arc<Clock>,
    watch: Arc<Watch>,
    first_half: u64,
    second_half: Duration,
    /// The number of the call that runs, as the watch counts calls.
    call: u64,
    /// The tick at which the first half of the call is over.
    half_over_at: u64,
    /// The part of the call's own time that is added to the second half.
    extra_half: Duration,
    /// The thread's processor time at that tick.
    overtime_since: Option<Duration>,
}

impl Deadline {
    /// A deadline for calls on this thread that may take `limit`.
    pub(super) fn new(clock: &Arc<Clock>, limit: Duration) -> Deadline {
        let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
        Deadline {
            clock: Arc::clone(clock),
            watch: clock.watch(),
            // One more, because part of the tick in which the call begins is over.
            first_half: u64::try_from(ticks.div_ceil(2)).unwrap_or(u64::MAX / 2) + 1,
            second_half: limit / 2,
            call: 0,
            half_over_at: 0,
            extra_half: Duration::ZERO,
            overtime_since: None,
        }
    }

    /// Begins a call, which has `extra` time beside the limit. Returns after how many ticks the engine has to ask whether its
    /// time is over.
    pub(super) fn begin(&mut self, extra: Duration) -> u64 {
        self.clock.keep_running();
        self.extra_half = extra / 2;
        let ticks = self.extra_half.as_nanos().div_ceil(TICK.as_nanos());
        let first_half = self.first_half + u64::try_from(ticks).unwrap_or(u64::MAX / 4);
        self.half_over_at = self.clock.ticks() + first_half;
        self.overtime_since = None;
        self.call = self.watch.begin(self.half_over_at);
        first_half
    }

    /// Ends the call.
    pub(super) fn end(&self) {
        self.watch.end();
    }

    /// Whether the time of the call that runs is over.
    #[inline]
    pub(super) fn is_over(&mut self) -> bool {
        self.clock.ticks() >= self.half_over_at && self.second_half_is_over()
    }

    #[cold]
    fn second_half_is_over(&mut self) -> bool {
        self.clock.keep_running();
        let now = thread_time();
        let noted = || self.watch.noted(self.call).unwrap_or(now);
        let since = *self.overtime_since.get_or_insert_with(noted);
        now.saturating_sub(since) >= self.second_half + self.extra_half && now != since
    }
}

/// The time that this thread has been running on a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    duration(time.tv_sec, time.tv_nsec)
}

fn duration(seconds: i64, nanoseconds: i64) -> Duration {
    Duration::new(
        u64::try_from(seconds).unwrap_or_default(),
        u32::try_from(nanoseconds).unwrap_or_default(),
    )
}

/// Advances the engine's epoch every [`TICK`] while hooks run. The clock's thread ends when the clock is dropped.
pub(super) struct Clock {
    state: Arc<ClockState>,
    thread: Thread,
}

struct ClockState {
    /// The number of ticks so far.
    ticks: AtomicU64,
    /// A hook was entered since the clock last looked. The flag is written only when it changes, so that entering a hook
    /// costs no more than a read of a line that all cores share.
    used: AtomicBool,
    /// The thread ticks, or is about to look at `used` once more before it parks.
    ticking: AtomicBool,
    stop: AtomicBool,
    /// The watch of each thread that enters hooks.
    watches: Mutex<Vec<Weak<Watch>>>,
}

impl Clock {
    pub(super) fn start(engine: Engine) -> std::io::Result<Clock> {
        let state = Arc::new(ClockState {
            ticks: AtomicU64::new(0),
            used: AtomicBool::new(false),
            ticking: AtomicBool::new(true),
            stop: AtomicBool::new(false),
            watches: Mutex::default(),
        });
        let of_thread = Arc::clone(&state);
        let handle = thread::Builder::new()
            .name("pace-deadlines".to_owned())
            .spawn(move || of_thread.run(&engine))?;
        Ok(Clock {
            state,
            thread: handle.thread().clone(),
        })
    }

    fn ticks(&self) -> u64 {
        self.state.ticks.load(Ordering::Relaxed)
    }

    /// Keeps the clock ticking. Must be called before wasm is entered, and while it is given more time.
    fn keep_running(&self) {
        let state = &*self.state;
        if state.used.load(Ordering::Acquire) {
            return;
        }
        state.used.store(true, Ordering::SeqCst);
        // Either this load sees that the clock has stopped, or the clock, which looks at `used` after it says that it
        // stops, sees the store above: in the order of SeqCst one of the two comes later.
        if !state.ticking.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }

    /// The watch of this thread.
    fn watch(&self) -> Arc<Watch> {
        thread_local! {
            /// This thread's watches, one for each clock.
            static WATCHES: RefCell<Vec<(Weak<ClockState>, Arc<Watch>)>> = const { RefCell::new(Vec::new()) };
        }
        WATCHES.with_borrow_mut(|watches| {
            watches.retain(|(clock, _)| clock.strong_count() > 0);
            let mine = watches
                .iter()
                .find(|(clock, _)| std::ptr::eq(clock.as_ptr(), &*self.state));
            if let Some((_, watch)) = mine {
                return Arc::clone(watch);
            }
            let watch = Arc::new(Watch::new(ThreadClock::of_this_thread()));
            self.state.watches.lock().push(Arc::downgrade(&watch));
            watches.push((Arc::downgrade(&self.state), Arc::clone(&watch)));
            watch
        })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl ClockState {
    fn run(&self, engine: &Engine) {
        let mut idle = 0;
        while !self.stop.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            // Ticks go before the epoch, so that a callback that the epoch causes finds as many ticks.
            let ticks = self.ticks.fetch_add(1, Ordering::Relaxed) + 1;
            engine.increment_epoch();
            let calls = self.look_at_watches(ticks);
            idle += 1;
            if idle == IDLE_TICKS {
                idle = 0;
                // A call that has lasted for so long still has to be watched.
                if !self.used.swap(false, Ordering::SeqCst) && !calls {
                    self.park();
                }
            }
        }
    }

    /// Looks at the call of each thread. Returns whether any thread is in one.
    fn look_at_watches(&self, ticks: u64) -> bool {
        let mut watches = self.watches.lock();
        let mut calls = false;
        watches.retain(|watch| {
            let Some(watch) = watch.upgrade() else {
                return false;
            };
            calls |= watch.look(ticks);
            true
        });
        calls
    }

    fn park(&self) {
        self.ticking.store(false, Ordering::SeqCst);
        while !self.used.load(Ordering::SeqCst) && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        self.ticking.store(true, Ordering::SeqCst);
    }
}

/// Shared between a thread and the clock: the thread tells which call runs, and the clock notes when its first half is
/// over. A watch has two cache lines of its own, because the thread writes to it with each call.
#[repr(align(128))]
struct Watch {
    thread: Option<ThreadClock>,
    /// The number of the call, which grows with each: odd while the call runs.
    call: AtomicU64,
    /// The tick at which the first half of the call is over.
    half_over_at: AtomicU64,
    /// The thread's processor time at that tick, in nanoseconds.
    noted: AtomicU64,
    /// The number of the call for which the time was noted.
    noted_for: AtomicU64,
}

impl Watch {
    fn new(thread: Option<ThreadClock>) -> Watch {
        Watch {
            thread,
            call: AtomicU64::new(0),
            half_over_at: AtomicU64::new(0),
            noted: AtomicU64::new(0),
            noted_for: AtomicU64::new(0),
        }
    }

    /// Begins a call on the thread. The one before may have panicked and not have ended.
    fn begin(&self, half_over_at: u64) -> u64 {
        let call = (self.call.load(Ordering::Relaxed) + 1) | 1;
        self.half_over_at.store(half_over_at, Ordering::Relaxed);
        // A thread that sees the number of the call sees when its first half is over, too.
        self.call.store(call, Ordering::Release);
        call
    }

    fn end(&self) {
        let next = (self.call.load(Ordering::Relaxed) | 1) + 1;
        self.call.store(next, Ordering::Release);
    }

    /// Notes the thread's processor time once the first half of its call is over. Returns whether a call runs.
    fn look(&self, ticks: u64) -> bool {
        let call = self.call.load(Ordering::Acquire);
        if call.is_multiple_of(2) {
            return false;
        }
        let is_due = ticks >= self.half_over_at.load(Ordering::Relaxed)
            && self.noted_for.load(Ordering::Relaxed) != call;
        if let (true, Some(time)) = (is_due, self.thread.as_ref().and_then(ThreadClock::now)) {
            // The call began before the time was measured. If it has ended since, and perhaps another has begun, the
            // time is noted for the call that has ended, and is never read.
            let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.noted.store(nanoseconds, Ordering::Relaxed);
            self.noted_for.store(call, Ordering::Release);
        }
        true
    }

    /// The processor time of the thread when the first half of a call was over, if the clock has noted it.
    fn noted(&self, call: u64) -> Option<Duration> {
        let is_noted = self.noted_for.load(Ordering::Acquire) == call;
        is_noted.then(|| Duration::from_nanos(self.noted.load(Ordering::Relaxed)))
    }
}

/// The clock of a thread's processor time, which other threads can read.
struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    fn of_this_thread() -> Option<ThreadClock> {
        let mut id = MaybeUninit::uninit();
        // SAFETY: the thread is this one, which exists, and the id is written to `id`.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), id.as_mut_ptr()) };
        // SAFETY: without a failure the id has been written.
        (failed == 0).then(|| ThreadClock(unsafe { id.assume_init() }))
    }

    /// The processor time so far; `None` if the thread has ended.
    fn now(&self) -> Option<Duration> {
        let mut time = MaybeUninit::uninit();
        // SAFETY: the time is written to `time`. An id of no thread is an error.
        let failed = unsafe { libc::clock_gettime(self.0, time.as_mut_ptr()) };
        // SAFETY: without a failure the time has been written.
        let time: libc::timespec = (failed == 0).then(|| unsafe { time.assume_init() })?;
        Some(duration(time.tv_sec, time.tv_nsec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(ThreadClock::of_this_thread())
    }

    #[test]
    fn processor_time_is_noted_once_when_first_half_is_over() {
        let watch = watch();
        assert!(!watch.look(100), "there is no call");
        let call = watch.begin(5);
        assert!(watch.look(4));
        assert_eq!(watch.noted(call), None);
        let before = thread_time();
        assert!(watch.look(5));
        let noted = watch.noted(call).expect("the first half is over");
        assert!((before..=thread_time()).contains(&noted));
        assert!(watch.look(6));
        assert_eq!(watch.noted(call), Some(noted), "it is noted once");
        watch.end();
        assert!(!watch.look(7));
    }

    #[test]
    fn time_noted_for_one_call_is_not_used_for_the_next() {
        let watch = watch();
        let first = watch.begin(0);
        watch.look(1);
        watch.end();
        let second = watch.begin(0);
        assert_ne!(first, second);
        assert_eq!(watch.noted(second), None);
    }

    #[test]
    fn call_after_one_that_never_ended_is_watched() {
        let watch = watch();
        let lost = watch.begin(0);
        let next = watch.begin(9);
        assert!(next > lost && watch.look(1));
        assert_eq!(watch.noted(next), None);
        watch.end();
        assert!(!watch.look(10));
    }

    #[test]
    fn clock_of_ended_thread_can_be_read() {
        let ended = thread::spawn(ThreadClock::of_this_thread)
            .join()
            .expect("it ends");
        let _is_no_panic = ended.as_ref().and_then(ThreadClock::now);
    }
}
