//! Compares the result of a request with the expectations.

use std::fmt::Write as _;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::keep::Values;
use super::value::{Amount, Kept, Number, Text, Texts};
use pace_config::Location;
use pace_harness::{
    Exchange, Judged, Made, Outcome, Passage, Request, Response, Session, Trial, WindowKey, Word,
};
use pace_hook::{Ending, FailureReason, Hook};

/// An expectation, with its place in the file.
pub(super) struct Expectation {
    pub(super) location: Location,
    /// The key below `expect`, such as `response.status`.
    pub(super) key: String,
    pub(super) check: Check,
}

/// An expectation about one request.
#[derive(Clone)]
pub(super) enum Check {
    Verdict(Word),
    Hook(Hook),
    Backend(Text),
    Path(Text),
    Header(Side, HeaderName, Texts),
    Absent(Side, HeaderName),
    Unchanged(Side),
    Status(Number),
    Body(Side, Text),
    Pool(Text),
    /// What was sent for each piece, and at the end.
    Pieces(Side, Vec<Text>),
    Ends(Side, Ending),
    /// The number of attempts.
    Attempts(usize),
    Judged(Judged),
    /// A check of the attempt with this index.
    OfAttempt(usize, Box<Check>),
    Context(String, Text),
    Annotation(String, Text),
    Log(Vec<Text>),
    Counter(String, Number),
    Events(String, WindowKey, Number),
    /// The value of a key in a table.
    Value(String, String, Kept),
    /// The number of a series, as the export calls it.
    Metric(String, Amount),
    Failure(Option<FailureReason>, Option<Text>),
    Refusal(Text),
}

/// A text of a check in which values can have their place.
pub(super) enum Written<'c> {
    /// An expected text.
    Text(&'c mut Text),
    /// A part of the name of what is looked at.
    Name(&'c mut String),
}

/// A side of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// A result that differs from the expectation.
#[derive(Debug)]
pub(in super::super) struct Difference {
    /// The place of the expectation; `None` for an implicit one.
    pub(in super::super) location: Option<Location>,
    /// The key concerned.
    pub(in super::super) key: String,
    /// The expected value, on one or several lines; empty if only failing is the difference.
    pub(in super::super) expected: String,
    /// The actual value, on one or several lines.
    pub(in super::super) found: String,
}

/// The exchange that was sent, and all that it resulted in.
#[derive(Clone, Copy)]
pub(super) struct Observed<'a> {
    pub(super) sent: &'a Exchange,
    pub(super) outcome: &'a Outcome,
    pub(super) session: &'a Session,
    /// The attempt that is looked at; `None` for the request, which is that of the last one.
    pub(super) attempt: Option<&'a Made>,
}

impl<'a> Observed<'a> {
    /// The attempt as the plugin has prepared it.
    fn trial(self) -> Option<&'a Trial> {
        match self.attempt {
            Some(made) => made.trial.as_ref(),
            None => self.outcome.trial(),
        }
    }

    /// The pool that the attempt goes to, or else the request.
    fn pool(self) -> Option<String> {
        match self.trial() {
            Some(trial) => Some(trial.pool.clone()),
            None => self.session.pool(&self.outcome.request),
        }
    }

    /// The request that the backend gets.
    pub(super) fn request(self) -> &'a Request {
        self.trial().map_or(&self.outcome.request, |trial| &trial.request)
    }

    /// The address of the backend: that of the attempt, or the plugin's last pick.
    fn backend(self) -> Option<&'a str> {
        match self.attempt {
            Some(made) => made.backend.as_deref(),
            None => {
                let picked = self.outcome.picked?;
                Some(&self.sent.pool.backends[picked as usize].address)
            }
        }
    }

    /// The response that the last attempt has brought.
    fn brought(self) -> &'a Response {
        let last = self.outcome.attempts.len().checked_sub(1);
        let brought = last.and_then(|index| self.sent.attempts.get(index));
        match brought.map(|brought| &brought.result) {
            Some(Ok(response)) => response,
            Some(Err(_)) | None => &self.sent.response,
        }
    }
}

impl Side {
    /// The name of the key.
    pub(super) fn name(self) -> &'static str {
        match self {
            Side::Request => "request",
            Side::Response => "response",
        }
    }
}

impl Expectation {
    /// The difference, if there is one.
    pub(super) fn difference(&self, observed: Observed<'_>, values: &Values) -> Option<Difference> {
        let check = values.fill_check(&self.check);
        let found = check.found(observed)?;
        Some(self.differs(check.expected(), found))
    }

