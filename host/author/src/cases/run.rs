//! Runs cases.

use std::collections::HashMap;
use std::time::Duration;

use super::check::{Check, Difference, Observed};
use super::keep::Values;
use super::suite::{Case, Count, Counted, Neighbor, Step, Tally};
use pace_config::Location;
use pace_harness::{Exchange, Line, Outcome, Session, Subject, Word, explain};
use pace_hook::Failure;

/// The compiled plugins of a case.
#[derive(Clone, Copy)]
pub(in super::super) struct Plugins<'s> {
    /// The one under test.
    pub(in super::super) tested: &'s Subject,
    /// The others, by what `wasm` says.
    pub(in super::super) others: &'s HashMap<String, Subject>,
}

/// The result of a case.
pub(in super::super) struct CaseResult {
    /// The number of requests made.
    pub(in super::super) requests: u64,
    /// The failure, if the case failed.
    pub(in super::super) failed: Option<CaseFailure>,
}

/// The failure of a case, with its place.
pub(in super::super) struct CaseFailure {
    /// The differences, at least one.
    pub(in super::super) differences: Vec<Difference>,
    /// The request that failed; empty if none did.
    pub(in super::super) place: String,
    /// The lines that the plugin logged.
    pub(in super::super) lines: Vec<Line>,
}

impl CaseFailure {
    fn without_request(difference: Difference) -> CaseFailure {
        CaseFailure {
            differences: vec![difference],
            place: String::new(),
            lines: Vec::new(),
        }
    }
}

/// Runs a case to its end, or to the first request whose result differs.
pub(in super::super) fn run(case: &Case, plugins: Plugins<'_>) -> CaseResult {
    let mut requests = 0;
    let failed = match &case.refusal {
        Some(expected) => {
            let failure = plugins.tested.configure(&case.setup).err();
            let refusal = failure.as_ref().map(|failure| failure.detail.as_str());
            let difference = expected.refusal_difference(refusal);
            difference.map(CaseFailure::without_request)
        }
        None => rounds(case, plugins, &mut requests),
    };
    CaseResult { requests, failed }
}

fn rounds(case: &Case, plugins: Plugins<'_>, requests: &mut u64) -> Option<CaseFailure> {
    let in_order: Vec<usize> = case
        .steps
        .iter()
        .enumerate()
        .flat_map(|(index, step)| std::iter::repeat_n(index, step.repeat as usize))
        .collect();
    let Some(shuffle) = case.shuffle else {
        return round(case, plugins, &in_order, requests);
    };
    for round_number in 0..shuffle.rounds {
        let seed = shuffle.seed.wrapping_add(u64::from(round_number));
        let mut order = in_order.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        if let Some(mut failed) = round(case, plugins, &order, requests) {
            let again = format!("in the order of `shuffle = {{ seed = {seed}, rounds = 1 }}`");
            failed.place = match failed.place.is_empty() {
                true => again,
                false => format!("{}, {again}", failed.place),
            };
            return Some(failed);
        }
    }
    None
}

/// Sends the requests of the steps in this order, to a freshly configured plugin.
fn round(case: &Case, plugins: Plugins<'_>, order: &[usize], requests: &mut u64) -> Option<CaseFailure> {
    let session = match configured(case, plugins) {
        Ok(session) => session,
        Err(failed) => return Some(*failed),
    };
    for events in &case.events {
        if !session.put_events(&events.window, &events.key, events.events, events.ago) {
            let windows = session.windows();
            return Some(CaseFailure::without_request(Difference {
                location: Some(events.location.clone()),
                key: "windows".to_owned(),
                expected: format!("`configure` opens the window {:?}", events.window),
                found: format!("it opens {windows:?}"),
            }));
        }
    }
    let mut time = Duration::ZERO;
    let mut done = vec![0; case.steps.len()];
    let mut tallies = vec![Tally::new(); case.steps.len()];
    let mut values = Values::default();
    for (position, &index) in order.iter().enumerate() {
        let step = &case.steps[index];
        done[index] += 1;
        if !step.advance.is_zero() {
            session.advance(step.advance);
            time = time.saturating_add(step.advance);
        }
        if let (Some(wall), 1) = (step.wall, done[index]) {
            session.set_wall(wall);
        }
        *requests += 1;
        let failed = |differences, lines| CaseFailure {
            differences,
            place: place(case, index, (position, done[index]), time),
            lines,
        };
        let sent = match values.fill(&step.exchange) {
            Ok(sent) => sent,
            Err((part, text)) => {
                let difference = Difference {
                    location: None,
                    key: part.name().to_owned(),
                    expected: part.expected().to_owned(),
                    found: format!("{text:?}"),
                };
                return Some(failed(vec![difference], Vec::new()));
            }
        };
        let outcome = session.exchange(sent.clone().into_owned());
        count(&outcome, step, &mut tallies[index]);
        let differences = differences(step, &sent, &outcome, &session, &mut values);
        if !differences.is_empty() {
            return Some(failed(differences, outcome.lines));
        }
    }
    counted(case, &tallies)
}

