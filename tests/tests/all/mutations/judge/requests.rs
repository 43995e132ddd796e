//! Judges requests: each that was sent reaches the backend once and unchanged, or not at all.

use super::super::backend::Record;
use super::super::reader::{Read, RequestHead, ResponseHead, State};
use super::super::report::shown;
use super::super::rules::Rule;
use super::super::sent::{Message, Sent, Tail};
use super::super::talk::{End, Heard};
use super::compare::request_differs;
use super::{Wrong, check_old, wrong};

/// A conversation and its results.
pub(crate) struct Seen<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) sent: &'a Sent,
    /// Whether everything was sent at once, without waiting for answers.
    pub(crate) at_once: bool,
    /// The client's address.
    pub(crate) client: String,
    pub(crate) heard: &'a Heard,
    /// The requests that the backend received since the conversation began, with the numbers by which it
    /// answered.
    pub(crate) records: &'a [(usize, Record)],
}

impl Seen<'_> {
    /// Whether the answer before this message announces that it is the last, as an answer to HTTP/1.0 may,
    /// and one to a client that expects 100 before it sends its body.
    fn closes_with(&self, message: usize) -> bool {
        let Some(before) = message.checked_sub(1) else {
            return false;
        };
        let asked = self
            .sent
            .messages
            .get(before)
            .and_then(|message| message.read.head.as_ref());
        let said = self
            .heard
            .answers
            .get(before)
            .and_then(|answer| answer.head.as_ref());
        let may_end = |head: &RequestHead| head.minor == 0 || head.fields.has("expect");
        asked.is_some_and(may_end) && said.is_some_and(|head| head.fields.lists("connection", "close"))
    }

    /// The messages sent before and after this one without waiting, which make another kind of case.
    fn neighbours(&self, message: usize) -> &'static str {
        let end = self.sent.messages.get(message).map(|message| message.end);
        match (self.at_once, message, end) {
            (true, 1.., _) => ", pipelined",
            (true, 0, Some(end)) if end < self.bytes.len() => ", with more behind it",
            _ => "",
        }
    }
}

/// Checks everything that holds for a conversation. Records of other clients are ignored.
pub(crate) fn judge(seen: &Seen<'_>) -> Result<(), Wrong> {
    let reached = reached(seen)?;
    check_answers(seen, &reached)
}

/// Checks that each record belongs to a client, and is a request or a part of one.
pub(crate) fn check_records(records: &[(usize, Record)], clients: &[String]) -> Result<(), Wrong> {
    for (_, record) in records {
        let bytes = shown(&record.bytes);
        if let State::Broken(fault) = record.read.state {
            return wrong(format!("the backend gets what is no request ({fault:?})"), bytes);
        }
        // An interrupted request may be that of an earlier case, which is recorded only now.
        if !record.read.is_whole() {
            continue;
        }
        let head = record.read.head.as_ref();
        let client = head.and_then(|head| head.fields.all("x-forwarded-for").last());
        let known = |client: &[u8]| clients.iter().any(|known| known.as_bytes() == client);
        match client {
            Some(client) if known(client) => {}
            Some(client) if client.starts_with(b"127.") => {
                return wrong("the backend gets a request when its client has gone", bytes);
            }
            _ => return wrong("the backend gets a request of nobody", bytes),
        }
    }
    Ok(())
}

/// The message that each answer number stands for, in the order of the records.
fn reached(seen: &Seen<'_>) -> Result<Vec<(usize, usize)>, Wrong> {
    let mut reached: Vec<(usize, usize)> = Vec::new();
    let mine = |record: &&(usize, Record)| {
        let head = record.1.read.head.as_ref();
        head.is_some_and(|head| head.fields.all("x-forwarded-for").last() == Some(seen.client.as_bytes()))
    };
    for (number, record) in seen.records.iter().filter(mine) {
        if !record.read.is_whole() {
            // An interrupted upload. Its connection is not used again; otherwise the bytes that followed
            // would be no request.
            continue;
        }
        let first = reached.last().map_or(0, |(_, message)| message + 1);
        let differs = |message: &Message| request_differs(&message.read, &record.read, &seen.client);
        let rest = seen.sent.messages.get(first..).unwrap_or_default();
        let Some(at) = rest.iter().position(|message| differs(message).is_none()) else {
            let tail = || match seen.sent.tail {
                Tail::Broken(fault) => format!("the backend gets a request though it is broken ({fault:?})"),
                Tail::Unfinished => "the backend gets a request that was not sent to its end".to_owned(),
                Tail::Nothing => "the backend gets one request too many".to_owned(),
            };
            let kind = rest.first().and_then(differs).map_or_else(tail, |why| {
                format!("the backend gets another request than was sent ({why})")
            });
            return wrong(kind, shown(&record.bytes));
        };
        let message = &rest[at];
        if let Rule::Refuse(why) = message.rule {
            return wrong(
                format!("the backend gets a request that is to be refused ({why})"),
                shown(&record.bytes),
            );
        }
        reached.push((*number, first + at));
    }
    Ok(reached)
}

