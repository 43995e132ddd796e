//! A client that writes bytes and reads answers as strictly as the backend reads requests.

use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pace_tests::DEADLINE;
use socket2::{Domain, Socket, Type};

use super::pieces;
use super::reader::{Read, RequestHead, ResponseHead, State, read_response};
use super::sent::{Sent, Tail};

/// Bytes that are written once a number of answers have come.
pub(crate) struct Step {
    pub(crate) after: usize,
    pub(crate) bytes: Vec<u8>,
    pub(crate) cuts: Vec<usize>,
}

/// The expected course of a conversation, by which the client knows when it has received enough.
pub(crate) struct Plan {
    /// The requests, as far as they can be told apart. Their methods decide how answers are read.
    pub(crate) asked: Vec<RequestHead>,
    /// The number of answers after which the client ends the conversation, if the other side does not.
    pub(crate) answers: usize,
    /// Whether the other side ends the conversation.
    pub(crate) closes: bool,
    /// Whether the client has announced more bytes and never sends them.
    pub(crate) unfinished: bool,
    /// Whether the client ends its sending side after the last byte.
    pub(crate) half_closes: bool,
    /// The number of bytes that follow each answer, if it switches protocols.
    pub(crate) tunnel: Vec<usize>,
}

/// The bytes received.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    /// The answers; the last one may be incomplete.
    pub(crate) answers: Vec<Read<ResponseHead>>,
    /// The bytes received after protocols were switched.
    pub(crate) tunnel: Vec<u8>,
    pub(crate) end: End,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection was open, and the client had received enough.
    #[default]
    Open,
    Closed,
    Reset,
    /// An expected answer did not come.
    Silent,
}

/// The time in which a proxy that waits for the rest of a message could do something else instead.
const A_MOMENT: Duration = Duration::from_millis(25);

impl Step {
    /// A step with bytes in one piece.
    pub(crate) fn whole(after: usize, bytes: Vec<u8>) -> Step {
        let cuts = Vec::new();
        Step { after, bytes, cuts }
    }
}

impl Plan {
    /// The expected course for these requests, as the reference reader reads them.
    pub(crate) fn of(sent: &Sent, bytes: &[u8]) -> Plan {
        let answered = sent.refused().map_or(sent.messages.len(), |refused| refused + 1);
        let broken = matches!(sent.tail, Tail::Broken(_)) && sent.refused().is_none();
        let heads = sent
            .messages
            .iter()
            .filter_map(|message| message.read.head.clone());
        Plan {
            asked: heads.chain(sent.tail_head.clone()).collect(),
            answers: answered + usize::from(broken),
            closes: sent.closes(),
            half_closes: false,
            unfinished: sent.tail == Tail::Unfinished && sent.refused().is_none(),
            tunnel: sent
                .messages
                .iter()
                .map(|message| bytes.len() - message.end)
                .collect(),
        }
    }
}

