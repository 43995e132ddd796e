//! Plugins that misbehave in any function of the hooks for bodies, streams, attempts and endings: the request at hand has the
//! documented outcome, the next one on the same connections is served, and the failure is counted once.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use pace_tests::{Answer, Client, Gate, HttpBackend, Pace, Request, Response, fixture, wait_until};
use socket2::SockRef;

use crate::sections::{ONE_WORKER, plugin};

/// A function, its hook, and what a client gets if it fails closed.
struct Function {
    name: &'static str,
    hook: &'static str,
    closed: Closed,
    hows: &'static [(&'static str, &'static str)],
}

/// What a client gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    Status(u16),
    /// The head of the response, and not all of the body.
    Part,
    /// Everything: the response was sent before.
    Everything,
}

const OF_INSTANCES: &[(&str, &str)] = &[("trap", "trap"), ("loop", "deadline"), ("memory", "memory")];
const OF_BODIES: &[(&str, &str)] = &[
    ("trap", "trap"),
    ("loop", "deadline"),
    ("memory", "memory"),
    ("replace", "illegal-output"),
    ("splice", "illegal-output"),
];
const OF_UNITS: &[(&str, &str)] = &[
    ("trap", "trap"),
    ("loop", "deadline"),
    ("memory", "memory"),
    ("replace", "illegal-output"),
    ("splice", "illegal-output"),
    ("drop", "illegal-output"),
    ("stop", "illegal-output"),
];
const OF_OPENINGS: &[(&str, &str)] = &[
    ("trap", "trap"),
    ("loop", "deadline"),
    ("memory", "memory"),
    ("many", "illegal-output"),
    ("long", "illegal-output"),
];

const FUNCTIONS: [Function; 13] = [
    Function::new(
        "request-head",
        "request-filter",
        Closed::Status(503),
        OF_INSTANCES,
    ),
    Function::new(
        "response-head",
        "response-filter",
        Closed::Status(503),
        OF_INSTANCES,
    ),
    Function::new(
        "request-body",
        "request-body-filter",
        Closed::Status(503),
        OF_BODIES,
    ),
    Function::new(
        "request-open",
        "request-stream-filter",
        Closed::Status(503),
        OF_OPENINGS,
    ),
    Function::new(
        "request-next",
        "request-stream-filter",
        Closed::Status(503),
        OF_UNITS,
    ),
    Function::new(
        "request-end",
        "request-stream-filter",
        Closed::Status(503),
        OF_BODIES,
    ),
    Function::new("prepare", "attempt-filter", Closed::Status(503), OF_INSTANCES),
    Function::new("judge", "attempt-filter", Closed::Status(503), OF_INSTANCES),
    Function::new(
        "response-body",
        "response-body-filter",
        Closed::Status(503),
        OF_BODIES,
    ),
    Function::new(
        "response-open",
        "response-stream-filter",
        Closed::Status(502),
        OF_OPENINGS,
    ),
    Function::new(
        "response-next",
        "response-stream-filter",
        Closed::Status(502),
        OF_UNITS,
    ),
    Function::new("response-end", "response-stream-filter", Closed::Part, OF_BODIES),
    Function::new("finished", "finished", Closed::Everything, OF_INSTANCES),
];

impl Function {
    const fn new(
        name: &'static str,
        hook: &'static str,
        closed: Closed,
        hows: &'static [(&'static str, &'static str)],
    ) -> Function {
        Function {
            name,
            hook,
            closed,
            hows,
        }
    }
}

fn start(backends: &[&HttpBackend], keys: &str) -> Pace {
    let backends: Vec<String> = backends.iter().map(|backend| backend.label()).collect();
    let evil = plugin("misbehaves", &fixture("misbehaves"));
    Pace::with_config(&format!(
        "{ONE_WORKER}{evil}breaker = {{ failures = 0 }}\n{keys}\n\n\
         [[pools]]\nname = 'web'\nbackends = {backends:?}\nretry = {{ attempts = 3 }}\n\n\
         [[routes]]\nmatch = {{ path_prefix = '/closed' }}\npool = 'web'\nplugins = ['misbehaves']\n\n\
         [[pools]]\nname = 'spoilt'\nbackends = ['127.0.0.1:1']\n\n\
         [[routes]]\nmatch = {{ path_prefix = '/open' }}\n\
         pools = [{{ pool = 'web', weight = 1 }}, {{ pool = 'spoilt', weight = 0 }}]\n\
         plugins = [{{ use = 'misbehaves', on_failure = 'open' }}]\n"
    ))
}

/// A backend that answers with the body of the request, in two pieces.
fn echo() -> HttpBackend {
    HttpBackend::new(|request| Answer::chunks(request.body.chunks(4).map(<[u8]>::to_vec).collect::<Vec<_>>()))
}

const BODY: &str = "one\ntwo\n";

fn post(client: &mut Client, path: &str) -> std::io::Result<Response> {
    client.try_send(&Request::post(path, BODY))
}

