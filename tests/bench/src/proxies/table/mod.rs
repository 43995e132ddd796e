//! Makes Markdown of results.
//!
//! | file | tables |
//! |---|---|
//! | `load` | the cost of a request |
//! | `traffic` | the cost of several kinds of requests in several proxies |
//! | `mod` | the others |

mod load;
mod traffic;

pub(crate) use load::summary;

use super::result::{MemoryRow, Run, Scene, StartupRow};
use super::subject::Memory;
use crate::statistics::{Spread, spread};

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

/// A scene as a table and the text below it.
pub(crate) fn of(scene: &Scene) -> String {
    match scene {
        Scene::Load(scene) if scene.conditions.rate.is_some() => load::ladder(scene),
        Scene::Load(scene) => load::variations(scene),
        Scene::Traffic(scene) => traffic::traffic(scene),
        Scene::Startup { rows } => startup(rows),
        Scene::Memory { rows } => memory(rows),
    }
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

fn ratio(spread: Spread) -> String {
    let Spread { low, median, high } = spread;
    format!("{median:.3} ({low:.3} to {high:.3})")
}

/// A whole number with its thousands separated.
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

/// All scenes of a run, for standard output and `bench.md`.
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
    use super::*;

    #[test]
    fn thousands_are_separated() {
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
    fn additional_memory_is_shown_for_each_thing() {
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
