//! `pace ctl top`: what is going on, by route, backend and hook, from the metrics of two moments.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use pace_author::CommandError;
use pace_base::escape::Lines;

use super::client::Client;
use super::table::Table;
use crate::cli::TopArgs;

/// The end of a screen: home, and clear what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Shows tables until it is stopped, or as often as was asked for.
pub(super) fn run(client: &Client, args: &TopArgs) -> Result<(), CommandError> {
    let interval = Duration::from_secs_f64(args.interval);
    let is_live = io::stdout().is_terminal();
    let mut before = (Instant::now(), client.metrics()?);
    let mut shown = 0;
    while args.count.is_none_or(|count| shown < count) {
        thread::sleep(interval);
        let now = (Instant::now(), client.metrics()?);
        let seconds = now.0.duration_since(before.0).as_secs_f64();
        let text = Lines(
            Change {
                before: &before.1,
                now: &now.1,
                seconds,
            }
            .tables(&client.address()),
        )
        .to_string();
        let mut out = io::stdout().lock();
        let written = match is_live {
            true => write!(out, "{CLEAR}{text}"),
            false => writeln!(out, "{text}"),
        };
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        before = now;
        shown += 1;
    }
    Ok(())
}

/// Metrics at a moment, by name and labels.
pub(super) struct Metrics(Vec<Sample>);

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the text format of Prometheus. Lines that are not understood are left out.
    pub(super) fn parse(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Metrics(lines.filter_map(Sample::parse).collect())
    }

    /// The sum of all samples of this name with these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    /// The value of a label of the first sample of this name.
    pub(super) fn label(&self, name: &str, label: &str) -> String {
        let mut all = self.matching(name, &[]);
        let value = all.find_map(|sample| sample.labels.get(label));
        value.cloned().unwrap_or_else(|| "?".to_owned())
    }

    fn matching<'m>(
        &'m self,
        name: &'m str,
        labels: &'m [(&'m str, &'m str)],
    ) -> impl Iterator<Item = &'m Sample> {
        self.0.iter().filter(move |sample| {
            let has = |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|is| is == value);
            sample.name == name && labels.iter().all(has)
        })
    }

    /// The different values that these labels have together.
    fn groups(&self, name: &str, labels: &[&str]) -> Vec<Vec<String>> {
        let of = |sample: &Sample| {
            labels
                .iter()
                .map(|label| sample.labels.get(*label).cloned())
                .collect()
        };
        let mut groups: Vec<Vec<String>> = self.matching(name, &[]).filter_map(of).collect();
        groups.sort();
        groups.dedup();
        groups
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Sample> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, list) = match series.split_once('{') {
            Some((name, list)) => (name, list.strip_suffix('}')?),
            None => (series, ""),
        };
        let mut labels = BTreeMap::new();
        for pair in list.split("\",").filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once("=\"")?;
            labels.insert(label.to_owned(), value.trim_end_matches('"').to_owned());
        }
        Some(Sample {
            name: name.to_owned(),
            labels,
            value: value.parse().ok()?,
        })
    }
}

/// The metrics of two moments.
struct Change<'m> {
    before: &'m Metrics,
    now: &'m Metrics,
    seconds: f64,
}

