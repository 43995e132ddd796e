//! Traces: what backends and a collector are told.

use std::collections::BTreeMap;

use pace_tests::{
    Answer, Authority, BackendTls, HttpBackend, Pace, Request, Setup, fixture, wait_for, wait_until,
};
use serde_json::{Value, json};

use crate::sections::{SERVER, plain, plugin, pool};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A collector that takes everything.
fn collector() -> HttpBackend {
    HttpBackend::new(|_| Answer::new("{}").header("Content-Type", "application/json"))
}

fn tracing(collector: &HttpBackend, keys: &str) -> String {
    format!("\n[tracing]\ncollector = '{}'\n{keys}\n", collector.url())
}

/// A Pace that traces every request, and trusts its client.
fn start(backend: &HttpBackend, collector: &HttpBackend) -> Pace {
    let text = plain(&[backend]).replace("workers", "trusted_proxies = ['127.0.0.1']\nworkers");
    let keys = "sample_one_in = 1";
    Setup::new()
        .config(&format!("{text}{}", tracing(collector, keys)))
        .start()
}

/// The spans that a collector has, as soon as there are so many.
fn spans(collector: &HttpBackend, most: usize) -> Vec<Value> {
    wait_for(&format!("{most} spans"), || {
        let mut spans = Vec::new();
        for request in collector.requests() {
            let batch: Value = serde_json::from_slice(&request.body).expect("it is JSON");
            let of_batch = &batch["resourceSpans"][0]["scopeSpans"][0]["spans"];
            spans.extend(of_batch.as_array().expect("it is a list").iter().cloned());
        }
        assert!(spans.len() <= most, "{spans:#?}");
        (spans.len() == most).then_some(spans)
    })
}

fn attributes(span: &Value) -> BTreeMap<String, Value> {
    let list = span["attributes"].as_array().expect("it is a list");
    let of = |pair: &Value| {
        let value = pair["value"].as_object().and_then(|value| value.values().next());
        (
            pair["key"].as_str().unwrap_or_default().to_owned(),
            value.cloned().unwrap_or_default(),
        )
    };
    list.iter().map(of).collect()
}

fn field(backend: &HttpBackend, name: &str) -> Option<String> {
    backend.request().headers.get(name).map(str::to_owned)
}

