//! `pace plugin bench`: measures the cost of each hook, and checks it against the budget.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::cases::{self, Budget};
use super::{print, project};
use crate::cli::{BenchArgs, CommandError};
use pace_base::escape;
use pace_harness::{Cost, Exchange, Request, Setup, Subject, explain};
use pace_hook::Hook;

/// The plugin costs more than its budget.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
struct OverBudget(Vec<String>);

/// Why the plugin was not measured.
#[derive(Debug, thiserror::Error)]
enum NotMeasured {
    #[error("{0} does not say which plugin it is for: add `wasm = \"...\"`, or use --wasm FILE")]
    NoPlugin(String),
    #[error("{file}: its configuration was refused: {refusal}\n{advice}")]
    Refused {
        file: String,
        refusal: String,
        advice: &'static str,
    },
    #[error("{file}: {hook} failed: {reason}\n{explained}")]
    Failed {
        file: String,
        hook: &'static str,
        reason: &'static str,
        explained: String,
    },
}

/// The plugin to measure, with its settings, its request and its budget.
struct Bench {
    wasm: String,
    setup: Setup,
    exchange: Exchange,
    budget: Budget,
    /// The file with these; `None` for a plugin alone.
    file: Option<String>,
}

pub(super) fn run(args: &BenchArgs) -> Result<(), CommandError> {
    let bench = Bench::new(args)?;
    let bytes = pace_harness::read(&bench.wasm)?;
    let subject = Subject::compile(&bench.wasm, bytes.clone())?;
    let mut costs = bench.costs(&subject, args.calls)?;
    if args.fuel || bench.budget.needs_instructions() {
        let counting = Subject::counting_instructions(&bench.wasm, bytes)?;
        let counted = bench.costs(&counting, args.calls)?;
        for ((_, cost), (_, counted)) in costs.iter_mut().zip(counted) {
            cost.instructions = counted.instructions;
        }
    }
    let report = match args.json {
        true => bench.json(&costs, args.calls),
        false => bench.report(&costs, args.calls),
    };
    print(&report)?;
    let over = bench.over_budget(&costs);
    match over.is_empty() {
        true => Ok(()),
        false => Err(OverBudget(over).into()),
    }
}

impl Bench {
    /// The bench of a file of cases, or of a plugin alone.
    fn new(args: &BenchArgs) -> Result<Bench, CommandError> {
        let path = Path::new(&args.file);
        if path.is_dir() {
            return Bench::of_project(path, args);
        }
        if path.extension().is_none_or(|extension| extension != "toml") {
            return Ok(Bench {
                wasm: args.wasm.clone().unwrap_or_else(|| args.file.clone()),
                setup: Setup::default(),
                exchange: Exchange::new(Request::get("/")),
                budget: Budget::default(),
                file: None,
            });
        }
        Bench::of_cases(cases::load(path)?, args)
    }

    /// The bench of a project: of its cases, if it has any.
    fn of_project(path: &Path, args: &BenchArgs) -> Result<Bench, CommandError> {
        let plugin = project::plugin(&args.file)?;
        match project::cases(path)? {
            Some(suite) => Bench::of_cases(suite, args),
            None => Ok(Bench {
                wasm: args.wasm.clone().unwrap_or(plugin),
                setup: Setup::default(),
                exchange: Exchange::new(Request::get("/")),
                budget: Budget::default(),
                file: None,
            }),
        }
    }

    fn of_cases(suite: cases::Suite, args: &BenchArgs) -> Result<Bench, CommandError> {
        let file = suite.path.display().to_string();
        let wasm = args.wasm.clone().or(suite.wasm);
        let (setup, exchange) = suite.defaults;
        Ok(Bench {
            wasm: wasm.ok_or_else(|| NotMeasured::NoPlugin(file.clone()))?,
            setup,
            exchange,
            budget: suite.budget,
            file: Some(file),
        })
    }

    fn costs(&self, subject: &Subject, calls: u32) -> Result<Vec<(Hook, Cost)>, NotMeasured> {
        let mut costs = Vec::new();
        for hook in subject.hooks().iter() {
            let session = subject
                .configure(&self.setup)
                .map_err(|failure| NotMeasured::Refused {
                    file: self.wasm.clone(),
                    refusal: failure.detail,
                    advice: match self.file {
                        Some(_) => "what it is given is in `[defaults.config]`",
                        None => {
                            "it was given an empty one; write another into `[defaults.config]` of a file of \
                                 cases, and measure that file"
                        }
                    },
                })?;
            let cost = session
                .measure(hook, &self.exchange, calls, varies_client(&self.exchange))
                .map_err(|failure| NotMeasured::Failed {
                    file: self.wasm.clone(),
                    hook: hook.name(),
                    reason: failure.reason.name(),
                    explained: explain(&failure, &session.take_lines()),
                })?;
            costs.push((hook, cost));
        }
        Ok(costs)
    }

