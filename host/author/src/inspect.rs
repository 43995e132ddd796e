//! `pace plugin inspect`: describes a file, and says why it is unusable if it is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::bench::{nanoseconds, varies_client};
use super::cases::{self, FileError, Suite};
use super::{print, project};
use crate::cli::{CommandError, InspectArgs};
use pace_base::escape::Shown;
use pace_config::Sha256;
use pace_harness::{Exchange, Request, Setup, Subject, SubjectError, explain};
use pace_hook::CONTRACT;
use pace_sandbox::{Inspection, Kind, LoadError, Runtime, Side, WrongType};

/// A file that does not fit, with the reasons.
#[derive(Debug, thiserror::Error)]
#[error("{file} is no plugin that this Pace can run:\n{}", listed(.problems))]
struct Unfit {
    file: String,
    problems: Vec<LoadError>,
}

pub(super) fn run(args: &InspectArgs) -> Result<(), CommandError> {
    let file = &project::plugin(&args.file)?;
    let bytes = pace_harness::read(file)?;
    let unfit = |problems| Unfit {
        file: file.clone(),
        problems,
    };
    let inspection =
        Inspection::of(&Runtime::for_author()?, &bytes).map_err(|problem| unfit(vec![problem]))?;
    print(&report(file, &bytes, &inspection))?;
    if !inspection.problems.is_empty() {
        return Err(unfit(inspection.problems).into());
    }
    let input = EstimateInput::new(file, args)?;
    Ok(print(&estimate(file, bytes, &input)?)?)
}

/// The report: one line for each fact; lists continue below each other.
fn report(file: &str, bytes: &[u8], inspection: &Inspection) -> String {
    let kind = match inspection.kind {
        Kind::Component => "component",
        Kind::CoreModule => "core module with the type of a component, which Pace makes of it",
    };
    let shown = |list: &[Shown]| list.iter().map(Shown::to_string).collect();
    let or_none = |list: Vec<String>| match list.is_empty() {
        true => vec!["none".to_owned()],
        false => list,
    };
    let hooks: Vec<String> = inspection
        .hooks
        .iter()
        .map(|hook| hook.name().to_owned())
        .collect();
    let wasi: Vec<String> = inspection.wasi().map(str::to_owned).collect();
    let lines = [
        ("file", vec![file.to_owned()]),
        ("format", vec![kind.to_owned()]),
        ("size", vec![format!("{} bytes", bytes.len())]),
        ("sha256", vec![Sha256::of(bytes).to_string()]),
        ("contract", or_none(shown(&inspection.contracts))),
        ("hooks", or_none(hooks)),
        ("imports", or_none(shown(&inspection.imports))),
        ("WASI", or_none(wasi)),
    ];
    let mut report = String::new();
    for (what, values) in lines {
        let mut label = format!("{what}:");
        for value in values {
            let _ = writeln!(report, "{label:10}{value}");
            label.clear();
        }
    }
    report
}

/// Calls of each hook for an estimate, which take some milliseconds.
const ESTIMATE_CALLS: u32 = 2000;

/// The plugin's input for an estimate.
struct EstimateInput {
    setup: Setup,
    exchange: Exchange,
    /// The file of cases that it comes from.
    cases: Option<PathBuf>,
}

impl EstimateInput {
    /// The input from the named file of cases, or from the plugin's project; without one, the defaults.
    fn new(file: &str, args: &InspectArgs) -> Result<EstimateInput, FileError> {
        let suite = match &args.cases {
            Some(file) => Some(cases::load(file)?),
            None => match project::of(Path::new(file)) {
                Some(project) => project::cases(&project)?,
                None => None,
            },
        };
        Ok(match suite {
            Some(Suite { path, defaults, .. }) => EstimateInput {
                setup: defaults.0,
                exchange: defaults.1,
                cases: Some(path),
            },
            None => EstimateInput {
                setup: Setup::default(),
                exchange: Exchange::new(Request::get("/")),
                cases: None,
            },
        })
    }

    fn request(&self) -> String {
        let Request { method, .. } = &self.exchange.request;
        format!("{method} {}", self.exchange.request.target())
    }

    fn configuration(&self) -> String {
        match &self.cases {
            Some(file) => format!("[defaults] of {}", file.display()),
            None => "an empty configuration".to_owned(),
        }
    }
}

/// The cost of a call of each hook, as far as one request shows it.
fn estimate(file: &str, bytes: Vec<u8>, input: &EstimateInput) -> Result<String, SubjectError> {
    let subject = Subject::compile(file, bytes)?;
    let (request, configuration) = (input.request(), input.configuration());
    let mut text = String::new();
    let mut label = "cost:";
    for hook in subject.hooks().iter() {
        let EstimateInput { setup, exchange, .. } = input;
        let mut lines = Vec::new();
        let cost = subject.configure(setup).and_then(|session| {
            let cost = session.measure(hook, exchange, ESTIMATE_CALLS, varies_client(exchange));
            lines = session.take_lines();
            cost
        });
        let said = match cost {
            Ok(cost) => format!(
                "about {} (an estimate, the median of {ESTIMATE_CALLS} calls: {request}, with {configuration})",
                nanoseconds(cost.median)
            ),
            Err(failure) => {
                let explained = explain(&failure, &lines);
                let what = explained.lines().next().unwrap_or_default();
                let advice = match input.cases {
                    Some(_) => "",
                    None => "; --cases FILE takes another from `[defaults]` of a file of cases",
                };
                format!("not measured: {request}, with {configuration}: {what}{advice}")
            }
        };
        let _ = writeln!(text, "{label:10}{}: {said}", hook.name());
        label = "";
    }
    Ok(text)
}

/// Each problem as a paragraph; differing types stand below each other.
fn listed(problems: &[LoadError]) -> String {
    let paragraph = |problem: &LoadError| match problem {
        LoadError::WrongType(wrong) => beside(wrong),
        LoadError::UnknownFunction { interface, function } => format!(
            "  it imports the function `{function}` of `{interface}`, which this Pace does not have\n    \
             leave it out, or run a later Pace; `{}` has what there is",
            wit_file(interface)
        ),
        LoadError::OtherContract { found, .. } => format!(
            "  it is made for another version of the contract\n    \
               expected  {CONTRACT}\n    \
               found     {found}\n    \
             build it against the contract in `wit/`, or with the SDK of this Pace"
        ),
        other => format!("  {other}"),
    };
    problems.iter().map(paragraph).collect::<Vec<_>>().join("\n")
}

/// The types of a function below each other, and then those of its parts.
fn beside(wrong: &WrongType) -> String {
    let which = match wrong.side {
        Side::Imports => "imported function",
        Side::Exports => "function",
    };
    let WrongType {
        interface, function, ..
    } = wrong;
    let mut text = format!("  the {which} `{function}` of `{interface}` has the wrong type");
    let mut both = |expected: &str, found: &str| {
        let _ = write!(text, "\n    expected  {expected}\n    found     {found}");
    };
    both(&wrong.expected, wrong.found.as_str());
    for differs in &wrong.within {
        both(
            &format!("{} = {}", differs.name, differs.expected),
            &format!("{} = {}", differs.name, differs.found),
        );
    }
    let _ = write!(text, "\n    `{}` has it", wit_file(interface));
    text
}

/// The file of the contract with an interface: `pace:plugin/lifecycle@0.1.0` is in `wit/lifecycle.wit`.
fn wit_file(interface: &str) -> String {
    let name = interface.split_once('/').map_or(interface, |(_, name)| name);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    format!("wit/{name}.wit")
}
