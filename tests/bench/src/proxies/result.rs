//! Results: the content of `bench.json`, from which all tables and plots are made.

use super::generator::Load;
use super::subject::Memory;
use crate::machine::Machine;
use crate::statistics::{Spread, percentile, spread};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// All results of a machine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    /// The scenes by name.
    pub(crate) scenes: BTreeMap<String, Scene>,
}

/// The result of a scene.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Scene {
    /// The cost of a request.
    Load(LoadScene),
    /// The cost of several kinds of requests.
    Traffic(TrafficScene),
    /// The duration of a start.
    Startup { rows: Vec<StartupRow> },
    /// The resident memory.
    Memory { rows: Vec<MemoryRow> },
}

/// The cost of a request in several cases.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoadScene {
    pub(crate) conditions: Conditions,
    /// The requests per second of the load and the backends without a proxy.
    pub(crate) ceiling: f64,
    /// The latency without a proxy at the rate at which latencies were measured.
    pub(crate) floor: Option<Latency>,
    pub(crate) rows: Vec<LoadRow>,
}

/// The cost of several kinds of requests in several proxies, and of idle connections.
#[derive(Serialize, Deserialize)]
pub(crate) struct TrafficScene {
    pub(crate) conditions: Conditions,
    /// The names of the proxies. The others are compared with the first.
    pub(crate) proxies: Vec<String>,
    pub(crate) rows: Vec<TrafficRow>,
    pub(crate) idle_connections: usize,
    /// The resident memory for each idle connection, in bytes: by proxy, and by round.
    pub(crate) idle_bytes: Vec<Vec<f64>>,
}

/// One kind of request.
#[derive(Serialize, Deserialize)]
pub(crate) struct TrafficRow {
    pub(crate) key: String,
    pub(crate) name: String,
    /// The requests per second of the load and the backends without a proxy; `None` where these cannot do without.
    pub(crate) ceiling: Option<f64>,
    /// Whether the table also has the number of them in a second of processor time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) per_second: bool,
    /// Results by proxy, and by round.
    pub(crate) cells: Vec<Vec<Round>>,
}

/// The conditions of a measurement.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) rounds: u32,
    /// The length of each part of a measurement.
    pub(crate) seconds: u64,
    pub(crate) connections: u16,
    /// The requests per second at which latencies were measured; `None` if they were not.
    pub(crate) rate: Option<f64>,
}

/// The results of one case in all rounds.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoadRow {
    pub(crate) key: String,
    pub(crate) name: String,
    /// The index of the row that this one is compared with.
    pub(crate) base: usize,
    pub(crate) rounds: Vec<Round>,
}

/// The result of one case in one round.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_microseconds_per_request: f64,
    /// The share of its core that the proxy used. Far below 100 %, something else was the limit.
    pub(crate) busy_percent: f64,
    pub(crate) latency: Option<Latency>,
    pub(crate) peak_mebibytes: f64,
}

/// Latencies at a constant rate.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_milliseconds: f64,
    pub(crate) p99_milliseconds: f64,
    /// The requests per second that were answered. A rate below the due one means that the proxy could not
    /// keep up.
    pub(crate) answered_per_second: f64,
}

/// The starts of one proxy.
#[derive(Serialize, Deserialize)]
pub(crate) struct StartupRow {
    pub(crate) key: String,
    pub(crate) name: String,
    /// The times from starting the process to the last byte of the first answer.
    pub(crate) milliseconds: Vec<f64>,
}

/// The memory of one proxy in one state.
#[derive(Serialize, Deserialize)]
pub(crate) struct MemoryRow {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) kibibytes: Memory,
    /// The things that this state has more of than the row above.
    pub(crate) more: Option<More>,
}

/// A number of things that take memory.
#[derive(Serialize, Deserialize)]
pub(crate) struct More {
    pub(crate) what: String,
    pub(crate) count: u64,
}

impl Round {
    /// Creates a result. `cpu_time` is the proxy's for the load, `peak_memory` is in bytes.
    pub(crate) fn new(load: &Load, cpu_time: Duration, peak_memory: u64, latency: Option<Latency>) -> Round {
        Round {
            requests_per_second: load.rate(),
            cpu_microseconds_per_request: cpu_time.as_secs_f64() * 1e6 / load.latencies.len() as f64,
            busy_percent: 100.0 * cpu_time.as_secs_f64() / load.elapsed.as_secs_f64(),
            latency,
            peak_mebibytes: peak_memory as f64 / f64::from(1 << 20),
        }
    }
}

impl Latency {
    /// The latencies of a load at a constant rate, which has at least one answer.
    pub(crate) fn new(mut load: Load) -> Latency {
        load.latencies.sort_unstable();
        Latency {
            p50_milliseconds: percentile(&load.latencies, 50).as_secs_f64() * 1e3,
            p99_milliseconds: percentile(&load.latencies, 99).as_secs_f64() * 1e3,
            answered_per_second: load.rate(),
        }
    }
}

impl LoadScene {
    pub(crate) fn row(&self, key: &str) -> Option<&LoadRow> {
        self.rows.iter().find(|row| row.key == key)
    }

    /// The CPU time per request divided by that of the row it is compared with, round by round.
    pub(crate) fn cpu_ratio(&self, row: &LoadRow) -> Spread {
        spread(ratios(row, &self.rows[row.base]))
    }

    /// The cost of each call of a plugin that does nothing, as a fraction of bare Pingora's cost of a
    /// request.
    pub(crate) fn each_further_no_op(&self) -> Option<Spread> {
        let (one, three, bare) = (self.row("no-op")?, self.row("no-ops")?, self.row("bare")?);
        let (one, three) = (ratios(one, bare), ratios(three, bare));
        Some(spread(one.zip(three).map(|(one, three)| (three - one) / 2.0)))
    }

