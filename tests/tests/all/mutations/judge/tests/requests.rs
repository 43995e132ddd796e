//! Judgements of requests.

use super::super::super::backend::Record;
use super::super::super::reader::read_request;
use super::super::super::sent::Sent;
use super::super::super::talk::{End, Heard, Plan};
use super::super::{Wrong, requests};
use super::{GET, answer, kind};

const CLIENT: &str = "127.0.0.9";
const POST: &str = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

/// The request that a proxy without faults sends for this one.
fn forwarded(request: &str) -> String {
    request.replacen(
        "Host: a\r\n",
        &format!("Host: a\r\nX-Forwarded-For: {CLIENT}\r\n"),
        1,
    )
}

fn refusal(connection: &str) -> String {
    format!("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: {connection}\r\n\r\n")
}

/// Judges a client that sent `sent`, a backend that received `got`, and the client's answer `heard`.
fn judge(sent: &str, got: &[&str], heard: &str, end: End) -> Result<(), Wrong> {
    let records: Vec<(usize, Record)> = got.iter().map(|bytes| record(bytes)).enumerate().collect();
    requests::check_records(&records, &[CLIENT.to_owned()])?;
    let read = Sent::read(sent.as_bytes());
    requests::judge(&requests::Seen {
        bytes: sent.as_bytes(),
        heard: &Heard::read(heard.as_bytes(), end, &Plan::of(&read, sent.as_bytes())),
        sent: &read,
        at_once: false,
        client: CLIENT.to_owned(),
        records: &records,
    })
}

fn record(bytes: &str) -> Record {
    Record {
        bytes: bytes.as_bytes().to_vec(),
        read: read_request(bytes.as_bytes()),
    }
}

#[test]
fn answered_requests_are_right() {
    let got = [&*forwarded(GET), &*forwarded(POST)];
    let heard = answer(0) + &answer(1);
    assert_eq!(judge(&format!("{GET}{POST}"), &got, &heard, End::Open), Ok(()));
}

