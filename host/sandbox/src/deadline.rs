//! The clock by which hooks are stopped, and how it is known that one has had its time.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::Engine;

/// The step in which deadlines are kept. A hook is stopped at most twice so much later than it should. Each
/// tick takes the processor from somebody who serves requests: with 1 ms it was 1 % of their time.
const TICK: Duration = Duration::from_millis(2);

/// After so many ticks without a hook the clock stops, and an idle Pace sleeps.
const IDLE_TICKS: u32 = 1500;

/// The time of a call, in ticks of the clock.
///
/// It is meant to stop code that runs away, not code that the operating system did not let run. So the
/// first half is kept by the wall clock alone, which costs nothing, and only a call that has passed it is
/// asked whether the thread has really had the second half of processor time.
///
/// The engine looks at the time where code loops and where it calls, host functions do when they are called,
/// and it is looked at once more when the call returns. Code that does neither for long is known to have had
/// its time all the same, because the clock notes what processor time the thread had when the first half was over.
pub(super) struct Deadline {
    clock: Arc<Clock>,
    watch: Arc<Watch>,
    first_half: u64,
    second_half: Duration,
    /// The call that runs, as the watch counts them.
    call: u64,
    /// The tick at which its first half is over.
    half_over_at: u64,
    /// The thread's processor time then.
    overtime_since: Option<Duration>,
}

impl Deadline {
    /// For calls on this thread that may take so long.
    pub(super) fn new(clock: &Arc<Clock>, limit: Duration) -> Deadline {
        let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
        Deadline {
            clock: Arc::clone(clock),
            watch: clock.watch(),
            // One more, because the tick in which the call begins is part over.
            first_half: u64::try_from(ticks.div_ceil(2)).unwrap_or(u64::MAX / 2) + 1,
            second_half: limit / 2,
            call: 0,
            half_over_at: 0,
            overtime_since: None,
        }
    }

    /// A call begins. Says after how many ticks the engine has to ask whether it is over.
    pub(super) fn begin(&mut self) -> u64 {
        self.clock.keep_running();
        self.half_over_at = self.clock.ticks() + self.first_half;
        self.overtime_since = None;
        self.call = self.watch.begin(self.half_over_at);
        self.first_half
    }

    /// The call has ended.
    pub(super) fn end(&self) {
        self.watch.end();
    }

    /// Whether the call that runs has had its time.
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
        now.saturating_sub(since) >= self.second_half && now != since
    }
}

/// How long this thread has been running on a processor.
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

/// Advances the engine's epoch every [`TICK`] while hooks run. Its thread ends when this is dropped.
pub(super) struct Clock {
    state: Arc<ClockState>,
    thread: Thread,
}

struct ClockState {
    /// How often it has ticked.
    ticks: AtomicU64,
    /// A hook was entered since the clock last looked. Written only when it changes, so that entering
    /// costs a read of a line that all cores share.
    used: AtomicBool,
    /// The thread ticks, or is about to look at `used` once more before it parks.
    ticking: AtomicBool,
    stop: AtomicBool,
    /// Of each thread that enters hooks.
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

    /// To be called before wasm is entered, and while it is given more time.
    fn keep_running(&self) {
        let state = &*self.state;
        if state.used.load(Ordering::Acquire) {
            return;
        }
        state.used.store(true, Ordering::SeqCst);
        // Either this sees that the clock has stopped, or the clock, which looks at `used` after it says
        // that it stops, sees the store above: in the order of SeqCst one of the two comes later.
        if !state.ticking.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }

    /// The watch of this thread.
    fn watch(&self) -> Arc<Watch> {
        thread_local! {
            /// One for each clock.
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
            // Before the epoch: whoever is asked because of that finds as many ticks.
            let ticks = self.ticks.fetch_add(1, Ordering::Relaxed) + 1;
            engine.increment_epoch();
            let calls = self.look_at_watches(ticks);
            idle += 1;
            if idle == IDLE_TICKS {
                idle = 0;
                // Who has been called for so long is still to be watched.
                if !self.used.swap(false, Ordering::SeqCst) && !calls {
                    self.park();
                }
            }
        }
    }

