//! Judges responses: the backend's response reaches the client unchanged, or the client can see that it does
//! not.

use super::super::backend::Then;
use super::super::reader::{Quirk, Read, RequestHead, ResponseHead, State};
use super::super::report::shown;
use super::super::rules::is_large;
use super::super::talk::{End, Heard};
use super::compare::response_differs;
use super::{Wrong, check_old, wrong};

/// A response and its results.
pub(crate) struct Seen<'a> {
    /// The backend's bytes, as the reference reader reads them.
    pub(crate) sent: &'a Read<ResponseHead>,
    /// The bytes that the client has to receive if protocols are switched: those behind the response, and the
    /// echo of its own.
    pub(crate) tunnel: Vec<u8>,
    /// The answers: one to the request, then one to a second request, to which the backend gives a usual
    /// response.
    pub(crate) heard: &'a Heard,
    /// The number of the second request at the backend.
    pub(crate) marker: Option<usize>,
    pub(crate) request: &'a RequestHead,
    /// Whether the backend answers before it has the whole request.
    pub(crate) early: bool,
    pub(crate) then: Then,
    /// Whether the backend ends the connection without an answer.
    pub(crate) hangs_up: bool,
    /// How often the first request has reached the backend.
    pub(crate) attempts: usize,
}

impl Seen<'_> {
    /// Whether the response has nothing for which it may be refused.
    fn must_pass(&self) -> bool {
        let usual =
            |head: &ResponseHead| !is_large(&head.fields) && head.fields.list("connection").len() <= 10;
        let sent = self.sent;
        let is_usual = sent.quirks.is_empty() && sent.head.as_ref().is_some_and(usual);
        sent.is_whole() && is_usual && self.then != Then::Reset
    }

    /// Whether an answer is Pace's own. The backend's answers have a field that marks them, unless it was
    /// mutated.
    fn is_own(&self, answer: &Read<ResponseHead>) -> bool {
        let of_the_backend = ["x-token", "set-cookie", "x_token", "set_cookie"];
        // The backend may have sent the same response.
        let is_sent = |head: &ResponseHead| {
            let sent = self.sent.head.as_ref();
            self.sent.is_whole()
                && sent.is_some_and(|sent| sent.status == head.status)
                && answer.body == self.sent.body
                // An answer to HEAD has no body to tell them apart.
                && sent.is_some_and(|sent| {
                    sent.fields.list("content-length") == head.fields.list("content-length")
                })
        };
        let own = |head: &ResponseHead| {
            // Pace may wait in vain for a client that waits for the answer before it goes on.
            let timeout = self.early && head.status == 408;
            (timeout || matches!(head.status, 502..=504))
                && !is_sent(head)
                && !of_the_backend.iter().any(|name| head.fields.has(name))
        };
        answer.is_whole() && answer.head.as_ref().is_some_and(own)
    }
}

pub(crate) fn judge(seen: &Seen<'_>) -> Result<(), Wrong> {
    let heard = seen.heard;
    let detail = || format!("{:?} after: {}", heard.end, shown(&heard.bytes));
    let Some(answer) = heard.answers.first() else {
        return match (seen.sent.state, heard.end) {
            (_, End::Silent) => wrong("nothing happens", detail()),
            (State::Whole, _) if seen.must_pass() => wrong("a valid response does not arrive", detail()),
            _ => wrong("a request has no answer at all", detail()),
        };
    };
    check_message(answer, seen, detail)?;
    if seen.is_own(answer) {
        if seen.must_pass() {
            return wrong("a valid response is refused", detail());
        }
    } else {
        check_passed(seen, answer, detail)?;
    }
    check_marker(seen, detail)?;
    // A connection that turns out to be closed may be replaced once, if it looks like an idle connection that
    // has expired.
    let stale = seen.hangs_up && seen.request.method != b"POST";
    if seen.attempts > 1 + usize::from(stale) {
        let what = if seen.request.method == b"POST" {
            "a POST"
        } else {
            "a request"
        };
        return wrong(
            format!("{what} is sent too often"),
            format!("{} times; {}", seen.attempts, detail()),
        );
    }
    Ok(())
}

