//! The thread that sends spans, and waits for the collector.

use std::io;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use log::warn;
use pace_base::escape::Line;
use pace_base::handoff::Handoff;
use pace_base::logging::Limited;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, Opts};

use super::super::notes::Notes;
use super::Tracer;
use super::collector::{Collector, SendError};
use super::otlp::Batch;

/// Counts the spans that the collector has taken.
pub static SENT: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new("pace_spans_sent_total", "Spans that the collector has taken.")
        .expect("the name is valid")
});

/// Counts the traced requests and spans that were not sent.
pub static DROPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let opts = Opts::new(
        "pace_spans_dropped_total",
        "Spans that the collector did not get.",
    );
    IntCounterVec::new(opts, &["reason"]).expect("the names are valid")
});

/// The reason why spans are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Too many wait for the collector.
    Queue,
    /// The collector could not be reached, or took nothing in time.
    Unreachable,
    /// The collector refused them.
    Refused,
}

impl Dropped {
    /// Every reason.
    pub const ALL: [Dropped; 3] = [Dropped::Queue, Dropped::Unreachable, Dropped::Refused];

    /// The name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Dropped::Queue => "queue",
            Dropped::Unreachable => "unreachable",
            Dropped::Refused => "refused",
        }
    }

    fn count(self, spans: u64) {
        DROPPED.with_label_values(&[self.name()]).inc_by(spans);
    }
}

/// Bytes of notes that may wait for the collector: those of some 10,000 requests.
const CAPACITY: usize = 8 << 20;

/// The most bytes of a batch, more or less.
const BATCH: usize = 512 << 10;

/// How long spans gather for a batch.
const GATHERING: Duration = Duration::from_secs(1);

/// How often a batch is sent, and the pause before it is sent again, which doubles each time.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// The longest that the end of the process waits for the collector.
const PATIENCE: Duration = Duration::from_secs(3);

static QUEUE: LazyLock<Handoff<Arc<Notes>>> = LazyLock::new(|| Handoff::new(CAPACITY));

/// Whether the thread runs.
static RUNS: Mutex<bool> = Mutex::new(false);

static FAILURES: LazyLock<Limited> = LazyLock::new(|| Limited::new("batches of spans that were not sent"));

/// Starts the thread, if it does not run yet. It ends with the process.
pub(super) fn start() -> io::Result<()> {
    let mut runs = RUNS.lock();
    if !*runs {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("pace-traces".to_owned())
            .spawn(move || run(&runtime))?;
        *runs = true;
    }
    Ok(())
}

/// Hands over the notes of a request that is over.
pub(super) fn add(notes: &Arc<Notes>) {
    if !QUEUE.add(Arc::clone(notes), notes.weight()) {
        Dropped::Queue.count(spans(notes));
    }
}

/// Waits until the spans of all requests so far are sent, or are not going to be.
pub fn flush() {
    if *RUNS.lock() {
        QUEUE.flush(PATIENCE, PATIENCE);
    }
}

/// The number of spans of a request.
fn spans(notes: &Notes) -> u64 {
    notes.with(|noted| 1 + noted.attempts.len() as u64 + noted.calls.len() as u64)
}

fn run(runtime: &tokio::runtime::Runtime) {
    let mut collector = None;
    let (mut taken, mut more) = (Vec::new(), Vec::new());
    loop {
        QUEUE.take(&mut taken, None);
        QUEUE.pause(GATHERING);
        QUEUE.take(&mut more, Some(Instant::now()));
        taken.append(&mut more);
        for same in taken.chunk_by(|one, other| same_tracer(one, other)) {
            let Some(tracer) = same[0].with(|noted| noted.tracer.clone()) else {
                QUEUE.settle(same.len());
                continue;
            };
            send_all(runtime, &mut collector, &tracer, same);
        }
        taken.clear();
    }
}

fn send_all(
    runtime: &tokio::runtime::Runtime,
    collector: &mut Option<Collector>,
    tracer: &Arc<Tracer>,
    requests: &[Arc<Notes>],
) {
    let mut rest = requests;
    while !rest.is_empty() {
        let mut batch = Batch::new(tracer);
        let mut added = 0;
        while batch.len() < BATCH && added < rest.len() {
            rest[added].with(|noted| batch.add(noted));
            added += 1;
        }
        rest = &rest[added..];
        let spans = batch.spans;
        let sent = runtime.block_on(send(collector, tracer, batch.end()));
        match sent {
            Ok(()) => SENT.inc_by(spans),
            Err(error) => {
                let why = match error {
                    SendError::Refused(_) => Dropped::Refused,
                    SendError::Unreachable(_) | SendError::Busy(_) => Dropped::Unreachable,
                };
                why.count(spans);
                if FAILURES.admits() {
                    warn!(
                        target: "pace::tracing",
                        "{spans} spans are lost: the collector {}: {}",
                        tracer.settings.collector.authority(),
                        Line(error)
                    );
                }
            }
        }
        QUEUE.settle(added);
    }
}

/// Sends a batch, again if need be.
async fn send(
    collector: &mut Option<Collector>,
    tracer: &Arc<Tracer>,
    body: Vec<u8>,
) -> Result<(), SendError> {
    if !collector
        .as_ref()
        .is_some_and(|collector| collector.is_of(tracer))
    {
        *collector = None;
    }
    let collector = collector.get_or_insert_with(|| Collector::new(Arc::clone(tracer)));
    let mut pause = PAUSE;
    for attempt in 1.. {
        match collector.send(&body).await {
            Err(SendError::Unreachable(_) | SendError::Busy(_)) if attempt < ATTEMPTS => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            sent => return sent,
        }
    }
    unreachable!("the last attempt returns")
}

fn same_tracer(one: &Notes, other: &Notes) -> bool {
    let tracer = |notes: &Notes| notes.with(|noted| noted.tracer.clone());
    match (tracer(one), tracer(other)) {
        (Some(one), Some(other)) => Arc::ptr_eq(&one, &other),
        _ => false,
    }
}
