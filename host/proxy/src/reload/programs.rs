//! Compiles files, and makes generations of plugins from them.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use log::{debug, warn};
use parking_lot::Mutex;

use super::Rollback;
use crate::snapshot::Shared;
use pace_config::{Sha256, Source};
use pace_sandbox::builtin;
use pace_sandbox::{
    Allocation, Compiler, CpuTime, Generation, LoadError, OnUnfit, Program, RECYCLING_REASONS, Settings,
};

/// Makes generations, and the programs that they run.
pub(super) struct Programs {
    shared: Arc<Shared>,
    on_unfit: OnUnfit,
    /// The compiler, which compiles each file in a process of its own, so that none takes more time or memory than it may,
    /// and no request waits for it.
    compiler: Option<Compiler>,
    /// The programs in use: two plugins of one file are compiled once.
    compiled: Mutex<HashMap<(Sha256, Allocation), Arc<Slot>>>,
}

/// A program, if it is in use. The slot is locked while the program is compiled, so that other users of it wait.
type Slot = Mutex<Weak<Program>>;

/// The content of a source when it was read.
pub(super) struct Content {
    bytes: Vec<u8>,
    pub(super) sha256: Sha256,
    /// Whether the content comes from the binary, and is as trusted as that.
    is_builtin: bool,
}

/// A compiled content, with the allocation of an entry.
pub(super) struct Code {
    program: Arc<Program>,
    pub(super) sha256: Sha256,
}

/// The longest wait for a compilation, which is longer than any plugin should take.
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
    /// The maker of generations. Those that turn out to be unfit are sent to `returns` as [`Rollback::Unfit`].
    pub(super) fn new(
        shared: Arc<Shared>,
        returns: mpsc::Sender<Rollback>,
        compiler: Option<Compiler>,
    ) -> Programs {
        let on_unfit: OnUnfit = Arc::new(move |plugin, number| {
            // The receiver is gone only when Pace ends.
            let _ = returns.send(Rollback::Unfit(plugin.to_owned(), number));
        });
        Programs {
            shared,
            on_unfit,
            compiler,
            compiled: Mutex::default(),
        }
    }

    /// Compiles the content of an entry's source, within this processor time. It can take a minute.
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

    /// Makes a generation with the settings of the entry for which the code was compiled. It does not serve yet, and has not
    /// been configured.
    pub(super) fn generation(
        &self,
        entry: &pace_config::Plugin,
        number: u64,
        code: &Code,
    ) -> Arc<Generation> {
        let breaker = self.shared.metrics.breaker(&entry.name);
        let recycled = self.shared.metrics.recycled(&entry.name, RECYCLING_REASONS);
        let on_unfit = Arc::clone(&self.on_unfit);
        let program = Arc::clone(&code.program);
        let made = Generation::new(entry, number, code.sha256, program, breaker, on_unfit);
        Arc::new(made.with_recycled(recycled))
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
        // A slot that is locked is also held by its user, so `lock` does not block here.
        compiled.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
        Arc::clone(compiled.entry(key).or_default())
    }

    fn load(&self, allocation: Allocation, content: Content, time: CpuTime) -> Result<Program, LoadError> {
        let Content {
            bytes, is_builtin, ..
        } = content;
        let shared = Arc::clone(&self.shared);
        let starting = matches!(time, CpuTime::Cores(_));
        // A default plugin is mostly compiled already, so that at the start a process would cost more than it saves.
        if let Some(compiler) = self.compiler.as_ref().filter(|_| !(starting && is_builtin)) {
            match compiler.load(&shared.runtime, allocation, &bytes, time) {
                Err(LoadError::NoProcess(error)) if time != CpuTime::Spare => warn!(
                    target: "pace::reload",
                    "a plugin is compiled in the process that serves, where it may take any memory, and requests may \
                     wait for it: no process can be started for that: {error}"
                ),
                result => return result,
            }
        }
        apart(COMPILE_TIMEOUT, move || {
            let load = || Program::load(&shared.runtime, allocation, &bytes);
            if starting { load() } else { on_one_core(load) }
        })?
    }
}

/// The reason why work on a thread of its own has no result.
#[derive(Debug)]
enum Unfinished {
    Timeout(Duration),
    Panicked,
    NoThread(io::Error),
}

/// Runs work on a thread of its own, which neither blocks this one for ever nor takes it along when it panics. The work
/// continues after the limit: nothing can stop it.
fn apart<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let (sender, done) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("pace-compile".to_owned())
        .spawn(move || {
            // The caller may have given up.
            let _ = sender.send(work());
        })
        .map_err(Unfinished::NoThread)?;
    done.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => Unfinished::Timeout(limit),
        RecvTimeoutError::Disconnected => Unfinished::Panicked,
    })
}

/// Runs work on one core, for which the compiler would otherwise use all.
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

    /// Long enough for any work that ends.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_apart_returns_its_result() {
        assert_eq!(apart(LONG, || 1).expect("it was done"), 1);
    }

    #[test]
    fn work_apart_that_is_slow_or_panics_has_distinct_errors() {
        let (_keep, never) = mpsc::channel::<()>();
        let slow = apart(Duration::ZERO, move || never.recv());
        let slow = LoadError::from(slow.expect_err("it never ends"));
        assert_eq!(slow.to_string(), "compiling it takes longer than 0ns");

        let panics: Result<(), _> = apart(LONG, || panic!("on purpose, for a test"));
        let panics = LoadError::from(panics.expect_err("it panicked"));
        assert!(matches!(panics, LoadError::CompilerPanicked), "{panics}");
    }
}
