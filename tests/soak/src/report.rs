//! The report of a run: its measurements, and whether the proofs hold.

use super::ledger::Tally;
use super::limiter::Counts;
use super::memory::{Samples, mebibytes};
use super::phases::Slices;
use super::swap::Swaps;
use std::fmt;
use std::time::Duration;

/// The measurements of a run.
pub(crate) struct Report {
    pub(crate) tally: Tally,
    /// The number of responses whose generations were checked, the number of wrong ones, and some of these in
    /// words.
    pub(crate) generations: (u64, u64, Vec<String>),
    pub(crate) limiter: Counts,
    pub(crate) swaps: Swaps,
    pub(crate) slices: Slices,
    /// Memory under load without swaps, before all swaps and after.
    pub(crate) memory: [Samples; 2],
    /// The allowed and the actual number of files and sockets that are open without requests.
    pub(crate) descriptors: [usize; 2],
    /// The reason, if the proxy did not end well.
    pub(crate) end: Option<String>,
    /// Whether the run took as long as [`THOROUGH`].
    pub(crate) thorough: bool,
}

/// The shortest run that judges everything. A shorter one only proves that nothing is lost or mixed up. It
/// has no time for every kind of bad file; an allocator's reserve is larger than any leak; and the p99 of a
/// second or two depends on other work of the machine.
pub(crate) const THOROUGH: Duration = Duration::from_secs(60);

/// The bound of the memory after the swaps, as a multiple of the memory before.
pub(crate) const MEMORY_BOUND: f64 = 1.1;

/// At least one of this many swaps is to a version that has to be compiled. Fewer would show little.
const NEW: u64 = 4;

/// The bound of the p99 with swaps, as a multiple of the steady one, each the median over its slices.
const LATENCY_BOUND: f64 = 2.0;

/// One row of the table.
struct Row {
    figure: &'static str,
    found: String,
    allowed: String,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A figure without a bound.
    Shown,
    Holds,
    Broken,
}

impl Report {
    /// Whether every proof holds.
    pub(crate) fn holds(&self) -> bool {
        self.rows().iter().all(|row| row.verdict != Verdict::Broken)
    }

