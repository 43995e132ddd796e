//! A generation: one version of a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntGauge};

use super::breaker::{Admission, BreakerState};
use super::engine::Allocation;
use super::fitness::Fitness;
use super::load::Program;
use super::recycling::{Recycled, Wear};
use pace_base::limiter::Limiter;
use pace_config::{Isolation, Limits, Secrets, Sha256};
use pace_hook::{Failure, Hook};

/// One version of a plugin that serves or has served: its code, its limits, and its fitness.
///
/// A new file makes a new generation, and so do new limits. All uses of the plugin in a configuration share the
/// generation; routes may give each a configuration of its own.
pub struct Generation {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// The number of the generation: 1 for the plugin's first, and one more each time.
    pub number: u64,
    /// The hash of the plugin's file.
    pub sha256: Sha256,
    /// The code.
    pub program: Arc<Program>,
    /// The fitness of the code, as its calls have shown it.
    pub fitness: Fitness,
    pub(super) isolation: Isolation,
    pub(super) limits: Limits,
    breaker: pace_config::Breaker,
    rollback: pace_config::Rollback,
    pub(super) secrets: Secrets,
    pub(super) log: Limiter,
    pub(super) log_sink: Option<Arc<dyn LogSink>>,
    tally: Tally,
    /// New requests are served with this generation. Requests that began with it may outlast that.
    serving: AtomicBool,
    /// The time at which it last began to serve, in seconds since 1970.
    since: AtomicU64,
    /// 1 while the breaker of the generation that serves is open.
    breaker_open: IntGauge,
    recycled: Recycled,
    on_unfit: OnUnfit,
}

/// Counts of calls.
///
/// Every call on every worker writes to the counts and reads the fields of the generation beside them, which hardly ever
/// change. So the counts have two cache lines of their own (processors fetch them in pairs): otherwise each call would
/// take the lines of those fields away from all other workers.
#[derive(Default)]
#[repr(align(128))]
struct Tally {
    calls: AtomicU64,
    failures: AtomicU64,
}

/// The settings of a generation in the configuration: all about it but its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The lifetime of an instance.
    pub isolation: Isolation,
    /// Limits of one call.
    pub limits: Limits,
    /// Settings of the breaker, which skips calls of a plugin that keeps failing.
    pub breaker: pace_config::Breaker,
    /// Settings of the trial, after which an unfit generation gives way to the one before.
    pub rollback: pace_config::Rollback,
    /// What the plugin may use without seeing it.
    pub secrets: Secrets,
}

impl Settings {
    /// The allocation that the program must have been compiled for.
    pub fn allocation(&self) -> Allocation {
        Allocation::of(self.isolation, &self.limits)
    }
}

impl From<&pace_config::Plugin> for Settings {
    fn from(plugin: &pace_config::Plugin) -> Settings {
        Settings {
            isolation: plugin.isolation,
            limits: plugin.limits,
            breaker: plugin.breaker,
            rollback: plugin.rollback,
            secrets: plugin.secrets.clone(),
        }
    }
}

/// Called with the plugin and the number of a generation that has become unfit.
pub type OnUnfit = Arc<dyn Fn(&str, u64) + Send + Sync>;

/// Takes the lines that a plugin logs, in place of Pace's log.
pub trait LogSink: Send + Sync {
    /// Whether lines of this level are wanted.
    fn enabled(&self, level: log::Level) -> bool;
    /// Takes a line. It has no control characters and at most 4 KiB.
    fn write(&self, level: log::Level, line: String);
}

impl Generation {
    /// Sends the plugin's log lines to `sink` and not to Pace's log. The limit of lines does not apply to them.
    #[must_use]
    pub fn with_log_sink(mut self, sink: Arc<dyn LogSink>) -> Generation {
        self.log_sink = Some(sink);
        self
    }

