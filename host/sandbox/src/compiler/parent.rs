//! The parent of processes that compile: starts them, and waits for each until a timeout.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use log::warn;

use super::super::engine::{Allocation, Runtime};
use super::super::error::LoadError;
use super::super::load::{self, Program};
use super::CompileError;
use super::child::{OUT_OF_MEMORY, REJECTED};
use super::compiled::Compiled;

/// Compiles plugins in processes of their own.
pub struct Compiler {
    program: PathBuf,
}

/// The name of the command that runs [`compile_for_parent`](super::compile_for_parent).
const COMMAND: &str = "compile-plugin";

/// The processor time that a plugin is compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuTime {
    /// Time that hardly any other process wants, for a few seconds.
    Spare,
    /// Spare time, and then the share of a thread if that was not enough.
    SpareFirst,
    /// The share of a thread.
    Share,
    /// The share of a thread on each of this many cores, while no client is served yet.
    Cores(usize),
}

/// The time for compiling with processor time that hardly any other process wants: twenty times and more of what the
/// usual plugin takes. On a machine that has no such time, replacing a plugin takes so much longer.
const SPARE_TIMEOUT: Duration = Duration::from_secs(3);

/// The time for compiling with a share of processor time: longer than any plugin takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The threads of a process, and the way in which they share the cores with other processes.
#[derive(Clone, Copy)]
enum Threads {
    /// One for each core, none of which takes time that other threads want.
    Yielding,
    /// So many, each of which takes its share.
    Share(usize),
}

/// The reason why a process ended without any code.
#[derive(Debug)]
enum Failed {
    Timeout,
    NotStarted(io::Error),
    Broke(ExitStatus),
    OutOfMemory,
    Rejected(CompileError),
}

impl Compiler {
    /// A compiler that runs this program. Its command `compile-plugin` must run
    /// [`compile_for_parent`](super::compile_for_parent), and it must be of the very same build as the caller.
    pub fn new(program: impl Into<PathBuf>) -> Compiler {
        Compiler {
            program: program.into(),
        }
    }

    /// Compiles and checks a plugin like [`Program::load`], in a process of its own.
    ///
    /// # Errors
    ///
    /// Every error of `Program::load`; and errors of the process, which may not start, may break, or take too long.
    pub fn load(
        &self,
        runtime: &Runtime,
        allocation: Allocation,
        bytes: &[u8],
        time: CpuTime,
    ) -> Result<Program, LoadError> {
        let allocation = allocation.of_code(bytes);
        let run = |threads, limit| (limit, self.run(runtime, allocation, threads, bytes, limit));
        let (limit, result) = match time {
            CpuTime::Spare => run(Threads::Yielding, SPARE_TIMEOUT),
            CpuTime::Share => run(Threads::Share(1), TIMEOUT),
            CpuTime::Cores(cores) => match run(Threads::Share(cores), TIMEOUT) {
                // Memory may be short for so many threads.
                (_, Err(Failed::OutOfMemory)) if cores > 1 => run(Threads::Share(1), TIMEOUT),
                done => done,
            },
            CpuTime::SpareFirst => match run(Threads::Yielding, SPARE_TIMEOUT) {
                // The machine is busy all the time, the plugin is large, or memory is short for so many threads.
                (_, Err(Failed::Timeout | Failed::Broke(_) | Failed::OutOfMemory)) => {
                    run(Threads::Share(1), TIMEOUT)
                }
                done => done,
            },
        };
        let code = match result {
            Ok(code) => code,
            Err(Failed::Rejected(error)) => return Err(error.into()),
            Err(Failed::Timeout) => return Err(LoadError::CompileTimeout(limit)),
            Err(Failed::OutOfMemory) => return Err(LoadError::CompilerOutOfMemory),
            Err(Failed::Broke(status)) => return Err(LoadError::CompilerBroke(status.to_string())),
            Err(Failed::NotStarted(error)) => return Err(LoadError::NoProcess(error)),
        };
        let platform = load::platform(runtime, allocation)?;
        // SAFETY: the bytes came through a pipe from a process of this very program, started by us with an empty
        // environment, that ended well: `Compiled::to_bytes` made them there, and no other process has the other end of
        // the pipe. That process has seen the same plugin that the compiler in this process would see, so the code can be
        // trusted as much as if it had been made here. `new` requires that both are of the same build; `deserialize`
        // compares versions and settings again.
        let compiled = unsafe { Compiled::from_bytes(&platform.engine, &code) };
        let compiled = compiled.map_err(|error| LoadError::CompilerBroke(format!("{error:#}")))?;
        Program::link(&platform, bytes, compiled)
    }

