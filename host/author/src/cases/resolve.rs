//! Turns a file as written into cases to run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::expect::{expected, window_key};
use super::keep::Keep;
use super::neighbors::{neighbors, same_names};
use super::order::{misplaced, unkept, unkept_path};
use super::overrides::ExchangeOverrides;
use super::raw::{self, Defaults};
use super::suite::{Budget, Case, Count, Counted, Events, HookBudget, Neighbors, Shuffle, Step, Suite};
use pace_config::reading::{Document, Int, Place, Placed, Table, limits as resolve_limits, merge};
use pace_config::{Fault, Location, Problem};
use pace_harness::{Exchange, Request, Setup};

/// The cases to run, or all problems of the file.
pub(super) fn resolve(path: &Path, file: &raw::File, document: &Document<'_>) -> Result<Suite, Vec<Problem>> {
    let mut resolver = Resolver {
        document,
        problems: Vec::new(),
    };
    let mut defaults = resolver.defaults(&file.defaults.value);
    if let Some(name) = &file.name {
        defaults.0.name.clone_from(&name.value);
    }
    let Defaults { before, after, .. } = &file.defaults.value;
    let beside = neighbors(document, before.as_ref(), after.as_ref(), &Neighbors::default());
    if file.case.is_empty() && !file.defines_budget() {
        resolver.report(&Place::Nowhere, refused("there is no [[case]] in this file"));
    }
    let cases = file
        .case
        .iter()
        .map(|case| resolver.case(case, &defaults, &beside))
        .collect();
    let suite = Suite {
        path: path.to_owned(),
        wasm: file.wasm.as_ref().map(|wasm| located(document, &wasm.value)),
        budget: budget(&file.budget.value),
        defaults,
        cases,
    };
    match resolver.problems.is_empty() {
        true => Ok(suite),
        false => Err(resolver.problems),
    }
}

fn budget(raw: &super::budget::Budget) -> Budget {
    Budget {
        hooks: raw.hooks.map(|limits| HookBudget {
            nanoseconds: limits.nanoseconds.map(Int::value),
            instructions: limits.instructions.map(Int::value),
        }),
        memory_kb: raw.memory_kb.map(Int::value),
    }
}

impl raw::File {
    fn defines_budget(&self) -> bool {
        matches!(self.budget.place, Place::File(_))
    }
}

/// A plugin of the binary, or the path of a file relative to the cases.
pub(super) fn located(document: &Document<'_>, written: &str) -> String {
    if written.starts_with("builtin:") {
        return written.to_owned();
    }
    let path = document.directory().join(written);
    path.to_string_lossy().into_owned()
}

fn refused(reason: &str) -> Fault {
    Fault::Refused(reason.to_owned())
}

