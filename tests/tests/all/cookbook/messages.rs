//! Plugins that look into bodies, and those that look back at a request.

use std::sync::atomic::{AtomicU16, Ordering};

use pace_tests::{Answer, Gate, HttpBackend, Request, Setup, chat_provider, recipe, wait_until};

use super::{entry, start};
use crate::sections::SERVER;

#[test]
fn webhook_signature_admits_each_signed_webhook_once() {
    static STATUS: AtomicU16 = AtomicU16::new(503);
    let backend = HttpBackend::new(|_| Answer::status(STATUS.load(Ordering::SeqCst)));
    let config = "scheme = \"github\"\nsecrets = [\"hook\"]";
    let config = entry(
        &recipe("webhook-signature"),
        "webhook-signature",
        config,
        SERVER,
        &[&backend],
    );
    let grant = "secrets = { hook = { file = \"hook.key\" } }\n[plugins.config]";
    let setup = Setup::new().file("hook.key", "It's a secret to everybody\n");
    let pace = setup.config(&config.replace("[plugins.config]", grant)).start();
    let mut client = pace.client();
    // `printf 'Hello, World!' | openssl dgst -sha256 -hmac "It's a secret to everybody"`
    let signature = "sha256=1fe2d60741c8276b3394633e8f88b2eb6d0aead0ec5502e6c60037385b97ebd3";
    let mut send = |body: &str| {
        let request = Request::post("/hook", body).header("X-Hub-Signature-256", signature);
        client.send(&request).status
    };
    assert_eq!(send("Hello, World"), 401);
    assert!(backend.requests().is_empty());
    assert_eq!(send("Hello, World!"), 503, "the backend has no time");
    STATUS.store(204, Ordering::SeqCst);
    assert_eq!(send("Hello, World!"), 204, "it comes again");
    assert_eq!(
        backend.requests().pop().expect("it has come").body,
        b"Hello, World!"
    );
    assert_eq!(send("Hello, World!"), 409, "it was taken");
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn html_inject_puts_its_line_before_the_end_of_pages() {
    let page = |request: &Request| {
        let page = "<html><body><p>é</p></BODY></html>";
        match &*request.target {
            "/cut" => {
                let pieces = page.as_bytes().chunks(1).map(<[u8]>::to_vec);
                Answer::chunks(pieces.collect::<Vec<_>>())
            }
            "/zstd" => Answer::new(zstd::encode_all(page.as_bytes(), 3).expect("it is memory"))
                .header("Content-Encoding", "zstd"),
            _ => Answer::new(page),
        }
        .header(
            "Content-Type",
            if request.target == "/text" {
                "text/plain"
            } else {
                "text/html; charset=utf-8"
            },
        )
    };
    let backend = HttpBackend::new(page);
    let pace = start(
        "html-inject",
        "html = \"<script src=/stats.js></script>\"",
        &[&backend],
    );
    let mut client = pace.client();
    let expected = "<html><body><p>é</p><script src=/stats.js></script></BODY></html>";
    for target in ["/", "/cut", "/zstd"] {
        let request = Request::get(target).header("Accept-Encoding", "zstd");
        let answer = client.send(&request);
        let text = match answer.header("content-encoding") {
            Some("zstd") => zstd::decode_all(&*answer.body).expect("it is whole"),
            _ => answer.body.clone(),
        };
        assert_eq!(String::from_utf8_lossy(&text), expected, "{target}");
    }
    assert_eq!(client.get("/text").text(), "<html><body><p>é</p></BODY></html>");
}

#[test]
fn access_sampler_counts_requests_of_each_tenant() {
    let backend = HttpBackend::new(|request| match &*request.target {
        "/missing" => Answer::status(404),
        _ => Answer::new("12345"),
    });
    let pace = start("access-sampler", "tenant = \"X-Tenant\"", &[&backend]);
    let mut client = pace.client();
    for (tenant, target) in [("acme", "/"), ("acme", "/"), ("acme", "/missing"), ("blue", "/")] {
        client.send(&Request::get(target).header("X-Tenant", tenant));
    }
    client.get("/");
    let counted = |tenant, status, count| {
        let labels = [("tenant", tenant), ("status", status), ("ending", "complete")];
        pace.wait_for_metric("plugin_requests_total", &labels, count);
    };
    counted("acme", "2xx", 2);
    counted("acme", "4xx", 1);
    counted("blue", "2xx", 1);
    counted("-", "2xx", 1);
    let metrics = pace.metrics();
    assert_eq!(
        metrics.sum("plugin_response_bytes_total", &[("tenant", "acme")]),
        10
    );
    let measured = [("tenant", "acme"), ("pool", "web")];
    assert_eq!(metrics.sum("plugin_request_seconds_count", &measured), 3);
}

#[test]
fn graphql_guard_refuses_queries_that_are_too_deep_or_too_wide() {
    let backend = HttpBackend::named("{}");
    let pace = start(
        "graphql-guard",
        "max_depth = 2\nmax_aliases = 1\nmax_bytes = 200",
        &[&backend],
    );
    let mut client = pace.client();
    let mut ask = |query: &str| {
        let body = serde_json::json!({ "query": query }).to_string();
        client.send(&Request::post("/graphql", body)).status
    };
    assert_eq!(ask("{ a { b } } # {{{"), 200);
    assert_eq!(ask("{ a { b { c } } }"), 400);
    assert_eq!(ask("{ x: a, y: a }"), 400);
    assert_eq!(ask(&"a".repeat(200)), 413);
    assert_eq!(pace.get("/graphql?query={a}").status, 405);
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn idempotency_key_repeats_the_first_answer() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "order 1");
    let pace = start("idempotency-key", "", &[&backend]);
    let request = |key: &str, body: &str| Request::post("/orders", body).header("Idempotency-Key", key);
    let mut first = pace.client();
    first.transmit(&request("a", "tea")).expect("Pace reads");
    wait_until("the first to arrive", || backend.requests().len() == 1);
    assert_eq!(
        pace.client().send(&request("a", "tea")).status,
        409,
        "the first is under way"
    );
    gate.open();
    let answer = first.read("POST").expect("it is answered");
    assert_eq!(
        (answer.text(), answer.header("idempotent-replayed")),
        ("order 1", None)
    );
    let again = pace.client().send(&request("a", "tea"));
    assert_eq!((again.status, again.text()), (200, "order 1"));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(backend.requests().len(), 1);
    assert_eq!(pace.client().send(&request("a", "coffee")).status, 422);
    assert_eq!(pace.client().send(&request("b", "coffee")).status, 200);
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn redact_replaces_patterns_in_documents_and_streams() {
    let provider = chat_provider(&["gpt-4"]);
    let pace = start("redact", "patterns = { card = '\\b\\d{16}\\b' }", &[&provider]);
    for stream in [false, true] {
        let message = serde_json::json!({ "role": "user", "content": "my card is 4111111111111111 !" });
        let body = serde_json::json!({ "model": "gpt-4", "stream": stream, "messages": [message] });
        let answer = pace
            .client()
            .send(&Request::post("/v1/chat/completions", body.to_string()));
        assert_eq!(answer.status, 200);
        assert!(
            answer.text().contains("[card]") && !answer.text().contains("4111"),
            "{}",
            answer.text()
        );
    }
    pace.wait_for_metric("plugin_redacted_total", &[("pattern", "card")], 2);
}

#[test]
fn json_schema_lite_says_all_that_is_wrong() {
    let backend = HttpBackend::named("in");
    let config = "required = { \"/name\" = \"string\", \"/count\" = \"integer\" }";
    let pace = start("json-schema-lite", config, &[&backend]);
    let mut client = pace.client();
    let right = client.send(&Request::post("/", r#"{"name": "tea", "count": 2}"#));
    assert_eq!((right.status, right.text()), (200, "in"));
    let wrong = client.send(&Request::post("/", r#"{"count": "two"}"#));
    let problem: serde_json::Value = serde_json::from_str(wrong.text()).expect("it is JSON");
    let errors = [
        "/count: expected integer, found string",
        "/name: expected string, found absent",
    ];
    assert_eq!(
        (wrong.status, &problem["errors"]),
        (422, &serde_json::json!(errors))
    );
    assert_eq!(backend.requests().len(), 1);
}