#[test]
fn smuggled_request_is_found() {
    let body = forwarded(GET);
    let outer = format!(
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let got = [&*forwarded(&format!("{outer}{body}")), &*forwarded(GET)];
    let heard = answer(0) + &answer(1);
    let judged = judge(&format!("{outer}{body}"), &got, &heard, End::Open);
    assert_eq!(kind(judged), "the backend gets one request too many");

    let judged = judge(&format!("{outer}{body}"), &[GET], &heard, End::Open);
    assert_eq!(kind(judged), "the backend gets a request of nobody");
}

#[test]
fn changed_request_is_found() {
    for (from, to, why) in [
        ("POST", "PUT", "another method"),
        ("/2", "/3", "another target"),
        ("abc", "abd", "another body"),
        ("Host: a", "Host: b", "another Host"),
        ("Host: a", "Host: a\r\nX-New: 1", "x-new made up"),
        ("Host: a", "Host: a\r\nKeep-Alive: 1", "keep-alive passed on"),
        (
            "X-Forwarded-For: ",
            "X-Forwarded-For: 1\r\nX-Forwarded-For: ",
            "another X-Forwarded-For",
        ),
        ("Length: 3", "Length: 3, 3", "passed on with RepeatedLength"),
        ("HTTP/1.1", "HTTP/1.0", "passed on as HTTP/1.0"),
        ("/2", "http://a/2", "the absolute form of the target"),
    ] {
        let got = forwarded(POST).replacen(from, to, 1);
        let judged = judge(POST, &[&got], &answer(0), End::Open);
        assert_eq!(
            kind(judged),
            format!("the backend gets another request than was sent ({why})")
        );
    }
}

#[test]
fn nominated_fields_must_end_except_for_kept_ones() {
    let sent = GET.replace("X-Id", "Connection: x-id, cookie\r\nCookie: c\r\nX-Id");
    let right = forwarded(GET).replace("X-Id: 1", "Cookie: c");
    assert_eq!(judge(&sent, &[&right], &answer(0), End::Open), Ok(()));
    for (got, why) in [
        (right.replace("Cookie: c\r\n", ""), "cookie lost"),
        (right.replace("Cookie", "X-Id: 1\r\nCookie"), "x-id passed on"),
    ] {
        let judged = judge(&sent, &[&got], &answer(0), End::Open);
        assert_eq!(
            kind(judged),
            format!("the backend gets another request than was sent ({why})")
        );
    }
}

#[test]
fn broken_request_must_be_refused_and_its_connection_must_end() {
    let sent = "GET /1 HTTP/1.1\r\nHost: a\r\nX-Id : 1\r\n\r\n";
    let heard = refusal("close");
    assert_eq!(judge(sent, &[], &heard, End::Closed), Ok(()));
    for (got, heard, end, wrong) in [
        (
            &[][..],
            String::new(),
            End::Closed,
            "a broken request is not refused (FieldName)",
        ),
        (
            &[],
            refusal("keep-alive"),
            End::Closed,
            "a refusal does not say that the connection ends",
        ),
        (
            &[],
            heard.clone(),
            End::Silent,
            "a connection stays open after its end",
        ),
        (
            &[],
            heard.clone() + &heard,
            End::Closed,
            "a connection goes on after a request that is to be refused",
        ),
        (
            &[&*forwarded(GET)],
            answer(0),
            End::Open,
            "the backend gets a request though it is broken (FieldName)",
        ),
        (
            &[sent],
            heard.clone(),
            End::Closed,
            "the backend gets what is no request (FieldName)",
        ),
    ] {
        assert_eq!(kind(judge(sent, got, &heard, end)), wrong);
    }
}

#[test]
fn request_to_be_refused_must_not_arrive() {
    let sent = POST.replace("Host: a", "Host: a\r\nConnection: content-length");
    assert_eq!(judge(&sent, &[], &refusal("close"), End::Closed), Ok(()));
    let judged = judge(&sent, &[&forwarded(POST)], &answer(0), End::Closed);
    let wrong = "the backend gets a request that is to be refused (a nominated framing)";
    assert_eq!(kind(judged), wrong);
}

#[test]
fn incomplete_request_must_not_arrive_whole() {
    let sent = POST.replace("abc", "ab");
    assert_eq!(judge(&sent, &[&forwarded(&sent)], "", End::Closed), Ok(()));
    let judged = judge(
        &sent,
        &[&forwarded(&sent).replace("Length: 3", "Length: 2")],
        "",
        End::Closed,
    );
    assert_eq!(
        kind(judged),
        "the backend gets a request that was not sent to its end"
    );
}

#[test]
fn answer_to_another_request_is_found() {
    let sent = format!("{GET}{POST}");
    let got = [&*forwarded(GET), &*forwarded(POST)];
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Token: 0\r\n\r\n";
    for (heard, end, wrong) in [
        (
            answer(1) + &answer(0),
            End::Open,
            "an answer belongs to another request",
        ),
        (answer(0), End::Closed, "a valid request is not answered"),
        (
            answer(0) + &refusal("close"),
            End::Closed,
            "an answer of the backend is replaced",
        ),
        (
            answer(0) + "HTTP/1.1 200 OK\r\nContent",
            End::Closed,
            "an answer breaks off",
        ),
        (
            answer(0) + &answer(1) + &answer(1),
            End::Open,
            "an answer belongs to another request",
        ),
        (
            answer(0) + &answer(1) + &refusal("close"),
            End::Closed,
            "an answer to nothing",
        ),
        (
            format!("{chunked}0 \r\n\r\n"),
            End::Open,
            "an answer is no message (ChunkSize)",
        ),
        (
            answer(0).replace("0\r\nX", "0, 0\r\nX"),
            End::Open,
            "an answer with RepeatedLength",
        ),
        (String::new(), End::Silent, "a valid request is not answered"),
    ] {
        assert_eq!(kind(judge(&sent, &got, &heard, end)), wrong);
    }
    let judged = judge(GET, &[], &refusal("close"), End::Closed);
    assert_eq!(kind(judged), "a valid request is refused with 400");
}
