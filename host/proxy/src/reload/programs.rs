//! From the content of a file to the next generation of a plugin.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use log::{debug, warn};
use parking_lot::Mutex;

use super::Return;
use crate::snapshot::Environment;
use pace_config::{Sha256, Source};
use pace_sandbox::builtin;
use pace_sandbox::{Allocation, Compiler, CpuTime, Generation, LoadError, OnUnfit, Program, Settings};

/// Makes generations.
pub(super) struct Programs {
    environment: Arc<Environment>,
    on_unfit: OnUnfit,
    /// Compiles files in processes of its own, so that none takes more time or memory than it may, and no request
    /// waits for it.
    compiler: Option<Compiler>,
    /// As long as somebody uses them: two plugins of one file are compiled once.
    compiled: Mutex<HashMap<(Sha256, Allocation), Arc<Slot>>>,
}

/// A program, if somebody uses it. Locked while it is being compiled: who wants the same one waits for it.
type Slot = Mutex<Weak<Program>>;

/// What a source has now.
pub(super) struct Content {
    bytes: Vec<u8>,
    pub(super) sha256: Sha256,
    /// From the binary, and as much to be trusted.
    is_builtin: bool,
}

/// What a source had, ready to run as an entry wants it.
pub(super) struct Code {
    program: Arc<Program>,
    pub(super) sha256: Sha256,
}

/// Longer than any plugin takes to compile; what takes longer is not waited for.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(60);

impl Content {
    /// Reads a source.
    pub(super) fn read(source: &Source) -> Result<Content, LoadError> {
        let bytes = match source {
            Source::File(path) => pace_sandbox::read(path)?,
            Source::Builtin(name) => builtin::component(name)
                .expect("the configuration knows the builtins, and the program has them")
                .to_vec(),
        };
        Ok(Content {
            sha256: Sha256::of(&bytes),
            bytes,
            is_builtin: matches!(source, Source::Builtin(_)),
        })
    }
}

impl Programs {
    /// Generations that turn out to be unfit are told of as [`Return::Unfit`].
    pub(super) fn new(
        environment: Arc<Environment>,
        returns: mpsc::Sender<Return>,
        compiler: Option<Compiler>,
    ) -> Programs {
        let on_unfit: OnUnfit = Arc::new(move |plugin, number| {
            // Who takes it is gone only when Pace ends.
            let _ = returns.send(Return::Unfit(plugin.to_owned(), number));
        });
        Programs {
            environment,
            on_unfit,
            compiler,
            compiled: Mutex::default(),
        }
    }

    /// Compiles what this entry's source has, with so much time. It can take a minute.
    pub(super) fn code(
        &self,
        entry: &pace_config::Plugin,
        content: Content,
        time: CpuTime,
    ) -> Result<Code, LoadError> {
        let found = content.sha256;
        if let Some(expected) = entry.sha256.filter(|expected| *expected != found) {
            return Err(LoadError::WrongHash { expected, found });
        }
        Ok(Code {
            program: self.compile(Settings::from(entry).allocation(), content, time)?,
            sha256: found,
        })
    }

    /// Makes a generation as this entry wants it, for which the code was compiled. Nobody is served with it yet,
    /// nor has it been configured.
    pub(super) fn generation(
        &self,
        entry: &pace_config::Plugin,
        number: u64,
        code: &Code,
    ) -> Arc<Generation> {
        let breaker = self.environment.metrics.breaker(&entry.name);
        let on_unfit = Arc::clone(&self.on_unfit);
        let program = Arc::clone(&code.program);
        Arc::new(Generation::new(
            entry,
            number,
            code.sha256,
            program,
            breaker,
            on_unfit,
        ))
    }

    fn compile(
        &self,
        allocation: Allocation,
        content: Content,
        time: CpuTime,
    ) -> Result<Arc<Program>, LoadError> {
        let slot = self.slot((content.sha256, allocation));
        let mut known = slot.lock();
        if let Some(known) = known.upgrade() {
            return Ok(known);
        }
        debug!(target: "pace::reload", "compiling sha256 {}", content.sha256);
        let program = Arc::new(self.load(allocation, content, time)?);
        *known = Arc::downgrade(&program);
        Ok(program)
    }

    fn slot(&self, key: (Sha256, Allocation)) -> Arc<Slot> {
        let mut compiled = self.compiled.lock();
        // Those that are locked have somebody who holds them.
        compiled.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
        Arc::clone(compiled.entry(key).or_default())
    }

    fn load(&self, allocation: Allocation, content: Content, time: CpuTime) -> Result<Program, LoadError> {
        let Content {
            bytes, is_builtin, ..
        } = content;
        let environment = Arc::clone(&self.environment);
        let starting = matches!(time, CpuTime::Cores(_));
        // A default plugin is mostly compiled already: at the start a process would take longer than it saves.
        if let Some(compiler) = self.compiler.as_ref().filter(|_| !(starting && is_builtin)) {
            match compiler.load(&environment.runtime, allocation, &bytes, time) {
                Err(LoadError::NoProcess(error)) if time != CpuTime::Spare => warn!(
                    target: "pace::reload",
                    "a plugin is compiled in the process that serves, where it may take any memory, and requests may \
                     wait for it: no process can be started for that: {error}"
                ),
                result => return result,
            }
        }
        apart(COMPILE_TIMEOUT, move || {
            let load = || Program::load(&environment.runtime, allocation, &bytes);
            if starting { load() } else { on_one_core(load) }
        })?
    }
}

/// Why something that was done apart has no result.
#[derive(Debug)]
enum Unfinished {
    Timeout(Duration),
    Panicked,
    NoThread(io::Error),
}

/// Does something on a thread of its own, which neither holds this one up for ever nor takes it along when it
/// panics. It goes on when it is not waited for any more: nothing can stop it.
fn apart<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let (sender, done) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("pace-compile".to_owned())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = sender.send(work());
        })
        .map_err(Unfinished::NoThread)?;
    done.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => Unfinished::Timeout(limit),
        RecvTimeoutError::Disconnected => Unfinished::Panicked,
    })
}

/// Does something for which the compiler would otherwise take all cores.
fn on_one_core<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

impl From<Unfinished> for LoadError {
    fn from(unfinished: Unfinished) -> LoadError {
        match unfinished {
            Unfinished::Timeout(limit) => LoadError::CompileTimeout(limit),
            Unfinished::Panicked => LoadError::CompilerPanicked,
            Unfinished::NoThread(error) => LoadError::NoThread(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for whatever comes to an end.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_done_apart_comes_back() {
        assert_eq!(apart(LONG, || 1).expect("it was done"), 1);
    }

    #[test]
    fn who_takes_too_long_and_who_panics_are_told_apart() {
        let (_keep, never) = mpsc::channel::<()>();
        let slow = apart(Duration::ZERO, move || never.recv());
        let slow = LoadError::from(slow.expect_err("it never ends"));
        assert_eq!(slow.to_string(), "compiling it takes longer than 0ns");

        let panics: Result<(), _> = apart(LONG, || panic!("on purpose, for a test"));
        let panics = LoadError::from(panics.expect_err("it panicked"));
        assert!(matches!(panics, LoadError::CompilerPanicked), "{panics}");
    }
}
