//! Answers of Pace's own to calls, in the words of gRPC.

use pace_tests::{Gate, Http2, Http2Backend, HttpBackend, Pace, Reason, Request};

use super::{before, call, config, make, message, outcome};

#[test]
fn backend_that_is_down_is_unavailable() {
    let down = HttpBackend::down();
    let pace = before(&down.label(), "");
    let answer = make(&pace, &call("/a.Service/Echo", &message("hello")));
    assert_eq!(outcome(&answer), ("14", "no backend is available"));
    // Metrics and log have what a client of HTTP would have got.
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "503")], 1);
}

#[test]
fn backend_that_breaks_off_is_unavailable() {
    let backend = Http2Backend::new(|call| {
        call.reset(Reason::INTERNAL_ERROR);
        Ok(())
    });
    let pace = before(&backend.label(), "");
    let answer = make(&pace, &call("/a.Service/Echo", &message("hello")));
    assert_eq!(outcome(&answer), ("14", "the backend gave no valid answer"));
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "502")], 1);
}

/// Clients take a reset for a fault within the server, and make the call again only if it is unavailable.
#[test]
fn response_that_breaks_off_ends_with_unavailable() {
    let begun = Gate::new();
    let wait = begun.clone();
    let backend = Http2Backend::new(move |call| {
        let kind = match call.target() {
            "/other" => "text/plain",
            _ => "application/grpc+proto",
        };
        let measured = [("content-type", kind), ("content-length", "100")];
        let head = match call.target() {
            "/a.Service/Measured" => &measured[..],
            _ => &measured[..1],
        };
        call.respond(200, head, false)?;
        call.write(&message("one"), false)?;
        wait.wait();
        call.reset(Reason::INTERNAL_ERROR);
        Ok(())
    });
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let mut flowing = |path| {
        let mut open = client.open(&call(path, b""), true).expect("it is sent");
        let mut answer = open.flowing().expect("it begins");
        let first = answer.read().expect("it comes");
        assert_eq!(first.as_deref(), Some(&message("one")[..]));
        answer
    };
    let paths = ["/a.Service/Watch", "/a.Service/Measured", "/other"];
    let [answer, measured, mut other] = paths.map(&mut flowing);
    begun.open();
    // Behind a length that was announced, trailers would be as malformed as the missing rest.
    for mut answer in [answer, measured] {
        assert_eq!(answer.read().expect("it ends in order"), None);
        let trailers = answer.trailers().expect("they come");
        assert_eq!(trailers.get("grpc-status"), Some("14"), "{trailers:?}");
    }
    // Another response would seem complete.
    let ended = other.read().expect_err("it breaks off");
    assert!(ended.is_reset(), "{ended}");
}

#[test]
fn call_without_a_route_is_unimplemented() {
    let backend = Http2Backend::named("one");
    let text = config(&backend.label(), "").replace("path_prefix = \"/\"", "path_prefix = \"/a.Service\"");
    let pace = Pace::with_config(&text);
    let answer = make(&pace, &call("/other.Service/Echo", &message("hello")));
    assert_eq!(outcome(&answer), ("12", "no route for this host and path"));
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "404")], 1);
}

/// The rate limiter's 429, with its fields.
#[test]
fn reply_of_a_plugin_keeps_its_fields_and_gets_an_outcome() {
    let backend = Http2Backend::new(|call| {
        call.respond(
            200,
            &[("content-type", "application/grpc"), ("grpc-status", "0")],
            true,
        )
    });
    let plugin = "[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\n\
                  config = { max_requests = 1, window_seconds = 60 }\n\n";
    let text = config(&backend.label(), "").replace(
        "[[routes]]",
        &format!("{plugin}[[routes]]\nplugins = [\"limit\"]"),
    );
    let pace = Pace::with_config(&text);
    assert_eq!(outcome(&make(&pace, &call("/a.Service/Echo", b""))), ("0", ""));
    let answer = make(&pace, &call("/a.Service/Echo", b""));
    assert_eq!(outcome(&answer).0, "14");
    assert!(answer.headers.get("retry-after").is_some(), "{answer:?}");
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "429")], 1);
    // Others get what they understand.
    let plain = Http2::connect(pace.address()).send(&Request::post("/", "body"));
    assert_eq!((plain.status, plain.headers.get("grpc-status")), (429, None));
}

#[test]
fn malformed_call_is_an_internal_fault() {
    let backend = Http2Backend::named("one");
    let pace = before(&backend.label(), "");
    let answer = make(
        &pace,
        &call("/a.Service/Echo", b"")
            .header("content-length", "0")
            .header("host", "b"),
    );
    assert_eq!(outcome(&answer).0, "13");
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "400")], 1);
}

#[test]
fn other_requests_are_answered_as_they_are() {
    let down = HttpBackend::down();
    let pace = before(&down.label(), "");
    let of = |content_type: &str| Request::post("/", "x").header("content-type", content_type);
    for request in [of("application/grpc-web"), of("application/json")] {
        assert_eq!(make(&pace, &request).status, 503);
    }
    let over_http_1 = pace.client().send(&of("application/grpc"));
    assert_eq!(
        (over_http_1.status, over_http_1.header("grpc-status")),
        (503, None)
    );
}
