//! Metrics of the process: its reloads, its end, and what the system says about it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntCounterVec, IntGauge, Opts, Registry};
use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::metrics::register;

/// The metrics of the process itself.
pub struct ProcessMetrics {
    upgraded: IntGauge,
    cut: IntCounterVec,
    reload_succeeded: IntGauge,
    reload_time: Gauge,
}

impl ProcessMetrics {
    /// All metrics of a process that has just read its configuration.
    pub(super) fn new(registry: &Registry) -> ProcessMetrics {
        let metrics = ProcessMetrics {
            upgraded: register(
                registry,
                IntGauge::new(
                    "pace_connections_upgraded",
                    "Client connections that were upgraded, for example to WebSocket, and are open.",
                ),
            ),
            cut: register(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "pace_connections_cut_total",
                        "Client connections that were cut because a grace period was over, also by the processes whose place this one took.",
                    ),
                    &["kind"],
                ),
            ),
            reload_succeeded: register(
                registry,
                IntGauge::new(
                    "pace_config_last_reload_successful",
                    "1 if the configuration in the file is the one that serves, 0 if it was refused.",
                ),
            ),
            reload_time: register(
                registry,
                Gauge::new(
                    "pace_config_last_reload_success_timestamp_seconds",
                    "When a configuration was last taken.",
                ),
            ),
        };
        metrics.cut(0, 0);
        metrics.config_read(true);
        let system = SystemCollector::new();
        registry
            .register(Box::new(system))
            .expect("no other collector has these names");
        metrics
    }

    /// Records how many connections are upgraded.
    pub(super) fn set_upgraded(&self, count: i64) {
        self.upgraded.set(count);
    }

    /// Counts connections that were cut, and those of them that had been upgraded.
    pub(crate) fn cut(&self, all: u64, upgraded: u64) {
        self.cut.with_label_values(&["upgraded"]).inc_by(upgraded);
        let others = all.saturating_sub(upgraded);
        self.cut.with_label_values(&["request"]).inc_by(others);
    }

    /// Records whether the configuration that was read serves now.
    pub(crate) fn config_read(&self, serves: bool) {
        self.reload_succeeded.set(i64::from(serves));
        if serves {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.reload_time.set(now.as_secs_f64());
        }
    }
}

/// Collects the figures that clients of Prometheus have in common: names and meanings are those of its guidelines.
struct SystemCollector {
    cpu: Counter,
    started: f64,
}

impl SystemCollector {
    fn new() -> SystemCollector {
        let cpu = Counter::new(
            "process_cpu_seconds_total",
            "Time of processors that the process has used, in user and system mode.",
        );
        SystemCollector {
            cpu: cpu.expect("the name is legal"),
            started: started().unwrap_or_default(),
        }
    }
}

impl Collector for SystemCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.cpu.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauge = |name: &str, help: &str, value: f64| {
            let gauge = Gauge::new(name, help).expect("the name is legal");
            gauge.set(value);
            gauge.collect()
        };
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
        // Two scrapes at once may both find the same difference to add; a counter must not go back.
        self.cpu.inc_by((used - self.cpu.get()).max(0.0));
        let pages = |index: usize| -> Option<f64> {
            let text = fs::read_to_string("/proc/self/statm").ok()?;
            let pages: f64 = text.split_whitespace().nth(index)?.parse().ok()?;
            Some(pages * page_size() as f64)
        };
        let limit = getrlimit(Resource::Nofile).current;
        // What the system does not tell is left out.
        let open = fs::read_dir("/proc/self/fd").ok().map(|descriptors| {
            // The directory itself is one of them while it is read.
            descriptors.count().saturating_sub(1) as f64
        });
        let threads = fs::read_dir("/proc/self/task")
            .ok()
            .map(|threads| threads.count() as f64);
        let mut families = self.cpu.collect();
        for (name, help, value) in [
            ("process_open_fds", "Open file descriptors.", open),
            (
                "process_max_fds",
                "The most file descriptors that may be open.",
                Some(limit.map_or(f64::INFINITY, |limit| limit as f64)),
            ),
            ("process_virtual_memory_bytes", "Virtual memory.", pages(0)),
            ("process_resident_memory_bytes", "Resident memory.", pages(1)),
            ("process_threads", "Threads.", threads),
            (
                "process_start_time_seconds",
                "When the process was started, in seconds since 1970.",
                Some(self.started),
            ),
        ] {
            families.extend(value.into_iter().flat_map(|value| gauge(name, help, value)));
        }
        families
    }
}

/// When the process was started, in seconds since 1970: its age, which the system has in ticks since the machine was started,
/// subtracted from now.
fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program is in parentheses, and may have spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: f64 = fields.split(' ').nth(19)?.parse().ok()?;
    let since_boot = clock_gettime(ClockId::Boottime);
    let since_boot = since_boot.tv_sec as f64 + since_boot.tv_nsec as f64 / 1e9;
    let age = since_boot - ticks / rustix::param::clock_ticks_per_second() as f64;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.as_secs_f64() - age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_of_the_tests_was_started_not_long_ago() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("it is after 1970");
        let age = now.as_secs_f64() - started().expect("the system tells");
        assert!((-1.0..3600.0).contains(&age), "{age}");
    }

    #[test]
    fn figures_of_the_system_are_those_of_this_process() {
        let value = |name: &str| {
            let families = SystemCollector::new().collect();
            let family = families.into_iter().find(|family| family.name() == name);
            family.expect("it is collected").get_metric()[0]
                .get_gauge()
                .get_value()
        };
        let before = value("process_open_fds");
        let _file = fs::File::open("/dev/null").expect("it is there");
        assert!(value("process_open_fds") >= before.min(3.0));
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 1.0);
    }
}