impl Heard {
    /// The number of complete answers.
    pub(crate) fn finals(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_whole()).count()
    }

    /// Whether the last answer switches protocols.
    pub(crate) fn has_switched(&self) -> bool {
        let last = self.answers.last().and_then(|answer| answer.head.as_ref());
        last.is_some_and(|head| head.status == 101)
    }

    /// Whether an answer is no message, after which nothing can be read.
    fn is_nonsense(&self) -> bool {
        let broken = |answer: &Read<ResponseHead>| matches!(answer.state, State::Broken(_));
        self.answers.last().is_some_and(broken)
    }

    fn ended(&self) -> bool {
        matches!(self.end, End::Closed | End::Reset)
    }

    /// Reads these bytes as answers to the requests.
    pub(crate) fn read(bytes: &[u8], end: End, plan: &Plan) -> Heard {
        let mut heard = Heard {
            bytes: bytes.to_vec(),
            end,
            ..Heard::default()
        };
        heard.read_again(plan);
        heard
    }

    fn read_again(&mut self, plan: &Plan) {
        let ended = self.ended();
        self.answers.clear();
        self.tunnel.clear();
        let mut rest = &self.bytes[..];
        while !rest.is_empty() {
            let answer = match plan.asked.get(self.answers.len()) {
                Some(asked) => read_response(rest, asked, ended),
                None => read_answer_to_nothing(rest, ended),
            };
            if answer.is_to_come(rest) {
                return;
            }
            let (whole, taken) = (answer.is_whole(), answer.taken);
            let switched = answer.head.as_ref().is_some_and(|head| head.status == 101);
            self.answers.push(answer);
            if !whole {
                return;
            }
            rest = &rest[taken..];
            if switched {
                self.tunnel = rest.to_vec();
                return;
            }
        }
    }

    fn is_enough(&self, plan: &Plan) -> bool {
        if self.is_nonsense() {
            return true;
        }
        match self.has_switched() {
            true => {
                let follow = plan.tunnel.get(self.answers.len() - 1);
                self.tunnel.len() >= follow.copied().unwrap_or_default()
            }
            false if plan.closes => self.finals() > plan.answers,
            false => self.finals() >= plan.answers,
        }
    }
}

/// Reads an answer to bytes that are no request. The proxy may have taken them for HEAD or another method,
/// and nothing follows.
fn read_answer_to_nothing(bytes: &[u8], ended: bool) -> Read<ResponseHead> {
    let answer = read_response(bytes, &RequestHead::asking("GET"), ended);
    match ended && answer.state == State::Partial {
        true => read_response(bytes, &RequestHead::asking("HEAD"), ended),
        false => answer,
    }
}

/// Connects from an address, sends all steps, and reads to the end.
pub(crate) fn talk(to: SocketAddr, from: IpAddr, steps: &[Step], plan: &Plan) -> io::Result<Heard> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&to.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut heard = Heard::default();
    for step in steps {
        listen(&mut stream, &mut heard, plan, DEADLINE, |heard| {
            heard.finals() >= step.after || heard.has_switched() || heard.is_nonsense()
        });
        // A peer that has closed does not read any more, but may have answered.
        if heard.end != End::Open || pieces::write(&mut stream, &step.bytes, &step.cuts).is_err() {
            break;
        }
    }
    if heard.end == End::Open && plan.half_closes {
        // The call fails if the other side has closed already.
        let _ = stream.shutdown(Shutdown::Write);
    }
    if heard.end == End::Open && plan.unfinished {
        listen(&mut stream, &mut heard, plan, DEADLINE, |heard| {
            heard.finals() >= plan.answers
        });
        listen(&mut stream, &mut heard, plan, A_MOMENT, |_| false);
        let _ = stream.shutdown(Shutdown::Write);
        listen(&mut stream, &mut heard, plan, DEADLINE, |_| false);
    } else {
        listen(&mut stream, &mut heard, plan, DEADLINE, |heard| {
            heard.is_enough(plan)
        });
    }
    Ok(heard)
}

/// Reads until there is enough, the other side has ended, or the time is over.
fn listen(
    stream: &mut TcpStream,
    heard: &mut Heard,
    plan: &Plan,
    limit: Duration,
    enough: impl Fn(&Heard) -> bool,
) {
    let end = Instant::now() + limit;
    let mut piece = [0; 16 * 1024];
    if heard.ended() {
        return;
    }
    heard.end = End::Open;
    while !enough(heard) {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
        match timeout.and_then(|()| stream.read(&mut piece)) {
            Ok(0) => heard.end = End::Closed,
            Ok(read) => heard.bytes.extend_from_slice(&piece[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if left.is_zero() {
                    heard.end = End::Silent;
                    return;
                }
            }
            Err(_) => heard.end = End::Reset,
        }
        heard.read_again(plan);
        if heard.ended() {
            return;
        }
    }
}