/// Checks that each answer is a message, and belongs to its request.
fn check_answers(seen: &Seen<'_>, reached: &[(usize, usize)]) -> Result<(), Wrong> {
    let (sent, heard) = (seen.sent, seen.heard);
    let mut refused = false;
    for (at, answer) in heard.answers.iter().enumerate() {
        let detail = || format!("answer {at}: {}", shown(&heard.bytes));
        let message = sent.messages.get(at);
        check_message(answer, message, detail)?;
        let head = match &answer.head {
            Some(head) if answer.is_whole() => head,
            _ => return wrong("an answer breaks off", detail()),
        };
        if refused {
            return wrong(
                "a connection goes on after a request that is to be refused",
                detail(),
            );
        }
        let own = head.fields.all("x-token").next();
        let expected = reached.iter().find(|(_, reached)| *reached == at);
        match (own, expected, message) {
            (Some(token), Some((number, _)), _) if token == number.to_string().as_bytes() => {}
            (Some(_), _, _) => return wrong("an answer belongs to another request", detail()),
            (None, Some(_), _) => {
                let kind = format!("an answer of the backend is replaced{}", seen.neighbours(at));
                return wrong(kind, detail());
            }
            (None, None, Some(message)) if head.status == 200 && ends_here(message) => {}
            (None, None, _) if head.status < 400 => return wrong("an answer of nobody", detail()),
            (None, None, Some(message)) => match message.rule {
                Rule::Serve => {
                    let kind = format!(
                        "a valid request is refused with {}{}",
                        head.status,
                        seen.neighbours(at)
                    );
                    return wrong(kind, detail());
                }
                Rule::Refuse(_) => refused = says_that_it_closes(head, detail)?,
                Rule::Either => refused = at + 1 == heard.answers.len() && heard.end != End::Open,
            },
            (None, None, None) => match (sent.tail, at == sent.messages.len()) {
                (Tail::Broken(_), true) => refused = says_that_it_closes(head, detail)?,
                (Tail::Unfinished, true) => refused = true,
                _ => return wrong("an answer to nothing", detail()),
            },
        }
    }
    check_end(seen, refused)
}

/// Whether a request is for the first recipient (RFC 9110, section 7.6.2).
fn ends_here(message: &Message) -> bool {
    let is_last =
        |head: &RequestHead| head.method == b"OPTIONS" && head.fields.all("max-forwards").any(is_zero);
    message.read.head.as_ref().is_some_and(is_last)
}

fn is_zero(number: &[u8]) -> bool {
    !number.is_empty() && number.iter().all(|digit| *digit == b'0')
}

/// Checks that a refusal announces the end of the connection.
fn says_that_it_closes(head: &ResponseHead, detail: impl Fn() -> String) -> Result<bool, Wrong> {
    match head.fields.lists("connection", "close") {
        true => Ok(true),
        false => wrong("a refusal does not say that the connection ends", detail()),
    }
}

/// Checks that every request has an answer, and that the connection ends where it must.
fn check_end(seen: &Seen<'_>, refused: bool) -> Result<(), Wrong> {
    let (sent, heard) = (seen.sent, seen.heard);
    let detail = || format!("{:?} after: {}", heard.end, shown(&heard.bytes));
    if heard.has_switched() {
        let begins = sent
            .messages
            .get(heard.answers.len() - 1)
            .map_or(0, |message| message.end);
        return match heard.tunnel == seen.bytes[begins..] {
            true => Ok(()),
            false => wrong("an upgraded stream is not passed as it is", detail()),
        };
    }
    let next = heard.finals();
    let beside = seen.neighbours(next);
    match (sent.messages.get(next).map(|message| message.rule), sent.tail) {
        _ if refused || seen.closes_with(next) => {}
        (Some(Rule::Serve), _) => return wrong(format!("a valid request is not answered{beside}"), detail()),
        (Some(Rule::Refuse(why)), _) => {
            return wrong(
                format!("nothing is said to what is refused ({why}){beside}"),
                detail(),
            );
        }
        (None, Tail::Broken(fault)) if next == sent.messages.len() => {
            return wrong(
                format!("a broken request is not refused ({fault:?}){beside}"),
                detail(),
            );
        }
        (Some(Rule::Either) | None, _) => {}
    }
    match heard.end {
        End::Silent if sent.closes() || refused => wrong("a connection stays open after its end", detail()),
        End::Silent => wrong("nothing happens", detail()),
        End::Open | End::Closed | End::Reset => Ok(()),
    }
}

/// Checks that an answer is strictly a message, and one that its client understands.
fn check_message(
    answer: &Read<ResponseHead>,
    message: Option<&Message>,
    detail: impl Fn() -> String,
) -> Result<(), Wrong> {
    if let State::Broken(fault) = answer.state {
        return wrong(format!("an answer is no message ({fault:?})"), detail());
    }
    if let Some(quirk) = answer.quirks.first() {
        return wrong(format!("an answer with {quirk:?}"), detail());
    }
    match message.and_then(|message| message.read.head.as_ref()) {
        Some(asked) => check_old(answer, asked, detail),
        None => Ok(()),
    }
}
