//! Plugins that answer: which of them, and what the client gets.

use std::fs;

use pace_tests::{Origin, Pace, Request, component, fixture, text_fixture};

use crate::sections::{SERVER, pool, short_form, urls, with_plugins};
use crate::swapping::directory;

#[test]
fn an_answer_of_a_request_filter_reaches_no_backend() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[
            ("answer", &fixture("respond")),
            ("headers", &component("header-injection")),
        ],
        &[&origin],
    ));
    let mut client = pace.client();

    let response = client.get("/respond");
    assert_eq!((response.status, response.text()), (418, "from the plugin\n"));
    assert_eq!(response.header("x-fixture"), Some("respond"));
    assert!(response.header("date").is_some(), "{response:?}");
    // The response filters of the route see it too.
    assert_eq!(response.header("x-proxy"), Some("pace"));
    assert_eq!(response.header("x-backend"), None, "no backend answered");
    assert!(origin.requests().is_empty());

    // Of a HEAD's answer there is only the head.
    let head = client.send(&Request::new("HEAD", "/respond"));
    assert_eq!((head.status, head.header("content-length")), (418, Some("16")));
    // A body that nobody reads is not taken for the next request.
    let post = client.send(&Request::post(
        "/respond",
        "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ));
    assert_eq!(post.status, 418);
    assert_eq!(client.get("/").text(), "one");
    assert_eq!(origin.request().target, "/");
}

#[test]
fn an_answer_with_205_has_no_body() {
    let origin = Origin::named("one");
    let files = directory();
    let file = files.path().join("reset.wasm");
    fs::write(&file, text_fixture("reset-content")).expect("it can be written");
    let pace = Pace::with_config(&with_plugins(SERVER, &[("reset", &file)], &[&origin]));
    let mut client = pace.client();
    for request in [
        Request::get("/"),
        Request::new("HEAD", "/"),
        Request::post("/", "a body"),
    ] {
        let response = client.send(&request);
        assert_eq!((response.status, response.text()), (205, ""), "{response:?}");
        assert_eq!(response.header("content-length"), Some("0"), "{response:?}");
    }
    assert_eq!(client.connections(), 1);
}

#[test]
fn an_answer_of_a_request_filter_leaves_the_connection_usable() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("answer", &fixture("respond"))],
        &[&origin],
    ));
    let mut client = pace.client();
    for path in ["/respond", "/", "/respond", "/"] {
        client.get(path);
    }
    assert_eq!(client.connections(), 1);
}

#[test]
fn a_denied_request_has_the_headers_of_every_response() {
    let origin = Origin::named("one");
    let config = short_form(&[&origin]).replace("max_requests = 100", "max_requests = 1");
    let pace = Pace::with_config(&config);
    let mut client = pace.client();
    assert_eq!(client.get("/").status, 200);

    let denied = client.get("/");
    assert_eq!((denied.status, denied.header("x-proxy")), (429, Some("pace")));
    assert_eq!(denied.header("x-backend"), None, "no backend answered");
    assert_eq!(client.connections(), 1);
}

#[test]
fn an_answer_of_select_upstream_reaches_no_backend() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[
            ("answer", &fixture("select-respond")),
            ("balance", &component("round-robin")),
            ("headers", &component("header-injection")),
        ],
        &[&origin],
    ));
    let mut client = pace.client();

    let response = client.get("/respond");
    assert_eq!((response.status, response.text()), (503, "from the plugin\n"));
    assert_eq!(response.header("x-fixture"), Some("select-respond"));
    assert_eq!(response.header("x-proxy"), Some("pace"));
    assert!(origin.requests().is_empty());
    // Where it has no opinion, the next plugin is asked.
    assert_eq!(client.get("/").text(), "one");
}

#[test]
fn without_a_pick_there_is_no_backend() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("no-opinion", &fixture("select-respond"))],
        &[&origin],
    ));
    assert_eq!(pace.get("/").status, 503);
    assert!(origin.requests().is_empty());
}

#[test]
fn a_response_filter_can_replace_the_response() {
    let origin = Origin::named("the secret");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        // On the way out the last of the list is the first.
        &[
            ("outer", &component("header-injection")),
            ("replace", &fixture("response-respond")),
        ],
        &[&origin],
    ));
    let mut client = pace.client();

    let response = client.get("/respond");
    assert_eq!((response.status, response.text()), (502, "instead of a 200\n"));
    assert_eq!(response.header("x-fixture"), Some("response-respond"));
    // It goes on through the filters that have not seen it.
    assert_eq!(response.header("x-proxy"), Some("pace"));
    assert_eq!(response.header("x-backend"), None, "a plugin made this response");
    assert_eq!(client.get("/").text(), "the secret");
}

#[test]
fn a_filter_that_had_its_turn_does_not_see_the_replacement() {
    let origin = Origin::named("the secret");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[
            ("replace", &fixture("response-respond")),
            ("inner", &component("header-injection")),
        ],
        &[&origin],
    ));
    let response = pace.get("/respond");
    assert_eq!((response.status, response.header("x-proxy")), (502, None));
}

/// The first of the list is the outermost: first with the request, last with the response.
#[test]
fn plugins_run_in_order_on_the_way_in_and_backwards_on_the_way_out() {
    let origin = Origin::named("one");
    let backends = urls(&[&origin]);
    let headers = |name: &str| {
        format!(
            "[[plugins]]\nname = {name:?}\nwasm = \"builtin:header-injection\"\n\
             config = {{ identify = false, request = {{ add = {{ x-seen = {name:?} }}, set = {{ x-last = {name:?} }} }}, \
             response = {{ add = {{ x-seen = {name:?} }}, set = {{ x-last = {name:?} }} }} }}\n\n"
        )
    };
    let pace = Pace::with_config(&format!(
        "{SERVER}\n{}{}[[pools]]\nname = \"web\"\nbackends = {backends}\n\n\
         [[routes]]\npool = \"web\"\nplugins = [\"outer\", \"inner\"]\n",
        headers("outer"),
        headers("inner"),
    ));
    let response = pace.get("/");
    assert_eq!(response.headers.all("x-seen"), ["inner", "outer"]);
    assert_eq!(response.headers.all("x-last"), ["outer"]);
    let request = origin.request();
    assert_eq!(request.headers.all("x-seen"), ["outer", "inner"]);
    assert_eq!(request.headers.all("x-last"), ["inner"]);
}

/// What answers first decides: a plugin behind it is not asked.
#[test]
fn the_first_answer_wins() {
    let origin = Origin::named("one");
    let limit = "[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\n\
                 config = { max_requests = 1, window_seconds = 3600 }\n";
    let answer = crate::sections::plugin("answer", &fixture("respond"));
    let pace = Pace::with_config(&format!(
        "{SERVER}\n{limit}\n{answer}\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"answer\", \"limit\"]\n",
        pool("web", &[&origin]),
    ));
    let mut client = pace.client();
    let mut ask = |path: &str| client.get(path).status;
    assert_eq!(
        [
            ask("/respond"),
            ask("/respond"),
            ask("/"),
            ask("/respond"),
            ask("/")
        ],
        [418, 418, 200, 418, 429]
    );
}
