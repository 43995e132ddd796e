//! Gives each client a budget of tokens in a sliding window.
//!
//! | key | | default |
//! |---|---|---|
//! | `tokens` | the tokens that a client may take in a window, 1 to 4294967295 | required |
//! | `seconds` | the length of the window, 1 to 604800 | 60 |
//! | `client` | the header that names the client; requests without it share one budget | `"Authorization"` |
//! | `answer` | the tokens that an answer is expected to have if the request does not limit it, fewer than `tokens` | 1000 |
//!
//! An estimate is reserved before the request goes out: a token for four bytes of its body, and `max_tokens`. The
//! usage in the answer replaces it. An answer that was refused or never came is free; one that does not say what it
//! took, or broke off, stays charged with the estimate.

#![forbid(unsafe_code)]

use std::time::Duration;

use pace_plugin::context;
use pace_plugin::{Content, Denial, Ending, Failure, Finished, Framing, HeaderName, Integer, Key};
use pace_plugin::{Opening, Outcome, Plugin, Reply, Request, RequestBodyFilter, RequestFilter, Response};
use pace_plugin::{ResponseBodyFilter, ResponseFilter, ResponseStreamFilter, Step, Unit, Verdict, Window};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    tokens: Integer<1, 4_294_967_295>,
    seconds: Option<Integer<1, 604_800>>,
    client: Option<HeaderName>,
    answer: Option<Integer<0, 4_294_967_295>>,
}

struct AiBudget {
    name: Option<HeaderName>,
    answer: u64,
    spent: Window,
}

impl Plugin for AiBudget {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let (tokens, name) = (config.tokens.get(), config.client);
        let answer = config.answer.map_or(1000, Integer::get);
        if answer >= tokens {
            return Err(format!("answer: expected fewer than `tokens`, found {answer}"));
        }
        let period = Duration::from_secs(config.seconds.map_or(60, Integer::get));
        let spent = Window::open("tokens", u32::try_from(tokens).unwrap_or(u32::MAX), period)?;
        Ok(Self { name, answer, spent })
    }
}

/// Where a request limits its answer.
const LIMIT: [&str; 3] = ["/max_completion_tokens", "/max_tokens", "/max_output_tokens"];
/// Where an answer says what it took, in OpenAI's interfaces and in Anthropic's. The output in the first event of
/// Anthropic's streams, below `/message`, is not the final one.
const TOTAL: [&str; 2] = ["/usage/total_tokens", "/response/usage/total_tokens"];
const INPUT: [&str; 2] = ["/usage/input_tokens", "/message/usage/input_tokens"];

/// The first number at one of these places.
fn number(content: &Content, places: &[&str]) -> Option<u64> {
    let mut values = places.iter().filter_map(|place| content.json(place).ok());
    values.find_map(|value| value.integer()?.try_into().ok())
}

/// The tokens that a request of so many bytes is likely to take. A token has about four bytes of English.
fn estimate(bytes: usize, answer: u64, answers: u64) -> u32 {
    let prompt = bytes.div_ceil(4) as u64;
    let all = answer.saturating_mul(answers.max(1)).saturating_add(prompt);
    u32::try_from(all).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct Usage {
    input: u64,
    total: Option<u64>,
}

impl Usage {
    /// Takes the numbers of a document. In a stream the last ones hold.
    fn read(&mut self, content: &Content) {
        self.input = number(content, &INPUT).unwrap_or(self.input);
        let sum = || Some(number(content, &["/usage/output_tokens"])?.saturating_add(self.input));
        self.total = number(content, &TOTAL).or_else(sum).or(self.total);
    }
}

impl AiBudget {
    /// Charges what the request took. Without that it stays charged with the estimate.
    fn settle(&self, tokens: Option<u64>) {
        if let (Some(tokens), Some(client)) = (tokens, context::get("client")) {
            let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
            self.spent.settle(Key::Bytes(&client), tokens);
        }
    }
}

fn is_type(response: &Response, expected: &str) -> bool {
    let value = response.header("content-type").unwrap_or_default();
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
}

/// An error as clients of OpenAI's interface read it.
fn refuse(status: u16, message: &str) -> Reply {
    let error = serde_json::json!({ "error": { "message": message, "type": "tokens" } });
    let reply = Reply::new(status).header("content-type", "application/json");
    reply.body(error.to_string())
}

impl RequestFilter for AiBudget {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        if request.method() != "POST" {
            request.skip_body();
            request.skip_response_body();
            return Verdict::Next;
        }
        let name = self.name.as_deref().unwrap_or("authorization");
        // A plugin that follows may remove the header.
        match context::set("client", request.header(name).unwrap_or_default()) {
            Ok(()) => Verdict::Next,
            Err(_) => Reply::new(431).into(),
        }
    }
}

impl RequestBodyFilter for AiBudget {
    fn request_body_filter(&mut self, _: &mut Request, body: &mut Content) -> Verdict {
        let client = context::get("client").unwrap_or_default();
        let answer = number(body, &LIMIT).unwrap_or(self.answer);
        let tokens = estimate(body.size(), answer, number(body, &["/n"]).unwrap_or(1));
        match self.spent.reserve(Key::Bytes(&client), tokens) {
            Ok(_) => Verdict::Next,
            Err(Denial::Wait(full)) => refuse(429, "the budget of tokens is spent")
                .header("retry-after", full.retry_after().to_string())
                .into(),
            Err(Denial::Never) => refuse(400, "the request may take more tokens than a budget has").into(),
            Err(Denial::TooMany) => Reply::new(500).into(),
        }
    }
}

impl ResponseFilter for AiBudget {
    fn response_filter(&mut self, _: &Request, response: &mut Response) -> Verdict {
        // An answer that a plugin had kept takes no tokens again.
        if response.backend().is_none() || !is_type(response, "application/json") {
            response.skip_body();
        }
        Verdict::Next
    }
}

impl ResponseBodyFilter for AiBudget {
    fn response_body_filter(&mut self, _: &Request, _: &mut Response, body: &mut Content) -> Verdict {
        let mut usage = Usage::default();
        usage.read(body);
        self.settle(usage.total);
        Verdict::Next
    }
}

impl ResponseStreamFilter for AiBudget {
    type Message = Usage;

    fn open(&mut self, _: &Request, response: &Response) -> Option<Opening<Usage>> {
        let is_meant = response.backend().is_some() && is_type(response, "text/event-stream");
        is_meant.then(|| Opening::look(Framing::Event, Usage::default()).interest(["_tokens\""]))
    }

    fn next(&mut self, usage: &mut Usage, _: &Request, unit: &mut Unit) -> Step {
        usage.read(unit);
        Step::Pass
    }

    fn end(&mut self, usage: Usage, _: &Request, _: Ending, _: &mut Content) {
        self.settle(usage.total);
    }
}

impl Finished for AiBudget {
    fn finished(&mut self, _: &Request, outcome: &Outcome) {
        // A provider that is at work when the client leaves or the time is over takes tokens all the same.
        let was_refused = match outcome.ended() {
            Ending::Complete | Ending::BackendFailed | Ending::Refused => {
                let is_late = outcome.failure() == Some(Failure::ResponseTimeout);
                outcome.status().is_some_and(|status| status >= 400) && !is_late
            }
            Ending::ClientGone | Ending::Cut | Ending::PluginFailed => false,
        };
        if outcome.attempts() == 0 || was_refused {
            self.settle(Some(0));
        }
    }
}

pace_plugin::export!(AiBudget: RequestFilter, RequestBodyFilter, ResponseFilter, ResponseBodyFilter,
    ResponseStreamFilter, Finished);
