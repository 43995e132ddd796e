//! Mutated responses, from a backend through Pace to a client.

use std::sync::Arc;

use parking_lot::Mutex;

use super::backend::{Manner, Record, Reply, Then};
use super::campaign::{Campaign, Lane, Outcome};
use super::dice::Dice;
use super::judge::Wrong;
use super::judge::responses::{Seen, judge};
use super::mutate::{Of, mutate};
use super::pieces;
use super::place::{Place, client_address, usual_reply};
use super::reader::{Read, RequestHead, ResponseHead, State, read_request, read_response};
use super::report::{shown, shown_cuts};
use super::seeds::{exchange, usual_request};
use super::talk::{Heard, Plan, Step, talk};

/// The bytes that a backend sends, and how.
struct Case {
    number: usize,
    request: Vec<u8>,
    held_back: usize,
    asked: RequestHead,
    marker: Vec<u8>,
    marker_head: RequestHead,
    /// The backend's bytes, and where they are cut.
    bytes: Vec<u8>,
    cuts: Vec<usize>,
    then: Then,
    /// The backend's bytes, as the reference reader reads them.
    sent: Read<ResponseHead>,
}

impl Case {
    fn new(seed: u64, number: usize) -> Case {
        let mut dice = Dice::of_case(seed ^ 0x7265_7370, number as u64);
        let exchange = exchange(number, &mut dice);
        let mut bytes = exchange.before;
        bytes.extend(mutate(exchange.response, Of::Responses, &mut dice));
        let asked = head_of(&exchange.request);
        let marker = usual_request(&format!("{number}.marker"), dice.pick(&["GET", "POST"])).into_bytes();
        let open = read_response(&bytes, &asked, false);
        let closes = match open.state {
            // A connection that is announced to stay and then closed could be used again just before.
            State::Whole => open.head.as_ref().is_some_and(ResponseHead::closes),
            State::Partial => true,
            // A proxy that waits for more bytes could wait for the client as well, which waits for the proxy.
            State::Broken(_) => exchange.held_back > 0 || dice.one_in(2),
        };
        let resets = closes && dice.one_in(6);
        let sent = read_response(&bytes, &asked, closes && !resets);
        // Bytes that follow a response in a piece of their own may come when the connection is used again.
        // They cannot be told from the next response then.
        let mut cuts = pieces::cuts(bytes.len(), &mut dice);
        if sent.is_whole() {
            cuts.retain(|cut| *cut < sent.taken);
        }
        let switched = sent.is_whole() && sent.head.as_ref().is_some_and(|head| head.status == 101);
        Case {
            number,
            asked,
            marker_head: head_of(&marker),
            marker,
            held_back: exchange.held_back,
            request: exchange.request,
            cuts,
            bytes,
            then: match closes {
                _ if switched => Then::Echo,
                true if resets => Then::Reset,
                true => Then::Close,
                false => Then::GoOn,
            },
            sent,
        }
    }

    /// Whether a request is the one that the backend answers with the case's response.
    fn is_about(&self, head: &RequestHead) -> bool {
        head.target == format!("/{}/answer", self.number).as_bytes()
    }

    fn talk(&self, place: &Place) -> Heard {
        let (now, later) = self.request.split_at(self.request.len() - self.held_back);
        let steps = [
            Step::whole(0, now.to_vec()),
            Step::whole(1, [later, &self.marker].concat()),
        ];
        let rest = self.bytes.len().saturating_sub(self.sent.taken);
        let plan = Plan {
            asked: vec![self.asked.clone(), self.marker_head.clone()],
            answers: 2,
            closes: false,
            unfinished: false,
            half_closes: false,
            tunnel: vec![rest + self.marker.len()],
        };
        talk(place.pace.address(), client_address(self.number), &steps, &plan).unwrap_or_default()
    }

