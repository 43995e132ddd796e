//! Whether each value is kept before a text names it.

use std::collections::BTreeSet;

use super::check::{Expectation, Written};
use super::suite::Step;
use super::template::{begins_with_name, filled};
use super::texts;
use pace_config::{Fault, Location, Problem};
use pace_harness::Exchange;

/// The values of a case that a text names before a step has kept them, and those that none names. `places` are those of the steps.
pub(super) fn misplaced(steps: &mut [Step], places: &[Location]) -> Vec<Problem> {
    let keeps = steps.iter().flat_map(|step| &step.keep);
    let mut order = Order {
        all: keeps.map(|keep| keep.name.as_str().to_owned()).collect(),
        kept: BTreeSet::new(),
        named: BTreeSet::new(),
    };
    let mut problems = Vec::new();
    for (step, place) in steps.iter_mut().zip(places) {
        problems.extend(order.in_exchange(&step.exchange, place));
        let keeps = step.keep.iter();
        order.kept.extend(keeps.map(|keep| keep.name.as_str().to_owned()));
        for expectation in &mut step.expect {
            problems.extend(order.in_expectation(expectation));
        }
    }
    for keep in steps.iter().flat_map(|step| &step.keep) {
        let name = keep.name.as_str();
        if !order.named.contains(name) {
            let fault = format!("no text of this step's `expect`, or of a step behind it, has `{{{name}}}`");
            problems.push(problem(&keep.location, fault));
        }
    }
    problems
}

/// The value with which the path of an exchange begins where there is no step that could have kept it.
pub(super) fn unkept_path(exchange: &Exchange, place: &Location) -> Vec<Problem> {
    Order::default().in_exchange(exchange, place)
}

/// The values that an expectation names where there is no step that could have kept them.
pub(super) fn unkept(expectation: &mut Expectation) -> Vec<Problem> {
    Order::default().in_expectation(expectation)
}

#[derive(Default)]
struct Order {
    /// The names that the case keeps anywhere.
    all: BTreeSet<String>,
    /// Those that a step has kept up to here.
    kept: BTreeSet<String>,
    /// Those that a text has named.
    named: BTreeSet<String>,
}

impl Order {
    fn in_exchange(&mut self, exchange: &Exchange, place: &Location) -> Vec<Problem> {
        let mut early = BTreeSet::new();
        let read = texts::edit(&mut exchange.clone(), &mut |text| {
            early.extend(self.early(text));
            None
        });
        debug_assert_eq!(read, Ok(()), "nothing was changed");
        let target = exchange.request.target();
        if let Some(name) = begun_with(&target).filter(|name| !self.all.contains(name)) {
            let fault = format!("no step of this case keeps `{name}`, with which the path begins");
            return vec![problem(place, fault)];
        }
        early.iter().map(|name| problem(place, too_early(name))).collect()
    }

    fn in_expectation(&mut self, Expectation { location, check, .. }: &mut Expectation) -> Vec<Problem> {
        let mut problems = Vec::new();
        check.for_each_text(&mut |written| {
            let (text, is_complete) = match &written {
                Written::Text(text) => text.written(),
                Written::Name(text) => (text.as_str(), true),
            };
            let early = self.early(text);
            if !is_complete {
                for name in names(text).into_iter().filter(|name| !self.all.contains(name)) {
                    let fault = format!(
                        "no step of this case keeps `{name}`; braces in a regular expression are written \\{{ and \\}}"
                    );
                    problems.push(problem(location, fault));
                }
            }
            problems.extend(early.iter().map(|name| problem(location, too_early(name))));
        });
        problems
    }

    /// The names in a text that no step has kept so far, but one does later.
    fn early(&mut self, text: &str) -> Vec<String> {
        let mut early = names(text);
        early.retain(|name| self.all.contains(name));
        self.named.extend(early.iter().cloned());
        early.retain(|name| !self.kept.contains(name));
        early
    }
}

/// The name of the value with which a text begins.
fn begun_with(text: &str) -> Option<String> {
    let names = begins_with_name(text).then(|| names(text));
    names?.into_iter().next()
}

fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let unchanged = filled(text, |name| {
        names.push(name.to_owned());
        None
    });
    debug_assert_eq!(unchanged, None, "no name has a value");
    names
}

fn too_early(name: &str) -> String {
    format!("`{{{name}}}` is kept by a later step only, and has no value yet")
}

fn problem(location: &Location, fault: String) -> Problem {
    Problem {
        location: location.clone(),
        key: None,
        fault: Fault::Refused(fault),
    }
}
