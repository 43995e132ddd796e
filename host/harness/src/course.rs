//! Takes one request through the hooks of a plugin, in the order in which Pace calls them.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use http::header::{DATE, HeaderValue};

use super::attempt::Trial;
use super::end::{Attempt, End};
use super::exchange::{Brought, Exchange, Judged, Made, Outcome, Word};
use super::message::{Request, Response};
use super::pool::Pool;
use super::session::Session;
use super::stream::Opened;
use pace_hook::{AttemptFailure, Body, Ending, Failure, Hook, Judgement, Reply, Selection, Verdict};

/// A request on its way.
struct Course<'s> {
    session: &'s Session,
    only: Option<Hook>,
    pool: Pool,
    /// The number of the present attempt.
    number: u32,
    outcome: Outcome,
}

/// The reason why a request has no response in an exchange.
enum NoResponse {
    /// A hook failed.
    Failed(Failure),
    /// What follows is Pace's or another plugin's decision.
    Open,
}

/// A response, and where it is from.
enum Answer {
    Backend(Response),
    Plugin(Response),
    /// Pace's own, which the filters of responses do not see: after a failed attempt, or because a filter has cut the request.
    Pace(StatusCode, Option<AttemptFailure>),
    /// The client has gone, so there is none.
    Nobody,
}

/// The result of an attempt.
enum Attempted {
    Answer(Answer),
    /// It is to be followed by another.
    Unwanted(AttemptFailure),
}

impl From<Failure> for NoResponse {
    fn from(failure: Failure) -> NoResponse {
        NoResponse::Failed(failure)
    }
}

impl Session {
    /// Sends a request through the hooks of the plugin, as a first attempt at one backend that answers with
    /// 200.
    pub fn send(&self, request: Request) -> Outcome {
        self.exchange(Exchange::new(request))
    }

    /// Sends a request through the hooks of the plugin: `request-filter`, `request-body-filter` and `request-stream-filter`, for each
    /// attempt `prepare` and `judge` of `attempt-filter` and `select-upstream` in between, `response-filter`, `response-body-filter`
    /// and `response-stream-filter` for the response of the backend or of the plugin itself, and `finished` for the end.
    pub fn exchange(&self, exchange: Exchange) -> Outcome {
        self.begin();
        let mut course = Course {
            session: self,
            only: exchange.hook,
            pool: exchange.pool,
            number: exchange.attempt,
            outcome: Outcome {
                word: Word::Next,
                hook: None,
                request: exchange.request,
                request_passage: None,
                attempts: Vec::new(),
                picked: None,
                response: None,
                response_passage: None,
                failure: None,
                lines: Vec::new(),
            },
        };
        let is_listed = !exchange.attempts.is_empty();
        let attempts = match is_listed {
            true => exchange.attempts,
            false => vec![Brought {
                result: Ok(exchange.response),
                after: Duration::ZERO,
            }],
        };
        let result = course
            .until_response(attempts, is_listed)
            .and_then(|answer| course.finish(answer, &exchange.end));
        if let Err(NoResponse::Failed(failure)) = result {
            course.outcome.word = Word::Fail;
            course.outcome.failure = Some(failure);
            course.outcome.response = None;
        }
        course.outcome.lines = self.take_lines();
        course.outcome
    }

    /// A plugin's reply in the form in which Pace sends it.
    fn dated(&self, reply: Reply) -> Response {
        let mut response = Response::from(reply);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_nanos(self.wall()));
        let date = HeaderValue::try_from(date).expect("a date is a value");
        response.headers.insert(DATE, date);
        response
    }
}