    fn run(
        &self,
        runtime: &Runtime,
        allocation: Allocation,
        threads: Threads,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, Failed> {
        let mut command = Command::new(&self.program);
        command
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The reader of Pace's own standard error may be slow, and this process would wait for it.
            .stderr(Stdio::piped());
        if let Some(directory) = runtime.cache_dir() {
            command.arg("--cache-dir").arg(directory);
        }
        if let Allocation::Pooled { slot, .. } = allocation {
            command.arg("--slot").arg(slot.to_string());
        }
        match threads {
            Threads::Yielding => command.arg("--yielding"),
            Threads::Share(cores) => command.arg("--threads").arg(cores.to_string()),
        };
        let mut child = command.spawn().map_err(Failed::NotStarted)?;
        let answer = exchange(&mut child, bytes, limit);
        if answer.is_err() {
            // The process may still run.
            let _has_ended_already = child.kill();
        }
        // Standard output is at its end, so the process has ended or is about to.
        let status = child.wait().map_err(Failed::NotStarted)?;
        let answer = answer?;
        match status.code() {
            Some(0) => Ok(answer),
            Some(code) if code == i32::from(REJECTED) => {
                let rejected = serde_json::from_slice(&answer).map_err(|_| Failed::Broke(status))?;
                Err(Failed::Rejected(rejected))
            }
            Some(code) if code == i32::from(OUT_OF_MEMORY) => Err(Failed::OutOfMemory),
            _ => Err(Failed::Broke(status)),
        }
    }
}

/// Gives a process all of its input and takes all of its output, within a time. Its standard error goes to the log.
fn exchange(child: &mut Child, input: &[u8], limit: Duration) -> Result<Vec<u8>, Failed> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, mut stdout) = stdin.zip(stdout).expect("both were asked for");
    let stderr = child.stderr.take().expect("it was asked for");
    thread::scope(|scope| {
        thread::Builder::new()
            .name("pace-compile-log".to_owned())
            .spawn_scoped(scope, || log_stderr(stderr))
            .map_err(Failed::NotStarted)?;
        let (sender, done) = mpsc::sync_channel(1);
        let exchanged = move || {
            // A process that ends early tells the reason by its status.
            let _ = stdin.write_all(input);
            drop(stdin);
            let mut output = Vec::new();
            // After a timeout there is no receiver.
            let _ = sender.send(stdout.read_to_end(&mut output).map(|_| output));
        };
        thread::Builder::new()
            .name("pace-compile".to_owned())
            .spawn_scoped(scope, exchanged)
            .map_err(Failed::NotStarted)?;
        match done.recv_timeout(limit) {
            Ok(output) => output.map_err(Failed::NotStarted),
            Err(RecvTimeoutError::Timeout) => {
                // The scope waits for the thread, which waits for the process.
                let _has_ended_already = child.kill();
                Err(Failed::Timeout)
            }
            Err(RecvTimeoutError::Disconnected) => Err(Failed::NotStarted(io::ErrorKind::OutOfMemory.into())),
        }
    })
}