    /// The difference in milliseconds between the p99 with the default plugins and bare Pingora's, round by
    /// round.
    pub(crate) fn p99_above_bare(&self) -> Option<Spread> {
        let (defaults, bare) = (self.row("defaults")?, self.row("bare")?);
        let p99 = |round: &Round| Some(round.latency?.p99_milliseconds);
        let rounds = defaults.rounds.iter().zip(&bare.rounds);
        let above: Vec<f64> = rounds
            .map(|(defaults, bare)| Some(p99(defaults)? - p99(bare)?))
            .collect::<Option<_>>()?;
        (!above.is_empty()).then(|| spread(above))
    }
}

fn ratios<'a>(row: &'a LoadRow, base: &'a LoadRow) -> impl Iterator<Item = f64> + 'a {
    let cpu = |round: &Round| round.cpu_microseconds_per_request;
    row.rounds
        .iter()
        .zip(&base.rounds)
        .map(move |(round, base)| cpu(round) / cpu(base))
}

/// The name of the file in the directory of a run.
pub(crate) const FILE: &str = "bench.json";

impl Run {
    /// Creates a run without results.
    pub(crate) fn new(machine: Machine) -> Run {
        Run {
            machine,
            scenes: BTreeMap::new(),
        }
    }

    /// Reads the results of a run from a file.
    pub(crate) fn read(file: &Path) -> Result<Run> {
        let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a run of this version", file.display()))
    }

    /// Reads the results of earlier runs in this directory; an empty run if there were none.
    ///
    /// # Errors
    ///
    /// An error if they were on another machine, or the file cannot be read.
    pub(crate) fn continued(directory: &Path, machine: Machine) -> Result<Run> {
        let file = directory.join(FILE);
        if !file.exists() {
            return Ok(Run::new(machine));
        }
        let run = Run::read(&file)?;
        ensure!(
            run.machine == machine,
            "{} is from another machine ({}): choose another directory",
            file.display(),
            run.machine
        );
        Ok(run)
    }

    pub(crate) fn scene(&self, name: &str) -> Result<&Scene> {
        self.scenes
            .get(name)
            .with_context(|| format!("the run has no scene `{name}`: measure with --scene {name} first"))
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A scene with these CPU times.
    pub(crate) fn scene(rows: &[(&str, [f64; 3])]) -> LoadScene {
        let round = |cpu| Round {
            requests_per_second: 1e6 / cpu,
            cpu_microseconds_per_request: cpu,
            busy_percent: 100.0,
            latency: None,
            peak_mebibytes: 10.0,
        };
        LoadScene {
            conditions: Conditions {
                rounds: 3,
                seconds: 1,
                connections: 1,
                rate: None,
            },
            ceiling: 1e6,
            floor: None,
            rows: rows
                .iter()
                .map(|(key, cpu)| LoadRow {
                    key: (*key).to_owned(),
                    name: format!("the {key}"),
                    base: 0,
                    rounds: cpu.map(round).to_vec(),
                })
                .collect(),
        }
    }

    #[test]
    fn ratio_compares_results_of_the_same_round() {
        // The machine gets twice as slow from round to round.
        let scene = scene(&[
            ("bare", [10.0, 20.0, 40.0]),
            ("no-op", [11.0, 22.0, 44.0]),
            ("no-ops", [13.0, 26.0, 52.0]),
        ]);
        let close = |spread: Spread, expected: f64| {
            assert!((spread.low - expected).abs() < 1e-9, "{spread:?}");
            assert!((spread.high - expected).abs() < 1e-9, "{spread:?}");
        };
        close(scene.cpu_ratio(&scene.rows[1]), 1.1);
        close(scene.each_further_no_op().expect("all three are there"), 0.1);
    }

    #[test]
    fn latency_difference_compares_results_of_the_same_round() {
        let mut scene = scene(&[("bare", [10.0; 3]), ("defaults", [10.0; 3])]);
        assert!(scene.p99_above_bare().is_none(), "they were not measured");
        for (row, p99) in scene.rows.iter_mut().zip([[1.0, 5.0, 2.0], [1.5, 5.25, 1.0]]) {
            for (round, p99_milliseconds) in row.rounds.iter_mut().zip(p99) {
                round.latency = Some(Latency {
                    p50_milliseconds: 0.1,
                    p99_milliseconds,
                    answered_per_second: 1.0,
                });
            }
        }
        let above = scene.p99_above_bare().expect("both are there");
        assert_eq!((above.low, above.median, above.high), (-1.0, 0.25, 0.5));
    }

    #[test]
    fn results_are_read_back_on_the_same_machine() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let machine = Machine::this().expect("this is Linux");
        let mut run = Run::continued(directory.path(), machine.clone()).expect("there is nothing yet");
        run.scenes
            .insert("ladder".to_owned(), Scene::Load(scene(&[("bare", [1.0; 3])])));
        let json = run.json().expect("it can be written");
        fs::write(directory.path().join(FILE), &json).expect("the directory is writable");
        let again = Run::continued(directory.path(), machine).expect("it is the same machine");
        assert_eq!(again.json().expect("it can be written"), json);
        assert!(again.scene("ladder").is_ok() && again.scene("memory").is_err());
        let other = json.replace("\"kernel\": \"", "\"kernel\": \"not ");
        fs::write(directory.path().join(FILE), other).expect("the directory is writable");
        let error = Run::continued(directory.path(), Machine::this().expect("this is Linux"));
        assert!(
            error
                .map(drop)
                .unwrap_err()
                .to_string()
                .contains("another machine")
        );
    }
}
