//! WASI 0.2 with nothing behind it, for languages whose runtimes cannot do without, such as Python's.
//!
//! There is no environment, no argument, no file, no directory, no network, and standard input is at its end. Lines
//! written to standard output and standard error go to the plugin's log. Clocks and random numbers are those of the
//! contract. Every other function, which a runtime imports and does not need, ends the call with a
//! message that names it.
//!
//! The crate `wasmtime-wasi` is not used, for two reasons. It waits for its streams on a Tokio runtime, and hooks run
//! inside of one, where waiting panics. And the access that it gives depends on how it is set up; in this file the reader
//! sees that there is none, because no code opens anything.

use std::borrow::Cow;
use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    Component, ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType, Val,
};
use wasmtime::{Engine, Result, StoreContextMut, bail};

use super::super::guest::Guest;
use super::log;
use ::log::Level;
use pace_state::Entropy;

/// The packages of WASI that plugins may import, in any version 0.2.
const PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// The most random bytes for one call. A runtime asks for some dozen.
const MAX_RANDOM: u64 = 64 << 10;

/// Whether a plugin may import this interface.
pub(in super::super) fn has(import: &str) -> bool {
    let Some((name, version)) = import.strip_prefix("wasi:").and_then(|name| name.split_once('@')) else {
        return false;
    };
    let package = name.split('/').next().unwrap_or_default();
    PACKAGES.contains(&package) && version.starts_with("0.2.")
}

/// A copy of a linker with the interfaces of WASI that this component imports added, if it imports any.
pub(in super::super) fn add<'a>(
    linker: &'a Linker<Guest>,
    engine: &Engine,
    component: &Component,
) -> Result<Cow<'a, Linker<Guest>>> {
    let mut linker = Cow::Borrowed(linker);
    let component = component.component_type();
    for (name, item) in component.imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else {
            continue;
        };
        if !has(name) {
            continue;
        }
        let mut instance = linker.to_mut().instance(name)?;
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => define(&mut instance, name, item)?,
                // No resource owns anything.
                ComponentItem::Resource(_) => instance.resource(item, resource(item), |_, _| Ok(()))?,
                _ => {}
            }
        }
    }
    Ok(linker)
}

struct OutputStream;
struct InputStream;
struct Network;
/// Files, sockets, terminals, things to wait for: none of them ever exists.
struct Nothing;

fn resource(name: &str) -> ResourceType {
    match name {
        "output-stream" => ResourceType::host::<OutputStream>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "network" => ResourceType::host::<Network>(),
        _ => ResourceType::host::<Nothing>(),
    }
}

/// `stream-error` of `wasi:io/streams`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[expect(dead_code, reason = "it is a case of the type, and nothing fails")]
    LastOperationFailed(Resource<Nothing>),
    #[component(name = "closed")]
    #[expect(
        dead_code,
        reason = "it is a case of the type, and what is written to is open"
    )]
    Closed,
}