impl Course<'_> {
    /// Whether a hook is called. If it is, it decides from here on.
    fn calls(&mut self, hook: Hook) -> bool {
        let is_called = self.wants(hook);
        if is_called {
            self.outcome.hook = Some(hook);
        }
        is_called
    }

    fn wants(&self, hook: Hook) -> bool {
        self.session.hooks().contains(hook) && self.only.is_none_or(|only| only == hook)
    }

    fn replied(&self, reply: Reply) -> Answer {
        Answer::Plugin(self.session.dated(reply))
    }

    /// Everything until there is a response that the filters of responses can see.
    fn until_response(&mut self, attempts: Vec<Brought>, is_listed: bool) -> Result<Answer, NoResponse> {
        if self.calls(Hook::RequestFilter)
            && let Verdict::Respond(reply) = self.session.request_filter(&mut self.outcome.request)?
        {
            return Ok(self.replied(reply));
        }
        if !self.session.has_skipped(Body::Request)
            && self.calls(Hook::RequestBodyFilter)
            && let Verdict::Respond(reply) = self.session.request_body(&mut self.outcome.request)?
        {
            return Ok(self.replied(reply));
        }
        let mut opened = None;
        if self.calls(Hook::RequestStreamFilter) {
            opened = self.session.open_request(&mut self.outcome.request)?;
        }
        let body_passes = opened.is_some();
        let mut opened = Some(opened);
        let mut attempts = attempts.into_iter().peekable();
        while let Some(brought) = attempts.next() {
            let can_retry = !is_listed || attempts.peek().is_some();
            let failure = match self.attempt(brought, &mut opened, body_passes, can_retry)? {
                Attempted::Answer(answer) => {
                    if let Some(Some(opened)) = opened.take() {
                        self.session.break_off_request(opened, &self.outcome.request)?;
                    }
                    return Ok(answer);
                }
                Attempted::Unwanted(failure) => failure,
            };
            if attempts.peek().is_none() {
                return match failure {
                    // There is a response, and the next attempt is not part of this exchange.
                    AttemptFailure::Status(_) => {
                        self.outcome.word = Word::Retry;
                        Err(NoResponse::Open)
                    }
                    failure => Ok(Answer::Pace(failure.answer(), Some(failure))),
                };
            }
            self.pool.last_failure = Some(failure);
            self.number += 1;
        }
        Err(NoResponse::Open)
    }

    /// Makes one attempt. The body of the request passes its filter on the first that comes to a backend; the others send what that
    /// has made of it.
    fn attempt(
        &mut self,
        brought: Brought,
        opened: &mut Option<Option<Opened>>,
        body_passes: bool,
        can_retry: bool,
    ) -> Result<Attempted, NoResponse> {
        let mut trial = None;
        if self.calls(Hook::AttemptFilter) {
            let mut prepared = self.session.trial(&self.outcome.request);
            prepared.failure = self.pool.last_failure;
            prepared.can_retry = can_retry;
            prepared.body_passes = body_passes;
            let verdict = self
                .session
                .prepare(&self.outcome.request, &mut prepared, self.number);
            trial = Some(prepared);
            if !matches!(verdict, Ok(Verdict::Next)) {
                self.made(trial.take(), None, None);
            }
            if let Verdict::Respond(reply) = verdict? {
                return Ok(Attempted::Answer(self.replied(reply)));
            }
        }
        if self.calls(Hook::SelectUpstream) {
            let selection = self
                .session
                .select_upstream(&self.outcome.request, &self.pool, self.number);
            match selection {
                Ok(Selection::Pick(index)) => {
                    self.outcome.word = Word::Pick;
                    self.outcome.picked = Some(index);
                }
                decided => {
                    self.made(trial, None, None);
                    return match decided? {
                        Selection::Respond(reply) => Ok(Attempted::Answer(self.replied(reply))),
                        Selection::Pick(_) | Selection::Pass => {
                            self.outcome.word = Word::Pass;
                            Err(NoResponse::Open)
                        }
                    };
                }
            }
        }
        let index = self.backend();
        let address = self.pool.backends[index as usize].address.clone();
        self.pool.backends[index as usize].tried = true;
        self.pool.last_failed = Some(index);

        if let Some(first) = opened.take() {
            let request = &mut self.outcome.request;
            let passage = match first {
                Some(opened) => {
                    self.outcome.hook = Some(Hook::RequestStreamFilter);
                    self.session.pass_request(opened, request)?
                }
                None => request.arrival.pass(&request.body),
            };
            if let Some(trial) = trial.as_mut().filter(|_| body_passes) {
                trial.request.body = request.body.clone();
            }
            let is_broken_off = passage.ending == Ending::Cut && request.arrival.ending != Ending::Cut;
            let has_client_gone = passage.ending == Ending::ClientGone;
            self.outcome.request_passage = Some(passage);
            if is_broken_off || has_client_gone {
                self.made(trial, Some(address), None);
                return Ok(Attempted::Answer(match has_client_gone {
                    true => Answer::Nobody,
                    false => Answer::Pace(StatusCode::SERVICE_UNAVAILABLE, None),
                }));
            }
        }
        self.session.advance(brought.after);
        self.judged(trial, address, brought, can_retry)
    }

    /// Has the plugin judge what an attempt has brought.
    fn judged(
        &mut self,
        trial: Option<Trial>,
        address: String,
        brought: Brought,
        can_retry: bool,
    ) -> Result<Attempted, NoResponse> {
        let Some(mut trial) = trial else {
            self.made(None, Some(address), None);
            return Ok(match brought.result {
                Ok(response) => Attempted::Answer(Answer::Backend(response)),
                Err(failure) => Attempted::Unwanted(failure),
            });
        };
        trial.backend = Some(address.clone());
        trial.elapsed = brought.after;
        trial.failure = brought.result.as_ref().err().copied();
        let response = brought.result.as_ref().ok();
        let response = response.map(|response| (response, Some(address.as_str())));
        let judgement = self
            .session
            .judge(&self.outcome.request, &trial, response, self.number);
        // The plugin's word on the request is that of another hook, unless this one has an objection.
        let decided = self.outcome.hook.replace(Hook::AttemptFilter);
        let judged = match &judgement {
            Ok(Judgement::Accept) => Some(Judged::Accept),
            Ok(Judgement::Retry) => Some(Judged::Retry),
            Ok(Judgement::Respond(_)) => Some(Judged::Respond),
            Err(_) => None,
        };
        self.made(Some(trial), Some(address), judged);
        Ok(match (judgement?, brought.result) {
            (Judgement::Respond(reply), _) => Attempted::Answer(self.replied(reply)),
            (Judgement::Retry, Ok(response)) if can_retry => {
                Attempted::Unwanted(AttemptFailure::Status(response.status.as_u16()))
            }
            (Judgement::Retry | Judgement::Accept, Ok(response)) => {
                self.outcome.hook = decided;
                Attempted::Answer(Answer::Backend(response))
            }
            (Judgement::Retry | Judgement::Accept, Err(failure)) => Attempted::Unwanted(failure),
        })
    }

    /// Adds an attempt to those that were made.
    fn made(&mut self, trial: Option<Trial>, backend: Option<String>, judged: Option<Judged>) {
        self.outcome.attempts.push(Made {
            trial,
            backend,
            judged,
        });
    }

    /// The backend of the present attempt: the plugin's pick, or else one where the request has not been.
    fn backend(&self) -> u32 {
        let untried = self.pool.backends.iter().position(|backend| !backend.tried);
        let others = || untried.and_then(|index| u32::try_from(index).ok());
        self.outcome.picked.or_else(others).unwrap_or(0)
    }

    /// Has a response pass the filters, and tells the plugin the end.
    fn finish(&mut self, answer: Answer, end: &End) -> Result<(), NoResponse> {
        let mut failed = None;
        let (response, mut ending) = match answer {
            Answer::Backend(response) => (Some(self.respond(response, false)?), Ending::Complete),
            Answer::Plugin(response) => {
                self.outcome.word = Word::Respond;
                (Some(self.respond(response, true)?), Ending::Complete)
            }
            Answer::Pace(status, failure) => {
                failed = failure;
                let ending = failure.map_or(Ending::Cut, |_| Ending::BackendFailed);
                (Some((Response::new(status), None)), ending)
            }
            Answer::Nobody => (None, Ending::ClientGone),
        };
        if let Some(passage) = &self.outcome.response_passage
            && passage.ending != Ending::Complete
        {
            ending = passage.ending;
        }
        let (response, sender) = match response {
            Some((response, sender)) => (Some(response), sender),
            None => (None, None),
        };
        if self.wants(Hook::Finished) {
            let last = self.outcome.attempts.last();
            let made = last.and_then(|made| {
                Some(Attempt {
                    number: self.number,
                    backend: made.backend.as_deref()?,
                    pool: made.trial.as_ref().map_or(&self.pool.name, |trial| &trial.pool),
                    failure: failed,
                })
            });
            let status = response.as_ref().map(|response| response.status.as_u16());
            let told = end.outcome(status, made, ending);
            let head = response.as_ref().map(|response| (response, sender.as_deref()));
            let result = self.session.finished(&self.outcome.request, head, &told);
            self.outcome.hook.get_or_insert(Hook::Finished);
            if result.is_err() {
                self.outcome.hook = Some(Hook::Finished);
            }
            result?;
        }
        self.outcome.response = response;
        Ok(())
    }

    /// Has a response pass the filters. Returns it, and the backend that it is from.
    fn respond(
        &mut self,
        mut response: Response,
        is_reply: bool,
    ) -> Result<(Response, Option<String>), NoResponse> {
        let sender = self.outcome.attempts.last().and_then(|made| made.backend.clone());
        let sender = sender.filter(|_| !is_reply);
        // A plugin's own reply is its last word, unless a filter fails or replaces it.
        let decided = self.outcome.hook;
        let stays = |course: &mut Self| {
            if is_reply {
                course.outcome.hook = decided;
            } else {
                course.outcome.word = Word::Next;
            }
        };
        if self.calls(Hook::ResponseFilter) {
            let request = &self.outcome.request;
            match self
                .session
                .response_filter(request, &mut response, sender.as_deref())?
            {
                Verdict::Next => stays(self),
                // A replacement is another response, which the plugins before this one would see.
                Verdict::Respond(reply) => return Ok(self.replaced(reply)),
            }
        }
        if !self.session.has_skipped(Body::Response) && self.calls(Hook::ResponseBodyFilter) {
            let request = &self.outcome.request;
            match self
                .session
                .response_body(request, &mut response, sender.as_deref())?
            {
                Verdict::Next => stays(self),
                Verdict::Respond(reply) => return Ok(self.replaced(reply)),
            }
        }
        let body = response.body.clone().unwrap_or_default();
        let mut passage = response.arrival.pass(&body);
        if self.calls(Hook::ResponseStreamFilter) {
            let request = &self.outcome.request;
            passage = self
                .session
                .pass_response(request, &mut response, sender.as_deref())?;
            stays(self);
            let is_broken_off = passage.ending == Ending::Cut && response.arrival.ending != Ending::Cut;
            if is_broken_off && passage.body().is_empty() {
                self.outcome.response_passage = Some(passage);
                return Ok((Response::new(StatusCode::BAD_GATEWAY), None));
            }
        }
        self.outcome.response_passage = Some(passage);
        Ok((response, sender))
    }

    fn replaced(&mut self, reply: Reply) -> (Response, Option<String>) {
        self.outcome.word = Word::Respond;
        let response = self.session.dated(reply);
        let body = response.body.clone().unwrap_or_default();
        self.outcome.response_passage = Some(response.arrival.pass(&body));
        (response, None)
    }
}
