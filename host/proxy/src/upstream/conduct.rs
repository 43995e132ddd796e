//! The record of a backend's attempts, and its ejection.
//!
//! ```text
//!                    failures in a row                 its time is over
//!          ┌────────────────────────────▶ Ejected ──────────────────────┐
//!          │                                 ▲                          ▼
//!        Taking                              └──────── fails ──────── Trial ──── answers ────▶ Taking
//!          │                                                            ▲
//!          └────────────────────────────▶ Silent ───────────────────────┘
//!                    silence                 │         its time is over
//!                                            └──────── answers ──────────────────────────────▶ Taking
//! ```
//!
//! Workers share this without a lock: an attempt that changes nothing touches a few atomic numbers. A change is made under the
//! lock of the pool, which bounds how many of its backends are ejected.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use pace_config::pool::Ejection;
use pace_hook::AttemptFailure;

/// The record of a backend's attempts, in cache lines of its own because every attempt writes here.
#[repr(align(128))]
pub(super) struct Conduct {
    /// The present phase. Its order to the counts of places matters: see the drop of a place.
    phase: AtomicU8,
    /// Attempts in a row that failed.
    failures: AtomicU32,
    /// The attempts that have begun since the last answer, without those that their clients have left soon: [`Unanswered`] as a
    /// number.
    unanswered: AtomicU64,
    /// The longest time that an answer has taken lately, in nanoseconds; 0 before the first one.
    slowest: AtomicU64,
    /// The number of the last [`Trial`]; odd while its request is under way.
    trial: AtomicU64,
    term: Mutex<Term>,
}

/// A request that is, or was, the trial of a backend: its number, which no other trial there has. One that outlives its trial says
/// nothing of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial(u64);

/// The phases of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The backend takes requests.
    Taking,
    /// The backend is ejected because attempts failed.
    Ejected,
    /// The backend is ejected because it is silent. Any answer ends that.
    Silent,
    /// The backend gets one request at a time, until one of them ends.
    Trial,
}

/// The cause of an ejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The last of these attempts in a row failed like this.
    Failures(u32, AttemptFailure),
    /// Nothing was answered for so long.
    Silence(Duration),
}

#[derive(Debug)]
struct Term {
    /// The end of the present ejection.
    ends: Instant,
    /// The number of ejections in a row.
    times: u32,
}

/// An ejection takes at most 2 to this power times as long as the first one.
const MOST_DOUBLINGS: u32 = 3;

/// The multiple of the slowest recent answer's time after which a backend without an answer is silent.
const SILENCE_FACTOR: u32 = 3;

/// The share of the longest time that each further answer takes away from it: some hundred quick ones make up for a slow one.
const FADING: u64 = 256;

/// The least silence if as few attempts are unanswered as may eject a backend. Pauses of a healthy backend, to collect garbage for
/// example, are shorter.
pub(super) const LEAST_SILENCE: Duration = Duration::from_millis(250);

/// The least silence however many attempts are unanswered. More of them are stronger evidence, and so need less time; but no
/// attempt is given up before [`LEAST_SILENCE`].
pub(super) const LEAST_SILENCE_OF_MANY: Duration = Duration::from_millis(100);

/// The least silence of a backend that has never answered. It may be slow to begin.
pub(super) const LEAST_SILENCE_OF_NEW: Duration = Duration::from_secs(1);

