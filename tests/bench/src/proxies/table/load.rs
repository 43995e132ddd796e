//! Tables of the cost of a request.

use super::super::result::{Conditions, Latency, LoadRow, LoadScene, Round};
use super::{Table, grouped, ratio};
use crate::statistics::{Spread, median, spread};
use std::fmt::Write;

/// The rows of the ladder for a reader in a hurry.
pub(crate) fn summary(scene: &LoadScene) -> String {
    let wanted = ["bare", "empty", "native", "defaults", "nginx", "haproxy"];
    let mut table = Table::new(&[
        "proxy",
        "requests/s",
        "CPU µs/request",
        "beside bare Pingora (range)",
        "p99 ms (range)",
    ]);
    for row in wanted.iter().filter_map(|key| scene.row(key)) {
        table.row([
            row.name.clone(),
            grouped(of_rounds(row, |round| round.requests_per_second)),
            format!(
                "{:.1}",
                of_rounds(row, |round| round.cpu_microseconds_per_request)
            ),
            ratio(scene.cpu_ratio(row)),
            latency(row, |latency| latency.p99_milliseconds, scene.conditions.rate),
        ]);
    }
    table.0
}

pub(super) fn ladder(scene: &LoadScene) -> String {
    let mut table = Table::new(&[
        "proxy",
        "requests/s",
        "CPU µs/request",
        "CPU beside bare Pingora (range)",
        "p50 ms (range)",
        "p99 ms (range)",
        "peak MiB",
    ]);
    for row in &scene.rows {
        table.row([
            row.name.clone(),
            grouped(of_rounds(row, |round| round.requests_per_second)),
            format!(
                "{:.2}",
                of_rounds(row, |round| round.cpu_microseconds_per_request)
            ),
            ratio(scene.cpu_ratio(row)),
            latency(row, |latency| latency.p50_milliseconds, scene.conditions.rate),
            latency(row, |latency| latency.p99_milliseconds, scene.conditions.rate),
            peak(row),
        ]);
    }
    let mut text = table.0;
    text += "\n";
    if let Some(no_op) = scene.each_further_no_op() {
        writeln!(
            text,
            "Each further no-op plugin: {:.3} of what bare Pingora needs for a request ({:.3} to {:.3}).",
            no_op.median, no_op.low, no_op.high
        )
        .expect("writing to memory cannot fail");
    }
    if let Some(above) = scene.p99_above_bare() {
        writeln!(
            text,
            "p99 with the three default plugins less that of bare Pingora, round by round: {:.2} ms ({:.2} to {:.2}).",
            above.median, above.low, above.high
        )
        .expect("writing to memory cannot fail");
    }
    text + &conditions(scene)
}

/// Each row beside the one that it is compared with.
pub(super) fn variations(scene: &LoadScene) -> String {
    let mut table = Table::new(&[
        "case",
        "requests/s",
        "CPU µs/request",
        "CPU beside the first (range)",
        "peak MiB",
    ]);
    for (index, row) in scene.rows.iter().enumerate() {
        table.row([
            row.name.clone(),
            grouped(of_rounds(row, |round| round.requests_per_second)),
            format!(
                "{:.2}",
                of_rounds(row, |round| round.cpu_microseconds_per_request)
            ),
            if row.base == index {
                "1.000".to_owned()
            } else {
                ratio(scene.cpu_ratio(row))
            },
            peak(row),
        ]);
    }
    table.0 + "\n" + &conditions(scene)
}

fn conditions(scene: &LoadScene) -> String {
    let Conditions {
        rounds,
        seconds,
        connections,
        rate,
    } = scene.conditions;
    let rate = rate.map_or(String::new(), |rate| {
        format!(" Latencies at {} requests/s, for as long.", grouped(rate))
    });
    let busy = scene
        .rows
        .iter()
        .map(|row| of_rounds(row, |round| round.busy_percent));
    let busy = spread(busy);
    let floor = scene.floor.map_or(String::new(), |floor| {
        format!(
            " (p50 {:.2} ms, p99 {:.2} ms at the rate of the latencies)",
            floor.p50_milliseconds, floor.p99_milliseconds
        )
    });
    format!(
        "Medians of rounds ({rounds} × {seconds} s), {connections} connections.{rate} The proxies had {:.0} to {:.0} % of \
         their core. Load and backends alone: {} requests/s{floor}.\n",
        busy.low,
        busy.high,
        grouped(scene.ceiling)
    )
}

fn of_rounds(row: &LoadRow, value: fn(&Round) -> f64) -> f64 {
    median(row.rounds.iter().map(value))
}

fn peak(row: &LoadRow) -> String {
    let peaks = row.rounds.iter().map(|round| round.peak_mebibytes);
    format!("{:.1}", peaks.fold(0.0, f64::max))
}

/// The median of the rounds, and their range; shown only if the proxy could answer the requests that were due.
fn latency(row: &LoadRow, value: fn(&Latency) -> f64, due: Option<f64>) -> String {
    /// Less than all: the last answers come after the last request was due.
    const ENOUGH: f64 = 0.95;
    let measured: Vec<Latency> = row.rounds.iter().filter_map(|round| round.latency).collect();
    let enough = due.unwrap_or_default() * ENOUGH;
    if measured.is_empty() {
        String::new()
    } else if median(measured.iter().map(|latency| latency.answered_per_second)) < enough {
        "unsteady".to_owned()
    } else {
        let Spread { low, median, high } = spread(measured.iter().map(value));
        format!("{median:.2} ({low:.2} to {high:.2})")
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::result::tests::scene;
    use super::*;

    #[test]
    fn row_has_median_and_range_of_its_rounds() {
        let scene = scene(&[("bare", [10.0, 20.0, 40.0]), ("empty", [11.0, 24.0, 40.0])]);
        let table = summary(&scene);
        assert_eq!(
            table.lines().last(),
            Some("| the empty | 41,667 | 24.0 | 1.100 (1.000 to 1.200) |  |")
        );
    }

    #[test]
    fn latency_at_a_rate_that_was_not_kept_is_not_shown() {
        let mut scene = scene(&[("bare", [10.0; 3])]);
        for (round, answered) in scene.rows[0].rounds.iter_mut().zip([990.0, 1000.0, 1000.0]) {
            round.latency = Some(Latency {
                p50_milliseconds: 1.0,
                p99_milliseconds: 2.0,
                answered_per_second: answered,
            });
        }
        let shown = |due| latency(&scene.rows[0], |latency| latency.p99_milliseconds, Some(due));
        assert_eq!(shown(1000.0), "2.00 (2.00 to 2.00)");
        assert_eq!(shown(2000.0), "unsteady");
    }
}