#[test]
fn request_has_a_span_with_one_for_each_attempt_and_hook() {
    let (down, backend, collector) = (HttpBackend::down(), HttpBackend::named("one"), collector());
    let text = [
        SERVER.replace("workers", "trusted_proxies = ['127.0.0.1']\nworkers"),
        plugin("nothing", &fixture("no-op")),
        pool("web", &[&down, &backend]),
        "[[routes]]\nname = 'all'\npool = 'web'\nplugins = ['nothing']\n".to_owned(),
        tracing(&collector, "service = 'edge'\nsample_one_in = 1000000"),
    ];
    let pace = Setup::new().config(&text.concat()).start();
    // One of two requests is tried at the backend that is down first.
    let mut client = pace.client();
    for _ in 0..2 {
        let request = Request::get("/path?secret")
            .header("traceparent", TRACEPARENT)
            .header("tracestate", "other=1");
        assert_eq!(client.send(&request).status, 200);
    }
    let spans = wait_for("the spans of both requests", || {
        let all = collector_spans(&collector);
        (all.iter().filter(|span| span["kind"] == 2).count() == 2).then_some(all)
    });
    let batch: Value = serde_json::from_slice(&collector.requests()[0].body).expect("it is JSON");
    let resource = &batch["resourceSpans"][0]["resource"];
    assert_eq!(attributes(resource)["service.name"], "edge");
    assert!(spans.iter().all(|span| span["traceId"] == TRACE), "{spans:#?}");

    let of_request = spans.iter().filter(|span| span["kind"] == 2);
    let mut failed = 0;
    for request in of_request {
        assert_eq!(request["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(request["name"], "GET all");
        let told = attributes(request);
        assert_eq!(told["http.request.method"], "GET");
        assert_eq!(told["http.response.status_code"], "200");
        assert_eq!(told["url.path"], "/path");
        assert!(!request.to_string().contains("secret"), "queries are not sent");
        let children: Vec<&Value> = spans
            .iter()
            .filter(|span| span["parentSpanId"] == request["spanId"])
            .collect();
        let attempts: Vec<_> = children.iter().filter(|span| span["kind"] == 3).collect();
        let hooks: Vec<_> = children.iter().filter(|span| span["kind"] == 1).collect();
        assert!(!attempts.is_empty() && !hooks.is_empty(), "{children:#?}");
        if attempts.len() == 2 {
            failed += 1;
            assert_eq!(attributes(attempts[0])["error.type"], "connection-refused");
            assert_eq!(attempts[0]["status"], json!({ "code": 2 }));
            assert_eq!(attributes(attempts[1])["http.request.resend_count"], "1");
        }
        let last = attempts.last().expect("there is one");
        assert_eq!(attributes(last)["pace.backend"], backend.label().as_str());
        assert!(
            hooks
                .iter()
                .any(|hook| hook["name"] == "builtin:round-robin select-upstream"),
            "{hooks:#?}"
        );
        for child in children {
            let time = |span: &Value, name: &str| {
                let nanos = span[name].as_str().expect("it is a text").parse::<u64>();
                nanos.expect("it is a number")
            };
            assert!(time(child, "startTimeUnixNano") >= time(request, "startTimeUnixNano"));
            assert!(time(child, "startTimeUnixNano") <= time(child, "endTimeUnixNano"));
        }
    }
    assert_eq!(failed, 1);

    // Backends are told the span of their attempt.
    for request in backend.requests() {
        let sent = request
            .headers
            .get("traceparent")
            .expect("it is there")
            .to_owned();
        let parts: Vec<&str> = sent.split('-').collect();
        assert_eq!((parts[0], parts[1], parts[3]), ("00", TRACE, "01"));
        assert!(
            spans
                .iter()
                .any(|span| span["kind"] == 3 && span["spanId"] == parts[2]),
            "{sent}"
        );
        assert_eq!(request.headers.get("tracestate"), Some("other=1"));
    }
    pace.wait_for_metric("pace_spans_sent_total", &[], spans.len() as u64);
}

fn collector_spans(collector: &HttpBackend) -> Vec<Value> {
    let mut spans = Vec::new();
    for request in collector.requests() {
        let batch: Value = serde_json::from_slice(&request.body).expect("it is JSON");
        let of_batch = &batch["resourceSpans"][0]["scopeSpans"][0]["spans"];
        spans.extend(of_batch.as_array().expect("it is a list").iter().cloned());
    }
    spans
}

#[test]
fn collector_gets_otlp_with_the_configured_fields() {
    let (backend, collector) = (HttpBackend::named("one"), collector());
    let keys =
        "sample_one_in = 1\nheaders = { authorization = { env = 'TOKEN' }, x-team = { file = 'team' } }";
    let text = format!("{}{}", plain(&[&backend]), tracing(&collector, keys));
    let pace = Setup::new()
        .config(&text)
        .env("TOKEN", "Bearer swordfish")
        .file("team", "edge\n")
        .start();
    pace.get("/");
    spans(&collector, 3);
    let request = collector.request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/v1/traces")
    );
    assert_eq!(request.headers.get("content-type"), Some("application/json"));
    assert_eq!(request.headers.get("authorization"), Some("Bearer swordfish"));
    assert_eq!(request.headers.get("x-team"), Some("edge"));
}

#[test]
fn trace_of_a_client_is_not_continued() {
    let (backend, collector) = (HttpBackend::named("one"), collector());
    let text = format!(
        "{}{}",
        plain(&[&backend]),
        tracing(&collector, "sample_one_in = 1")
    );
    let pace = Setup::new().config(&text).start();
    let request = Request::get("/")
        .header("traceparent", TRACEPARENT)
        .header("tracestate", "other=1");
    pace.client().send(&request);
    let sent = field(&backend, "traceparent").expect("it is there");
    assert!(!sent.contains(TRACE), "{sent}");
    assert_eq!(field(&backend, "tracestate"), None);
    let spans = spans(&collector, 3);
    let request = spans.iter().find(|span| span["kind"] == 2).expect("it is there");
    assert_eq!(request.get("parentSpanId"), None);
}

#[test]
fn invalid_trace_of_a_trusted_proxy_is_begun_anew() {
    for wrong in [
        "00-0-0-00",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        let (backend, collector) = (HttpBackend::named("one"), collector());
        let pace = start(&backend, &collector);
        let request = Request::get("/")
            .header("traceparent", wrong)
            .header("tracestate", "other=1");
        pace.client().send(&request);
        let sent = field(&backend, "traceparent").expect("it is there");
        assert!(
            sent.starts_with("00-") && sent.ends_with("-01") && !sent.contains(TRACE),
            "{sent}"
        );
        assert_eq!(field(&backend, "tracestate"), None);
    }
}

#[test]
fn decision_of_a_trusted_proxy_is_kept() {
    let (backend, collector) = (HttpBackend::named("one"), collector());
    let pace = start(&backend, &collector);
    let unsampled = TRACEPARENT.replace("-01", "-00");
    let mut client = pace.client();
    client.send(&Request::get("/not").header("traceparent", unsampled));
    client.send(&Request::get("/but").header("traceparent", TRACEPARENT));
    let spans = spans(&collector, 3);
    assert!(spans.iter().all(|span| !span.to_string().contains("/not")));
    let sent = backend.requests()[0]
        .headers
        .get("traceparent")
        .map(str::to_owned);
    assert!(sent.is_some_and(|sent| sent.contains(TRACE) && sent.ends_with("-00")));
}

#[test]
fn fields_of_traces_pass_where_nothing_is_traced() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let request = Request::get("/")
        .header("traceparent", "anything")
        .header("tracestate", "other=1");
    pace.client().send(&request);
    assert_eq!(field(&backend, "traceparent").as_deref(), Some("anything"));
    assert_eq!(field(&backend, "tracestate").as_deref(), Some("other=1"));
}