/// The moment from which times are counted.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Conduct {
    pub(super) fn new() -> Conduct {
        Conduct {
            phase: AtomicU8::new(Phase::Taking as u8),
            failures: AtomicU32::new(0),
            unanswered: AtomicU64::new(0),
            slowest: AtomicU64::new(0),
            trial: AtomicU64::new(0),
            term: Mutex::new(Term {
                ends: *START,
                times: 0,
            }),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Taking,
            1 => Phase::Ejected,
            2 => Phase::Silent,
            _ => Phase::Trial,
        }
    }

    /// Whether the backend gets no requests for a while.
    pub(super) fn is_ejected(&self) -> bool {
        matches!(self.phase(), Phase::Ejected | Phase::Silent)
    }

    /// Whether the backend gets one request at a time.
    pub(super) fn is_on_trial(&self) -> bool {
        self.phase() == Phase::Trial
    }

    /// Whether the request is under way that is the trial.
    pub(super) fn is_being_tried(&self) -> bool {
        self.is_on_trial() && is_under_way(self.trial.load(Ordering::Acquire))
    }

    /// Whether this request is the trial of the present.
    pub(super) fn is_tried_by(&self, Trial(number): Trial) -> bool {
        self.is_on_trial() && self.trial.load(Ordering::Acquire) == number
    }

    /// Makes a request the trial; `None` if another is.
    pub(super) fn begin_trial(&self) -> Option<Trial> {
        let next = |last| (!is_under_way(last)).then_some(last + 1);
        let begun = self.trial.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        begun.ok().map(|last| Trial(last + 1))
    }

    /// Notes that a request that was the trial is over.
    pub(super) fn end_trial(&self, Trial(number): Trial) {
        // Another one may be the trial by now.
        let _ = self
            .trial
            .compare_exchange(number, number + 1, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Notes that an attempt begins.
    pub(super) fn begun(&self, now: Instant) {
        let add = |unanswered| Some(Unanswered(unanswered).and_another(now).0);
        let _ = self
            .unanswered
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Notes that an attempt that has begun is over, and says nothing of the backend.
    pub(super) fn withdrawn(&self) {
        let less = |unanswered| Unanswered(unanswered).without_one().map(|less| less.0);
        // An answer may have come since, with which it does not count any more.
        let _ = self
            .unanswered
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Notes the time that an answer has taken.
    pub(super) fn took(&self, time: Duration) {
        let sample = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let slowest = self.slowest.load(Ordering::Relaxed);
        let faded = slowest - slowest / FADING;
        // Of two samples at once one may be lost.
        self.slowest.store(sample.max(faded), Ordering::Relaxed);
    }

    /// The time for which an attempt waits before it may be given up. `others` is the time for which the other backends of the pool
    /// may answer nothing, by which one is judged that has never answered.
    pub(super) fn patience(&self, others: impl FnOnce() -> Option<Duration>) -> Duration {
        // If nobody's speed is known yet, it may be when the time is over.
        let silence = self.longest_silence(others).unwrap_or(LEAST_SILENCE_OF_NEW);
        silence.max(LEAST_SILENCE)
    }

    /// The time for which the backend may answer nothing, judged by its recent answers; `None` if there are none.
    pub(super) fn usual_silence(&self) -> Option<Duration> {
        match self.slowest.load(Ordering::Relaxed) {
            0 => None,
            slowest => Some(Duration::from_nanos(slowest).saturating_mul(SILENCE_FACTOR)),
        }
    }

    fn longest_silence(&self, others: impl FnOnce() -> Option<Duration>) -> Option<Duration> {
        self.usual_silence()
            .or_else(|| Some(others()?.max(LEAST_SILENCE_OF_NEW)))
    }

    /// Notes that a response has come. Returns whether the backend takes requests again because of it.
    pub(super) fn answered(&self) -> bool {
        if self.unanswered.load(Ordering::Relaxed) != 0 {
            self.unanswered.store(0, Ordering::Relaxed);
        }
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        matches!(self.phase(), Phase::Silent | Phase::Trial)
    }

    /// Notes that an attempt has failed, or that its response says that the backend cannot serve. Returns the cause if the
    /// backend is to be ejected. A trial ends with the attempt that is one, not with those that began before.
    pub(super) fn failed(
        &self,
        failure: AttemptFailure,
        is_trial: bool,
        settings: &Ejection,
    ) -> Option<Cause> {
        if matches!(failure, AttemptFailure::Status(_)) {
            self.unanswered.store(0, Ordering::Relaxed);
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let is_last_straw = match self.phase() {
            Phase::Taking => failures >= settings.failures,
            Phase::Trial => is_trial,
            Phase::Ejected | Phase::Silent => false,
        };
        is_last_straw.then_some(Cause::Failures(failures, failure))
    }

    /// The backend's silence, if it is long enough for an ejection. `others` is as in [`Conduct::patience`].
    pub(super) fn silence(
        &self,
        settings: &Ejection,
        now: Instant,
        others: impl FnOnce() -> Option<Duration>,
    ) -> Option<Duration> {
        let unanswered = self.unanswered();
        if unanswered.count() < settings.failures || self.phase() != Phase::Taking {
            return None;
        }
        let least = (LEAST_SILENCE * settings.failures / unanswered.count()).max(LEAST_SILENCE_OF_MANY);
        let silence = unanswered.silence(now);
        (silence >= self.longest_silence(others)?.max(least)).then_some(silence)
    }

    /// Whether enough attempts are unanswered for [`Conduct::silence`] to be asked.
    pub(super) fn may_be_silent(&self, settings: &Ejection) -> bool {
        self.unanswered().count() >= settings.failures
    }

    /// The time since the first unanswered attempt began.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        self.unanswered().silence(now)
    }

    fn unanswered(&self) -> Unanswered {
        Unanswered(self.unanswered.load(Ordering::Relaxed))
    }

    /// Ejects the backend. Returns the time that it takes.
    pub(super) fn eject(&self, cause: Cause, settings: &Ejection, now: Instant) -> Duration {
        let mut term = self.term.lock();
        term.times = match self.phase() {
            Phase::Trial => (term.times + 1).min(MOST_DOUBLINGS),
            Phase::Taking | Phase::Ejected | Phase::Silent => 0,
        };
        let time = settings.time * (1 << term.times);
        term.ends = now + time;
        self.begin_anew(match cause {
            Cause::Failures(..) => Phase::Ejected,
            Cause::Silence(_) => Phase::Silent,
        });
        time
    }

    /// Forgets the failures of a backend that is not ejected for them.
    pub(super) fn forgive(&self) {
        let phase = match self.phase() {
            Phase::Trial => Phase::Taking,
            phase => phase,
        };
        self.begin_anew(phase);
    }

    /// Ends an ejection: the backend takes requests.
    pub(super) fn reinstate(&self) {
        self.begin_anew(Phase::Taking);
    }

    /// Begins the trial if the ejection is over. Returns whether it was.
    pub(super) fn advance(&self, now: Instant) -> bool {
        let is_due = self.ends().is_some_and(|ends| ends <= now);
        if is_due {
            self.begin_anew(Phase::Trial);
        }
        is_due
    }

    /// The end of the present ejection, if there is one.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.is_ejected().then(|| self.term.lock().ends)
    }

    fn begin_anew(&self, phase: Phase) {
        self.failures.store(0, Ordering::Relaxed);
        self.unanswered.store(0, Ordering::Relaxed);
        let over = |number| is_under_way(number).then_some(number + 1);
        let _ = self.trial.fetch_update(Ordering::AcqRel, Ordering::Acquire, over);
        self.phase.store(phase as u8, Ordering::SeqCst);
    }
}

fn is_under_way(trial: u64) -> bool {
    trial % 2 == 1
}

/// Attempts without an answer: how many there are, and when the first of them began. They are one number because both change
/// together: a count of now with a time of long ago would be a silence that never was.
#[derive(Clone, Copy)]
struct Unanswered(u64);

/// The bits of the count. The others are the milliseconds from [`START`] to the beginning of the first attempt, for 34 years.
const COUNT_BITS: u32 = 24;

const MOST_COUNTED: u64 = (1 << COUNT_BITS) - 1;

impl Unanswered {
    fn count(self) -> u32 {
        (self.0 & MOST_COUNTED) as u32
    }

    fn silence(self, now: Instant) -> Duration {
        let since = Duration::from_millis(self.0 >> COUNT_BITS);
        match self.count() {
            0 => Duration::ZERO,
            _ => now.saturating_duration_since(*START).saturating_sub(since),
        }
    }

    fn and_another(self, now: Instant) -> Unanswered {
        Unanswered(match self.0 & MOST_COUNTED {
            0 => (now.saturating_duration_since(*START).as_millis() as u64) << COUNT_BITS | 1,
            MOST_COUNTED => self.0,
            _ => self.0 + 1,
        })
    }

    /// One less, if there is one.
    fn without_one(self) -> Option<Unanswered> {
        (self.count() > 0).then(|| Unanswered(self.0 - 1))
    }
}

/// Whether a response with this status says that the backend cannot serve at present. Other statuses may be the fault of the
/// request, and a client must not be able to take backends out.
pub(super) fn is_failure(status: u16) -> bool {
    matches!(status, 502..=504)
}

#[cfg(test)]
mod tests;
