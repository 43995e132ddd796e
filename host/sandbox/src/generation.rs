//! One version of a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::IntGauge;

use super::breaker::{Admission, BreakerState};
use super::engine::Allocation;
use super::health::Health;
use super::load::Program;
use pace_base::limiter::Limiter;
use pace_config::{Isolation, Limits, Sha256};
use pace_hook::{Failure, Hook};

/// What a plugin's generations have in common, and what differs between them: the code, and how it fares.
///
/// A new file makes a new generation, and so do new limits. Every use of the plugin in a configuration
/// (routes may give it configuration of their own) shares the generation.
pub struct Generation {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// 1 for the plugin's first, and one more each time.
    pub number: u64,
    /// What its code hashes to.
    pub sha256: Sha256,
    /// The code.
    pub program: Arc<Program>,
    /// How it fares.
    pub health: Health,
    pub(super) isolation: Isolation,
    pub(super) limits: Limits,
    breaker: pace_config::Breaker,
    rollback: pace_config::Rollback,
    pub(super) log: Limiter,
    pub(super) log_sink: Option<Arc<dyn LogSink>>,
    tally: Tally,
    /// New requests are served with it. Requests that began with it may still be there when they are not.
    serving: AtomicBool,
    /// When it last began to serve, in seconds since 1970.
    since: AtomicU64,
    /// 1 while the breaker of the generation that serves is open.
    breaker_open: IntGauge,
    on_unfit: OnUnfit,
}

/// What became of calls.
///
/// Every call on every worker writes here, and reads the fields beside it, which hardly ever change. So it
/// has two cache lines of its own (processors fetch them in pairs): otherwise each call would take the others'
/// lines away from all other workers.
#[derive(Default)]
#[repr(align(128))]
struct Tally {
    calls: AtomicU64,
    failures: AtomicU64,
}

/// What the configuration says about a generation, apart from its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an instance lives.
    pub isolation: Isolation,
    /// What one call may use.
    pub limits: Limits,
    /// When it is left alone.
    pub breaker: pace_config::Breaker,
    /// When it gives way to the generation before.
    pub rollback: pace_config::Rollback,
}

impl Settings {
    /// What the program must have been compiled for.
    pub fn allocation(&self) -> Allocation {
        Allocation::of(self.isolation, self.limits.memory)
    }
}

impl From<&pace_config::Plugin> for Settings {
    fn from(plugin: &pace_config::Plugin) -> Settings {
        Settings {
            isolation: plugin.isolation,
            limits: plugin.limits,
            breaker: plugin.breaker,
            rollback: plugin.rollback,
        }
    }
}

/// Told the plugin and the number of a generation too many of whose first calls failed.
pub type OnUnfit = Arc<dyn Fn(&str, u64) + Send + Sync>;

/// Takes the lines that a plugin logs, in place of Pace's log.
pub trait LogSink: Send + Sync {
    /// Whether lines of this level are wanted.
    fn enabled(&self, level: log::Level) -> bool;
    /// Takes a line, which has no control characters and at most 4 KiB.
    fn write(&self, level: log::Level, line: String);
}

impl Generation {
    /// What its plugin logs goes to `sink` and not to Pace's log, and not through the limit of lines either.
    #[must_use]
    pub fn with_log_sink(mut self, sink: Arc<dyn LogSink>) -> Generation {
        self.log_sink = Some(sink);
        self
    }

    /// A generation that nobody has called yet.
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
            health: Health::new(plugin.breaker, plugin.rollback),
            isolation: plugin.isolation,
            limits: plugin.limits,
            breaker: plugin.breaker,
            rollback: plugin.rollback,
            log: Limiter::new(plugin.limits.log_lines_per_second),
            log_sink: None,
            tally: Tally::default(),
            serving: AtomicBool::new(false),
            since: AtomicU64::new(0),
            breaker_open,
            on_unfit,
        }
    }

    /// The same code with what the configuration says now, which must not be another [`Allocation`](super::Allocation). Code that
    /// has stood its trial is not tried again: what then fails is not its fault.
    pub fn with_settings_of(&self, plugin: &pace_config::Plugin, number: u64) -> Generation {
        let made = Generation::new(
            plugin,
            number,
            self.sha256,
            Arc::clone(&self.program),
            self.breaker_open.clone(),
            Arc::clone(&self.on_unfit),
        );
        if self.health.is_proven() {
            made.health.end_trial();
        }
        made
    }

    /// What it was made with.
    pub fn settings(&self) -> Settings {
        Settings {
            isolation: self.isolation,
            limits: self.limits,
            breaker: self.breaker,
            rollback: self.rollback,
        }
    }

    /// When it last began to serve, in seconds since 1970; 0 before it did.
    pub fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Calls of its hooks that came to an end, one way or the other.
    pub fn calls(&self) -> u64 {
        self.tally.calls.load(Ordering::Relaxed)
    }

    /// Those that failed.
    pub fn failures(&self) -> u64 {
        self.tally.failures.load(Ordering::Relaxed)
    }

    /// New requests are served with it from now on, if they were not already.
    pub fn serve(&self) {
        if !self.serving.swap(true, Ordering::Relaxed) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.since.store(now.as_secs(), Ordering::Relaxed);
        }
        self.show_breaker(self.health.breaker() != BreakerState::Closed);
    }

    /// New requests are served with another from now on.
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
        if self.health.succeeded(admission) {
            self.show_breaker(false);
            log::info!(target: "pace::plugin", "plugin {} (generation {}) works again", self.plugin, self.number);
        }
    }

    #[cold]
    pub(super) fn failed(&self, admission: Admission, hook: Hook, failure: &Failure) {
        self.tally.calls.fetch_add(1, Ordering::Relaxed);
        self.tally.failures.fetch_add(1, Ordering::Relaxed);
        let aftermath = self.health.failed(admission, hook, failure);
        if let Some(cooldown) = aftermath.opened {
            self.show_breaker(true);
            log::warn!(
                target: "pace::plugin",
                "plugin {} (generation {}) keeps failing: it is left alone for {:.1} s",
                self.plugin,
                self.number,
                std::time::Duration::from_millis(cooldown).as_secs_f64(),
            );
        }
        if aftermath.unfit {
            (self.on_unfit)(&self.plugin, self.number);
        }
    }
}
