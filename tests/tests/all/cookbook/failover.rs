//! Requests that go on to another provider.

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request, Setup, chat_provider, recipe};
use serde_json::{Value, json};

use super::models::{chat, content, events, say};
use crate::sections::{SERVER, plugin, pool};

const KEYS: [(&str, &str); 2] = [("first", "the-first-key"), ("second", "the-second-key")];

/// Starts Pace with a pool for each backend, `first`, `second` and `third`, each of which is a provider. `more` is added to the
/// providers of the same place.
fn start(backends: [&HttpBackend; 3], more: [&str; 3]) -> Pace {
    let names = ["first", "second", "third"];
    let mut config = format!(
        "{SERVER}{}secrets = {{ first = {{ file = 'first.key' }}, second = {{ file = 'second.key' }} }}\n",
        plugin("ai-failover", &recipe("ai-failover"))
    );
    for (name, more) in names.iter().zip(more) {
        config +=
            &format!("[[plugins.config.providers]]\npool = '{name}'\nhost = '{name}.example'\n{more}\n");
    }
    for (name, backend) in names.iter().zip(backends) {
        config += &format!("{}retry = {{ attempts = 3 }}\n", pool(name, &[backend]));
    }
    config += "[[routes]]\nplugins = ['ai-failover']\npools = [{ pool = 'first' }, { pool = 'second', weight = 0 }, \
               { pool = 'third', weight = 0 }]\n";
    let keys = |setup: Setup, (name, key)| setup.file(&format!("{name}.key"), key);
    KEYS.into_iter().fold(Setup::new(), keys).config(&config).start()
}

fn refusing(status: u16, retry_after: &'static str) -> HttpBackend {
    HttpBackend::new(move |_| {
        Answer::new(retry_after)
            .with_status(status)
            .header("Retry-After", retry_after)
    })
}

/// The only request that a backend has had since the last look.
fn taken(backend: &HttpBackend, before: usize) -> Request {
    let requests = backend.requests();
    assert_eq!(requests.len(), before + 1);
    requests[before].clone()
}

fn model(request: &Request) -> Value {
    let body: Value = serde_json::from_slice(&request.body).expect("it is JSON");
    body["model"].clone()
}

#[test]
fn ai_failover_asks_each_provider_by_its_own_host_key_path_and_model() {
    let (first, second) = (refusing(429, "0"), refusing(500, "0"));
    let third = chat_provider(&["llama"]);
    let more = [
        "secret = 'first'",
        "secret = 'second'\nheader = 'Api-Key'\npath = '/openai/v1'\nmodels = { 'gpt-4' = 'large' }",
        "models = { '*' = 'llama' }",
    ];
    let pace = start([&first, &second, &third], more);
    let mut client = pace.client();
    for (before, is_stream) in [false, true].into_iter().enumerate() {
        let mut body = say("gpt-4", "hello there");
        body["stream"] = json!(is_stream);
        let request = chat(&body)
            .header("Authorization", "Bearer the-client's-key")
            .header("X-Api-Key", "the-client's-key");
        let answer = client.send(&request);
        let text =
            match is_stream {
                true => content(&events(&answer)),
                false => {
                    serde_json::from_str::<Value>(answer.text()).expect("it is JSON")["choices"][0]["message"]
                        ["content"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned()
                }
            };
        assert_eq!((answer.status, &*text), (200, "hello there"));

        let seen = [&first, &second, &third].map(|backend| taken(backend, before));
        assert_eq!(seen.each_ref().map(model), ["gpt-4", "large", "llama"]);
        let targets = seen.each_ref().map(|request| &*request.target);
        let plain = "/v1/chat/completions";
        assert_eq!(targets, [plain, "/openai/v1/chat/completions", plain]);
        for (request, name) in seen.iter().zip(["first", "second", "third"]) {
            assert_eq!(request.headers.all("host"), [format!("{name}.example")]);
            // Of all keys each provider has seen its own.
            let fields = request
                .headers
                .iter()
                .map(|(_, value)| String::from_utf8_lossy(value));
            let values = fields.collect::<Vec<_>>().join("\n");
            assert!(!values.contains("client's"), "{name}: {values}");
            for (owner, key) in KEYS {
                assert_eq!(values.contains(key), owner == name, "{name}: {values}");
            }
        }
        assert_eq!(seen[0].headers.all("authorization"), ["Bearer the-first-key"]);
        assert_eq!(seen[1].headers.all("api-key"), ["the-second-key"]);
    }
    assert!(!pace.log().contains("-key"), "{}", pace.log());
}

#[test]
fn ai_failover_goes_on_without_a_connection_and_without_an_answer_in_time() {
    let gate = Gate::new();
    let (first, second) = (HttpBackend::down(), HttpBackend::behind(&gate, "late"));
    let third = HttpBackend::named("third");
    let pace = start([&first, &second, &third], ["", "timeout_ms = 100", ""]);
    let answer = pace.client().send(&chat(&say("gpt-4", "hello")));
    assert_eq!((answer.status, answer.text()), (200, "third"));
    assert_eq!(second.requests().len(), 1);
    gate.open();
}

#[test]
fn ai_failover_passes_the_last_answer_on() {
    let (first, second, third) = (refusing(429, "7"), refusing(503, "8"), refusing(429, "9"));
    let pace = start([&first, &second, &third], [""; 3]);
    let answer = pace.client().send(&chat(&say("gpt-4", "hello")));
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("9")));
    for backend in [&first, &second, &third] {
        assert_eq!(backend.requests().len(), 1);
    }
}

#[test]
fn ai_failover_tries_a_provider_that_asked_for_a_pause_last() {
    let (first, second) = (refusing(429, "60"), HttpBackend::named("second"));
    let third = HttpBackend::named("third");
    let pace = start([&first, &second, &third], [""; 3]);
    for _ in 0..5 {
        assert_eq!(pace.client().send(&chat(&say("gpt-4", "hello"))).text(), "second");
    }
    assert_eq!(first.requests().len(), 1, "its pause is not over");
}

#[test]
fn ai_failover_leaves_a_stream_that_breaks_off_where_it_is() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999\r\n\r\ndata: 1\n\n";
    let first = HttpBackend::new(move |_| Answer::raw(head));
    let second = HttpBackend::named("second");
    let pace = start([&first, &second, &second], [""; 3]);
    let broken = pace.client().try_send(&chat(&say("gpt-4", "hello")));
    broken.expect_err("the client sees that it is not complete");
    assert!(second.requests().is_empty());
}
