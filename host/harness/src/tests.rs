//! Tests of the default plugins, called by hand.

use std::time::Duration;

use serde_json::json;

use super::*;
use pace_hook::{FailureReason, Headers, Selection, Verdict};

fn limiter(max_requests: u32) -> Session {
    let subject = Subject::load("builtin:rate-limiter").expect("it is in the binary");
    let config = json!({ "max_requests": max_requests, "window_seconds": 60, "ipv6_prefix": 128 });
    let setup = Setup {
        config: config.as_object().expect("it is one").clone(),
        ..Setup::default()
    };
    subject.configure(&setup).expect("the configuration is legal")
}

#[test]
fn session_time_moves_only_by_hand() {
    let session = limiter(2);
    let verdict = || {
        session
            .request_filter(&mut Request::get("/"))
            .expect("no failure")
    };
    assert_eq!([verdict(), verdict()], [Verdict::Next, Verdict::Next]);
    assert!(matches!(verdict(), Verdict::Respond(reply) if reply.status == 429));
    session.advance(Duration::from_millis(60_000));
    assert!(matches!(verdict(), Verdict::Respond(_)));
    session.advance(Duration::from_millis(60));
    assert_eq!(verdict(), Verdict::Next);
}

#[test]
fn session_windows_can_be_filled_and_read() {
    let session = limiter(10);
    let key = WindowKey::Address(Request::get("/").client);
    assert_eq!(session.windows(), ["requests"]);
    assert!(session.put_events("requests", &key, 4, Duration::from_secs(59)));
    assert!(session.put_events("requests", &key, 6, Duration::ZERO));
    assert!(!session.put_events("request", &key, 6, Duration::ZERO));
    assert_eq!(session.events("requests", &key), Some(10));
    let outcome = session.exchange(Exchange::new(Request::get("/")));
    assert_eq!(outcome.word, Word::Respond);

    session.advance(Duration::from_secs(2));
    assert_eq!(session.events("requests", &key), Some(6));
    let network = WindowKey::Network("192.0.2.0/24".parse().expect("it is a network"));
    assert_eq!(session.events("requests", &network), Some(0), "another key");
    assert_eq!(session.events("other", &network), None);
}

/// The configuration's `isolation = "request"`: counts are kept by the host and outlive the instance.
#[test]
fn session_with_isolation_request_keeps_no_instance() {
    let subject = Subject::load("builtin:rate-limiter").expect("it is in the binary");
    let setup = Setup {
        isolation: pace_config::Isolation::Request,
        config: json!({ "max_requests": 1 })
            .as_object()
            .expect("it is one")
            .clone(),
        ..Setup::default()
    };
    for _ in 0..2 {
        let session = subject.configure(&setup).expect("the configuration is legal");
        assert_eq!(session.send(Request::get("/")).word, Word::Next);
        assert_eq!(session.send(Request::get("/")).word, Word::Respond);
        assert_eq!(session.usage(), None, "no instance is kept");
    }
}

#[test]
fn sessions_share_nothing() {
    let (one, other) = (limiter(1), limiter(1));
    for session in [&one, &other] {
        let outcome = session.exchange(Exchange::new(Request::get("/")));
        assert_eq!(outcome.word, Word::Next);
    }
}

#[test]
fn session_counters_can_be_set_and_read() {
    let subject = Subject::load("builtin:round-robin").expect("it is in the binary");
    let mut setup = Setup::default();
    let pool = Pool::new(["a:1", "b:1", "c:1"].map(Backend::new));
    let first = subject.configure(&setup).expect("nothing to configure");
    let picks: Vec<_> = (0..4)
        .map(|_| {
            first
                .select_upstream(&Request::get("/"), &pool, 1)
                .expect("no failure")
        })
        .collect();
    assert_eq!(picks, [0, 1, 2, 0].map(Selection::Pick));

    let (name, value) = first
        .counters()
        .into_iter()
        .find(|(_, value)| *value > 0)
        .expect("it counts");
    setup.counters.insert(name.clone(), value);
    let second = subject.configure(&setup).expect("nothing to configure");
    let next = second.select_upstream(&Request::get("/"), &pool, 1);
    assert_eq!(next.expect("no failure"), Selection::Pick(1));
    assert_eq!(second.counter(&name), Some(5));
}

#[test]
fn exchange_passes_the_response_through_the_response_filter() {
    let subject = Subject::load("builtin:header-injection").expect("it is in the binary");
    let session = subject
        .configure(&Setup::default())
        .expect("nothing must be configured");
    let outcome = session.exchange(Exchange::new(Request::get("/")));
    assert_eq!((outcome.word, outcome.failure.is_none()), (Word::Next, true));
    let response = outcome.response.expect("the backend has answered");
    assert_eq!(response.header("x-backend"), Some(&b"10.0.0.1:8000"[..]));
}

#[test]
fn exchange_hook_that_is_not_exported_is_not_called() {
    let exchange = Exchange {
        hook: Some(pace_hook::Hook::ResponseFilter),
        ..Exchange::new(Request::get("/"))
    };
    let outcome = limiter(1).exchange(exchange);
    assert_eq!((outcome.hook, outcome.word), (None, Word::Next));
}

#[test]
fn configure_refused_configuration_is_a_failure() {
    let subject = Subject::load("builtin:rate-limiter").expect("it is in the binary");
    let mut setup = Setup::default();
    setup.config.insert("max_request".to_owned(), json!(1));
    let failure = subject.configure(&setup).err().expect("there is no such key");
    assert_eq!(failure.reason, FailureReason::Configure);
    assert!(
        failure.detail.contains("unknown field `max_request`"),
        "{failure}"
    );
}

#[test]
fn load_of_no_plugin_names_the_fault() {
    let refusal = |name: &str| Subject::load(name).err().expect("it is none").to_string();
    assert!(refusal("builtin:limiter").contains("`builtin:rate-limiter`"));
    assert!(refusal("nowhere.wasm").contains("cannot read nowhere.wasm"));
    assert!(refusal("Cargo.toml").contains("Cargo.toml: not WebAssembly"));
}
