//! Answers of plugins: which of them wins, and what the client receives.

use std::fs;

use pace_tests::{HttpBackend, Pace, Request, component, fixture, text_fixture};

use crate::sections::{SERVER, pool, short_form, urls, with_plugins};
use crate::swapping::directory;

#[test]
fn answer_of_a_request_filter_reaches_no_backend() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[
            ("answer", &fixture("respond")),
            ("headers", &component("header-injection")),
        ],
        &[&backend],
    ));
    let mut client = pace.client();

    let response = client.get("/respond");
    assert_eq!((response.status, response.text()), (418, "from the plugin\n"));
    assert_eq!(response.header("x-fixture"), Some("respond"));
    assert!(response.header("date").is_some(), "{response:?}");
    // The response filters of the route see the answer, too.
    assert_eq!(response.header("x-proxy"), Some("pace"));
    assert_eq!(response.header("x-backend"), None, "no backend answered");
    assert!(backend.requests().is_empty());

    // An answer to HEAD is only its head.
    let head = client.send(&Request::new("HEAD", "/respond"));
    assert_eq!((head.status, head.header("content-length")), (418, Some("16")));
    // The unread body of a request is not taken for the next request.
    let post = client.send(&Request::post(
        "/respond",
        "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ));
    assert_eq!(post.status, 418);
    assert_eq!(client.get("/").text(), "one");
    assert_eq!(backend.request().target, "/");
}

#[test]
fn answer_with_205_has_no_body() {
    let backend = HttpBackend::named("one");
    let files = directory();
    let file = files.path().join("reset.wasm");
    fs::write(&file, text_fixture("reset-content")).expect("it can be written");
    let pace = Pace::with_config(&with_plugins(SERVER, &[("reset", &file)], &[&backend]));
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
fn answer_of_a_request_filter_keeps_connection_usable() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("answer", &fixture("respond"))],
        &[&backend],
    ));
    let mut client = pace.client();
    for path in ["/respond", "/", "/respond", "/"] {
        client.get(path);
    }
    assert_eq!(client.connections(), 1);
}

#[test]
fn denied_request_gets_the_headers_of_every_response() {
    let backend = HttpBackend::named("one");
    let config = short_form(&[&backend]).replace("max_requests = 100", "max_requests = 1");
    let pace = Pace::with_config(&config);
    let mut client = pace.client();
    assert_eq!(client.get("/").status, 200);

    let denied = client.get("/");
    assert_eq!((denied.status, denied.header("x-proxy")), (429, Some("pace")));
    assert_eq!(denied.header("x-backend"), None, "no backend answered");
    assert_eq!(client.connections(), 1);
}

#[test]
fn answer_of_select_upstream_reaches_no_backend() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[
            ("answer", &fixture("select-respond")),
            ("balance", &component("round-robin")),
            ("headers", &component("header-injection")),
        ],
        &[&backend],
    ));
    let mut client = pace.client();

    let response = client.get("/respond");
    assert_eq!((response.status, response.text()), (503, "from the plugin\n"));
    assert_eq!(response.header("x-fixture"), Some("select-respond"));
    assert_eq!(response.header("x-proxy"), Some("pace"));
    assert!(backend.requests().is_empty());
    // Where the plugin abstains, the next plugin is called.
    assert_eq!(client.get("/").text(), "one");
}

#[test]
fn request_without_a_pick_is_a_503() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("no-opinion", &fixture("select-respond"))],
        &[&backend],
    ));
    assert_eq!(pace.get("/").status, 503);
    assert!(backend.requests().is_empty());
}

#[test]
fn response_filter_can_replace_the_response() {
    let backend = HttpBackend::named("the secret");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        // On the way out the last plugin of the list is the first.
        &[
            ("outer", &component("header-injection")),
            ("replace", &fixture("response-respond")),
        ],
        &[&backend],
    ));
    let mut client = pace.client();

    let response = client.get("/respond");
    assert_eq!((response.status, response.text()), (502, "instead of a 200\n"));
    assert_eq!(response.header("x-fixture"), Some("response-respond"));
    // The replacement goes on through the filters that have not run yet.
    assert_eq!(response.header("x-proxy"), Some("pace"));
    assert_eq!(response.header("x-backend"), None, "a plugin made this response");
    assert_eq!(client.get("/").text(), "the secret");
}

#[test]
fn filter_that_ran_before_does_not_see_the_replacement() {
    let backend = HttpBackend::named("the secret");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[
            ("replace", &fixture("response-respond")),
            ("inner", &component("header-injection")),
        ],
        &[&backend],
    ));
    let response = pace.get("/respond");
    assert_eq!((response.status, response.header("x-proxy")), (502, None));
}

/// The first plugin of the list is the outermost: first with the request, last with the response.
#[test]
fn plugins_run_in_order_on_requests_and_reversed_on_responses() {
    let backend = HttpBackend::named("one");
    let backends = urls(&[&backend]);
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
    let request = backend.request();
    assert_eq!(request.headers.all("x-seen"), ["outer", "inner"]);
    assert_eq!(request.headers.all("x-last"), ["inner"]);
}

/// The first answer decides: a plugin behind it is not called.
#[test]
fn first_answer_wins() {
    let backend = HttpBackend::named("one");
    let limit = "[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\n\
                 config = { max_requests = 1, window_seconds = 3600 }\n";
    let answer = crate::sections::plugin("answer", &fixture("respond"));
    let pace = Pace::with_config(&format!(
        "{SERVER}\n{limit}\n{answer}\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"answer\", \"limit\"]\n",
        pool("web", &[&backend]),
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
