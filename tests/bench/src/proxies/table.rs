//! From results to Markdown.

use super::result::{Conditions, Latency, LoadRow, LoadScene, MemoryRow, Run, Scene, StartupRow};
use super::subject::Memory;
use crate::statistics::{Spread, median, spread};
use std::fmt::Write;

/// Rows of cells, the first of them left-aligned.
struct Table(String);

impl Table {
    fn new(header: &[&str]) -> Table {
        let mut table = Table(String::new());
        table.row(header.iter().map(|title| (*title).to_owned()));
        table.0 += &format!("|---|{}\n", "---:|".repeat(header.len() - 1));
        table
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        self.0 += &format!("| {} |\n", cells.join(" | "));
    }
}

/// A scene as a table and what belongs below it.
pub(crate) fn of(scene: &Scene) -> String {
    match scene {
        Scene::Load(load) if load.conditions.rate.is_some() => ladder(load),
        Scene::Load(load) => variations(load),
        Scene::Startup { rows } => startup(rows),
        Scene::Memory { rows } => memory(rows),
    }
}

/// The rows of the ladder that a reader in a hurry wants.
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

fn ladder(scene: &LoadScene) -> String {
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
fn variations(scene: &LoadScene) -> String {
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

fn startup(rows: &[StartupRow]) -> String {
    let mut table = Table::new(&["proxy", "ms to the first answer", "range"]);
    for row in rows {
        let Spread { low, median, high } = spread(row.milliseconds.iter().copied());
        table.row([
            row.name.clone(),
            format!("{median:.1}"),
            format!("{low:.1} to {high:.1}"),
        ]);
    }
    let starts = rows.first().map_or(0, |row| row.milliseconds.len());
    table.0 + &format!("\nMedians of {starts} starts.\n")
}

fn memory(rows: &[MemoryRow]) -> String {
    let mut table = Table::new(&[
        "proxy, state",
        "resident MiB",
        "program",
        "libraries",
        "compiled plugins",
        "images of plugins",
        "heap, stacks, rest",
        "more than above",
    ]);
    let mut above = 0;
    for row in rows {
        let Memory {
            program,
            libraries,
            compiled,
            images,
            rest,
        } = row.kibibytes;
        let total = row.kibibytes.total();
        let mut cells = vec![format!("{}, {}", row.name, row.state)];
        cells.extend([total, program, libraries, compiled, images, rest].map(mebibytes));
        cells.push(row.more.as_ref().map_or(String::new(), |more| {
            let each = 1024.0 * (total as f64 - above as f64) / more.count as f64;
            format!("{} bytes per {}", grouped(each.max(0.0)), more.what)
        }));
        table.row(cells);
        above = total;
    }
    table.0
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1}", kibibytes as f64 / 1024.0)
}

fn of_rounds(row: &LoadRow, value: fn(&super::result::Round) -> f64) -> f64 {
    median(row.rounds.iter().map(value))
}

fn peak(row: &LoadRow) -> String {
    let peaks = row.rounds.iter().map(|round| round.peak_mebibytes);
    format!("{:.1}", peaks.fold(0.0, f64::max))
}

/// The middle of the rounds, and their range; shown only if the proxy could answer what was due.
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

fn ratio(spread: Spread) -> String {
    let Spread { low, median, high } = spread;
    format!("{median:.3} ({low:.3} to {high:.3})")
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// All of a run, for standard output and `bench.md`.
pub(crate) fn page(run: &Run) -> String {
    let mut text = format!("{}.\n", run.machine);
    for (name, scene) in &run.scenes {
        text += &format!("\n## {name}\n\n{}", of(scene));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::result::More;
    use super::super::result::tests::scene;
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        let expected = [
            (0.0, "0"),
            (999.6, "1,000"),
            (37_546.2, "37,546"),
            (1e6, "1,000,000"),
        ];
        for (number, text) in expected {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_row_has_the_middle_and_the_range_of_its_rounds() {
        let scene = scene(&[("bare", [10.0, 20.0, 40.0]), ("empty", [11.0, 24.0, 40.0])]);
        let table = summary(&scene);
        assert_eq!(
            table.lines().last(),
            Some("| the empty | 41,667 | 24.0 | 1.100 (1.000 to 1.200) |  |")
        );
    }

    #[test]
    fn latencies_at_a_rate_that_was_not_kept_say_nothing() {
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

    #[test]
    fn what_is_more_is_told_for_each() {
        let row = |rest, more| MemoryRow {
            key: "bare".to_owned(),
            name: "a proxy".to_owned(),
            state: "some state".to_owned(),
            kibibytes: Memory {
                rest,
                ..Memory::default()
            },
            more,
        };
        let connections = More {
            what: "connection".to_owned(),
            count: 1024,
        };
        let table = memory(&[row(1024, None), row(3072, Some(connections))]);
        assert_eq!(
            table.lines().last(),
            Some("| a proxy, some state | 3.0 | 0.0 | 0.0 | 0.0 | 0.0 | 3.0 | 2,048 bytes per connection |")
        );
    }
}
