//! Ejection, as far as it concerns the whole pool.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use tokio::time::Instant;

use super::conduct::{Cause, Phase, is_failure};
use super::{Backend, InFlight, Pool};
use pace_config::pool::Ejection;
use pace_hook::AttemptFailure;

/// The most backends that one is compared with, so that a request costs no more in a large pool.
const MOST_COMPARED: usize = 64;

impl Pool {
    /// Notes that an answer of a backend has been due since `since`.
    pub fn begun(&self, backend: &Backend, since: Instant) {
        backend.conduct().begun(since);
    }

    /// Notes that an attempt is over whose answer was due, and of which the backend is not to blame for anything.
    pub fn withdrawn(&self, backend: &Backend) {
        backend.conduct().withdrawn();
    }

    /// Notes that an attempt has been answered with this status, after so long.
    pub fn answered(&self, place: &InFlight, status: u16, time: Duration) {
        let backend = place.backend();
        backend.standing.load.responded_in(time);
        if self.settings.upkeep.ejection.is_none() {
            return;
        }
        backend.conduct().took(time);
        if is_failure(status) {
            return self.failed(place, AttemptFailure::Status(status));
        }
        if backend.conduct().answered() {
            self.reinstate(backend);
        }
    }

    /// Notes that an attempt has failed.
    pub fn failed(&self, place: &InFlight, failure: AttemptFailure) {
        let Some(settings) = &self.settings.upkeep.ejection else {
            return;
        };
        let backend = place.backend();
        if let AttemptFailure::Status(status) = failure
            && !is_failure(status)
        {
            // The operator has this status retried. For the backend it is an answer.
            if backend.conduct().answered() {
                self.reinstate(backend);
            }
            return;
        }
        if let Some(cause) = backend.conduct().failed(failure, place.is_trial(), settings) {
            self.eject(backend, cause, settings);
        }
    }

    /// Whether the waiting attempt in this place is given up, because its backend is silent and ejected for it.
    pub fn is_given_up(&self, place: &InFlight, now: Instant) -> bool {
        let Some(settings) = &self.settings.upkeep.ejection else {
            return false;
        };
        let (backend, conduct) = (place.backend(), place.backend().conduct());
        match place.is_trial() {
            true => self.eject(backend, Cause::Silence(conduct.silent_for(now)), settings),
            false => drop(self.judge_silence(backend, now)),
        }
        conduct.phase() == Phase::Silent
    }

    /// The time for which an attempt waits in its place before it asks whether it is [given up](Pool::is_given_up); `None` if it
    /// never is.
    pub fn patience(&self, place: &InFlight) -> Option<Duration> {
        self.settings.upkeep.ejection?;
        let conduct = place.backend().conduct();
        // However slow a backend is that has never answered, its trial must be able to show that.
        let may_take_all_time = place.is_trial() && conduct.usual_silence().is_none();
        (!may_take_all_time).then(|| conduct.patience(|| self.usual_silence()))
    }

    /// The time for which the slowest backend of the pool may answer nothing, as far as a sample shows.
    fn usual_silence(&self) -> Option<Duration> {
        let members = self.members();
        let sample = members.iter().take(MOST_COMPARED);
        sample
            .filter_map(|member| member.backend.conduct().usual_silence())
            .max()
    }

    /// Ejects a backend that has been silent for too long. Returns whether it has.
    pub(super) fn judge_silence(&self, backend: &Arc<Backend>, now: Instant) -> bool {
        let Some(settings) = &self.settings.upkeep.ejection else {
            return false;
        };
        let others = || self.usual_silence();
        let Some(silence) = backend.conduct().silence(settings, now, others) else {
            return false;
        };
        self.eject(backend, Cause::Silence(silence), settings);
        backend.conduct().is_ejected()
    }

    /// Ejects a backend, unless as many are ejected as may be.
    #[cold]
    fn eject(&self, backend: &Arc<Backend>, cause: Cause, settings: &Ejection) {
        let conduct = backend.conduct();
        let now = Instant::now();
        let mut roster = self.roster.lock();
        if conduct.is_ejected() {
            // Another thread was first.
            return;
        }
        let out = roster.seats.iter().filter(|seat| {
            let other = seat.backend.conduct();
            !Arc::ptr_eq(&seat.backend.standing, &backend.standing) && other.phase() != Phase::Taking
        });
        let (out, all) = (out.count(), roster.seats.len());
        let most = (all * settings.max_percent as usize / 100).max(1);
        if all <= 1 || out >= most {
            conduct.forgive();
            return;
        }
        let time = conduct.eject(cause, settings, now);
        backend.metrics.ejections.inc();
        self.refresh(&mut roster, now);
        drop(roster);
        self.changes.tell();
        let (name, label) = (&self.name, &backend.label);
        match cause {
            Cause::Failures(count, failure) => warn!(
                target: "pace::upstream",
                "pool `{name}`: {label} is ejected for {time:?}: {count} attempts in a row have failed, the last with {}",
                Failed(failure)
            ),
            Cause::Silence(silence) => warn!(
                target: "pace::upstream",
                "pool `{name}`: {label} is ejected for {time:?}, or until it answers: it has answered nothing for {silence:.1?}"
            ),
        }
    }

    /// Ends the ejection of a backend that answers again.
    #[cold]
    fn reinstate(&self, backend: &Arc<Backend>) {
        let conduct = backend.conduct();
        let now = Instant::now();
        let mut roster = self.roster.lock();
        let phase = conduct.phase();
        if !matches!(phase, Phase::Silent | Phase::Trial) {
            // Another thread was first.
            return;
        }
        conduct.reinstate();
        // A backend that has only paused is as warm as before.
        if phase == Phase::Trial && !self.settings.upkeep.slow_start.is_zero() {
            backend.standing.with(|facts| facts.slow_since = Some(now));
        }
        self.refresh(&mut roster, now);
        drop(roster);
        // The end of a trial makes room without a change that plugins see.
        self.let_in();
        self.changes.tell();
        let (name, label) = (&self.name, &backend.label);
        info!(target: "pace::upstream", "pool `{name}`: {label} answers again, and is not ejected any more");
    }
}

/// A failure in the words of the metrics, with its status if that is what it is.
struct Failed(AttemptFailure);

impl std::fmt::Display for Failed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            AttemptFailure::Status(status) => write!(out, "status {status}"),
            failure => out.write_str(failure.name()),
        }
    }
}