    /// Whether any thread is in a call.
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

/// What a thread and the clock tell each other of the call that runs. Two cache lines of its own, as the thread
/// writes to them with each call.
#[repr(align(128))]
struct Watch {
    thread: Option<ThreadClock>,
    /// Odd while a call runs, a higher number for each.
    call: AtomicU64,
    /// The tick at which its first half is over.
    half_over_at: AtomicU64,
    /// The thread's processor time at that tick, in nanoseconds, and for which call that was noted.
    noted: AtomicU64,
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

    /// A call begins on the thread. The one before may have ended in a panic.
    fn begin(&self, half_over_at: u64) -> u64 {
        let call = (self.call.load(Ordering::Relaxed) + 1) | 1;
        self.half_over_at.store(half_over_at, Ordering::Relaxed);
        // Who sees the call sees when its half is over.
        self.call.store(call, Ordering::Release);
        call
    }

    fn end(&self) {
        let next = (self.call.load(Ordering::Relaxed) | 1) + 1;
        self.call.store(next, Ordering::Release);
    }

    /// The clock looks whether a call's first half is over. Says whether there is a call.
    fn look(&self, ticks: u64) -> bool {
        let call = self.call.load(Ordering::Acquire);
        if call.is_multiple_of(2) {
            return false;
        }
        let is_due = ticks >= self.half_over_at.load(Ordering::Relaxed)
            && self.noted_for.load(Ordering::Relaxed) != call;
        if let (true, Some(time)) = (is_due, self.thread.as_ref().and_then(ThreadClock::now)) {
            // The call began before this was measured. If it has ended since, and perhaps another has begun, it
            // is noted for the call that has ended, and nobody asks for that.
            let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.noted.store(nanoseconds, Ordering::Relaxed);
            self.noted_for.store(call, Ordering::Release);
        }
        true
    }

    /// The processor time of this thread when the first half of this call was over, if the clock has noted it.
    fn noted(&self, call: u64) -> Option<Duration> {
        let is_noted = self.noted_for.load(Ordering::Acquire) == call;
        is_noted.then(|| Duration::from_nanos(self.noted.load(Ordering::Relaxed)))
    }
}

/// The clock that counts a thread's processor time, for other threads.
struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    fn of_this_thread() -> Option<ThreadClock> {
        let mut id = MaybeUninit::uninit();
        // SAFETY: the thread is this one, which exists; the id is written to memory that is there for it.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), id.as_mut_ptr()) };
        // SAFETY: without a failure it has been written.
        (failed == 0).then(|| ThreadClock(unsafe { id.assume_init() }))
    }

    /// `None` if the thread has ended.
    fn now(&self) -> Option<Duration> {
        let mut time = MaybeUninit::uninit();
        // SAFETY: the time is written to memory that is there for it. An id that means nothing is an error.
        let failed = unsafe { libc::clock_gettime(self.0, time.as_mut_ptr()) };
        // SAFETY: without a failure it has been written.
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
    fn processor_time_is_noted_once_the_first_half_is_over() {
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
    fn a_note_for_one_call_is_none_for_the_next() {
        let watch = watch();
        let first = watch.begin(0);
        watch.look(1);
        watch.end();
        let second = watch.begin(0);
        assert_ne!(first, second);
        assert_eq!(watch.noted(second), None);
    }

    #[test]
    fn a_call_that_did_not_end_is_followed_by_another() {
        let watch = watch();
        let lost = watch.begin(0);
        let next = watch.begin(9);
        assert!(next > lost && watch.look(1));
        assert_eq!(watch.noted(next), None);
        watch.end();
        assert!(!watch.look(10));
    }

    #[test]
    fn the_clock_of_a_thread_that_has_ended_says_nothing_or_something_old() {
        let ended = thread::spawn(ThreadClock::of_this_thread)
            .join()
            .expect("it ends");
        let _is_no_panic = ended.as_ref().and_then(ThreadClock::now);
    }
}
