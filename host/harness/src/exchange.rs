//! Takes one request through the hooks of a plugin, in the order in which Pace calls them.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{DATE, HeaderValue};

use super::attempt::Trial;
use super::end::{Attempt, End};
use super::lines::Line;
use super::message::{Request, Response};
use super::pool::Pool;
use super::session::Session;
use pace_hook::{Body, Failure, Headers, Hook, Judgement, Reply, Selection, Verdict};

/// A request with its surroundings.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The client's request.
    pub request: Request,
    /// The backends that `select-upstream` chooses from.
    pub pool: Pool,
    /// The attempt, 1 for the first.
    pub attempt: u32,
    /// The backend's response.
    pub response: Response,
    /// The end of the request.
    pub end: End,
    /// The only hook to call, of those that an exchange [calls](Exchange::calls); `None` for all that the plugin exports.
    pub hook: Option<Hook>,
}

/// The result of an exchange.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plugin's last word on the request.
    pub word: Word,
    /// The hook that decided; `None` if none was called.
    pub hook: Option<Hook>,
    /// The request as its filters have left it.
    pub request: Request,
    /// The attempt as the plugin has prepared it; `None` if it prepares none.
    pub trial: Option<Trial>,
    /// The backend that the plugin picked, counted from 0.
    pub picked: Option<u32>,
    /// The client's response: the backend's or the plugin's; `None` if the plugin neither let the request
    /// through nor answered it.
    pub response: Option<Response>,
    /// The failure of a hook, if one failed.
    pub failure: Option<Failure>,
    /// The lines that the plugin logged.
    pub lines: Vec<Line>,
}

/// A plugin's decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The request goes on.
    Next,
    /// The request goes on, to the backend that the plugin picked.
    Pick,
    /// Another plugin or Pace chooses the backend.
    Pass,
    /// The plugin wants another attempt.
    Retry,
    /// The plugin answered the request, in any hook.
    Respond,
    /// A hook failed.
    Fail,
}

impl Word {
    /// Every word.
    pub const ALL: [Word; 6] = [
        Word::Next,
        Word::Pick,
        Word::Pass,
        Word::Retry,
        Word::Respond,
        Word::Fail,
    ];

    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Word::Next => "next",
            Word::Pick => "pick",
            Word::Pass => "pass",
            Word::Retry => "retry",
            Word::Respond => "respond",
            Word::Fail => "fail",
        }
    }
}

impl Exchange {
    /// A first attempt of a request at one backend, which answers with 200, through every hook.
    pub fn new(request: Request) -> Exchange {
        Exchange {
            request,
            pool: Pool::default(),
            attempt: 1,
            response: Response::new(http::StatusCode::OK),
            end: End::default(),
            hook: None,
        }
    }

    /// Whether an exchange can call a hook. It has bodies as a whole, and nothing of them passes in pieces.
    pub fn calls(hook: Hook) -> bool {
        match hook {
            Hook::RequestStreamFilter | Hook::ResponseStreamFilter => false,
            Hook::RequestFilter
            | Hook::RequestBodyFilter
            | Hook::AttemptFilter
            | Hook::SelectUpstream
            | Hook::ResponseFilter
            | Hook::ResponseBodyFilter
            | Hook::Finished => true,
        }
    }
}

impl Outcome {
    /// The status that the client gets; `None` if there is no response.
    pub fn status(&self) -> Option<u16> {
        Some(self.response.as_ref()?.status.as_u16())
    }

    /// The first value of a header that the client gets.
    pub fn response_header(&self, name: &str) -> Option<&[u8]> {
        self.response.as_ref()?.header(name)
    }

    /// The request that the backend gets: as the filters have left it, and as the attempt changes it.
    pub fn sent(&self) -> &Request {
        self.trial.as_ref().map_or(&self.request, |trial| &trial.request)
    }

    /// The first value of a header that the backend gets.
    pub fn request_header(&self, name: &str) -> Option<&[u8]> {
        self.sent().header(name)
    }

    /// The body of a response that the plugin made.
    pub fn body(&self) -> Option<&[u8]> {
        self.response.as_ref()?.body.as_deref()
    }
}

impl Session {
    /// Sends a request through the hooks of the plugin, as a first attempt at one backend that answers with
    /// 200.
    pub fn send(&self, request: Request) -> Outcome {
        self.exchange(Exchange::new(request))
    }