    fn report(&self, costs: &[(Hook, Cost)], calls: u32) -> String {
        let counted = costs.iter().any(|(_, cost)| cost.instructions.is_some());
        let mut text = format!("{}, {calls} calls of each hook\n\n", self.wasm);
        let _ = writeln!(
            text,
            "{:16}{:>11} {:>11} {:>10} {:>7} {:>7} {:>9}{}",
            "hook",
            "median",
            "p99",
            "calls out",
            "copies",
            "bytes",
            "memory",
            if counted { "  instructions" } else { "" },
        );
        for (hook, cost) in costs {
            let _ = write!(
                text,
                "{:16}{:>11} {:>11} {:>10} {:>7} {:>7} {:>9}",
                hook.name(),
                nanoseconds(cost.median),
                nanoseconds(cost.p99),
                cost.calls_out.map_or_else(unknown, average),
                average(cost.copies),
                average(cost.bytes),
                cost.memory
                    .map_or_else(unknown, |bytes| format!("{} KiB", bytes.div_ceil(1024))),
            );
            if let Some(instructions) = cost.instructions {
                let _ = write!(text, " {instructions:>13}");
            }
            text.push('\n');
        }
        if cfg!(debug_assertions) {
            text.push_str("\nThis pace was built without optimization: what the host does takes several times as long.\n");
        }
        text
    }

    /// The report for programs; unknown values are `null`.
    fn json(&self, costs: &[(Hook, Cost)], calls: u32) -> String {
        let hooks: Vec<_> = costs
            .iter()
            .map(|(hook, cost)| {
                json!({
                    "hook": hook.name(),
                    "median_ns": nanos(cost.median),
                    "p99_ns": nanos(cost.p99),
                    "calls_out": cost.calls_out,
                    "copies": cost.copies,
                    "bytes": cost.bytes,
                    "memory_bytes": cost.memory,
                    "instructions": cost.instructions,
                })
            })
            .collect();
        let report = json!({ "plugin": self.wasm, "calls": calls, "hooks": hooks });
        escape::json(&format!("{report:#}\n"))
    }

    /// A sentence for each exceeded limit: the hook, the measured value and the allowed one.
    fn over_budget(&self, costs: &[(Hook, Cost)]) -> Vec<String> {
        let mut over = Vec::new();
        let file = self.file.as_deref().unwrap_or_default();
        for (hook, cost) in costs {
            let (hook, allowed) = (hook.name(), self.budget.hooks[*hook]);
            if let Some(allowed) = allowed.nanoseconds
                && cost.median > Duration::from_nanos(allowed.into())
            {
                over.push(format!(
                    "{hook} takes {}, more than the {allowed} ns of the budget in {file}",
                    nanoseconds(cost.median)
                ));
            }
            if let (Some(allowed), Some(instructions)) = (allowed.instructions, cost.instructions)
                && instructions > u64::from(allowed)
            {
                over.push(format!(
                    "{hook} takes {instructions} instructions, more than the {allowed} of the budget in {file}"
                ));
            }
            if let (Some(allowed), Some(bytes)) = (self.budget.memory_kb, cost.memory)
                && let memory = bytes.div_ceil(1024)
                && memory > allowed as usize
            {
                over.push(format!(
                    "{hook} has taken {memory} KiB of memory, more than the {allowed} KiB of the budget in {file}"
                ));
            }
        }
        over
    }
}

/// Whether each request comes from another client; not if the file names a client.
pub(super) fn varies_client(exchange: &Exchange) -> bool {
    exchange.request.client == Request::get("/").client
}

/// A value that cannot be read, because no instance is kept.
fn unknown() -> String {
    "-".to_owned()
}

pub(super) fn nanoseconds(time: Duration) -> String {
    format!("{} ns", time.as_nanos())
}

/// Nanoseconds for JSON, whose numbers have 64 bits.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A mean, with one decimal if it is no whole number.
fn average(number: f64) -> String {
    match number.fract() < 0.05 || number.fract() > 0.95 {
        true => format!("{number:.0}"),
        false => format!("{number:.1}"),
    }
}