#[test]
fn collector_that_is_down_harms_no_request() {
    let (backend, collector) = (HttpBackend::named("one"), HttpBackend::down());
    let pace = start(&backend, &collector);
    let mut client = pace.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    wait_until("the spans to be lost", || {
        pace.metrics()
            .sum("pace_spans_dropped_total", &[("reason", "unreachable")])
            >= 60
    });
    pace.wait_for_log(&["spans are lost: the collector"]);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(pace.stop().code, Some(0));
}

#[test]
fn collector_that_refuses_spans_is_not_asked_again() {
    let backend = HttpBackend::named("one");
    let collector = HttpBackend::new(|_| Answer::status(400));
    let pace = start(&backend, &collector);
    pace.get("/");
    pace.wait_for_metric("pace_spans_dropped_total", &[("reason", "refused")], 3);
    assert_eq!(collector.requests().len(), 1);
}

#[test]
fn collector_that_is_busy_is_asked_again_on_the_same_connection() {
    let backend = HttpBackend::named("one");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let collector =
        HttpBackend::new(
            move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Answer::status(503),
                _ => Answer::new("{}"),
            },
        );
    let pace = start(&backend, &collector);
    pace.get("/");
    pace.wait_for_metric("pace_spans_sent_total", &[], 3);
    assert_eq!((collector.requests().len(), collector.connections()), (2, 1));
}

#[test]
fn spans_are_sent_before_the_end() {
    let (backend, collector) = (HttpBackend::named("one"), collector());
    let pace = start(&backend, &collector);
    pace.get("/");
    assert_eq!(pace.stop().code, Some(0));
    assert_eq!(collector_spans(&collector).len(), 3);
}

#[test]
fn collector_is_spoken_to_over_tls() {
    let (backend, authority) = (HttpBackend::named("one"), Authority::new("tests"));
    let certificate = authority.issue(&["127.0.0.1"]);
    let collector = HttpBackend::encrypted(&BackendTls::new(&certificate, &["http/1.1"]), |_| {
        Answer::new("{}")
    });
    let keys = "sample_one_in = 1\nca = 'ca.pem'";
    let text = format!("{}{}", plain(&[&backend]), tracing(&collector, keys));
    let setup = Setup::new().config(&text).file("ca.pem", authority.pem());
    let pace = setup.start();
    pace.get("/");
    spans(&collector, 3);
}

#[test]
fn request_id_of_a_client_is_replaced_and_that_of_a_trusted_proxy_kept() {
    let backend = HttpBackend::named("one");
    let text = |server: &str| plain(&[&backend]).replace("workers", &format!("{server}\nworkers"));
    let send = |pace: &Pace, id: &str| {
        let request = Request::get("/").header("X-Request-Id", id);
        pace.client().send(&request);
        let requests = backend.requests();
        let last = requests.last().expect("there is one");
        let ids = last.headers.all("x-request-id");
        assert_eq!(ids.len(), 1, "{ids:?}");
        ids[0].to_owned()
    };
    let is_uuid = |id: &str| id.len() == 36 && id.as_bytes()[14] == b'7' && id.as_bytes()[8] == b'-';
    let pace = Pace::with_config(&text("request_id = 'X-Request-Id'"));
    let (one, other) = (send(&pace, "mine"), send(&pace, "mine"));
    assert!(is_uuid(&one) && is_uuid(&other) && one < other, "{one} {other}");

    let pace = Pace::with_config(&text(
        "request_id = 'x-request-id'\ntrusted_proxies = ['127.0.0.1']",
    ));
    assert_eq!(send(&pace, "a-1"), "a-1");
    assert!(is_uuid(&send(&pace, &"x".repeat(129))));
    assert!(is_uuid(&send(&pace, "a b")));

    let pace = Pace::with_config(&text(""));
    assert_eq!(send(&pace, "mine"), "mine", "no field is one by default");
}
