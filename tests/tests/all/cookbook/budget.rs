//! Budgets of tokens on real traffic.

use std::iter;

use pace_tests::{Answer, Client, Gate, HttpBackend, Pace, Request, chat_provider, recipe};
use serde_json::{Value, json};

use super::models::{chat, events, say};
use super::start;
use crate::sections::{SERVER, plugin, pool};

const TOKENS: usize = 1000;
const CONFIG: &str = "tokens = 1000\nseconds = 3600\nclient = 'X-Api-Client'\nanswer = 50";

/// A client of Pace with a name.
struct Named {
    client: Client,
    name: &'static str,
}

impl Named {
    fn of(pace: &Pace, name: &'static str) -> Named {
        Named {
            client: pace.client(),
            name,
        }
    }

    fn request(&self, body: &Value) -> Request {
        chat(body).header("X-Api-Client", self.name)
    }

    fn send(&mut self, body: &Value) -> pace_tests::Response {
        let request = self.request(body);
        self.client.send(&request)
    }

    /// The tokens that the client has left: the most for which a request is admitted. The provider refuses the model of these
    /// requests, so they are free. The next request of a connection waits until the one before is over.
    fn left(&mut self) -> usize {
        let body = |most: usize| format!("{{\"model\":\"none\",\"max_tokens\":{most:>5}}}");
        let prompt = body(0).len().div_ceil(4);
        let (mut fits, mut too_many) = (None, TOKENS + 1);
        while fits.map_or(0, |fits| fits + 1) < too_many {
            let middle = (fits.unwrap_or(0) + too_many) / 2;
            let request = Request::post("/v1/chat/completions", body(middle));
            let answer = self.client.send(&request.header("X-Api-Client", self.name));
            match answer.status {
                400 | 429 => too_many = middle,
                404 => fits = Some(middle),
                _ => panic!("{answer:?}"),
            }
        }
        fits.map_or(0, |fits| prompt + fits)
    }
}

/// The estimate for a request.
fn estimate(body: &Value, answer: usize) -> usize {
    body.to_string().len().div_ceil(4) + answer
}

#[test]
fn ai_budget_charges_documents_and_streams_with_what_they_took() {
    let provider = chat_provider(&["gpt-4"]);
    let pace = start("ai-budget", CONFIG, &[&provider]);
    let mut ann = Named::of(&pace, "ann");
    assert_eq!(ann.left(), TOKENS);

    let mut body = say("gpt-4", "one two three");
    assert_eq!(ann.send(&body).status, 200);
    assert_eq!(ann.left(), TOKENS - 6);

    body["stream"] = json!(true);
    body["max_tokens"] = json!(2);
    body["stream_options"] = json!({ "include_usage": true });
    let seen = events(&ann.send(&body));
    assert_eq!(seen.last().expect("there are events")["usage"]["total_tokens"], 5);
    assert_eq!(ann.left(), TOKENS - 6 - 5);

    // A stream that does not say what it took.
    body["stream_options"] = Value::Null;
    assert_eq!(events(&ann.send(&body)).len(), 4);
    let left = TOKENS - 6 - 5 - estimate(&body, 2);
    assert_eq!(ann.left(), left);

    let asked = provider.requests().len();
    body["max_tokens"] = json!(left);
    let refused = ann.send(&body);
    assert_eq!(refused.status, 429);
    let wait: u64 = refused
        .header("retry-after")
        .and_then(|value| value.parse().ok())
        .expect("it is told when to come back");
    // A millisecond that has begun belongs to the window, and what is left of a second is waited for.
    assert!((3500..=3601).contains(&wait), "{wait}");
    let error: Value = serde_json::from_str(refused.text()).expect("clients expect JSON");
    assert_eq!(error["error"]["message"], "the budget of tokens is spent");
    assert_eq!(
        provider.requests().len(),
        asked,
        "it has not reached the provider"
    );
    assert_eq!(Named::of(&pace, "bob").left(), TOKENS, "each client has its own");
}

/// A provider that does what the model says.
fn moody() -> HttpBackend {
    HttpBackend::new(|request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let event = b"data: {\"choices\": []}\n\n".to_vec();
        let of_type = |answer: Answer, value: &str| answer.header("Content-Type", value);
        match body["model"].as_str().unwrap_or_default() {
            "mute" => of_type(Answer::new("{}"), "application/json"),
            "broken" => Answer::status(500),
            "closing" => Answer::hang_up(),
            "endless" => of_type(Answer::chunks(iter::repeat(event)), "text/event-stream"),
            "breaking" => {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999\r\n\r\n";
                Answer::raw([head.as_bytes(), &event].concat())
            }
            _ => Answer::status(404),
        }
    })
}

#[test]
fn ai_budget_refunds_refusals_and_failures_and_nothing_else() {
    let gate = Gate::new();
    let (provider, down, late) = (moody(), HttpBackend::down(), HttpBackend::behind(&gate, ""));
    let pace = Pace::with_config(&format!(
        "{SERVER}{}\n[plugins.config]\n{CONFIG}\n{}config = {{ tenant = 'X-Api-Client' }}\n\
         {}\n{}\n{}first_byte_timeout_ms = 100\n\
         [[routes]]\npool = 'web'\nplugins = ['ai-budget', 'access-sampler']\n\
         [[routes]]\nmatch = {{ path = '/down' }}\npool = 'down'\nplugins = ['ai-budget']\n\
         [[routes]]\nmatch = {{ path = '/late' }}\npool = 'late'\nplugins = ['ai-budget']\n",
        plugin("ai-budget", &recipe("ai-budget")),
        plugin("access-sampler", &recipe("access-sampler")),
        pool("web", &[&provider]),
        pool("down", &[&down]),
        pool("late", &[&late]),
    ));
    let mut ann = Named::of(&pace, "ann");
    for (model, status) in [("broken", 500), ("closing", 502), ("unknown", 404)] {
        assert_eq!(ann.send(&say(model, "hello")).status, status);
        assert_eq!(ann.left(), TOKENS, "{model}");
    }
    let body = say("any", "hello");
    let lose = |ann: &mut Named, target| {
        let request = Request::post(target, body.to_string()).header("X-Api-Client", "ann");
        ann.client.send(&request).status
    };
    assert_eq!(lose(&mut ann, "/down"), 503);
    assert_eq!(ann.left(), TOKENS, "it has not reached the provider");
    assert_eq!(lose(&mut ann, "/late"), 504);
    gate.open();
    let mut left = TOKENS - estimate(&body, 50);
    assert_eq!(ann.left(), left, "the provider was at work");

    let body = say("mute", "hello");
    assert_eq!(ann.send(&body).status, 200);
    left -= estimate(&body, 50);
    assert_eq!(ann.left(), left);

    let body = say("breaking", "hello");
    let request = ann.request(&body);
    ann.client.try_send(&request).expect_err("it breaks off");
    pace.wait_for_metric(
        "plugin_requests_total",
        &[("tenant", "ann"), ("ending", "backend-failed"), ("status", "2xx")],
        1,
    );
    left -= estimate(&body, 50);
    assert_eq!(ann.left(), left);

    let body = say("endless", "hello");
    let request = ann.request(&body);
    let mut leaving = pace.client();
    leaving.transmit(&request).expect("Pace reads");
    let head = leaving.read_head("POST").expect("the answer begins");
    assert_eq!(head.status, 200);
    drop(leaving);
    let gone = [("tenant", "ann"), ("ending", "client-gone")];
    pace.wait_for_metric("plugin_requests_total", &gone, 1);
    left -= estimate(&body, 50);
    assert_eq!(ann.left(), left);
}
