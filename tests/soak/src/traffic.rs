//! The traffic of clients that goes on all the time.

use super::backends::{LARGE, SLOW};
use super::client::Upload;
use super::digest::Digest;
use super::exchange::{Question, World};
use super::histogram::Histogram;
use super::ledger::{Kind, Outcome};
use super::random::Random;
use super::setting::{self, MISBEHAVING};
use pace_kit::Client;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Clients that send requests at the same time.
const CLIENTS: u64 = 16;

/// Downloads at the same time.
const DOWNLOADS: u64 = 4;

/// Uploads at the same time, and the bytes of each.
const UPLOADS: u64 = 3;
const UPLOAD: usize = 1 << 20;

/// A slow client's rest after each piece of its answer.
const SLOW_READER: Duration = Duration::from_millis(2);

/// The time between two requests that make a plugin misbehave.
const MISBEHAVIOUR_INTERVAL: Duration = Duration::from_millis(25);

/// The largest body of a POST.
const MAX_BODY: u64 = 64 << 10;

/// When a client sends its next request.
#[derive(Clone, Copy)]
pub(crate) enum Drive {
    /// As soon as the previous answer is complete: measures the capacity.
    Closed,
    /// This many times a second by all clients together, whether answers come or not. The latency of a
    /// delayed request counts from when it was due.
    Paced(f64),
}

/// The results of a load.
pub(crate) struct Load {
    /// Latencies from when a request was due to the last byte of its answer.
    pub(crate) latencies: Histogram,
    pub(crate) elapsed: Duration,
}

impl Load {
    /// Requests per second that did not fail.
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends short requests of all kinds for `duration`.
pub(crate) fn mixed(world: &World, drive: Drive, duration: Duration, seed: u64) -> Load {
    let start = Instant::now();
    let deadline = start + duration;
    let mut latencies = Histogram::new();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || client(world, drive, deadline, Random::new(seed, number))))
            .collect();
        for client in clients {
            latencies.merge(&client.join().expect("clients note what fails"));
        }
    });
    Load {
        latencies,
        elapsed: start.elapsed(),
    }
}

fn client(world: &World, drive: Drive, deadline: Instant, mut random: Random) -> Histogram {
    let mut client = Client::new(world.address);
    let mut latencies = Histogram::new();
    let body: Vec<u8> = (0..MAX_BODY).map(|_| random.next() as u8).collect();
    let mut due = Instant::now();
    loop {
        match drive {
            Drive::Closed => due = Instant::now(),
            Drive::Paced(rate) => {
                let interval = CLIENTS as f64 / rate;
                due += Duration::from_secs_f64(interval * 2.0 * random.share());
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        if due.max(Instant::now()) >= deadline {
            return latencies;
        }
        let outcome = world.ask(&mut client, &short(&mut random, &body));
        if outcome == Outcome::Answered {
            latencies.add(due.elapsed());
        }
    }
}

/// Of a hundred requests fifteen have a body, and four end their connection.
fn short<'a>(random: &mut Random, body: &'a [u8]) -> Question<'a> {
    let mut question = Question {
        last: random.below(100) < 4,
        expected: Some(Digest::of(b"ok")),
        ..Question::get("/short?one=1")
    };
    if random.below(100) < 15 {
        question.kind = Kind::Post;
        // The random bound makes most bodies small.
        let largest = 1 << random.below(u64::from(MAX_BODY.ilog2()) + 1);
        question.body = &body[..random.below(largest + 1) as usize];
    }
    question
}

/// Runs downloads that last for several swaps, until told to stop. One of the two bodies is sent slowly, and
/// clients read slowly.
pub(crate) fn downloads(world: &World, stop: &AtomicBool) {
    let streams = [SLOW, LARGE].map(|stream| (stream.path, stream.digest()));
    let download = |number: u64| {
        let (path, digest) = streams[number as usize % streams.len()];
        let mut client = Client::new(world.address);
        while !stop.load(Ordering::Relaxed) {
            let question = Question {
                expected: Some(digest),
                rest: SLOW_READER,
                ..Question::get(path)
            };
            world.ask(&mut client, &question);
        }
    };
    thread::scope(|scope| {
        for number in 0..DOWNLOADS {
            scope.spawn(move || download(number));
        }
    });
}

/// Runs uploads that last for some swaps, until told to stop.
pub(crate) fn uploads(world: &World, stop: &AtomicBool) {
    let upload = |number: u64| {
        let mut random = Random::new(number, UPLOADS);
        let body: Vec<u8> = (0..UPLOAD).map(|_| random.next() as u8).collect();
        let mut client = Client::new(world.address);
        let manners = [Upload::Slowly, Upload::InChunks];
        for manner in manners.into_iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let question = Question {
                kind: Kind::Post,
                body: &body,
                expected: Some(Digest::of(b"ok")),
                upload: manner,
                ..Question::get("/upload")
            };
            world.ask(&mut client, &question);
        }
    };
    thread::scope(|scope| {
        for number in 0..UPLOADS {
            scope.spawn(move || upload(number));
        }
    });
}

/// Sends requests that make plugins misbehave, one after another, until told to stop.
pub(crate) fn misbehaviour(world: &World, stop: &AtomicBool) {
    let paths: Vec<String> = MISBEHAVING
        .iter()
        .map(|fixture| setting::misbehaving_path(fixture))
        .collect();
    let mut client = Client::new(world.address);
    for path in paths.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let question = Question {
            kind: Kind::Misbehaving,
            ..Question::get(path)
        };
        world.ask(&mut client, &question);
        thread::sleep(MISBEHAVIOUR_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_mostly_small_and_within_the_bound() {
        let mut random = Random::new(1, 0);
        let body = vec![0; MAX_BODY as usize];
        let mut lengths: Vec<usize> = (0..100_000)
            .map(|_| short(&mut random, &body))
            .filter(|question| question.kind == Kind::Post)
            .map(|question| question.body.len())
            .collect();
        lengths.sort_unstable();
        let (median, longest) = (lengths[lengths.len() / 2], lengths[lengths.len() - 1]);
        assert_eq!(lengths[0], 0);
        assert!(median < 1000, "{median}");
        assert!(longest > MAX_BODY as usize * 9 / 10, "{longest}");
    }
}