/// The plugin under test among its neighbors, all freshly configured.
fn configured(case: &Case, plugins: Plugins<'_>) -> Result<Session, Box<CaseFailure>> {
    let refused = |location: Option<&Location>, failure: Failure| {
        Box::new(CaseFailure::without_request(Difference {
            location: location.cloned(),
            key: "configure".to_owned(),
            expected: "the configuration is taken".to_owned(),
            found: failure.detail,
        }))
    };
    let tested = plugins.tested.configure(&case.setup);
    let tested = tested.map_err(|failure| refused(None, failure))?;
    let beside = |list: &[Neighbor]| {
        let configured = list.iter().map(|neighbor| {
            let configured = plugins.others[&neighbor.wasm].configure(&neighbor.setup);
            configured.map_err(|failure| refused(Some(&neighbor.location), failure))
        });
        configured.collect::<Result<Vec<_>, _>>()
    };
    Ok(tested.among(beside(&case.neighbors.before)?, beside(&case.neighbors.after)?))
}

/// The place of a request in the words of the file.
fn place(case: &Case, index: usize, (position, times): (usize, u32), time: Duration) -> String {
    let step = &case.steps[index];
    let mut parts = Vec::new();
    if case.steps.len() > 1 {
        parts.push(format!("step {} (line {})", index + 1, step.line));
    }
    if step.repeat > 1 {
        parts.push(format!("repetition {times} of {}", step.repeat));
    }
    if case.steps.len() > 1 || step.repeat > 1 {
        parts.push(format!("request {}", position + 1));
    }
    if !time.is_zero() {
        parts.push(format!("{:?} after the beginning", time));
    }
    parts.join(", ")
}

/// Keeps what the step is to keep, and compares the rest.
fn differences(
    step: &Step,
    sent: &Exchange,
    outcome: &Outcome,
    session: &Session,
    values: &mut Values,
) -> Vec<Difference> {
    let observed = Observed {
        sent,
        outcome,
        session,
        attempt: None,
    };
    let keeps = step.keep.iter();
    let mut differences: Vec<Difference> = keeps.filter_map(|keep| keep.keep(observed, values)).collect();
    let expected = step.expect.iter();
    differences.extend(expected.filter_map(|expectation| expectation.difference(observed, values)));
    // The author reads them in the order of the file.
    differences.sort_by_key(|difference| difference.location.as_ref().map(Location::position));
    let expected = step
        .expect
        .iter()
        .any(|expectation| matches!(expectation.check, Check::Failure(..) | Check::Verdict(Word::Fail)));
    if let (Some(failure), false) = (&outcome.failure, expected) {
        let hook = outcome.hook.map_or("the hook", |hook| hook.name());
        differences.push(Difference {
            location: None,
            key: format!("{hook} failed: {}", failure.reason.name()),
            expected: String::new(),
            found: explain(failure, &outcome.lines),
        });
    }
    if let Some(failed) = &outcome.neighbor_failure {
        let (plugin, hook, reason) = (&failed.plugin, failed.hook.name(), failed.failure.reason.name());
        differences.push(Difference {
            location: None,
            key: format!("{hook} of the plugin `{plugin}` beside it failed: {reason}"),
            expected: String::new(),
            found: explain(&failed.failure, &failed.lines),
        });
    }
    differences
}

fn count(outcome: &Outcome, step: &Step, tally: &mut Tally) {
    let mut add = |of: Counted| *tally.entry(of).or_insert(0) += 1;
    add(Counted::Verdict(outcome.word));
    if let Some(response) = &outcome.response {
        add(Counted::Status(response.status.as_u16()));
    }
    if let Some(index) = outcome.picked {
        add(Counted::Backend(
            step.exchange.pool.backends[index as usize].address.clone(),
        ));
    }
}

/// Compares the tallies of each step and of all together with the expected numbers.
fn counted(case: &Case, tallies: &[Tally]) -> Option<CaseFailure> {
    let mut all = Tally::new();
    for (of, number) in tallies.iter().flatten() {
        *all.entry(of.clone()).or_insert(0) += number;
    }
    let of_steps = case
        .steps
        .iter()
        .zip(tallies)
        .map(|(step, tally)| (&step.tally, tally));
    let differences: Vec<Difference> = of_steps
        .chain([(&case.tally, &all)])
        .flat_map(|(counts, tally)| counts.iter().filter_map(|count| count.difference(tally)))
        .collect();
    (!differences.is_empty()).then(|| CaseFailure {
        differences,
        place: String::new(),
        lines: Vec::new(),
    })
}

impl Count {
    fn difference(&self, tally: &Tally) -> Option<Difference> {
        let found = tally.get(&self.of).copied().unwrap_or(0);
        if self.number.fits(found) {
            return None;
        }
        let (kind, key) = match &self.of {
            Counted::Verdict(word) => ("verdict", word.name().to_owned()),
            Counted::Status(status) => ("status", status.to_string()),
            Counted::Backend(address) => ("backend", address.clone()),
        };
        let same_kind = |of: &Counted| std::mem::discriminant(of) == std::mem::discriminant(&self.of);
        let others: Vec<String> = tally
            .iter()
            .filter(|(of, _)| same_kind(of))
            .map(|(of, number)| match of {
                Counted::Verdict(word) => format!("{}: {number}", word.name()),
                Counted::Status(status) => format!("{status}: {number}"),
                Counted::Backend(address) => format!("{address}: {number}"),
            })
            .collect();
        Some(Difference {
            location: Some(self.location.clone()),
            key: format!("tally.{kind}.{key}"),
            expected: self.number.to_string(),
            found: format!("{found} ({})", others.join(", ")),
        })
    }
}