    /// The difference in the text with which `configure` refused, if there is one.
    pub(super) fn refusal_difference(&self, refusal: Option<&str>) -> Option<Difference> {
        let Check::Refusal(text) = &self.check else {
            return None;
        };
        match refusal {
            Some(refusal) if text.fits(refusal.as_bytes()) => None,
            Some(refusal) => Some(self.differs(self.check.expected(), format!("{refusal:?}"))),
            None => Some(self.differs(self.check.expected(), "the configuration was taken".to_owned())),
        }
    }

    fn differs(&self, expected: String, found: String) -> Difference {
        Difference {
            location: Some(self.location.clone()),
            key: self.key.clone(),
            expected,
            found,
        }
    }
}

impl Check {
    /// Shows every text of the check in which values can have their place.
    pub(super) fn for_each_text(&mut self, each: &mut dyn FnMut(Written<'_>)) {
        match self {
            Check::Backend(text)
            | Check::Path(text)
            | Check::Body(_, text)
            | Check::Pool(text)
            | Check::Context(_, text)
            | Check::Annotation(_, text)
            | Check::Failure(_, Some(text))
            | Check::Refusal(text) => each(Written::Text(text)),
            Check::Header(_, _, Texts(texts)) | Check::Pieces(_, texts) | Check::Log(texts) => {
                texts.iter_mut().for_each(|text| each(Written::Text(text)));
            }
            Check::Value(_, key, kept) => {
                each(Written::Name(key));
                if let Kept::Text(text) = kept {
                    each(Written::Text(text));
                }
            }
            Check::Events(_, WindowKey::Bytes(bytes), _) => {
                if let Ok(mut text) = String::from_utf8(bytes.clone()) {
                    each(Written::Name(&mut text));
                    *bytes = text.into_bytes();
                }
            }
            Check::OfAttempt(_, check) => check.for_each_text(each),
            Check::Verdict(_)
            | Check::Hook(_)
            | Check::Absent(..)
            | Check::Unchanged(_)
            | Check::Status(_)
            | Check::Ends(..)
            | Check::Attempts(_)
            | Check::Judged(_)
            | Check::Counter(..)
            | Check::Events(_, WindowKey::Address(_) | WindowKey::Network(_), _)
            | Check::Metric(..)
            | Check::Failure(_, None) => {}
        }
    }

    fn expected(&self) -> String {
        match self {
            Check::Verdict(word) => word.name().to_owned(),
            Check::Hook(hook) => hook.name().to_owned(),
            Check::Backend(text)
            | Check::Path(text)
            | Check::Refusal(text)
            | Check::Pool(text)
            | Check::Context(_, text)
            | Check::Annotation(_, text) => text.to_string(),
            Check::Body(_, Text::Is(text)) => shown(text.as_bytes()),
            Check::Body(_, text) => text.to_string(),
            Check::Header(_, _, Texts(texts)) => listed(texts.iter().map(Text::to_string)),
            Check::Pieces(_, texts) => listed(texts.iter().map(Text::to_string)),
            Check::Ends(_, ending) => ending.name().to_owned(),
            Check::Attempts(number) => number.to_string(),
            Check::Judged(judged) => judged.name().to_owned(),
            Check::OfAttempt(_, check) => check.expected(),
            Check::Absent(..) => "not there".to_owned(),
            Check::Unchanged(_) => "as it was".to_owned(),
            Check::Status(number) | Check::Counter(_, number) | Check::Events(_, _, number) => {
                number.to_string()
            }
            Check::Value(_, _, kept) => kept.to_string(),
            Check::Metric(_, amount) => amount.to_string(),
            Check::Log(lines) => in_lines(lines.iter().map(Text::to_string)),
            Check::Failure(reason, message) => {
                let mut expected = match reason {
                    Some(reason) => format!("a failure ({})", reason.name()),
                    None => "a failure".to_owned(),
                };
                if let Some(message) = message {
                    let _ = write!(expected, " with {message}");
                }
                expected
            }
        }
    }

    /// The actual value, if it differs.
    fn found(&self, observed: Observed<'_>) -> Option<String> {
        let outcome = observed.outcome;
        let unless = |fits: bool, found: &dyn Fn() -> String| (!fits).then(found);
        match self {
            Check::Verdict(word) => unless(outcome.word == *word, &|| said(outcome)),
            Check::Hook(hook) => unless(outcome.hook == Some(*hook), &|| match outcome.hook {
                Some(hook) => hook.name().to_owned(),
                None => "no hook was called".to_owned(),
            }),
            Check::Backend(text) => match observed.backend() {
                Some(backend) => unless(text.fits(backend.as_bytes()), &|| format!("{backend:?}")),
                None => Some(format!("none was picked: {}", said(outcome))),
            },
            Check::Path(text) => {
                let target = observed.request().target();
                unless(text.fits(target.as_bytes()), &|| format!("{target:?}"))
            }
            Check::Header(side, name, texts) => of_message(*side, observed, |headers| {
                let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
                unless(texts.fit(&values), &|| values_of(headers, name))
            }),
            Check::Absent(side, name) => of_message(*side, observed, |headers| {
                unless(!headers.contains_key(name), &|| values_of(headers, name))
            }),
            Check::Unchanged(side) => {
                let changes = changes(*side, observed);
                unless(changes.is_empty(), &|| in_lines(changes.iter().cloned()))
            }
            Check::Status(number) => of_response(outcome, |response| {
                let status = response.status.as_u16();
                unless(number.fits(status.into()), &|| status.to_string())
            }),
            Check::Body(Side::Request, text) => {
                let body = &observed.request().body;
                unless(text.fits(body), &|| shown(body))
            }
            Check::Body(Side::Response, text) => of_response(outcome, |response| {
                let body = response.body.as_deref().unwrap_or_default();
                unless(text.fits(body), &|| shown(body))
            }),
            Check::Pool(text) => match observed.pool() {
                Some(pool) => unless(text.fits(pool.as_bytes()), &|| format!("{pool:?}")),
                None => Some("none was named, and the route has several".to_owned()),
            },
            Check::Pieces(side, texts) => match passage(*side, outcome) {
                Some(passage) => {
                    let found: Vec<&[u8]> = passage.pieces.iter().map(AsRef::as_ref).collect();
                    unless(Texts(texts.clone()).fit(&found), &|| {
                        listed(found.iter().map(|piece| shown(piece)))
                    })
                }
                None => Some(format!("it was not sent: {}", said(outcome))),
            },
            Check::Ends(side, ending) => match passage(*side, outcome) {
                Some(passage) => unless(passage.ending == *ending, &|| passage.ending.name().to_owned()),
                None => Some(format!("it was not sent: {}", said(outcome))),
            },
            Check::Attempts(number) => unless(outcome.attempts.len() == *number, &|| {
                outcome.attempts.len().to_string()
            }),
            Check::Judged(judged) => match observed.attempt.and_then(|made| made.judged) {
                Some(found) => unless(found == *judged, &|| found.name().to_owned()),
                None => Some("the plugin was not asked".to_owned()),
            },
            Check::OfAttempt(index, check) => {
                // Their number is a check of its own.
                let made = outcome.attempts.get(*index)?;
                check.found(Observed {
                    attempt: Some(made),
                    ..observed
                })
            }
            Check::Context(name, text) => match observed.session.context(name) {
                Some(value) => unless(text.fits(&value), &|| shown(&value)),
                None => Some("no such value".to_owned()),
            },
            Check::Annotation(key, text) => match observed.session.annotation(key) {
                Some(value) => unless(text.fits(value.as_bytes()), &|| format!("{value:?}")),
                None => Some("no such field".to_owned()),
            },
            Check::Log(texts) => {
                let lines: Vec<String> = outcome.lines.iter().map(ToString::to_string).collect();
                let found: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
                unless(Texts(texts.clone()).fit(&found), &|| {
                    in_lines(lines.iter().map(|line| format!("{line:?}")))
                })
            }
            Check::Counter(name, number) => match observed.session.counter(name) {
                Some(value) => unless(number.fits(value), &|| value.to_string()),
                None => {
                    let names = observed.session.counters().into_iter().map(|(name, _)| name);
                    Some(format!("no such counter; there are: {}", listed(names)))
                }
            },
            Check::Events(window, key, number) => match observed.session.events(window, key) {
                Some(events) => unless(number.fits(events.into()), &|| events.to_string()),
                None => {
                    let names = observed.session.windows().into_iter();
                    Some(format!("no such window; there are: {}", listed(names)))
                }
            },
            Check::Value(table, key, kept) => match observed.session.value(table, key) {
                Some(value) => unless(kept.fits(value.as_deref()), &|| match &value {
                    Some(value) => shown(value),
                    None => "no value".to_owned(),
                }),
                None => {
                    let names = observed.session.tables().into_iter();
                    Some(format!("no such table; there are: {}", listed(names)))
                }
            },
            Check::Metric(series, amount) => {
                let all = observed.session.metrics();
                let found = all.iter().find(|(name, _)| name == series);
                // A series begins when something is counted in it.
                let value = found.map_or(0.0, |(_, value)| *value);
                unless(amount.fits(value), &|| match found {
                    Some(_) => value.to_string(),
                    None => {
                        let names = all.iter().map(|(name, _)| name.clone());
                        format!("no such series; there are: {}", listed(names))
                    }
                })
            }
            Check::Failure(reason, message) => match &outcome.failure {
                Some(failure) => {
                    let reason_fits = reason.is_none_or(|reason| reason == failure.reason);
                    let message_fits = message.as_ref().is_none_or(|message| {
                        let lines = outcome.lines.iter().map(|line| line.text.as_str());
                        let mut texts = lines.chain([failure.detail.as_str()]);
                        texts.any(|text| message.fits(text.as_bytes()))
                    });
                    unless(reason_fits && message_fits, &|| failure.to_string())
                }
                None => Some(format!("no failure: {}", said(outcome))),
            },
            // A refusal is compared before any request.
            Check::Refusal(_) => None,
        }
    }
}

/// The plugin's decision in a sentence.
fn said(outcome: &Outcome) -> String {
    let hook = match outcome.hook {
        Some(hook) => hook.name(),
        None => return "no hook was called".to_owned(),
    };
    match (&outcome.failure, &outcome.response, outcome.word) {
        (Some(failure), ..) => format!("{} ({hook}: {})", outcome.word.name(), failure.reason.name()),
        (None, Some(response), Word::Respond) => {
            format!("respond ({hook}: {})", response.status.as_u16())
        }
        _ => format!("{} ({hook})", outcome.word.name()),
    }
}

/// The response of the client, or why there is none.
pub(super) fn response(outcome: &Outcome) -> Result<&Response, String> {
    let response = outcome.response.as_ref();
    response.ok_or_else(|| format!("no response: {}", said(outcome)))
}

fn of_response(outcome: &Outcome, check: impl FnOnce(&Response) -> Option<String>) -> Option<String> {
    response(outcome).map_or_else(Some, check)
}

fn of_message(
    side: Side,
    observed: Observed<'_>,
    check: impl FnOnce(&HeaderMap) -> Option<String>,
) -> Option<String> {
    match side {
        Side::Request => check(&observed.request().headers),
        Side::Response => of_response(observed.outcome, |response| check(&response.headers)),
    }
}

/// The body of a message as it went on.
fn passage(side: Side, outcome: &Outcome) -> Option<&Passage> {
    match side {
        Side::Request => outcome.request_passage.as_ref(),
        Side::Response => outcome.response_passage.as_ref(),
    }
}

/// The changes that a plugin made to a message.
fn changes(side: Side, observed: Observed<'_>) -> Vec<String> {
    let (sent, outcome) = (observed.sent, observed.outcome);
    let mut changes = Vec::new();
    let (before, after) = match side {
        Side::Request => {
            let backend_gets = observed.request();
            let (before, after) = (sent.request.target(), backend_gets.target());
            if before != after {
                changes.push(format!("path {after:?} instead of {before:?}"));
            }
            if sent.request.body != backend_gets.body {
                changes.push(format!("the body {}", shown(&backend_gets.body)));
            }
            (&sent.request.headers, &backend_gets.headers)
        }
        Side::Response => {
            let came = observed.brought();
            let Some(response) = outcome
                .response
                .as_ref()
                .filter(|_| outcome.word != Word::Respond)
            else {
                return vec![said(outcome)];
            };
            if response.status != came.status {
                let (before, after) = (came.status.as_u16(), response.status.as_u16());
                changes.push(format!("status {after} instead of {before}"));
            }
            if response.body != came.body {
                changes.push(format!(
                    "the body {}",
                    shown(response.body.as_deref().unwrap_or_default())
                ));
            }
            (&came.headers, &response.headers)
        }
    };
    let mut names: Vec<&HeaderName> = before.keys().chain(after.keys()).collect();
    names.sort_by_key(|name| name.as_str());
    names.dedup();
    for name in names {
        if !before.get_all(name).iter().eq(after.get_all(name).iter()) {
            changes.push(format!(
                "{name} {} instead of {}",
                values_of(after, name),
                values_of(before, name)
            ));
        }
    }
    changes
}

pub(super) fn values_of(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    listed(values.map(|value| format!("{:?}", String::from_utf8_lossy(value.as_bytes()))))
}

/// A text of one line in quotes, a longer one as it is.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.trim_end_matches('\n').contains('\n') {
        true => text.into_owned(),
        false => format!("{text:?}"),
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}

fn in_lines(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join("\n"),
    }
}