/// The numbers of an [`OutputStream`].
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Defines a function, by the name of its interface with or without the version.
fn define(instance: &mut LinkerInstance<'_, Guest>, interface: &str, name: &str) -> Result<()> {
    let unversioned = interface.split('@').next().unwrap_or_default();
    match (unversioned, name) {
        ("wasi:cli/environment", "get-environment" | "get-arguments")
        | ("wasi:filesystem/preopens", "get-directories") => always(instance, name, || Val::List(Vec::new())),
        ("wasi:cli/environment", "initial-cwd")
        | ("wasi:cli/terminal-stdin" | "wasi:cli/terminal-stdout" | "wasi:cli/terminal-stderr", _) => {
            always(instance, name, || Val::Option(None))
        }
        ("wasi:cli/stdin", "get-stdin") => instance.func_wrap(name, |mut store, (): ()| {
            called(&mut store)?;
            Ok((Resource::<InputStream>::new_own(0),))
        }),
        ("wasi:cli/stdout", "get-stdout") => instance.func_wrap(name, |mut store, (): ()| {
            called(&mut store)?;
            Ok((Resource::<OutputStream>::new_own(STDOUT),))
        }),
        ("wasi:cli/stderr", "get-stderr") => instance.func_wrap(name, |mut store, (): ()| {
            called(&mut store)?;
            Ok((Resource::<OutputStream>::new_own(STDERR),))
        }),
        ("wasi:io/streams", "[method]input-stream.read" | "[method]input-stream.blocking-read") => {
            always(instance, name, || err(Val::Variant("closed".to_owned(), None)))
        }
        ("wasi:io/streams", "[method]output-stream.check-write") => {
            always(instance, name, || ok(Some(Val::U64(4096))))
        }
        (
            "wasi:io/streams",
            "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush",
        ) => instance.func_wrap(
            name,
            |mut store, (stream, bytes): (Resource<OutputStream>, Vec<u8>)| {
                let guest = called(&mut store)?;
                guest.meter.take(bytes.len())?;
                write(guest, &stream, &bytes);
                Ok((Ok::<(), StreamError>(()),))
            },
        ),
        ("wasi:io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => {
            always(instance, name, || ok(None))
        }
        ("wasi:clocks/monotonic-clock", "now") => instance.func_wrap(name, |mut store, (): ()| {
            Ok((called(&mut store)?.scope.time().monotonic(),))
        }),
        ("wasi:clocks/monotonic-clock", "resolution") => always(instance, name, || Val::U64(1)),
        ("wasi:clocks/wall-clock", "now") => instance.func_new(name, |mut store, _, _, results| {
            let since_1970 = Duration::from_nanos(called(&mut store)?.scope.time().wall());
            give(results, datetime(since_1970))
        }),
        ("wasi:clocks/wall-clock", "resolution") => {
            always(instance, name, || datetime(Duration::from_nanos(1)))
        }
        ("wasi:random/random", "get-random-bytes")
        | ("wasi:random/insecure", "get-insecure-random-bytes") => {
            instance.func_wrap(name, |mut store, (length,): (u64,)| {
                let guest = called(&mut store)?;
                Ok((random(guest.scope.entropy(), length)?,))
            })
        }
        ("wasi:random/random", "get-random-u64") | ("wasi:random/insecure", "get-insecure-random-u64") => {
            instance.func_wrap(name, |mut store, (): ()| {
                let guest = called(&mut store)?;
                Ok((random_u64(guest.scope.entropy())?,))
            })
        }
        ("wasi:random/insecure-seed", "insecure-seed") => instance.func_wrap(name, |mut store, (): ()| {
            let entropy = called(&mut store)?.scope.entropy();
            Ok(((random_u64(entropy)?, random_u64(entropy)?),))
        }),
        ("wasi:sockets/instance-network", "instance-network") => {
            instance.func_wrap(name, |mut store, (): ()| {
                called(&mut store)?;
                Ok((Resource::<Network>::new_own(0),))
            })
        }
        ("wasi:sockets/tcp-create-socket", "create-tcp-socket")
        | ("wasi:sockets/udp-create-socket", "create-udp-socket")
        | ("wasi:sockets/ip-name-lookup", "resolve-addresses") => {
            always(instance, name, || err(Val::Enum("access-denied".to_owned())))
        }
        _ => {
            let called = format!("{interface}#{name}");
            instance.func_new(name, move |_, _, _, _| {
                bail!(
                    "it called {called}: plugins have no files, no network and no processes, and cannot wait"
                )
            })
        }
    }
}

/// Counts the call. Every function begins with this.
fn called<'a>(store: &'a mut StoreContextMut<'_, Guest>) -> Result<&'a mut Guest> {
    let guest = store.data_mut();
    guest.meter.called()?;
    Ok(guest)
}

/// Defines a function that gives the same answer to all arguments.
fn always(
    instance: &mut LinkerInstance<'_, Guest>,
    name: &str,
    answer: impl Fn() -> Val + Send + Sync + 'static,
) -> Result<()> {
    instance.func_new(name, move |mut store, _, given, results| {
        called(&mut store)?;
        // The component model requires that a borrowed handle is dropped before the function returns.
        for value in given {
            if let Val::Resource(handle) = value {
                handle.resource_drop(&mut store)?;
            }
        }
        give(results, answer())
    })
}

fn give(results: &mut [Val], value: Val) -> Result<()> {
    match results {
        [result] => *result = value,
        _ => bail!("a function of WASI with another type than it has"),
    }
    Ok(())
}

fn ok(value: Option<Val>) -> Val {
    Val::Result(Ok(value.map(Box::new)))
}

fn err(value: Val) -> Val {
    Val::Result(Err(Some(Box::new(value))))
}

fn datetime(time: Duration) -> Val {
    Val::Record(vec![
        ("seconds".to_owned(), Val::U64(time.as_secs())),
        ("nanoseconds".to_owned(), Val::U32(time.subsec_nanos())),
    ])
}

fn random(entropy: &Entropy, length: u64) -> Result<Vec<u8>> {
    if length > MAX_RANDOM {
        bail!("it asked for {length} random bytes at once, {MAX_RANDOM} are allowed");
    }
    // The cast loses nothing: the length is small.
    let mut bytes = vec![0; length as usize];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

fn random_u64(entropy: &Entropy) -> Result<u64> {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The last line of each stream, which the instance has not ended by a line feed yet.
#[derive(Default)]
pub(in super::super) struct UnendedLines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The most bytes of a line that are kept. Log lines are cut at 4 KiB in any case.
const MAX_LINE: usize = 4096;

fn write(guest: &mut Guest, stream: &Resource<OutputStream>, bytes: &[u8]) {
    let (unended, level) = match stream.rep() {
        STDERR => (&mut guest.unended.stderr, Level::Warn),
        _ => (&mut guest.unended.stdout, Level::Info),
    };
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    while let Some(text) = lines.next() {
        // Bytes that do not fit are left out, as at the end of any line that is too long.
        let room = MAX_LINE.saturating_sub(unended.len());
        unended.extend_from_slice(&text[..text.len().min(room)]);
        if lines.peek().is_some() {
            let line = std::mem::take(unended);
            log::line(&guest.generation, level, &String::from_utf8_lossy(&line));
        }
    }
}
