//! From measurements to a table.

use super::generator::Load;
use anyhow::{Result, ensure};
use std::fmt;
use std::time::Duration;

/// One proxy in one round.
#[derive(Clone, Copy)]
pub(crate) struct Measurement {
    requests_per_second: f64,
    cpu_microseconds_per_request: f64,
    /// How much of its core the proxy used. Far below 100 %, something else was the limit.
    busy_percent: f64,
    p50_milliseconds: f64,
    p99_milliseconds: f64,
    peak_mebibytes: f64,
}

impl Measurement {
    /// `cpu_time` is what the proxy used for the load, `peak_memory` is in bytes.
    pub(crate) fn new(mut load: Load, cpu_time: Duration, peak_memory: u64) -> Result<Measurement> {
        ensure!(!load.latencies.is_empty(), "nothing was answered");
        load.latencies.sort_unstable();
        let requests = load.latencies.len() as f64;
        Ok(Measurement {
            requests_per_second: requests / load.elapsed.as_secs_f64(),
            cpu_microseconds_per_request: cpu_time.as_secs_f64() * 1e6 / requests,
            busy_percent: 100.0 * cpu_time.as_secs_f64() / load.elapsed.as_secs_f64(),
            p50_milliseconds: percentile(&load.latencies, 50).as_secs_f64() * 1e3,
            p99_milliseconds: percentile(&load.latencies, 99).as_secs_f64() * 1e3,
            peak_mebibytes: peak_memory as f64 / f64::from(1 << 20),
        })
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurement {
            requests_per_second,
            cpu_microseconds_per_request,
            p99_milliseconds,
            ..
        } = self;
        write!(
            f,
            "{requests_per_second:.0} requests/s, {cpu_microseconds_per_request:.2} µs CPU per request, \
             p99 {p99_milliseconds:.2} ms"
        )
    }
}

/// All rounds of all proxies.
pub(crate) struct Report {
    /// Name and rounds. The first one is what the others are compared with.
    subjects: Vec<(&'static str, Vec<Measurement>)>,
}

impl Report {
    pub(crate) fn new(names: impl Iterator<Item = &'static str>) -> Report {
        Report {
            subjects: names.map(|name| (name, Vec::new())).collect(),
        }
    }

    /// Adds the next round of a proxy.
    pub(crate) fn add(&mut self, subject: usize, measurement: Measurement) {
        self.subjects[subject].1.push(measurement);
    }
}

/// A Markdown table: medians of the rounds, the largest peak, and ratios to the first proxy within
/// each round, of which the median and the range are shown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, baseline)) = self.subjects.first() else {
            return Ok(());
        };
        writeln!(
            f,
            "| proxy | requests/s | CPU µs/request | core busy | p50 ms | p99 ms | peak MiB | requests/s ratio | CPU ratio (range) |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for (name, rounds) in &self.subjects {
            let of = |value: Value| median(rounds.iter().map(value));
            let ratio = |value: Value| median(ratios(rounds, baseline, value));
            let cpu: Value = |round| round.cpu_microseconds_per_request;
            let low = ratios(rounds, baseline, cpu).fold(f64::MAX, f64::min);
            let high = ratios(rounds, baseline, cpu).fold(0.0, f64::max);
            write!(
                f,
                "| {name} | {:.0} | {:.2} ",
                of(|round| round.requests_per_second),
                of(cpu)
            )?;
            write!(f, "| {:.0} % ", of(|round| round.busy_percent))?;
            write!(f, "| {:.2} ", of(|round| round.p50_milliseconds))?;
            write!(f, "| {:.2} ", of(|round| round.p99_milliseconds))?;
            write!(
                f,
                "| {:.1} ",
                rounds
                    .iter()
                    .map(|round| round.peak_mebibytes)
                    .fold(0.0, f64::max)
            )?;
            write!(f, "| {:.3} ", ratio(|round| round.requests_per_second))?;
            writeln!(f, "| {:.3} ({low:.3} to {high:.3}) |", ratio(cpu))?;
        }
        Ok(())
    }
}

/// One number of a measurement.
type Value = fn(&Measurement) -> f64;

/// A proxy's number over the baseline's, round by round.
fn ratios(rounds: &[Measurement], baseline: &[Measurement], value: Value) -> impl Iterator<Item = f64> {
    rounds
        .iter()
        .zip(baseline)
        .map(move |(round, base)| value(round) / value(base))
}

/// The smallest value that at least `percent` of all do not exceed. `sorted` is not empty.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

/// The middle value, or the mean of the two in the middle. NaN for no value.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted[..1], 50), Duration::from_millis(1));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
    }

    #[test]
    fn medians_ignore_outliers() {
        assert_eq!(median([5.0, 1.0, 1000.0].into_iter()), 5.0);
        assert_eq!(median([1.0, 2.0, 4.0, 1000.0].into_iter()), 3.0);
        assert!(median([].into_iter()).is_nan());
    }

    fn measurement(cpu_per_request: u64) -> Measurement {
        let latencies = vec![Duration::from_millis(2); 1000];
        let load = Load {
            elapsed: Duration::from_millis(500),
            latencies,
            ..Load::default()
        };
        Measurement::new(load, Duration::from_micros(1000 * cpu_per_request), 10 << 20)
            .expect("there are answers")
    }

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let mut report = Report::new(["bare", "pace"].into_iter());
        // A machine that gets twice as slow from round to round.
        for cpu in [10, 20, 40] {
            report.add(0, measurement(cpu));
            report.add(1, measurement(cpu * 11 / 10));
        }
        let table = report.to_string();
        let row = table.lines().last().expect("there is a row");
        assert_eq!(
            row,
            "| pace | 2000 | 22.00 | 4 % | 2.00 | 2.00 | 10.0 | 1.000 | 1.100 (1.100 to 1.100) |"
        );
    }
}
