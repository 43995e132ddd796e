//! Counts the tokens of answers, in JSON and in streams of events, by model and tenant.
//!
//! | key | | default |
//! |---|---|---|
//! | `tenant` | the header that names the tenant | none |
//! | `ask` | have streams of chat completions say what they took, also when the client does not ask for it | `true` |
//!
//! The counter is `plugin_ai_tokens_total`, with `model`, `tenant` and `kind`: `input` or `output`. The request's
//! line and span have the same in `input_tokens` and `output_tokens`, and its context for other plugins. The event
//! that a client has not asked for does not reach it.

#![forbid(unsafe_code)]

use pace_plugin::metrics::Counter;
use pace_plugin::{Content, Ending, Framing, HeaderName, Json, Opening, Plugin, Request, RequestBodyFilter};
use pace_plugin::{RequestFilter, Response, ResponseBodyFilter, ResponseFilter, ResponseStreamFilter, Step};
use pace_plugin::{Unit, Verdict, context, log};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    tenant: Option<HeaderName>,
    ask: Option<bool>,
}

struct AiUsage {
    config: Config,
    tokens: Counter<3>,
}

/// The places of the numbers in answers of OpenAI's and of Anthropic's kind.
const INPUT: [&str; 3] = [
    "/usage/prompt_tokens",
    "/usage/input_tokens",
    "/message/usage/input_tokens",
];
const OUTPUT: [&str; 3] = [
    "/usage/completion_tokens",
    "/usage/output_tokens",
    "/message/usage/output_tokens",
];
const MODEL: [&str; 2] = ["/model", "/message/model"];

#[derive(Default)]
struct Usage {
    model: Option<String>,
    input: Option<u64>,
    output: Option<u64>,
}

impl Usage {
    /// Takes the numbers of a document. In a stream the last ones hold.
    fn read(&mut self, content: &Content) {
        let find = |places: &[&str]| {
            let mut values = places.iter().filter_map(|place| content.json(place).ok());
            values.find(|value| !matches!(value, Json::Absent | Json::Null))
        };
        let number = |places: &[&str]| find(places)?.integer()?.try_into().ok();
        self.input = number(&INPUT).or(self.input);
        self.output = number(&OUTPUT).or(self.output);
        self.model = self.model.take().or_else(|| find(&MODEL)?.text());
    }
}

impl Plugin for AiUsage {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let tokens = Counter::open(
            "ai_tokens_total",
            "Tokens of answers.",
            ["model", "tenant", "kind"],
        )?;
        Ok(Self { config, tokens })
    }
}

impl AiUsage {
    fn note(&self, request: &Request, usage: &Usage) {
        let header = self.config.tenant.as_ref().and_then(|name| request.header(name));
        let tenant = header.map_or("-".to_owned(), |value| {
            String::from_utf8_lossy(&value).into_owned()
        });
        let model = usage.model.as_deref().unwrap_or("-");
        for (kind, tokens) in [("input", usage.input), ("output", usage.output)] {
            let Some(tokens) = tokens else { continue };
            self.tokens.add([model, &tenant, kind], tokens);
            // Both are refused only to a plugin that leaves more than these two.
            let _ = log::annotate(&format!("{kind}_tokens"), &tokens.to_string());
            let _ = context::set(&format!("{kind}_tokens"), tokens.to_string());
        }
    }
}

fn is_type(response: &Response, expected: &str) -> bool {
    let value = response.header("content-type").unwrap_or_default();
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
}

impl RequestFilter for AiUsage {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        // Other interfaces say it unasked, and refuse fields that they do not know.
        let can_be_asked = request.routed_path().ends_with("/chat/completions");
        if request.method() != "POST" || !can_be_asked || self.config.ask == Some(false) {
            request.skip_body();
        }
        Verdict::Next
    }
}

impl RequestBodyFilter for AiUsage {
    fn request_body_filter(&mut self, _: &mut Request, body: &mut Content) -> Verdict {
        let is_stream = body.json("/stream").is_ok_and(|stream| stream.is_true());
        if is_stream
            && body.json("/stream_options") == Ok(Json::Absent)
            && let Ok(Some(whole)) = body.json_span("")
        {
            // The object has `stream`, so a member follows.
            let after = whole.start + 1;
            if body
                .splice(after..after, r#""stream_options":{"include_usage":true},"#)
                .is_ok()
            {
                let _ = context::set("asked", "");
            }
        }
        Verdict::Next
    }
}

impl ResponseFilter for AiUsage {
    fn response_filter(&mut self, _: &Request, response: &mut Response) -> Verdict {
        if !is_type(response, "application/json") {
            response.skip_body();
        }
        Verdict::Next
    }
}

impl ResponseBodyFilter for AiUsage {
    fn response_body_filter(&mut self, request: &Request, _: &mut Response, body: &mut Content) -> Verdict {
        let mut usage = Usage::default();
        usage.read(body);
        self.note(request, &usage);
        Verdict::Next
    }
}

impl ResponseStreamFilter for AiUsage {
    /// The usage, and whether its event goes no further.
    type Message = (Usage, bool);

    fn open(&mut self, _: &Request, response: &Response) -> Option<Opening<Self::Message>> {
        let is_ours = context::get("asked").is_some();
        let open = if is_ours { Opening::edit } else { Opening::look };
        let is_meant = is_type(response, "text/event-stream");
        // Every event may have a `usage` that is null.
        is_meant.then(|| open(Framing::Event, (Usage::default(), is_ours)).interest(["_tokens\""]))
    }

    fn next(&mut self, (usage, is_ours): &mut Self::Message, _: &Request, unit: &mut Unit) -> Step {
        usage.read(unit);
        match *is_ours && unit.json_length("/choices") == Ok(Some(0)) {
            true => Step::Drop,
            false => Step::Pass,
        }
    }

    fn end(&mut self, (usage, _): Self::Message, request: &Request, _: Ending, _: &mut Content) {
        self.note(request, &usage);
    }
}

pace_plugin::export!(
    AiUsage: RequestFilter, RequestBodyFilter, ResponseFilter, ResponseBodyFilter, ResponseStreamFilter
);
