//! Takes one request through the hooks of the plugins of a route, in the order in which Pace calls them.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use http::header::{DATE, HeaderValue};

use super::attempts::{Attempted, Upload};
use super::body::put_request;
use super::exchange::{Brought, Exchange, Outcome, Word};
use super::message::{Request, Response};
use super::pool::Pool;
use super::route::{Failed, NeighborFailure};
use super::session::Session;
use super::stream::{break_off, open_request};
use pace_content::body::Access;
use pace_hook::{AttemptFailure, Body, Ending, Failure, Hook, Reply, Verdict};

/// A request on its way.
pub(super) struct Course<'s> {
    /// The plugin of which the outcome speaks.
    pub(super) tested: &'s Session,
    only: Option<Hook>,
    pub(super) pool: Pool,
    /// The number of the present attempt.
    pub(super) number: u32,
    /// The backend that a plugin has picked last.
    pub(super) picked: Option<u32>,
    pub(super) outcome: Outcome,
}

/// The reason why a request has no response in an exchange.
pub(super) enum NoResponse<'s> {
    /// A hook failed.
    Failed(Failed<'s>),
    /// What follows is Pace's decision.
    Open,
}

/// A response, and where it is from.
pub(super) enum Answer<'s> {
    Backend(Response),
    Plugin(&'s Session, Response),
    /// Pace's own, which the filters of responses do not see, and how the request has ended.
    Pace(StatusCode, Ending),
    /// The client has gone, so there is none.
    Nobody,
}