    fn judge(&self, place: &Place, heard: &Heard, records: &[(usize, Record)]) -> Result<(), Wrong> {
        place.check_backend(self.number, records)?;
        let is = |record: &Record, what: &str| {
            let target = format!("/{}{what}", self.number);
            record
                .read
                .head
                .as_ref()
                .is_some_and(|head| head.target.starts_with(target.as_bytes()))
        };
        judge(&Seen {
            sent: &self.sent,
            tunnel: [
                self.bytes.get(self.sent.taken..).unwrap_or_default(),
                &self.marker,
            ]
            .concat(),
            heard,
            marker: records
                .iter()
                .find(|(_, record)| is(record, ".marker/"))
                .map(|(number, _)| *number),
            request: &self.asked,
            early: self.held_back > 0,
            then: self.then,
            hangs_up: self.bytes.is_empty(),
            attempts: records.iter().filter(|(_, record)| is(record, "/answer")).count(),
        })
    }

    fn story(&self, heard: &Heard) -> String {
        let (request, bytes) = (shown(&self.request), shown(&self.bytes));
        let rest = self.bytes.len().saturating_sub(self.sent.taken);
        let (body, sent) = (shown(&self.sent.body), &self.sent);
        format!(
            "   asked: {request}, {} bytes of it later\n   the backend says, {}, then {:?}: {bytes}\n   read as: {:?}, {:?}, body {body}, {rest} \
             bytes too many\n   heard: {} ({:?})\n",
            self.held_back,
            shown_cuts(&self.cuts),
            self.then,
            sent.state,
            sent.quirks,
            shown(&heard.bytes),
            heard.end,
        )
    }
}

fn head_of(request: &[u8]) -> RequestHead {
    read_request(request)
        .head
        .expect("requests that are not mutated are some")
}

/// The backend's replies, which depend on the case that is being run.
#[derive(Clone, Default)]
struct Current(Arc<Mutex<Option<Arc<Case>>>>);

impl Current {
    fn case_of(&self, head: &RequestHead) -> Option<Arc<Case>> {
        let case = self.0.lock().clone();
        case.filter(|case| case.is_about(head))
    }
}

impl Manner for Current {
    fn reply(&self, number: usize, read: &Read<RequestHead>) -> Reply {
        match read.head.as_ref().and_then(|head| self.case_of(head)) {
            Some(case) => Reply {
                bytes: case.bytes.clone(),
                cuts: case.cuts.clone(),
                then: case.then,
            },
            None => usual_reply(number, read),
        }
    }

    fn interrupts(&self, head: &RequestHead) -> bool {
        self.case_of(head).is_some_and(|case| case.held_back > 0)
    }
}

struct Responses {
    place: Place,
    current: Current,
    seed: u64,
}

impl Responses {
    fn new(seed: u64) -> Responses {
        let current = Current::default();
        let place = Place::new(current.clone());
        Responses { place, current, seed }
    }
}

impl Lane for Responses {
    fn run(&mut self, number: usize) -> Outcome {
        let case = Arc::new(Case::new(self.seed, number));
        *self.current.0.lock() = Some(Arc::clone(&case));
        self.place.backend.forget();
        let heard = case.talk(&self.place);
        let afterwards = self.place.check_after(number);
        let records = self.place.backend.records();
        Outcome {
            story: case.story(&heard),
            judged: case.judge(&self.place, &heard, &records).and(afterwards),
        }
    }

    fn end(self) {
        self.place.end();
    }
}

#[test]
fn mutated_responses_reach_the_client_as_sent_or_visibly_broken() {
    let campaign = Campaign::from_environment();
    campaign.run("mutations::responses::mutated", || Responses::new(campaign.seed));
}

/// The mutations are mixed: if all were refused, or all harmless, they would find nothing.
#[test]
fn mutations_of_responses_are_of_every_kind() {
    let (mut valid, mut odd, mut broken, mut unfinished) = (0, 0, 0, 0);
    for number in 0..1000 {
        let sent = Case::new(1, number).sent;
        match sent.state {
            State::Whole if sent.quirks.is_empty() => valid += 1,
            State::Whole => odd += 1,
            State::Broken(_) => broken += 1,
            State::Partial => unfinished += 1,
        }
    }
    let kinds = [(valid, 200), (odd, 50), (broken, 200), (unfinished, 20)];
    assert!(kinds.iter().all(|(cases, least)| cases >= least), "{kinds:?}");
}
