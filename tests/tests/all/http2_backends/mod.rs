//! HTTP/2 with backends: messages, sessions that requests share, and backends that do not keep to it.

mod encrypted;
mod endings;
mod floods;
mod malformed;
mod messages;
mod names;
mod refusals;
mod sharing;
mod waiting;

use std::thread::JoinHandle;

use pace_tests::{Headers, Http2, Pace, Request, Response, StreamResponse};

/// Errors of streams and connections (RFC 9113, section 7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// A configuration with one worker and a pool of these backends, with further keys of the pool.
fn config(backends: &[String], pool: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = {backends:?}\n{pool}\n\n[[routes]]\npool = \"web\"\n"
    )
}

/// A Pace before one backend that speaks HTTP/2 without TLS.
fn before(backend: &str, pool: &str) -> Pace {
    Pace::with_config(&config(
        &[backend.to_owned()],
        &format!("protocol = \"h2\"\n{pool}"),
    ))
}

/// A response, whichever version its client speaks.
#[derive(Debug)]
struct Answered {
    status: u16,
    interim: Vec<u16>,
    headers: Headers,
    body: Vec<u8>,
}

impl Answered {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a test asks for text only where it is")
    }
}

impl From<Response> for Answered {
    fn from(response: Response) -> Answered {
        Answered {
            status: response.status,
            interim: response.interim,
            headers: response.headers,
            body: response.body,
        }
    }
}

impl From<StreamResponse> for Answered {
    fn from(response: StreamResponse) -> Answered {
        Answered {
            status: response.status,
            interim: response.interim,
            headers: response.headers,
            body: response.body,
        }
    }
}

/// Sends a request over HTTP/1.1, and again over HTTP/2.
fn send(pace: &Pace, request: &Request) -> [Answered; 2] {
    [
        pace.client().send(request).into(),
        Http2::connect(pace.address()).send(request).into(),
    ]
}

/// Waits until no request is under way.
fn until_calm(pace: &Pace) {
    pace_tests::wait_until("the end of all requests", || {
        pace.metrics().sum("pace_requests_in_flight", &[]) == 0
    });
}

/// Sends a request in a thread of its own.
fn in_background(pace: &Pace, request: Request) -> JoinHandle<Response> {
    let mut client = pace.client();
    std::thread::spawn(move || client.send(&request))
}
