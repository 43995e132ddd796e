//! The oracle finds the failures that it is made for.

mod requests;
mod responses;

use super::Wrong;

const GET: &str = "GET /1 HTTP/1.1\r\nHost: a\r\nX-Id: 1\r\n\r\n";

/// The backend's answer to the request with this number.
fn answer(number: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Token: {number}\r\n\r\n")
}

/// The kind of a failure.
fn kind(judged: Result<(), Wrong>) -> String {
    judged.expect_err("it is wrong").kind
}
