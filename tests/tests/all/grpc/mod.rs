//! Calls of gRPC, as their frames are: messages of a flag, a length and bytes, and the outcome in trailers.

mod answers;
mod calls;
mod deadlines;

use pace_tests::{Http2, Pace, Request, StreamResponse};

/// A configuration with one worker and a pool `web` of one backend that speaks HTTP/2.
fn config(backend: &str, pool: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = [\"{backend}\"]\nprotocol = \"h2\"\n{pool}\n\n\
         [[routes]]\nmatch = {{ path_prefix = \"/\" }}\npool = \"web\"\n"
    )
}

fn before(backend: &str, pool: &str) -> Pace {
    Pace::with_config(&config(backend, pool))
}

/// The head of a call, and a message if it has one.
fn call(path: &str, body: &[u8]) -> Request {
    let mut request = Request::new("POST", path)
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers");
    request.body = body.to_vec();
    request
}

/// A message of gRPC.
fn message(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("it is short");
    [&[0], &length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// Makes a call whose request is complete.
fn make(pace: &Pace, call: &Request) -> StreamResponse {
    Http2::connect(pace.address()).send(call)
}

/// Checks that an answer is a head and nothing else, and returns its status and message.
fn outcome(answer: &StreamResponse) -> (&str, &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers.all("content-type"), ["application/grpc"]);
    assert_eq!(answer.headers.get("content-length"), None);
    assert!(
        answer.body.is_empty() && answer.trailers.names().is_empty(),
        "{answer:?}"
    );
    let status = answer.headers.get("grpc-status").expect("it has one");
    (status, answer.headers.get("grpc-message").unwrap_or_default())
}
