//! Judgements of responses.

use super::super::super::backend::Then;
use super::super::super::reader::{read_request, read_response};
use super::super::super::sent::Sent;
use super::super::super::talk::{End, Heard, Plan};
use super::super::{Wrong, responses};
use super::{GET, answer, kind};

/// Judges a backend that answered a GET with `said`, and a client that received `heard`.
fn judge_response(said: &str, heard: &str, end: End) -> Result<(), Wrong> {
    let asked = read_request(GET.as_bytes()).head.expect("it is a request");
    let sent = read_response(said.as_bytes(), &asked, true);
    let plan = Plan::of(&Sent::read(format!("{GET}{GET}").as_bytes()), &[0; 200]);
    responses::judge(&responses::Seen {
        tunnel: Vec::new(),
        sent: &sent,
        heard: &Heard::read(heard.as_bytes(), end, &plan),
        marker: Some(7),
        request: &asked,
        early: false,
        then: Then::GoOn,
        hangs_up: said.is_empty(),
        attempts: 1,
    })
}

const SAID: &str = "HTTP/1.1 200 OK\r\nX-Token: x\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn unchanged_response_is_right() {
    assert_eq!(
        judge_response(SAID, &(SAID.to_owned() + &answer(7)), End::Open),
        Ok(())
    );
}

#[test]
fn changed_response_is_found() {
    for (from, to, wrong) in [
        ("200", "201", "another response than was sent (another status)"),
        (
            "X-Token: x",
            "X-Token: y",
            "another response than was sent (x-token with other values)",
        ),
        (
            "X-Token: x",
            "X-Token: x\r\nX-New: 1",
            "another response than was sent (x-new made up)",
        ),
        ("abc", "abd", "another body than was sent (it is whole)"),
        ("3\r\n\r\nabc", "2\r\n\r\nab", "a body is cut and looks whole"),
        ("Length: 3", "Length: 03", "an answer with LeadingZeros"),
    ] {
        let heard = SAID.replacen(from, to, 1) + &answer(7);
        assert_eq!(kind(judge_response(SAID, &heard, End::Open)), wrong);
    }
    assert_eq!(
        kind(judge_response(SAID, &SAID[..SAID.len() - 1], End::Closed)),
        "a valid response breaks off"
    );
    let own = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        kind(judge_response(SAID, own, End::Closed)),
        "a valid response is refused"
    );
    assert_eq!(
        judge_response(&SAID.replace(": 3", ": x"), own, End::Closed),
        Ok(())
    );
}

#[test]
fn incomplete_response_must_not_look_whole() {
    let head = "HTTP/1.1 200 OK\r\nX-Token: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let said = format!("{head}3\r\nabc\r\n3;\nabc\r\n0\r\n\r\n");
    assert_eq!(
        judge_response(&said, &format!("{head}3\r\nabc\r\n"), End::Closed),
        Ok(())
    );
    for (chunks, end, wrong) in [
        (
            "3\r\nabc\r\n0\r\n\r\n",
            End::Open,
            "a response that is not whole looks whole (BareLineFeed)",
        ),
        (
            "3\r\nabc\r\n3\r\nabc\r\n",
            End::Closed,
            "another body than was sent (BareLineFeed)",
        ),
        (
            "3\r\nabc\r\n",
            End::Silent,
            "a response that breaks off has no end (BareLineFeed)",
        ),
    ] {
        assert_eq!(
            kind(judge_response(&said, &format!("{head}{chunks}"), end)),
            wrong
        );
    }
    let until_end = format!("{}abc", head.replace("Transfer-Encoding: chunked\r\n", ""));
    assert_eq!(
        kind(judge_response(&said, &until_end, End::Closed)),
        "a response that is not whole looks whole (BareLineFeed)"
    );
}

#[test]
fn next_response_must_be_that_of_the_next_request() {
    let said = format!("{SAID}{}", answer(1));
    assert_eq!(
        judge_response(&said, &(SAID.to_owned() + &answer(7)), End::Open),
        Ok(())
    );
    let wrong = "the next request gets another answer (it is whole)";
    assert_eq!(kind(judge_response(&said, &said, End::Open)), wrong);
    assert_eq!(
        kind(judge_response(SAID, SAID, End::Closed)),
        "the next request is not answered"
    );
}
