//! The thread that formats and writes lines, and may block on a slow disk or reader.

use std::io;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use log::info;
use pace_base::handoff::Handoff;
use pace_config::telemetry::LogFormat;
use parking_lot::Mutex;
use prometheus::IntCounter;

use super::super::notes::Notes;
use super::{AccessLog, TARGET, json, text};
use crate::telemetry::clock::Clock;

/// Counts all lines that were not written.
pub static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "pace_access_log_lines_dropped_total",
        "Lines of the access log that were not written, because file or standard output took none.",
    )
    .expect("the name is valid")
});

/// Bytes of notes that may wait: those of some 10,000 requests.
const CAPACITY: usize = 8 << 20;

/// How long notes gather when some came just before.
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes of lines that are written at once.
const PIECE: usize = 64 << 10;

/// The longest that a flush waits for a slow reader, and for one that takes nothing.
const PATIENCE: Duration = Duration::from_secs(3);
const STALLED: Duration = Duration::from_millis(500);

static QUEUE: LazyLock<Handoff<Arc<Notes>>> = LazyLock::new(|| Handoff::new(CAPACITY));

/// Whether the thread runs.
static RUNS: Mutex<bool> = Mutex::new(false);

/// Starts the thread, if it does not run yet. It ends with the process.
pub(super) fn start() -> io::Result<()> {
    let mut runs = RUNS.lock();
    if !*runs {
        thread::Builder::new()
            .name("pace-access".to_owned())
            .spawn(|| Writer::default().run())?;
        *runs = true;
    }
    Ok(())
}

/// Hands over the notes of a request that is over.
pub(super) fn add(notes: &Arc<Notes>) {
    if !QUEUE.add(Arc::clone(notes), notes.weight()) {
        DROPPED.inc();
    }
}

/// Waits until the lines of all requests so far are written, for as long as somebody takes them.
pub fn flush() {
    if *RUNS.lock() {
        QUEUE.flush(PATIENCE, STALLED);
    }
}

/// The thread's memory.
#[derive(Default)]
struct Writer {
    lines: Vec<u8>,
    clock: Clock,
}

impl Writer {
    fn run(mut self) {
        let mut taken: Vec<Arc<Notes>> = Vec::new();
        loop {
            QUEUE.take(&mut taken, None);
            // Requests that were served with one configuration follow each other.
            for same in taken.chunk_by(|one, other| same_log(one, other)) {
                self.write(same);
            }
            taken.clear();
            QUEUE.pause(PAUSE);
        }
    }

    fn write(&mut self, requests: &[Arc<Notes>]) {
        let Some(log) = requests.first().and_then(|notes| notes.log.clone()) else {
            return QUEUE.settle(requests.len());
        };
        let mut waiting = 0;
        for notes in requests {
            self.format(&log, notes);
            waiting += 1;
            if self.lines.len() >= PIECE {
                self.write_out(&log);
                QUEUE.settle(std::mem::take(&mut waiting));
            }
        }
        self.write_out(&log);
        QUEUE.settle(waiting);
    }

    fn format(&mut self, log: &AccessLog, notes: &Notes) {
        let Writer { lines, clock } = self;
        notes.with(|noted| {
            let Some(summary) = &noted.summary else { return };
            let fields = &log.settings.fields;
            match log.settings.format {
                LogFormat::Json => json::write(lines, fields, summary, noted, clock),
                LogFormat::Text => text::write(lines, fields, summary, noted, clock),
            }
            lines.push(b'\n');
        });
    }

    fn write_out(&mut self, log: &AccessLog) {
        match &log.output {
            Some(output) => {
                let lost = output.write(&self.lines);
                DROPPED.inc_by(lost);
            }
            None => {
                for line in self
                    .lines
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                {
                    info!(target: TARGET, "{}", String::from_utf8_lossy(line));
                }
            }
        }
        self.lines.clear();
        self.lines.shrink_to(2 * PIECE);
    }
}

fn same_log(one: &Notes, other: &Notes) -> bool {
    match (&one.log, &other.log) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