impl<'s> From<Failed<'s>> for NoResponse<'s> {
    fn from(failed: Failed<'s>) -> NoResponse<'s> {
        NoResponse::Failed(failed)
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
    ///
    /// With [neighbors](Session::among) each of these hooks is called of all plugins in the order of Pace, before the next one is.
    pub fn exchange(&self, exchange: Exchange) -> Outcome {
        self.begin();
        let mut course = Course {
            tested: self,
            only: exchange.hook,
            pool: exchange.pool,
            number: exchange.attempt,
            picked: None,
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
                neighbor_failure: None,
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
        if let Err(NoResponse::Failed(failed)) = result {
            course.failed(failed);
        }
        // Those of neighbors would be taken for those of their next request.
        for neighbor in self.route().filter(|plugin| !course.is_tested(plugin)) {
            neighbor.take_lines();
        }
        course.outcome.lines = self.take_lines();
        course.outcome
    }

    /// A plugin's reply in the form in which Pace sends it.
    pub(super) fn dated(&self, reply: Reply) -> Response {
        let mut response = Response::from(reply);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_nanos(self.wall()));
        let date = HeaderValue::try_from(date).expect("a date is a value");
        response.headers.insert(DATE, date);
        response
    }
}

impl<'s> Course<'s> {
    pub(super) fn is_tested(&self, plugin: &Session) -> bool {
        std::ptr::eq(plugin, self.tested)
    }

    /// The plugins that have a hook, in the order in which it is called.
    pub(super) fn having(&self, hook: Hook) -> Vec<&'s Session> {
        let is_called = self.only.is_none_or(|only| only == hook);
        let route = self.tested.route();
        let mut having: Vec<_> = route
            .filter(|plugin| is_called && plugin.hooks().contains(hook))
            .collect();
        if hook.is_backwards() {
            having.reverse();
        }
        having
    }

    /// Takes note that a hook is called. If it is of the plugin under test, it decides from here on.
    pub(super) fn calls(&mut self, plugin: &Session, hook: Hook) {
        if self.is_tested(plugin) {
            self.outcome.hook = Some(hook);
        }
    }

    pub(super) fn replied(&self, plugin: &'s Session, reply: Reply) -> Answer<'s> {
        Answer::Plugin(plugin, plugin.dated(reply))
    }

    fn failed(&mut self, failed: Failed<'s>) {
        let Failed {
            plugin,
            hook,
            failure,
        } = failed;
        self.outcome.response = None;
        if self.is_tested(plugin) {
            self.outcome.word = Word::Fail;
            self.outcome.hook = Some(hook);
            self.outcome.failure = Some(failure);
        } else {
            self.outcome.neighbor_failure = Some(NeighborFailure {
                plugin: plugin.name().to_owned(),
                hook,
                failure,
                lines: plugin.take_lines(),
            });
        }
    }

    /// Everything until there is a response that the filters of responses can see.
    fn until_response(
        &mut self,
        attempts: Vec<Brought>,
        is_listed: bool,
    ) -> Result<Answer<'s>, NoResponse<'s>> {
        for plugin in self.having(Hook::RequestFilter) {
            self.calls(plugin, Hook::RequestFilter);
            let verdict = plugin.filter_request(&mut self.outcome.request);
            if let Verdict::Respond(reply) = verdict.map_err(Failed::of(plugin, Hook::RequestFilter))? {
                return Ok(self.replied(plugin, reply));
            }
        }
        if let Some(answer) = self.request_body()? {
            return Ok(answer);
        }
        let filters = self.having(Hook::RequestStreamFilter);
        for plugin in &filters {
            self.calls(plugin, Hook::RequestStreamFilter);
        }
        let opened = open_request(&filters, &mut self.outcome.request)?;
        let mut upload = Upload {
            is_filtered: opened.is_filtered(),
            waiting: Some(opened),
        };
        let mut attempts = attempts.into_iter().peekable();
        while let Some(brought) = attempts.next() {
            let can_retry = !is_listed || attempts.peek().is_some();
            let (failure, wanted_by) = match self.attempt(brought, &mut upload, can_retry)? {
                Attempted::Answer(answer) => {
                    if let Some(opened) = upload.waiting {
                        break_off(opened, &self.outcome.request)?;
                    }
                    return Ok(answer);
                }
                Attempted::Unwanted(failure, wanted_by) => (failure, wanted_by),
            };
            if attempts.peek().is_none() {
                return match failure {
                    // There is a response, and the next attempt is not part of this exchange.
                    AttemptFailure::Status(_) => {
                        if wanted_by.is_some_and(|plugin| self.is_tested(plugin)) {
                            self.outcome.word = Word::Retry;
                        }
                        Err(NoResponse::Open)
                    }
                    failure => Ok(Answer::Pace(failure.answer(), Ending::BackendFailed)),
                };
            }
            self.pool.last_failure = Some(failure);
            self.number += 1;
        }
        Err(NoResponse::Open)
    }

    /// Shows the whole body of the request to the plugins that want it, one after the other.
    fn request_body(&mut self) -> Result<Option<Answer<'s>>, NoResponse<'s>> {
        let mut wanting = self.having(Hook::RequestBodyFilter);
        wanting.retain(|plugin| !plugin.has_skipped(Body::Request));
        let Some(first) = wanting.first() else {
            return Ok(None);
        };
        let request = &self.outcome.request;
        let most = wanting.iter().map(|plugin| plugin.limits().0).max().unwrap_or(0);
        let mut content = first
            .content(&request.headers, &request.body, most)
            .map_err(Failed::of(first, Hook::RequestBodyFilter))?;
        let mut answer = None;
        for plugin in wanting {
            self.calls(plugin, Hook::RequestBodyFilter);
            let failed = Failed::of(plugin, Hook::RequestBodyFilter);
            let limit = plugin.limits().0;
            if !content.fits(limit) {
                return Err(failed(Failure::body_too_large(limit as usize)).into());
            }
            content.allow(Access::Edit, limit);
            let verdict = plugin.show_request(&mut self.outcome.request, &mut content);
            if let Verdict::Respond(reply) = verdict.map_err(failed)? {
                answer = Some(self.replied(plugin, reply));
                break;
            }
        }
        put_request(&mut self.outcome.request, content);
        // A body that was collected goes on as one piece.
        self.outcome.request.arrival.pieces = None;
        Ok(answer)
    }
}
