//! One request and its answer, checked against the ledger and the journal.

use super::backends::{ID, SEEN_BODY};
use super::client::{self, Answer, Upload};
use super::digest::Digest;
use super::journal::{Evidence, Journal};
use super::ledger::{Id, Kind, Ledger, Outcome};
use super::setting::STAMPS;
use anyhow::{Context, Result, bail, ensure};
use pace_kit::{Client, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The header that makes the proxy tell which generations serve.
pub(crate) const DEBUG: &str = "x-soak-debug";

/// The header in which the proxy tells the generations.
const GENERATIONS: &str = "x-pace-generations";

/// A client's rest after a failed request. Without it a dead proxy would be asked as fast as it can refuse.
const REST: Duration = Duration::from_millis(50);

/// The parts that all clients of a run share.
pub(crate) struct World {
    /// The proxy's address.
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) journal: Journal,
}

/// A request, and the answer that it must get.
#[derive(Clone)]
pub(crate) struct Question<'a> {
    pub(crate) path: &'a str,
    pub(crate) kind: Kind,
    /// The body of a [`Kind::Post`].
    pub(crate) body: &'a [u8],
    /// The address of the client that a trusted peer names, if any.
    pub(crate) client: Option<String>,
    /// Whether the connection ends with the answer.
    pub(crate) last: bool,
    /// Whether the limiter may refuse.
    pub(crate) limited: bool,
    /// The digest of the answer's body, unless it is not checked.
    pub(crate) expected: Option<Digest>,
    /// The client's rest between pieces of the answer.
    pub(crate) rest: Duration,
    /// How the client sends the body.
    pub(crate) upload: Upload,
}

impl<'a> Question<'a> {
    /// A GET that must be answered.
    pub(crate) fn get(path: &'a str) -> Question<'a> {
        Question {
            path,
            kind: Kind::Get,
            body: b"",
            client: None,
            last: false,
            limited: false,
            expected: None,
            rest: Duration::ZERO,
            upload: Upload::AtOnce,
        }
    }
}

impl World {
    /// Sends the request, and records the outcome.
    pub(crate) fn ask(&self, client: &mut Client, question: &Question<'_>) -> Outcome {
        let id = self.ledger.issue(question.kind);
        let outcome = match self.try_ask(client, id, question) {
            Ok(outcome) => outcome,
            Err(error) => {
                client.close();
                Outcome::Failed(format!("{} {error:#}", question.path))
            }
        };
        self.ledger.settle(id, outcome.clone());
        if matches!(outcome, Outcome::Failed(_)) {
            thread::sleep(REST);
        }
        outcome
    }

    fn try_ask(&self, client: &mut Client, id: Id, question: &Question<'_>) -> Result<Outcome> {
        let mut request = match question.kind {
            Kind::Post => Request::post(question.path, question.body),
            Kind::Get | Kind::Misbehaving => Request::get(question.path),
        };
        request = request.header(ID, id.to_string()).header(DEBUG, "1");
        if question.kind == Kind::Post && question.body.is_empty() && question.upload == Upload::AtOnce {
            request = request.header("content-length", "0");
        }
        if let Some(address) = &question.client {
            request = request.header("x-forwarded-for", address.clone());
        }
        if question.last {
            request = request.header("connection", "close");
        }
        let answer = client::ask(client, &request, question.upload, question.rest)?;
        if question.kind == Kind::Misbehaving {
            return misbehaving(&answer, id);
        }
        let outcome = outcome(&answer, id, question)?;
        self.check_generations(&answer, &outcome)?;
        Ok(outcome)
    }

    fn check_generations(&self, answer: &Answer, outcome: &Outcome) -> Result<()> {
        let field = |name: &str| answer.head.header(name);
        let denied = *outcome == Outcome::Denied;
        for stamp in STAMPS.iter().filter(|stamp| stamp.always || denied) {
            ensure!(
                field(stamp.header).is_some(),
                "an answer without {}",
                stamp.header
            );
        }
        self.journal.check(Evidence {
            generations: field(GENERATIONS).context("an answer that names no generations")?,
            request_stamps: STAMPS.map(|stamp| field(stamp.seen?)),
            response_stamps: STAMPS.map(|stamp| field(stamp.header)),
            sent: answer.sent,
            received: answer.received,
        });
        Ok(())
    }
}

fn outcome(answer: &Answer, id: Id, question: &Question<'_>) -> Result<Outcome> {
    match answer.head.status {
        200 => {}
        429 if question.limited => return Ok(Outcome::Denied),
        status => bail!("was answered with status {status}"),
    }
    ensure_own(answer, id)?;
    let sent = Digest::of(question.body).to_string();
    ensure!(
        answer.head.header(SEEN_BODY) == Some(&sent),
        "reached the backend with another body"
    );
    ensure!(
        question.expected.is_none_or(|expected| expected == answer.body),
        "was answered with another body"
    );
    Ok(Outcome::Answered)
}

/// Accepts any answer, but a backend's must be the one to this request.
fn misbehaving(answer: &Answer, id: Id) -> Result<Outcome> {
    if answer.head.header(ID).is_none() {
        return Ok(Outcome::Replaced);
    }
    ensure_own(answer, id)?;
    Ok(Outcome::Answered)
}

fn ensure_own(answer: &Answer, id: Id) -> Result<()> {
    let answered = answer.head.header(ID).unwrap_or("none");
    ensure!(
        answered == id.to_string(),
        "was answered with the answer to {answered}"
    );
    Ok(())
}
