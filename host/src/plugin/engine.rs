//! One compiler for the process, and the clock by which hooks are stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use super::capability;
use super::guest::Guest;

/// The step in which deadlines are kept. A hook is stopped at most so much later than it should.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// After so many ticks without a hook the clock stops, and an idle Pace sleeps. It has to be longer than
/// any time limit, so that no hook can be running unwatched.
const IDLE_TICKS: u32 = 3000;

/// What all plugins share: the compiler, what the host lends, and the clock.
#[derive(Clone)]
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<Guest>>,
    pub(super) clock: Arc<Clock>,
}

impl Runtime {
    /// Starts the compiler and the clock.
    pub fn new() -> wasmtime::Result<Runtime> {
        let mut config = Config::new();
        config
            // Nothing here waits inside wasm; without it a call does not set up the means to.
            .concurrency_support(false)
            .epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let linker = Arc::new(capability::linker(&engine)?);
        let clock = Arc::new(Clock::start(engine.clone())?);
        Ok(Runtime {
            engine,
            linker,
            clock,
        })
    }
}

/// Advances the engine's epoch every [`TICK`] while hooks run. Its thread ends when this is dropped.
pub(super) struct Clock {
    state: Arc<ClockState>,
    thread: Thread,
}

struct ClockState {
    /// A hook was entered since the clock last looked. Written only when it changes, so that entering
    /// costs a read of a line that all cores share.
    used: AtomicBool,
    /// The thread ticks, or is about to look at `used` once more before it parks.
    ticking: AtomicBool,
    stop: AtomicBool,
}

impl Clock {
    fn start(engine: Engine) -> std::io::Result<Clock> {
        let state = Arc::new(ClockState {
            used: AtomicBool::new(false),
            ticking: AtomicBool::new(true),
            stop: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&state);
        let handle = thread::Builder::new()
            .name("pace-deadlines".to_owned())
            .spawn(move || of_thread.run(&engine))?;
        Ok(Clock {
            state,
            thread: handle.thread().clone(),
        })
    }

    /// To be called before wasm is entered, and while it is given more time.
    pub(super) fn keep_running(&self) {
        let state = &*self.state;
        if state.used.load(Ordering::Acquire) {
            return;
        }
        state.used.store(true, Ordering::SeqCst);
        // Either this sees that the clock has stopped, or the clock, which looks at `used` after it says
        // that it stops, sees the store above: in the order of SeqCst one of the two comes later.
        if !state.ticking.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl ClockState {
    fn run(&self, engine: &Engine) {
        let mut ticks = 0;
        while !self.stop.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            engine.increment_epoch();
            ticks += 1;
            if ticks == IDLE_TICKS {
                ticks = 0;
                if !self.used.swap(false, Ordering::SeqCst) {
                    self.park();
                }
            }
        }
    }

    fn park(&self) {
        self.ticking.store(false, Ordering::SeqCst);
        while !self.used.load(Ordering::SeqCst) && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        self.ticking.store(true, Ordering::SeqCst);
    }
}