struct Resolver<'a> {
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn report(&mut self, place: &Place, fault: Fault) {
        self.problems.push(self.document.problem(place, fault));
    }

    fn report_all(&mut self, problems: Vec<(Place, Fault)>) {
        for (place, fault) in problems {
            self.report(&place, fault);
        }
    }

    fn defaults(&mut self, raw: &raw::Defaults) -> (Setup, Exchange) {
        let mut setup = Setup {
            config: raw.config.0.clone(),
            ..Setup::default()
        };
        if let Some(limits) = &raw.limits {
            setup.limits = resolve_limits(&limits.value);
        }
        if let Some(isolation) = raw.isolation {
            setup.isolation = isolation.0;
        }
        if let Some(clock) = raw.clock {
            setup.wall = clock.0;
        }
        if let Some(level) = raw.log_level {
            setup.log_level = level.0;
        }
        setup.secrets.clone_from(&raw.secrets);
        let mut exchange = Exchange::new(Request::get("/"));
        let problems = ExchangeOverrides::from(raw).apply(&mut exchange);
        self.report_all(problems);
        if let Some(request) = &raw.request {
            let place = self.document.location(&request.place);
            self.problems.extend(unkept_path(&exchange, &place));
        }
        (setup, exchange)
    }

    fn case(
        &mut self,
        table: &Table<raw::Case>,
        (setup, exchange): &(Setup, Exchange),
        beside: &Neighbors,
    ) -> Case {
        let raw = &table.value;
        let mut setup = setup.clone();
        merge(&mut setup.config, &raw.config.0);
        if let Some(limits) = &raw.limits {
            setup.limits = resolve_limits(&limits.value);
        }
        if let Some(isolation) = raw.isolation {
            setup.isolation = isolation.0;
        }
        if let Some(clock) = raw.clock {
            setup.wall = clock.0;
        }
        if let Some(level) = raw.log_level {
            setup.log_level = level.0;
        }
        setup.secrets.extend(raw.secrets.clone());
        setup.counters = raw
            .counters
            .iter()
            .map(|(name, value)| (name.clone(), value.value))
            .collect();
        let values = |of: &BTreeMap<String, Placed<String>>| {
            let values = of
                .iter()
                .map(|(key, value)| (key.clone(), value.value.clone().into_bytes()));
            values.collect()
        };
        setup.tables = raw
            .tables
            .iter()
            .map(|(name, of)| (name.clone(), values(of)))
            .collect();

        let mut neighbors = neighbors(self.document, raw.before.as_ref(), raw.after.as_ref(), beside);
        neighbors.share(&setup);
        self.problems.extend(same_names(&neighbors, &setup));

        let mut exchange = exchange.clone();
        let problems = ExchangeOverrides::from(raw).apply(&mut exchange);
        self.report_all(problems);
        let refusal = self.refusal(table);
        let steps = match refusal.is_some() {
            true => Vec::new(),
            false => self.steps(table, &exchange),
        };
        let tally = match (&raw.tally, raw.step.is_empty()) {
            // With a single step the tally is that step's.
            (Some(tally), false) => self.tally(tally),
            _ => Vec::new(),
        };
        let checks = steps.iter().map(|step| step.expect.len() + step.tally.len());
        if refusal.is_none() && tally.is_empty() && checks.sum::<usize>() == 0 {
            self.report(
                &raw.name.place,
                refused("this case expects nothing, so it cannot fail: add `expect` or `tally`"),
            );
        }
        Case {
            name: raw.name.value.clone(),
            line: self.document.line(&raw.name.place).unwrap_or_default(),
            setup,
            neighbors,
            events: self.events(&raw.windows),
            refusal,
            shuffle: raw.shuffle.as_ref().map(|shuffle| Shuffle {
                seed: shuffle.value.seed.unwrap_or(1),
                rounds: shuffle.value.rounds.map_or(100, |rounds| rounds.value()),
            }),
            steps,
            tally,
        }
    }

    /// The expectation that `configure` refuses, if there is one.
    fn refusal(&mut self, table: &Table<raw::Case>) -> Option<super::check::Expectation> {
        let expect = table.value.expect.as_ref()?;
        let place = &expect.value.refusal.as_ref()?.place;
        let mut expected = expected(expect, self.document);
        if let Some(refusal) = &mut expected.refusal {
            self.problems.extend(unkept(refusal));
        }
        if !table.value.step.is_empty() || !expected.checks.is_empty() {
            self.report(
                place,
                refused("a plugin that refuses its configuration gets no request: expect nothing else"),
            );
        }
        expected.refusal
    }

    fn events(&mut self, raw: &[Table<raw::Events>]) -> Vec<Events> {
        let mut events = Vec::new();
        for Table { value, place } in raw {
            match window_key(value.address, value.network, value.text.as_deref()) {
                Ok(key) => events.push(Events {
                    location: self.document.location(place),
                    window: value.name.clone(),
                    key,
                    events: value.events.value(),
                    ago: value.ago_ms.map_or(Duration::ZERO, |ago| ago.0),
                }),
                Err(fault) => self.report(place, fault),
            }
        }
        // The oldest events come first, as they happened.
        events.sort_by_key(|events| std::cmp::Reverse(events.ago));
        events
    }

    fn steps(&mut self, table: &Table<raw::Case>, exchange: &Exchange) -> Vec<Step> {
        let raw = &table.value;
        if raw.step.is_empty() {
            let expect = raw.expect.as_ref();
            let mut step = self.step(exchange.clone(), expect, raw.tally.as_ref());
            step.line = self.document.line(&raw.name.place).unwrap_or_default();
            step.advance = advance(raw.advance_ms.as_ref());
            step.repeat = repeat(raw.repeat.as_ref());
            let mut steps = vec![step];
            self.report_misplaced(table, &mut steps);
            return steps;
        }
        let of_a_step = [
            (raw.advance_ms.as_ref().map(|it| &it.place), "advance_ms"),
            (raw.repeat.as_ref().map(|it| &it.place), "repeat"),
        ];
        for (place, key) in of_a_step {
            if let Some(place) = place {
                self.report(
                    place,
                    refused(&format!(
                        "this case has steps: write `{key}` into the one that is meant"
                    )),
                );
            }
        }
        let mut steps = Vec::with_capacity(raw.step.len());
        for Table { value, place } in &raw.step {
            let mut exchange = exchange.clone();
            let problems = ExchangeOverrides::from(value).apply(&mut exchange);
            self.report_all(problems);
            if let Some(refusal) = value
                .expect
                .as_ref()
                .and_then(|expect| expect.value.refusal.as_ref())
            {
                self.report(
                    &refusal.place,
                    refused("it is the case that has a configuration: write this into its `expect`"),
                );
            }
            let expect = value.expect.as_ref().or(raw.expect.as_ref());
            let mut step = self.step(exchange, expect, value.tally.as_ref());
            step.line = self.document.line(place).unwrap_or_default();
            step.wall = value.clock.map(|clock| clock.0);
            step.advance = advance(value.advance_ms.as_ref());
            step.repeat = repeat(value.repeat.as_ref());
            step.keep = self.keeps(value);
            steps.push(step);
        }
        self.report_misplaced(table, &mut steps);
        steps
    }

    fn keeps(&self, raw: &raw::Step) -> Vec<Keep> {
        let keeps = raw.keep.iter();
        keeps
            .map(|(name, Placed { value, place })| Keep {
                location: self.document.location(place),
                name: name.clone(),
                rule: value.0.clone(),
            })
            .collect()
    }

    /// Reports values that are named before they are kept, or never.
    fn report_misplaced(&mut self, table: &Table<raw::Case>, steps: &mut [Step]) {
        let keeps = steps.iter().any(|step| !step.keep.is_empty());
        if let (Some(shuffle), true) = (&table.value.shuffle, keeps) {
            let fault = "in random order no step comes before another, so none can keep a value for it: leave `shuffle` or \
                         `keep` out";
            self.report(&shuffle.place, refused(fault));
            return;
        }
        let places: Vec<Location> = match table.value.step.is_empty() {
            true => vec![self.document.location(&table.value.name.place)],
            false => {
                let steps = table.value.step.iter();
                steps.map(|step| self.document.location(&step.place)).collect()
            }
        };
        self.problems.extend(misplaced(steps, &places));
    }

    fn step(
        &mut self,
        exchange: Exchange,
        expect: Option<&Table<raw::Expect>>,
        tally: Option<&Table<raw::Tally>>,
    ) -> Step {
        let mut checks = Vec::new();
        if let Some(expect) = expect {
            let expected = expected(expect, self.document);
            self.report_all(expected.problems);
            checks = expected.checks;
        }
        Step {
            line: 0,
            wall: None,
            advance: Duration::ZERO,
            repeat: 1,
            exchange,
            keep: Vec::new(),
            expect: checks,
            tally: tally.map_or_else(Vec::new, |tally| self.tally(tally)),
        }
    }

    fn tally(&mut self, Table { value: raw, .. }: &Table<raw::Tally>) -> Vec<Count> {
        let mut counts = Vec::new();
        for (word, number) in &raw.verdict {
            counts.push((Counted::Verdict(word.value()), number));
        }
        for (address, number) in &raw.backend {
            counts.push((Counted::Backend(address.clone()), number));
        }
        for (status, number) in &raw.status {
            match status.parse() {
                Ok(status @ 200..=599) => counts.push((Counted::Status(status), number)),
                _ => self.report(
                    &number.place,
                    refused(&format!("`{status}` is not a status: 200 to 599")),
                ),
            }
        }
        counts
            .into_iter()
            .map(|(of, Placed { value, place })| Count {
                location: self.document.location(place),
                of,
                number: *value,
            })
            .collect()
    }
}

fn advance(raw: Option<&Placed<super::scalar::Millis>>) -> Duration {
    raw.map_or(Duration::ZERO, |millis| millis.value.0)
}

fn repeat(raw: Option<&Placed<raw::Repeat>>) -> u32 {
    raw.map_or(1, |repeat| repeat.value.value())
}