    /// Sends a request through the hooks of the plugin: `request-filter` and `request-body-filter`, `attempt-filter` and
    /// `select-upstream` for one attempt, `response-filter` and `response-body-filter` for the response of the backend or of the plugin
    /// itself, and `finished` for the end. Stream filters are not called.
    pub fn exchange(&self, exchange: Exchange) -> Outcome {
        let Exchange {
            request,
            pool,
            attempt,
            response,
            end,
            hook: only,
        } = exchange;
        let mut outcome = Outcome {
            word: Word::Next,
            hook: None,
            request,
            trial: None,
            picked: None,
            response: None,
            failure: None,
            lines: Vec::new(),
        };
        self.begin();
        let exported = self.hooks();
        let wanted = |hook: Hook| exported.contains(hook) && only.is_none_or(|only| only == hook);
        let mut answer = None;
        if wanted(Hook::RequestFilter) {
            outcome.hook = Some(Hook::RequestFilter);
            match self.request_filter(&mut outcome.request) {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(reply)) => answer = Some(self.dated(reply)),
                Err(failure) => return self.failed(outcome, failure),
            }
        }
        if answer.is_none() && wanted(Hook::RequestBodyFilter) && !self.has_skipped(Body::Request) {
            outcome.hook = Some(Hook::RequestBodyFilter);
            match self.request_body(&mut outcome.request) {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(reply)) => answer = Some(self.dated(reply)),
                Err(failure) => return self.failed(outcome, failure),
            }
        }
        if answer.is_none() && wanted(Hook::AttemptFilter) {
            outcome.hook = Some(Hook::AttemptFilter);
            let mut trial = self.trial(&outcome.request);
            trial.failure = pool.last_failure;
            let verdict = self.prepare(&outcome.request, &mut trial, attempt);
            outcome.trial = Some(trial);
            match verdict {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(reply)) => answer = Some(self.dated(reply)),
                Err(failure) => return self.failed(outcome, failure),
            }
        }
        if answer.is_none() && wanted(Hook::SelectUpstream) {
            outcome.hook = Some(Hook::SelectUpstream);
            match self.select_upstream(&outcome.request, &pool, attempt) {
                Ok(Selection::Pick(index)) => {
                    outcome.word = Word::Pick;
                    outcome.picked = Some(index);
                }
                Ok(Selection::Pass) => {
                    outcome.word = Word::Pass;
                    outcome.lines = self.take_lines();
                    return outcome;
                }
                Ok(Selection::Respond(reply)) => answer = Some(self.dated(reply)),
                Err(failure) => return self.failed(outcome, failure),
            }
        }
        if let (None, Some(trial)) = (&answer, &mut outcome.trial) {
            let backend = &pool.backends[outcome.picked.unwrap_or(0) as usize].address;
            trial.backend = Some(backend.clone());
            trial.failure = None;
            let brought = Some((&response, Some(backend.as_str())));
            match self.judge(&outcome.request, trial, brought, attempt) {
                Ok(Judgement::Accept) => {}
                Ok(Judgement::Retry) => {
                    outcome.word = Word::Retry;
                    outcome.hook = Some(Hook::AttemptFilter);
                    outcome.lines = self.take_lines();
                    return outcome;
                }
                Ok(Judgement::Respond(reply)) => {
                    outcome.hook = Some(Hook::AttemptFilter);
                    answer = Some(self.dated(reply));
                }
                Err(failure) => {
                    outcome.hook = Some(Hook::AttemptFilter);
                    return self.failed(outcome, failure);
                }
            }
        }
        let answered = answer.is_some();
        let mut response = answer.unwrap_or(response);
        if answered {
            outcome.word = Word::Respond;
        }
        if wanted(Hook::ResponseFilter) {
            let backend = &pool.backends[outcome.picked.unwrap_or(0) as usize].address;
            let backend = (!answered).then_some(backend.as_str());
            let result = self.response_filter(&outcome.request, &mut response, backend);
            if !answered || result.is_err() {
                outcome.hook = Some(Hook::ResponseFilter);
            }
            match result {
                Ok(Verdict::Next) if answered => {}
                Ok(Verdict::Next) => outcome.word = Word::Next,
                Ok(Verdict::Respond(reply)) => {
                    outcome.hook = Some(Hook::ResponseFilter);
                    outcome.word = Word::Respond;
                    response = self.dated(reply);
                }
                Err(failure) => return self.failed(outcome, failure),
            }
        }
        // A replacement is another response, which a plugin before this one would see.
        let is_replaced = outcome.hook == Some(Hook::ResponseFilter) && outcome.word == Word::Respond;
        if !is_replaced && wanted(Hook::ResponseBodyFilter) && !self.has_skipped(Body::Response) {
            let backend = &pool.backends[outcome.picked.unwrap_or(0) as usize].address;
            let backend = (!answered).then_some(backend.as_str());
            let result = self.response_body(&outcome.request, &mut response, backend);
            if !answered || result.is_err() {
                outcome.hook = Some(Hook::ResponseBodyFilter);
            }
            match result {
                Ok(Verdict::Next) if answered => {}
                Ok(Verdict::Next) => outcome.word = Word::Next,
                Ok(Verdict::Respond(reply)) => {
                    outcome.hook = Some(Hook::ResponseBodyFilter);
                    outcome.word = Word::Respond;
                    response = self.dated(reply);
                }
                Err(failure) => return self.failed(outcome, failure),
            }
        }
        if wanted(Hook::Finished) {
            let backend = &pool.backends[outcome.picked.unwrap_or(0) as usize].address;
            let made = (!answered).then_some(Attempt {
                number: attempt,
                backend,
                pool: outcome.trial.as_ref().map_or(&pool.name, |trial| &trial.pool),
            });
            let sender = made.map(|attempt| attempt.backend);
            let told = end.outcome(Some(response.status.as_u16()), made);
            let result = self.finished(&outcome.request, Some((&response, sender)), &told);
            outcome.hook.get_or_insert(Hook::Finished);
            if let Err(failure) = result {
                outcome.hook = Some(Hook::Finished);
                return self.failed(outcome, failure);
            }
        }
        outcome.response = Some(response);
        outcome.lines = self.take_lines();
        outcome
    }

    /// A plugin's reply in the form in which Pace sends it.
    fn dated(&self, reply: Reply) -> Response {
        let mut response = Response::from(reply);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_nanos(self.wall()));
        let date = HeaderValue::try_from(date).expect("a date is a value");
        response.headers.insert(DATE, date);
        response
    }

    fn failed(&self, outcome: Outcome, failure: Failure) -> Outcome {
        Outcome {
            word: Word::Fail,
            failure: Some(failure),
            lines: self.take_lines(),
            ..outcome
        }
    }
}