    /// A generation that has not been called yet.
    pub fn new(
        plugin: &pace_config::Plugin,
        number: u64,
        sha256: Sha256,
        program: Arc<Program>,
        breaker_open: IntGauge,
        on_unfit: OnUnfit,
    ) -> Generation {
        Generation {
            plugin: plugin.name.as_str().into(),
            number,
            sha256,
            program,
            fitness: Fitness::new(plugin.breaker, plugin.rollback),
            isolation: plugin.isolation,
            limits: plugin.limits,
            breaker: plugin.breaker,
            rollback: plugin.rollback,
            secrets: plugin.secrets.clone(),
            log: Limiter::new(plugin.limits.log_lines_per_second),
            log_sink: None,
            tally: Tally::default(),
            serving: AtomicBool::new(false),
            since: AtomicU64::new(0),
            breaker_open,
            recycled: Recycled::default(),
            on_unfit,
        }
    }

    /// Counts recycled instances by these counters, in the order of [`RECYCLING_REASONS`](super::RECYCLING_REASONS).
    #[must_use]
    pub fn with_recycled(mut self, counters: [IntCounter; 2]) -> Generation {
        self.recycled = Recycled::new(counters);
        self
    }

    /// A generation of the same code with the settings that the configuration has now, which must be of the same
    /// [`Allocation`](super::Allocation). Code that has passed its trial has no other: later failures are not its fault.
    pub fn with_settings_of(&self, plugin: &pace_config::Plugin, number: u64) -> Generation {
        let mut made = Generation::new(
            plugin,
            number,
            self.sha256,
            Arc::clone(&self.program),
            self.breaker_open.clone(),
            Arc::clone(&self.on_unfit),
        );
        if self.fitness.is_proven() {
            made.fitness.end_trial();
        }
        made.recycled = self.recycled.of_next();
        made
    }

    /// The settings that the generation was made with.
    pub fn settings(&self) -> Settings {
        Settings {
            isolation: self.isolation,
            limits: self.limits,
            breaker: self.breaker,
            rollback: self.rollback,
            secrets: self.secrets.clone(),
        }
    }

    /// The time at which it last began to serve, in seconds since 1970; 0 if it never did.
    pub fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Calls of hooks that have ended, failed ones included.
    pub fn calls(&self) -> u64 {
        self.tally.calls.load(Ordering::Relaxed)
    }

    /// Calls of hooks that failed.
    pub fn failures(&self) -> u64 {
        self.tally.failures.load(Ordering::Relaxed)
    }

    /// Marks the generation as the one that serves new requests, if it was not already.
    pub fn serve(&self) {
        if !self.serving.swap(true, Ordering::Relaxed) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.since.store(now.as_secs(), Ordering::Relaxed);
        }
        self.show_breaker(self.fitness.breaker() != BreakerState::Closed);
    }

    /// Marks the generation as one that serves no new requests.
    pub fn retire(&self) {
        self.serving.store(false, Ordering::Relaxed);
    }

    fn show_breaker(&self, open: bool) {
        if self.serving.load(Ordering::Relaxed) {
            self.breaker_open.set(i64::from(open));
        }
    }

    pub(super) fn succeeded(&self, admission: Admission) {
        self.tally.calls.fetch_add(1, Ordering::Relaxed);
        if self.fitness.succeeded(admission) {
            self.show_breaker(false);
            log::info!(target: "pace::plugin", "plugin {} (generation {}) works again", self.plugin, self.number);
        }
    }

    /// Counts an instance that is not used again.
    #[cold]
    pub(super) fn recycled(&self, wear: Wear) {
        if let Some(after_first_call) = self.recycled.count(wear) {
            log::warn!(
                target: "pace::plugin",
                "plugin {} (generation {}): {after_first_call}",
                self.plugin,
                self.number,
            );
        }
    }

    #[cold]
    pub(super) fn failed(&self, admission: Admission, hook: Hook, failure: &Failure) {
        self.tally.calls.fetch_add(1, Ordering::Relaxed);
        self.tally.failures.fetch_add(1, Ordering::Relaxed);
        if !failure.reason.is_of_plugin() {
            return;
        }
        let effect = self.fitness.failed(admission, hook, failure);
        if let Some(cooldown) = effect.opened {
            self.show_breaker(true);
            log::warn!(
                target: "pace::plugin",
                "plugin {} (generation {}) keeps failing: it is left alone for {:.1} s",
                self.plugin,
                self.number,
                std::time::Duration::from_millis(cooldown).as_secs_f64(),
            );
        }
        if effect.unfit {
            (self.on_unfit)(&self.plugin, self.number);
        }
    }
}