#[test]
fn failure_in_any_function_affects_one_request() {
    let backend = echo();
    // Enough for a thousand calls of the host on a busy machine: another limit than that of time ends them.
    let pace = start(&[&backend], "limits = { time_ms = 100 }");
    let mut client = pace.client();
    let mut failures: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for function in &FUNCTIONS {
        let Function { name, hook, .. } = function;
        for (how, reason) in function.hows {
            let what = format!("{name}/{how}");
            let answer = post(&mut client, &format!("/closed/misbehave/{what}"));
            match (function.closed, answer) {
                (Closed::Status(status), answer) => assert_eq!(answer.expect(&what).status, status, "{what}"),
                (Closed::Part, answer) => assert!(answer.is_err(), "{what}: {answer:?}"),
                (Closed::Everything, answer) => assert_eq!(answer.expect(&what).text(), BODY, "{what}"),
            }
            let fine = post(&mut client, "/closed/fine").expect(&what);
            assert_eq!((fine.status, fine.text()), (200, BODY), "{what}");

            // As if the plugin were not there: nothing of what it had changed by then is left.
            let target = format!("/open/misbehave/{what}");
            let open = client.send(&Request::post(&target, BODY).header("X-Kept", "yes"));
            assert_eq!((open.status, open.text()), (200, BODY), "{what}");
            assert_eq!(open.header("x-spoilt"), None, "{what}");
            let sent = backend.requests().pop().expect("it has come");
            assert_eq!(
                (&*sent.target, &*sent.body),
                (&*target, BODY.as_bytes()),
                "{what}"
            );
            assert_eq!(sent.headers.get("x-kept"), Some("yes"), "{what}");
            assert_eq!(sent.headers.get("x-spoilt"), None, "{what}");
            let counted = failures.entry((hook, reason)).or_default();
            *counted += 2;
            let labels = [("hook", *hook), ("reason", *reason)];
            pace.wait_for_metric("pace_plugin_failures_total", &labels, *counted);
        }
    }
    // Besides, messages were lost that passed a filter in the instance of a call that failed.
    let all: u64 = failures.values().sum();
    let labels = [("reason", "instance-lost")];
    let lost = pace.metrics().sum("pace_plugin_failures_total", &labels);
    assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), all + lost);
}

#[test]
fn reading_and_writing_beyond_the_end_has_no_effect() {
    let backend = echo();
    let pace = start(&[&backend], "");
    let mut client = pace.client();
    for function in [
        "request-body",
        "request-next",
        "request-end",
        "response-body",
        "response-next",
        "response-end",
    ] {
        let answer = post(&mut client, &format!("/closed/misbehave/{function}/beyond")).expect(function);
        assert_eq!((answer.status, answer.text()), (200, BODY), "{function}");
    }
    assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
}

#[test]
fn plugin_that_always_wants_another_attempt_gets_as_many_as_the_pool_allows() {
    let backends = [(); 4].map(|()| echo());
    let pace = start(&backends.each_ref(), "");
    let answer = post(&mut pace.client(), "/closed/misbehave/judge/retry").expect("there is an answer");
    assert_eq!((answer.status, answer.text()), (200, BODY));
    let asked: usize = backends.iter().map(|backend| backend.requests().len()).sum();
    assert_eq!(asked, 3);
}

/// The messages of an instance end with it, whichever call it was that failed.
#[test]
fn message_whose_instance_dies_between_two_units_has_failed() {
    let gate = Gate::new();
    let opens = gate.clone();
    let backend = HttpBackend::new(move |request| match request.target.ends_with("/panic") {
        true => Answer::new("panic\n"),
        false => Answer::halves("one\n", &gate, "two\n"),
    });
    let words = plugin("words", &fixture("stream-words"));
    for (on_failure, seen) in [("closed", None), ("open", Some("one(1)\ntwo\n"))] {
        let pace = Pace::with_config(&format!(
            "{ONE_WORKER}{words}on_failure = '{on_failure}'\nconfig = {{ of = 'response', framing = 'line' }}\n\n\
             [[pools]]\nname = 'web'\nbackends = ['{}']\n\n[[routes]]\npool = 'web'\nplugins = ['words']\n",
            backend.label()
        ));
        opens.close();
        let mut slow = pace.client();
        slow.transmit(&Request::get("/slow")).expect("Pace takes it");
        let head = slow.read_head("GET").expect("Pace answers");
        let mut body = Vec::new();
        let read = slow.read_body(&head, |bytes| {
            body.extend_from_slice(bytes);
            // The first unit has been shown, and the second has not come.
            if body == b"one(1)\n" {
                let status = pace.get("/panic").status;
                assert_eq!(status, if seen.is_some() { 200 } else { 502 });
                opens.open();
            }
        });
        assert_eq!(read.is_ok(), seen.is_some(), "{on_failure}");
        if let Some(seen) = seen {
            assert_eq!(String::from_utf8_lossy(&body), seen);
        }
        let labels = [("reason", "instance-lost")];
        pace.wait_for_metric("pace_plugin_failures_total", &labels, 1);
    }
}

/// A plugin that is at work for a client that has left answers nobody, and nothing of it reaches the next client.
#[test]
fn answer_to_a_client_that_has_left_reaches_nobody() {
    let backend = echo();
    let pace = start(&[&backend], "limits = { time_ms = 300 }\n");
    let failures = || pace.metrics().sum("pace_plugin_failures_total", &[]);
    for function in ["request-body", "response-body", "response-next", "judge"] {
        let before = failures();
        let client = TcpStream::connect(pace.address()).expect("Pace listens");
        let head = format!(
            "POST /closed/misbehave/{function}/loop HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"
        );
        (&client)
            .write_all(format!("{head}{BODY}").as_bytes())
            .expect("Pace reads");
        // A reset that overtakes the request would be no request.
        wait_until("Pace to have the request", || {
            pace.metrics().sum("pace_requests_in_flight", &[]) > 0 || failures() > before
        });
        let reset = SockRef::from(&client).set_linger(Some(Duration::ZERO));
        reset.expect("it is a socket");
        drop(client);
        wait_until("the request to be over", || {
            pace.metrics().sum("pace_requests_in_flight", &[]) == 0
        });
        let answer = post(&mut pace.client(), "/closed/fine").expect(function);
        assert_eq!((answer.status, answer.text()), (200, BODY), "{function}");
    }
    assert!(failures() > 0, "the plugin was at work");
}
