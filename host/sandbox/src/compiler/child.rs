//! The process that compiles one plugin: it reads the file on standard input and writes the code to standard output.

use std::fs;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use log::debug;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use rustix::thread::sched_getaffinity;
use wasmtime::error::Context;

use super::super::direct;
use super::super::engine;
use super::CompileError;
use super::compiled::Compiled;
use pace_base::allocator::end_when_out_of_memory;
use pace_base::escape::Lines;

/// The exit code if the file is to blame; standard output has a [`CompileError`] as JSON then.
pub(super) const REJECTED: u8 = 2;

/// The exit code if the process got no more memory.
pub(super) const OUT_OF_MEMORY: u8 = 3;

/// The address space that compiling may take, in GiB. A plugin of 12 MB with a JavaScript engine and one of 18 MB with a
/// Python interpreter take 0.46 GB of memory with one thread, and 0.64 GB with eight; a file of 4 KB can be made so
/// that it takes ten times as much.
pub(in super::super) const MAX_GIBIBYTES: u64 = 2;

/// The settings of a compilation. Written by [`Compiler`](super::Compiler), not by people.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// The directory in which compiled code is kept
    #[arg(long)]
    pub(super) cache_dir: Option<PathBuf>,
    /// The bytes of address space that the code may count on for a memory [default: as in wasmtime]
    #[arg(long)]
    pub(super) slot: Option<usize>,
    /// Take hardly any time that others want, of all cores
    #[arg(long)]
    pub(super) yielding: bool,
    /// Take a share of this many cores instead
    #[arg(long, default_value_t = 1)]
    pub(super) threads: usize,
}

/// Runs `pace compile-plugin`.
pub fn compile_for_parent(args: &CompileArgs) -> ExitCode {
    let code = answer(args);
    if args.cache_dir.is_some() {
        wait_for_other_threads();
    }
    code
}

/// Waits for the other threads of this process, which end once what they work for is dropped. One of them is of
/// wasmtime's cache: it writes down which files are used, and removes the oldest. If the process ended first, the cache
/// would take more room than it may. Nothing but the number of threads tells that it is done.
fn wait_for_other_threads() {
    /// Many times what it takes unless the machine is busy all the time. Then the next process does what is left.
    const AT_MOST: Duration = Duration::from_millis(500);
    let begun = Instant::now();
    let are_there = || fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1);
    while are_there() && begun.elapsed() < AT_MOST {
        thread::sleep(Duration::from_millis(1));
    }
}

fn answer(args: &CompileArgs) -> ExitCode {
    match compile(args) {
        Ok(Ok(code)) => match write(&code) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Ok(Err(rejected)) => match serde_json::to_vec(&rejected) {
            Ok(json) if write(&json).is_ok() => ExitCode::from(REJECTED),
            _ => failed(&rejected),
        },
        Err(error) if is_out_of_memory(&error) => ExitCode::from(OUT_OF_MEMORY),
        Err(error) => failed(&format_args!("{error:#}")),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("pace compile-plugin: {}", Lines(error));
    ExitCode::FAILURE
}

fn compile(args: &CompileArgs) -> wasmtime::Result<Result<Vec<u8>, CompileError>> {
    let yields = restrict(args.yielding);
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).context("no plugin to read")?;
    let cache = args.cache_dir.as_deref().map(engine::open_cache).transpose()?;
    let engine = engine::for_compiling(args.slot, cache)?;
    let imports = direct::Imports::new(&engine)?;
    let threads = threads(if yields {
        threads_for_cores()
    } else {
        args.threads.clamp(1, MAX_THREADS)
    })?;
    match threads.install(|| Compiled::new(&engine, &imports, &bytes)) {
        Ok(compiled) => compiled.to_bytes().map(Ok),
        Err(rejected) => Ok(Err(rejected)),
    }
}

/// Whether an error says that the system had no memory for code, which does not come from the allocator.
fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    let system = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    let mut system = system.map(|error| error.kind() == io::ErrorKind::OutOfMemory);
    system.any(|is| is)
        || error
            .chain()
            .any(|cause| cause.is::<wasmtime::error::OutOfMemory>())
}

