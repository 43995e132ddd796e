//! The process that compiles one plugin: the file on standard input, the code on standard output.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use log::debug;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use wasmtime::error::Context;

use super::super::direct;
use super::super::engine;
use super::CompileError;
use super::compiled::Compiled;

/// It ends so when the file is to blame; standard output has a [`CompileError`] as JSON then.
pub(super) const REJECTED: u8 = 2;

/// The address space that compiling may take: the largest plugins, of 32 MiB, take a tenth of it.
const MAX_ADDRESS_SPACE: u64 = 8 << 30;

/// How a plugin is compiled. Written by [`Compiler`](super::Compiler), not by people.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Directory where compiled code is kept
    #[arg(long)]
    pub(super) cache_dir: Option<PathBuf>,
    /// Bytes of address space that the code may count on for a memory [default: as wasmtime has it]
    #[arg(long)]
    pub(super) slot: Option<usize>,
    /// Take hardly any time that another process wants
    #[arg(long)]
    pub(super) yielding: bool,
}

/// All that `pace compile-plugin` does.
pub fn compile_for_parent(args: &CompileArgs) -> ExitCode {
    match compile(args) {
        Ok(Ok(code)) => match write(&code) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Ok(Err(rejected)) => match serde_json::to_vec(&rejected) {
            Ok(json) if write(&json).is_ok() => ExitCode::from(REJECTED),
            _ => failed(&rejected),
        },
        Err(error) => failed(&format_args!("{error:#}")),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("pace compile-plugin: {error}");
    ExitCode::FAILURE
}

fn compile(args: &CompileArgs) -> wasmtime::Result<Result<Vec<u8>, CompileError>> {
    restrict(args.yielding);
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).context("no plugin to read")?;
    let cache = args.cache_dir.as_deref().map(engine::open_cache).transpose()?;
    let engine = engine::for_compiling(args.slot, cache)?;
    let imports = direct::Imports::new(&engine)?;
    Ok(match Compiled::new(&engine, &imports, &bytes) {
        Ok(compiled) => Ok(compiled.to_bytes()?),
        Err(rejected) => Err(rejected),
    })
}

/// Ends with its parent, leaves the time and the memory to others, and leaves no file behind when it breaks.
fn restrict(yielding: bool) {
    let at_most = |limit| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    // Where the system forbids one of these, compiling is not less correct.
    let results = [
        set_parent_process_death_signal(Some(Signal::KILL)),
        setrlimit(Resource::As, at_most(MAX_ADDRESS_SPACE)),
        setrlimit(Resource::Core, at_most(0)),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        debug!("the compiler runs with more than it needs: {error}");
    }
    if yielding && let Err(error) = yield_to_others() {
        debug!("the compiler takes the same share of time as others: {error}");
    }
}

/// `SCHED_IDLE` (sched(7)): whoever else wants this core has it at once, and a core that has nothing else to do runs this
/// at once. With a nice value, even of 19, requests wait until the turn of this thread is over, which may take
/// milliseconds.
#[cfg(target_os = "linux")]
fn yield_to_others() -> Result<(), impl std::fmt::Display> {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // Threads that this one starts will have the same.
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
}

/// The least that can be asked for (nice(2)).
#[cfg(not(target_os = "linux"))]
fn yield_to_others() -> Result<(), impl std::fmt::Display> {
    rustix::process::nice(19).map(drop)
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
