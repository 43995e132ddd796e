//! One request with its surroundings, and what becomes of it.

use std::time::Duration;

use super::attempt::Trial;
use super::end::End;
use super::lines::Line;
use super::message::{Request, Response};
use super::pool::Pool;
use super::route::NeighborFailure;
use super::stream::Passage;
use pace_hook::{AttemptFailure, Failure, Headers, Hook};

/// A request with its surroundings.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The client's request.
    pub request: Request,
    /// The backends that `select-upstream` chooses from.
    pub pool: Pool,
    /// The number of the first attempt, 1 for that of a new request.
    pub attempt: u32,
    /// What each attempt brings, in their order; no more are made. None: there is one, which brings `response`, and another could
    /// follow.
    pub attempts: Vec<Brought>,
    /// The backend's response.
    pub response: Response,
    /// The end of the request.
    pub end: End,
    /// The only hook to call; `None` for all that the plugin exports.
    pub hook: Option<Hook>,
}

/// What an attempt brings.
#[derive(Clone, Debug)]
pub struct Brought {
    /// The response of a backend, or the reason why there is none.
    pub result: Result<Response, AttemptFailure>,
    /// The time that it takes.
    pub after: Duration,
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
    /// The body of the request as it went on; `None` if it was not sent.
    pub request_passage: Option<Passage>,
    /// The attempts that were made or prepared.
    pub attempts: Vec<Made>,
    /// The backend that the plugin picked last, counted from 0.
    pub picked: Option<u32>,
    /// The client's response: the backend's, a plugin's or Pace's own; `None` if the plugins neither let the request
    /// through nor answered it, and if the client has gone before.
    pub response: Option<Response>,
    /// The body of the response as it went on; `None` if there is none, and for Pace's own.
    pub response_passage: Option<Passage>,
    /// The failure of a hook, if one failed.
    pub failure: Option<Failure>,
    /// The failure of a neighbor, if one failed.
    pub neighbor_failure: Option<NeighborFailure>,
    /// The lines that the plugin logged.
    pub lines: Vec<Line>,
}

/// An attempt that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// 1 for the first attempt of the request.
    pub number: u32,
    /// The attempt as the plugins have prepared it; `None` if they prepare none.
    pub trial: Option<Trial>,
    /// The address of the backend; `None` if it came to none.
    pub backend: Option<String>,
    /// The reason why it failed; `None` if it brought a response, and if it was not made.
    pub failure: Option<AttemptFailure>,
    /// The judgement of the plugin; `None` if it was not asked.
    pub judged: Option<Judged>,
}

/// A plugin's judgement about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// What the configuration says is done.
    Accept,
    /// There is to be another.
    Retry,
    /// The plugin answers.
    Respond,
}

impl Judged {
    /// Every judgement.
    pub const ALL: [Judged; 3] = [Judged::Accept, Judged::Retry, Judged::Respond];

    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Judged::Accept => "accept",
            Judged::Retry => "retry",
            Judged::Respond => "respond",
        }
    }
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
            attempts: Vec::new(),
            response: Response::new(http::StatusCode::OK),
            end: End::default(),
            hook: None,
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

    /// The last attempt as the plugins have prepared it; `None` if they prepare none.
    pub fn trial(&self) -> Option<&Trial> {
        self.attempts.last()?.trial.as_ref()
    }

    /// The request that the last backend gets: as the filters have left it, and as the attempt changes it.
    pub fn sent(&self) -> &Request {
        self.trial().map_or(&self.request, |trial| &trial.request)
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