/// Restricts this process: it ends with its parent, leaves time and memory to others, and leaves no file behind when it
/// crashes. Returns whether it yields to other threads from now on.
fn restrict(yielding: bool) -> bool {
    let at_most = |limit| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    // Where the system forbids one of these, compiling is not less correct.
    let results = [
        set_parent_process_death_signal(Some(Signal::KILL)),
        setrlimit(Resource::As, at_most(MAX_GIBIBYTES << 30)),
        setrlimit(Resource::Core, at_most(0)),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        debug!(target: "pace::plugin", "the compiler runs with more than it needs: {error}");
    }
    end_when_out_of_memory(OUT_OF_MEMORY);
    // If the whole machine is out of memory, this process is the one to end.
    if let Err(error) = fs::write("/proc/self/oom_score_adj", MOST_DISPENSABLE) {
        debug!(target: "pace::plugin", "the compiler is as dear to the system as others: {error}");
    }
    if !yielding {
        return false;
    }
    let yields = yield_to_others();
    if let Err(error) = &yields {
        debug!(target: "pace::plugin", "the compiler takes the same share of time as others: {error}");
    }
    yields.is_ok()
}

/// The highest score (proc_pid_oom_score_adj(5)); any process may raise its own.
const MOST_DISPENSABLE: &str = "1000";

/// The most threads of a process. More are hardly quicker, and each has memory of its own.
const MAX_THREADS: usize = 8;

/// The number of threads that make use of the cores of this process.
fn threads_for_cores() -> usize {
    let cores = sched_getaffinity(None).map_or(1, |cores| cores.count() as usize);
    threads_for(cores, thread::available_parallelism().map_or(1, NonZero::get))
}

/// The number of threads for so many cores, of which the system lets Pace use `limit`.
///
/// There is a thread for each core: the system does not move a thread that yields to a core that is idle for
/// microseconds, so with two threads on two cores that are busy to 70 %, as in the soak, a plugin takes 0.8 of the time
/// that it takes with one. There is one thread if Pace does not have all the time of its cores, as with the limit of a
/// container: any time that an idle core spends on the compiler is lost to requests then.
fn threads_for(cores: usize, limit: usize) -> usize {
    if limit < cores { 1 } else { cores.min(MAX_THREADS) }
}

/// A pool of so many threads, or of one if the system does not have so many.
fn threads(number: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let pool = |number| ThreadPoolBuilder::new().num_threads(number).build();
    pool(number).or_else(|error| {
        debug!(target: "pace::plugin", "the compiler has one thread: {error}");
        pool(1)
    })
}

/// Gives this thread, and the threads that it will start, the policy `SCHED_IDLE` (sched(7)): a core that has nothing else
/// to do runs it at once, and takes up a thread of Pace at once when that wakes up. With a nice value, even of 19, the
/// thread of Pace would wait until this one's time slice is over, which may take milliseconds. In the soak, with both cores
/// in use to 90 %, requests had 1.25 times their steady p99 while plugins were compiled like this on one thread, and 1.47
/// times with a nice value of 19.
fn yield_to_others() -> io::Result<()> {
    /// The only priority that this policy allows.
    const PRIORITY: libc::sched_param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads the parameter, which lives for ever, and changes only how this thread (0) is scheduled.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &PRIORITY) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nice value and the policy of this thread (proc_pid_stat(5), fields 19 and 41).
    fn scheduling() -> [i32; 2] {
        let stat = fs::read_to_string("/proc/thread-self/stat").expect("this is Linux");
        // The first two fields end at the last parenthesis, and the second may have spaces.
        let (_, rest) = stat.rsplit_once(") ").expect("a name is in parentheses");
        let fields: Vec<&str> = rest.split_whitespace().collect();
        [19, 41].map(|field| fields[field - 3].parse().expect("it is a number"))
    }

    #[test]
    fn compiler_with_limited_time_has_one_thread() {
        assert_eq!([1, 2, 8, 64].map(|cores| threads_for(cores, cores)), [1, 2, 8, 8]);
        assert_eq!(
            [(2, 1), (8, 7), (64, 8)].map(|(cores, limit)| threads_for(cores, limit)),
            [1; 3]
        );
        assert!((1..=MAX_THREADS).contains(&threads_for_cores()));
        let pool = threads(2).expect("there is room");
        assert_eq!(pool.current_num_threads(), 2);
    }

    #[test]
    fn nice_thread_can_yield() {
        // A thread of its own, because other tests run on this one.
        let yielding = thread::spawn(|| {
            rustix::process::setpriority_process(None, 10).expect("who has more may take less");
            assert_eq!(scheduling(), [10, libc::SCHED_OTHER]);
            yield_to_others().expect("everybody may");
            scheduling()
        });
        assert_eq!(yielding.join().expect("it does not fail"), [10, libc::SCHED_IDLE]);
    }
}