    fn rows(&self) -> Vec<Row> {
        let tally = &self.tally;
        let (checked, mixed, _) = &self.generations;
        let [steady, swapping] = [&self.slices.steady, &self.slices.swapping].map(|slices| median(slices));
        let measured = !self.slices.steady.is_empty() && !self.slices.swapping.is_empty();
        let slower = swapping.as_secs_f64() / steady.as_secs_f64().max(1e-6);
        let [before, after] = [&self.memory[0], &self.memory[1]].map(Samples::mean);
        let growth = after as f64 / before.max(1) as f64;
        let Counts { clients, exact, .. } = &self.limiter;
        let bad = &self.swaps.bad;
        vec![
            shown("requests answered", tally.answered),
            shown("requests denied by the limiter", tally.denied),
            shown("requests to misbehaving plugins", tally.misbehaving),
            shown("swaps to a good version", self.swaps.good),
            Row {
                figure: "of them to one that has to be compiled",
                found: self.swaps.new.to_string(),
                allowed: format!("at least 1 of {NEW}"),
                verdict: match self.swaps.new * NEW >= self.swaps.good {
                    _ if !self.thorough => Verdict::Shown,
                    found => holds(found),
                },
            },
            shown(
                "mean time from one such swap to the next",
                milliseconds(self.swaps.interval()),
            ),
            shown("bad files", bad.files),
            Row {
                figure: "different kinds of bad files",
                found: bad.said.len().to_string(),
                allowed: format!("all {}", bad.kinds),
                verdict: match bad.said.len() == bad.kinds {
                    _ if !self.thorough => Verdict::Shown,
                    found => holds(found),
                },
            },
            shown("slowest swap", milliseconds(self.swaps.slowest)),
            Row {
                figure: "swaps and bad files with another outcome than expected",
                found: self.swaps.unexpected.iter().count().to_string(),
                allowed: "0".to_owned(),
                verdict: holds(self.swaps.unexpected.is_none()),
            },
            none("failed requests", tally.failed),
            none("requests without an end", tally.unfinished),
            none("answers that the backends contradict", tally.contradictions),
            none("arrivals at a backend after the end", tally.strays),
            none("POSTs seen twice", tally.posts_twice),
            shown("GETs repeated by the proxy", tally.gets_twice),
            shown("responses whose generations were checked", checked),
            none("served by a mixture of generations", *mixed),
            Row {
                figure: "clients that got exactly their limit",
                found: exact.to_string(),
                allowed: format!("all {clients}"),
                verdict: holds(exact == clients && *clients > 0),
            },
            shown(
                "processors busy before all swaps",
                format!("{:.0} %", self.slices.busy * 100.0),
            ),
            shown("median p99 of slices without swaps", milliseconds(steady)),
            Row {
                figure: "median p99 of slices with swaps",
                found: format!("{} ({slower:.2} ×)", milliseconds(swapping)),
                allowed: format!("{LATENCY_BOUND} ×"),
                verdict: match slower <= LATENCY_BOUND && measured {
                    _ if !self.thorough => Verdict::Shown,
                    found => holds(found),
                },
            },
            shown(
                "mean resident memory before",
                format!("{:.1} MiB", mebibytes(before)),
            ),
            Row {
                figure: "mean resident memory after",
                found: format!("{:.1} MiB ({growth:.2} ×)", mebibytes(after)),
                allowed: format!("{MEMORY_BOUND} ×"),
                verdict: match growth <= MEMORY_BOUND {
                    _ if !self.thorough => Verdict::Shown,
                    found => holds(found),
                },
            },
            Row {
                figure: "files and sockets open afterwards",
                found: self.descriptors[1].to_string(),
                allowed: format!("at most {}", self.descriptors[0]),
                verdict: holds(self.descriptors[1] <= self.descriptors[0]),
            },
            Row {
                figure: "the proxy's end",
                found: self.end.clone().unwrap_or_else(|| "by itself".to_owned()),
                allowed: "by itself".to_owned(),
                verdict: holds(self.end.is_none()),
            },
        ]
    }

    /// Every failure in words, as far as they were kept.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.tally.remarks.clone();
        remarks.extend(self.generations.2.iter().cloned());
        remarks.extend(self.swaps.unexpected.iter().cloned());
        if !self.limiter.others.is_empty() {
            remarks.push(format!("clients got {:?} requests through", self.limiter.others));
        }
        remarks
    }
}

/// A Markdown table, the refusals of bad files, and the failures.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| figure | found | allowed | |")?;
        writeln!(out, "|---|---:|---:|---|")?;
        for row in self.rows() {
            let verdict = match row.verdict {
                Verdict::Shown => "",
                Verdict::Holds => "ok",
                Verdict::Broken => "BROKEN",
            };
            writeln!(
                out,
                "| {} | {} | {} | {verdict} |",
                row.figure, row.found, row.allowed
            )?;
        }
        let Slices { steady, swapping, .. } = &self.slices;
        writeln!(out, "\np99 of each slice without swaps: {}", series(steady))?;
        writeln!(out, "p99 of each slice with swaps: {}", series(swapping))?;
        writeln!(out, "resident memory before: {}", self.memory[0])?;
        writeln!(out, "resident memory after: {}", self.memory[1])?;
        if !self.swaps.bad.said.is_empty() {
            writeln!(out, "\nWhat the proxy says of bad files:\n")?;
        }
        for (kind, said) in &self.swaps.bad.said {
            writeln!(out, "- {kind}: {said}")?;
        }
        let remarks = self.remarks();
        if !remarks.is_empty() {
            writeln!(out, "\nWhat went wrong:\n")?;
        }
        for remark in remarks {
            writeln!(out, "- {remark}")?;
        }
        Ok(())
    }
}

fn shown(figure: &'static str, found: impl ToString) -> Row {
    Row {
        figure,
        found: found.to_string(),
        allowed: String::new(),
        verdict: Verdict::Shown,
    }
}