/// Logs the standard error of a process as one entry, when it is complete. It is empty unless something is wrong.
fn log_stderr(mut stderr: impl Read) {
    const MAX_BYTES: u64 = 16 << 10;
    let mut said = Vec::new();
    // After an error, the part that was read is logged.
    let _ = stderr.by_ref().take(MAX_BYTES).read_to_end(&mut said);
    let _ = io::copy(&mut stderr, &mut io::sink());
    if !said.is_empty() {
        let said = String::from_utf8_lossy(&said);
        warn!(target: "pace::plugin", "the process that compiles says:\n{}", said.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A time within which every process of these tests ends that ends at all.
    const LONG: Duration = Duration::from_secs(60);

    /// A compiler with this script for a program, which lasts as long as the directory.
    fn compiler(program: &str) -> (Compiler, Runtime, TempDir) {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("program");
        // Another process writes the script: if this one did, a child of another thread could still have it open for
        // writing when it is to be run, and the system would refuse that.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 700 \"$0\""])
            .arg(&path);
        let status = shell.arg(program).status().expect("there is a shell");
        assert!(status.success(), "{status}");
        let runtime = Runtime::new(None, 1).expect("there is room for a compiler");
        (Compiler::new(path), runtime, directory)
    }

    fn run(program: &str, limit: Duration) -> Result<Vec<u8>, Failed> {
        let (compiler, runtime, _directory) = compiler(program);
        compiler.run(
            &runtime,
            Allocation::OnDemand,
            Threads::Yielding,
            b"a plugin",
            limit,
        )
    }

    #[test]
    fn process_reads_the_plugin_and_writes_the_code() {
        let code = run(
            "#!/bin/sh\n[ $1 = compile-plugin ] && echo code of $(cat)\n",
            LONG,
        );
        assert_eq!(code.expect("it ends well"), b"code of a plugin\n");
    }

    #[test]
    fn process_that_takes_too_long_is_ended() {
        // The process would never end by itself, and does not read.
        let endless = run("#!/bin/sh\nkill -STOP $$\n", Duration::from_millis(1));
        assert!(matches!(endless, Err(Failed::Timeout)), "{endless:?}");
    }

    #[test]
    fn process_that_breaks_does_not_reject_the_plugin() {
        let broken = run("#!/bin/sh\nkill -KILL $$\n", LONG);
        assert!(matches!(broken, Err(Failed::Broke(_))), "{broken:?}");
        let silent = run("#!/bin/sh\nexit 2\n", LONG);
        assert!(matches!(silent, Err(Failed::Broke(_))), "{silent:?}");
    }

    #[test]
    fn process_without_memory_is_told_from_one_that_breaks() {
        let short = run("#!/bin/sh\nexit 3\n", LONG);
        assert!(matches!(short, Err(Failed::OutOfMemory)), "{short:?}");
    }

    /// The first process may have broken because it had many threads.
    #[test]
    fn process_that_breaks_while_yielding_is_followed_by_one_with_its_share() {
        let program = "#!/bin/sh\n[ \"$2\" = --yielding ] && kill -KILL $$\necho no code\n";
        let (compiler, runtime, _directory) = compiler(program);
        let broke = |time| match compiler.load(&runtime, Allocation::OnDemand, b"a plugin", time) {
            Err(LoadError::CompilerBroke(reason)) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("there is no code"),
        };
        assert!(broke(CpuTime::Spare).contains("signal: 9"));
        for time in [CpuTime::SpareFirst, CpuTime::Share] {
            let reason = broke(time);
            assert!(
                !reason.contains("signal"),
                "what has no code ended well: {reason}"
            );
        }
    }

    #[test]
    fn rejection_comes_with_its_reason() {
        let verdict = run("#!/bin/sh\necho '{\"NotWasm\":\"it is a poem\"}'; exit 2\n", LONG);
        let Err(Failed::Rejected(error)) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(error.to_string(), "not WebAssembly: it is a poem");
    }

    #[test]
    fn missing_program_is_reported_as_process_that_cannot_start() {
        let runtime = Runtime::new(None, 1).expect("there is room for a compiler");
        let error = Compiler::new("/nowhere").load(&runtime, Allocation::OnDemand, b"", CpuTime::SpareFirst);
        let Err(LoadError::NoProcess(error)) = error else {
            panic!("there is nothing to start");
        };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