/// Checks that the client received a beginning of the backend's response, with the same end.
fn check_passed(
    seen: &Seen<'_>,
    answer: &Read<ResponseHead>,
    detail: impl Fn() -> String,
) -> Result<(), Wrong> {
    let sent = seen.sent;
    let (Some(was), Some(is)) = (&sent.head, &answer.head) else {
        let fault = why(sent);
        return match (&sent.head, sent.state) {
            // An incomplete head is not taken for one.
            (_, State::Whole) if seen.must_pass() => wrong("a valid response does not arrive", detail()),
            (None, _) if answer.head.is_some() => {
                wrong(format!("a head is made of what is none ({fault})"), detail())
            }
            _ => Ok(()),
        };
    };
    if let Some(difference) = response_differs(was, is) {
        return wrong(format!("another response than was sent ({difference})"), detail());
    }
    let mut interim = was.interim.iter();
    if !is.interim.iter().all(|status| interim.any(|sent| sent == status)) {
        return wrong("an interim response of nobody", detail());
    }
    if is.status == 101 {
        return match seen.heard.tunnel == seen.tunnel {
            true => Ok(()),
            false => wrong("an upgraded stream is not passed as it is", detail()),
        };
    }
    // A backend should not send a body with 205, and a proxy may leave it out (RFC 9110, section 15.3.6),
    // whatever it is.
    if is.status == 205 && answer.is_whole() && answer.body.is_empty() {
        return Ok(());
    }
    if !sent.body.starts_with(&answer.body) {
        return wrong(format!("another body than was sent ({})", why(sent)), detail());
    }
    match (sent.state, answer.state, seen.heard.end) {
        (State::Whole, State::Whole, _) if answer.body == sent.body => Ok(()),
        // A response that may be refused may be interrupted, and where nothing else can show that, a reset
        // does.
        (State::Whole, State::Whole, End::Reset) if is_until_end(is) && !seen.must_pass() => Ok(()),
        (State::Whole, State::Whole, _) => wrong("a body is cut and looks whole", detail()),
        (State::Whole, _, End::Silent) => wrong("a valid response does not end", detail()),
        (State::Whole, _, _) if seen.must_pass() => wrong("a valid response breaks off", detail()),
        // HTTP/1.0 has no other way to end such a body.
        (State::Partial | State::Broken(_), State::Whole, End::Closed)
            if is_until_end(is) && seen.request.minor == 0 =>
        {
            Ok(())
        }
        (State::Partial | State::Broken(_), State::Whole, End::Reset) if is_until_end(is) => Ok(()),
        (State::Partial | State::Broken(_), State::Whole, _) => wrong(
            format!("a response that is not whole looks whole ({})", why(sent)),
            detail(),
        ),
        (_, _, End::Silent | End::Open) => wrong(
            format!("a response that breaks off has no end ({})", why(sent)),
            detail(),
        ),
        _ => Ok(()),
    }
}

/// Checks that the next request gets its own answer, if the connection still exists.
fn check_marker(seen: &Seen<'_>, detail: impl Fn() -> String) -> Result<(), Wrong> {
    let heard = seen.heard;
    if heard
        .answers
        .first()
        .and_then(|answer| answer.head.as_ref())
        .is_some_and(|head| head.status == 101)
    {
        return Ok(());
    }
    if heard.answers.len() > 2 {
        return wrong("an answer to nothing", detail());
    }
    let Some(second) = heard.answers.get(1) else {
        let first = &heard.answers[0];
        // After an early answer a connection may end, because Pace does not wait for the rest of the request.
        let may_end = seen.early || seen.request.closes();
        let stays = !may_end && first.is_whole() && first.head.as_ref().is_some_and(stays_open);
        return match (stays && seen.must_pass(), heard.end) {
            (true, _) => wrong("the next request is not answered", detail()),
            (false, End::Silent) => wrong("a connection stays open after its end", detail()),
            (false, _) => Ok(()),
        };
    };
    let token = second
        .head
        .as_ref()
        .and_then(|head| head.fields.all("x-token").next());
    let number = seen.marker.map(|number| number.to_string().into_bytes());
    match second.is_whole() && number.is_some() && token == number.as_deref() {
        true => Ok(()),
        false => wrong(
            format!("the next request gets another answer ({})", why(seen.sent)),
            detail(),
        ),
    }
}

fn check_message(
    answer: &Read<ResponseHead>,
    seen: &Seen<'_>,
    detail: impl Fn() -> String,
) -> Result<(), Wrong> {
    let sent = seen.sent;
    if let State::Broken(fault) = answer.state {
        return wrong(
            format!("an answer is no message ({fault:?}, after {})", why(sent)),
            detail(),
        );
    }
    let may_stay = [Quirk::OddStatus, Quirk::UnknownCoding];
    let stays = |quirk: &&Quirk| may_stay.contains(quirk) && sent.quirks.contains(quirk);
    if let Some(quirk) = answer.quirks.iter().find(|quirk| !stays(quirk)) {
        return wrong(format!("an answer with {quirk:?}"), detail());
    }
    check_old(answer, seen.request, detail)
}

fn is_until_end(head: &ResponseHead) -> bool {
    !head.fields.has("content-length") && !head.fields.lists("transfer-encoding", "chunked")
}

fn stays_open(head: &ResponseHead) -> bool {
    !head.fields.lists("connection", "close") && !is_until_end(head)
}

fn why(sent: &Read<ResponseHead>) -> String {
    match sent.state {
        State::Broken(fault) => format!("{fault:?}"),
        State::Partial => "it breaks off".to_owned(),
        State::Whole => "it is whole".to_owned(),
    }
}
