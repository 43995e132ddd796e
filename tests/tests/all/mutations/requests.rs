//! Mutated requests, from a client through Pace to a backend.

use super::backend::Record;
use super::campaign::{Campaign, Lane, Outcome};
use super::dice::Dice;
use super::judge::Wrong;
use super::judge::requests::{Seen, judge};
use super::mutate::{Of, mutate};
use super::pieces;
use super::place::{Place, Usual, client_address};
use super::report::{shown, shown_cuts};
use super::rules::Rule;
use super::seeds::{request, usual_request};
use super::sent::{Sent, Tail};
use super::talk::{Heard, Plan, Step, talk};

/// The bytes that a client sends, and how.
struct Case {
    number: usize,
    bytes: Vec<u8>,
    sent: Sent,
    steps: Vec<Step>,
    /// Whether the client ends its sending side at once, and still wants all answers.
    half_closes: bool,
}

impl Case {
    fn new(seed: u64, number: usize) -> Case {
        let mut dice = Dice::of_case(seed, number as u64);
        let mut bytes = mutate(request(number, 0, &mut dice), Of::Requests, &mut dice);
        if dice.one_in(4) {
            bytes.extend(mutate(request(number, 1, &mut dice), Of::Requests, &mut dice));
        }
        let method = dice.pick(&["GET", "POST"]);
        bytes.extend_from_slice(usual_request(&format!("{number}.marker"), method).as_bytes());
        let sent = Sent::read(&bytes);
        let in_turn = sent.tail == Tail::Nothing && dice.one_in(2);
        let steps = match in_turn {
            true => {
                let end = sent.messages.last().map_or(0, |message| message.end);
                bytes.truncate(end);
                let messages = sent.messages.iter().enumerate();
                messages
                    .map(|(after, message)| step(after, &bytes[message.start..message.end], &mut dice))
                    .collect()
            }
            false => vec![step(0, &bytes, &mut dice)],
        };
        Case {
            number,
            bytes,
            sent,
            steps,
            half_closes: dice.one_in(6),
        }
    }

    fn judge(&self, place: &Place, heard: &Heard, records: &[(usize, Record)]) -> Result<(), Wrong> {
        place.check_backend(self.number, records)?;
        judge(&Seen {
            bytes: &self.bytes,
            sent: &self.sent,
            at_once: self.steps.len() == 1,
            client: client_address(self.number).to_string(),
            heard,
            records,
        })
    }

    fn story(&self, heard: &Heard) -> String {
        let mut story = String::new();
        for step in &self.steps {
            let (after, cuts, bytes) = (step.after, shown_cuts(&step.cuts), shown(&step.bytes));
            story += &format!(
                "   after {after} answers, {cuts}: {bytes}
"
            );
        }
        for message in &self.sent.messages {
            let Some(head) = &message.read.head else { continue };
            let (method, target) = (head.method.escape_ascii(), head.target.escape_ascii());
            let quirks = &message.read.quirks;
            story += &format!(
                "   read as: {method} {target}, {} bytes, {quirks:?}, {:?}\n",
                message.read.body.len(),
                message.rule
            );
        }
        let end = if self.half_closes {
            ", and the client ends its side"
        } else {
            ""
        };
        story += &format!("   then: {:?}{end}\n", self.sent.tail);
        story += &format!("   heard: {} ({:?})\n", shown(&heard.bytes), heard.end);
        story
    }
}

fn step(after: usize, bytes: &[u8], dice: &mut Dice) -> Step {
    Step {
        after,
        bytes: bytes.to_vec(),
        cuts: pieces::cuts(bytes.len(), dice),
    }
}

struct Requests {
    place: Place,
    seed: u64,
}

impl Lane for Requests {
    fn run(&mut self, number: usize) -> Outcome {
        let case = Case::new(self.seed, number);
        self.place.backend.forget();
        let plan = Plan {
            half_closes: case.half_closes,
            ..Plan::of(&case.sent, &case.bytes)
        };
        let heard = talk(
            self.place.pace.address(),
            client_address(number),
            &case.steps,
            &plan,
        );
        let heard = heard.unwrap_or_default();
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
fn mutated_requests_reach_the_backend_as_sent_or_not_at_all() {
    let campaign = Campaign::from_environment();
    campaign.run("mutations::requests::mutated", || Requests {
        place: Place::new(Usual),
        seed: campaign.seed,
    });
}

/// The mutations are mixed: if all were refused, or all harmless, they would find nothing.
#[test]
fn mutations_of_requests_are_of_every_kind() {
    let (mut served, mut either, mut refused, mut broken, mut unfinished) = (0, 0, 0, 0, 0);
    for number in 0..1000 {
        let case = Case::new(1, number);
        match case.sent.messages.first().map(|message| message.rule) {
            Some(Rule::Serve) => served += 1,
            Some(Rule::Either) => either += 1,
            Some(Rule::Refuse(_)) => refused += 1,
            None if case.sent.tail == Tail::Unfinished => unfinished += 1,
            None => broken += 1,
        }
    }
    let kinds = [
        (served, 200),
        (either, 50),
        (refused, 5),
        (broken, 200),
        (unfinished, 10),
    ];
    assert!(kinds.iter().all(|(cases, least)| cases >= least), "{kinds:?}");
}