/// A row for something that must not happen.
fn none(figure: &'static str, found: u64) -> Row {
    Row {
        figure,
        found: found.to_string(),
        allowed: "0".to_owned(),
        verdict: holds(found == 0),
    }
}

fn holds(holds: bool) -> Verdict {
    if holds { Verdict::Holds } else { Verdict::Broken }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

/// The median of durations.
fn median(durations: &[Duration]) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The durations in their order, if they are few enough to be read.
fn series(durations: &[Duration]) -> String {
    const SHOWN: usize = 40;
    let words = durations
        .iter()
        .take(SHOWN)
        .map(|one| format!("{:.2}", one.as_secs_f64() * 1e3));
    let more = if durations.len() > SHOWN { " …" } else { "" };
    format!("{}{more} ms", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::memory::samples;
    use super::*;

    fn latencies(milliseconds: &[u64]) -> Vec<Duration> {
        milliseconds.iter().copied().map(Duration::from_millis).collect()
    }

    fn good() -> Report {
        Report {
            tally: Tally {
                answered: 1000,
                ..Tally::default()
            },
            generations: (1000, 0, Vec::new()),
            limiter: Counts {
                clients: 2,
                exact: 2,
                others: Vec::new(),
            },
            swaps: Swaps {
                good: 100,
                new: 25,
                ..Swaps::default()
            },
            slices: Slices {
                steady: latencies(&[1, 1, 9]),
                swapping: latencies(&[2, 9, 1]),
                busy: 0.7,
            },
            memory: [samples(&[95, 110, 95]), samples(&[100, 130, 100])],
            descriptors: [10, 10],
            end: None,
            thorough: true,
        }
    }

    #[test]
    fn good_run_holds() {
        let report = good();
        assert!(report.holds(), "{report}");
        assert!(!report.to_string().contains("BROKEN"));
    }

    #[test]
    fn every_proof_can_fail() {
        let breaks: [fn(&mut Report); 15] = [
            |report| report.swaps.new = 24,
            |report| report.tally.failed = 1,
            |report| report.tally.unfinished = 1,
            |report| report.tally.contradictions = 1,
            |report| report.tally.strays = 1,
            |report| report.tally.posts_twice = 1,
            |report| report.generations.1 = 1,
            |report| report.limiter.exact = 1,
            |report| report.swaps.unexpected = Some("not taken".to_owned()),
            |report| report.swaps.bad.kinds = 1,
            |report| report.slices.swapping = latencies(&[3, 3, 1]),
            |report| report.slices.swapping.clear(),
            |report| report.memory[1] = samples(&[110, 110, 111]),
            |report| report.descriptors[1] = 11,
            |report| report.end = Some("signal 9".to_owned()),
        ];
        for spoil in breaks {
            let mut report = good();
            spoil(&mut report);
            assert!(!report.holds(), "{report}");
            assert_eq!(report.to_string().matches("BROKEN").count(), 1);
        }
    }

    #[test]
    fn figure_judged_by_its_median_is_shown_in_full() {
        let text = good().to_string();
        for series in [
            "without swaps: 1.00 1.00 9.00 ms",
            "with swaps: 2.00 9.00 1.00 ms",
            "before: 95.0 110.0 95.0 MiB",
            "after: 100.0 130.0 100.0 MiB",
        ] {
            assert!(text.contains(series), "{series} in {text}");
        }
        assert!(series(&latencies(&[1; 50])).ends_with("1.00 … ms"));
    }

    #[test]
    fn short_run_does_not_judge_memory_kinds_and_latency() {
        let mut report = good();
        report.memory[1] = samples(&[200]);
        report.slices.swapping = latencies(&[3]);
        report.swaps.bad.kinds = 1;
        report.swaps.new = 1;
        assert!(!report.holds());
        report.thorough = false;
        assert!(report.holds());
    }

    #[test]
    fn failures_are_shown_in_words() {
        let mut report = good();
        report.tally.remarks.push("request 7 failed".to_owned());
        report.limiter.others.push(51);
        let text = report.to_string();
        assert!(
            text.contains("- request 7 failed\n") && text.contains("[51]"),
            "{text}"
        );
    }
}