impl Change<'_> {
    fn tables(&self, address: &str) -> String {
        let now = self.now;
        let mut text = format!(
            "pace {} on {address}: {:.1} requests/s, {} in flight, {} connections\n\n",
            now.label("pace_build_info", "version"),
            self.rate("http_requests_duration_seconds_count", &[]),
            now.sum("pace_requests_in_flight", &[]),
            now.sum("pace_connections_open", &[]),
        );
        for table in [self.routes(), self.backends(), self.hooks()] {
            if !table.is_empty() {
                text += &format!("{table}\n");
            }
        }
        text
    }

    fn routes(&self) -> Table {
        let mut table = Table::new(&["ROUTE", "REQUESTS/S", "4XX/S", "5XX/S", "P50", "P99", "IN FLIGHT"]);
        for group in self.now.groups("pace_route_requests_in_flight", &["route"]) {
            let of = [("route", group[0].as_str())];
            let class = |class| [of[0], ("status", class)];
            let quantile = |share| self.quantile("pace_route_duration_seconds_bucket", &of, share);
            table.row([
                group[0].clone(),
                format!("{:.1}", self.rate("pace_route_requests_total", &of)),
                format!("{:.1}", self.rate("pace_route_requests_total", &class("4xx"))),
                format!("{:.1}", self.rate("pace_route_requests_total", &class("5xx"))),
                quantile(0.5),
                quantile(0.99),
                self.now.sum("pace_route_requests_in_flight", &of).to_string(),
            ]);
        }
        table
    }

    fn backends(&self) -> Table {
        let mut table = Table::new(&["POOL", "BACKEND", "ATTEMPTS/S", "FAILED/S", "CONNECTIONS/S"]);
        for group in self
            .now
            .groups("pace_upstream_attempts_total", &["pool", "backend"])
        {
            let of = [("pool", group[0].as_str()), ("backend", group[1].as_str())];
            table.row([
                group[0].clone(),
                group[1].clone(),
                format!("{:.1}", self.rate("pace_upstream_attempts_total", &of)),
                format!("{:.1}", self.rate("pace_upstream_failures_total", &of)),
                format!("{:.1}", self.rate("pace_upstream_connections_total", &of)),
            ]);
        }
        table
    }

    fn hooks(&self) -> Table {
        let mut table = Table::new(&["PLUGIN", "HOOK", "CALLS/S", "FAILED/S", "P50", "P99"]);
        for group in self.now.groups("pace_plugin_calls_total", &["plugin", "hook"]) {
            let of = [("plugin", group[0].as_str()), ("hook", group[1].as_str())];
            let quantile = |share| self.quantile("pace_plugin_duration_seconds_bucket", &of, share);
            table.row([
                group[0].clone(),
                group[1].clone(),
                format!("{:.1}", self.rate("pace_plugin_calls_total", &of)),
                format!("{:.1}", self.rate("pace_plugin_failures_total", &of)),
                quantile(0.5),
                quantile(0.99),
            ]);
        }
        table
    }

    /// The growth of a counter by the second. One that is smaller than before has begun anew.
    fn rate(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let grown = self.now.sum(name, labels) - self.before.sum(name, labels);
        grown.max(0.0) / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// The time below which this share of what was counted meanwhile is, at most: the bound of its bucket.
    fn quantile(&self, buckets: &str, labels: &[(&str, &str)], share: f64) -> String {
        let mut grown: Vec<(f64, f64)> = Vec::new();
        for sample in self.now.matching(buckets, labels) {
            let Some(bound) = sample.labels.get("le") else {
                continue;
            };
            let below = [labels, &[("le", bound.as_str())]].concat();
            let count = sample.value - self.before.sum(buckets, &below);
            grown.push((bound.parse().unwrap_or(f64::INFINITY), count));
        }
        grown.sort_by(|one, other| one.0.total_cmp(&other.0));
        let Some((_, all)) = grown.last().copied().filter(|(_, all)| *all > 0.0) else {
            return "-".to_owned();
        };
        match grown.iter().find(|(_, below)| *below >= share * all) {
            Some((bound, _)) if bound.is_finite() => format!("≤ {}", time(*bound)),
            _ => "more".to_owned(),
        }
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_is_that_of_what_came_meanwhile() {
        let metrics = |one: u32, two: u32, all: u32| {
            Metrics::parse(&format!(
                "# TYPE t histogram\nt_bucket{{route=\"a,b\",le=\"0.001\"}} {one}\n\
                 t_bucket{{route=\"a,b\",le=\"0.5\"}} {two}\nt_bucket{{route=\"a,b\",le=\"+Inf\"}} {all}\n"
            ))
        };
        let (before, now) = (metrics(1000, 1000, 1000), metrics(1001, 1099, 1100));
        let change = Change {
            before: &before,
            now: &now,
            seconds: 2.0,
        };
        let of = [("route", "a,b")];
        let quantile = |share| change.quantile("t_bucket", &of, share);
        assert_eq!(
            (quantile(0.01), quantile(0.5)),
            ("≤ 1 ms".to_owned(), "≤ 500 ms".to_owned())
        );
        assert_eq!(quantile(0.995), "more");
        assert!((change.rate("t_bucket", &[("le", "+Inf")]) - 50.0).abs() < 1e-9);
        assert_eq!(change.quantile("t_bucket", &[("route", "c")], 0.5), "-");
    }
}
