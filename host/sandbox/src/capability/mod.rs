//! Capabilities, the host functions that plugins are lent: one file per interface of the contract.
//!
//! Each file has a view that borrows what the interface needs of a [`Guest`], the generated trait implemented for the
//! view (behind [`metered`], so that every call is measured), and two functions that make it available: `add_to_linker`
//! to components, and `add_directly` to core modules that run by themselves (see `direct`). An error returned from a host
//! function is a trap: it ends the hook and the instance.

mod attempt;
mod bodies;
mod certificate;
mod clock;
mod content;
mod context;
mod counters;
mod edit;
mod handles;
mod headers;
mod log;
mod metered;
mod metrics;
mod outcome;
mod random;
mod request;
mod response;
mod secrets;
mod streams;
mod tables;
mod upstreams;
pub(super) mod wasi;
mod windows;

#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub use counters::CounterHandle;
pub(super) use edit::Edits;
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub use metrics::{CounterMetric, GaugeMetric, HistogramMetric};
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub use tables::TableHandle;
use wasmtime::Engine;
use wasmtime::component::{HasData, Linker};
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub use windows::WindowHandle;

use super::bindings::pace::plugin::http;
use super::direct::{self, Interface};
use super::guest::Guest;

/// The interfaces that a plugin may import, with the functions that add them for components and for core modules.
pub(super) const CAPABILITIES: &[(&str, AddToLinker, AddDirectly)] = &[
    ("http", add_types, |_| Ok(())),
    ("request", request::add_to_linker, request::add_directly),
    (
        "request-body",
        bodies::add_request_to_linker,
        bodies::add_request_directly,
    ),
    ("response", response::add_to_linker, response::add_directly),
    (
        "response-body",
        bodies::add_response_to_linker,
        bodies::add_response_directly,
    ),
    ("content", content::add_to_linker, content::add_directly),
    ("secrets", secrets::add_to_linker, secrets::add_directly),
    ("streams", streams::add_to_linker, streams::add_directly),
    ("upstreams", upstreams::add_to_linker, upstreams::add_directly),
    ("attempt", attempt::add_to_linker, attempt::add_directly),
    ("outcome", outcome::add_to_linker, outcome::add_directly),
    ("context", context::add_to_linker, context::add_directly),
    ("counters", counters::add_to_linker, counters::add_directly),
    ("windows", windows::add_to_linker, windows::add_directly),
    ("tables", tables::add_to_linker, tables::add_directly),
    ("metrics", metrics::add_to_linker, metrics::add_directly),
    ("random", random::add_to_linker, random::add_directly),
    ("log", log::add_to_linker, log::add_directly),
    ("clock", clock::add_to_linker, clock::add_directly),
];

type AddToLinker = fn(&mut Linker<Guest>) -> wasmtime::Result<()>;

type AddDirectly = fn(&mut Interface<'_>) -> wasmtime::Result<()>;

/// Whether a component may import the interface of this name, which is the contract's with its version.
pub(super) fn has(name: &str) -> bool {
    CAPABILITIES
        .iter()
        .any(|(interface, ..)| direct::interface(interface) == name)
}

/// A linker with all interfaces.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    for (_, add, _) in CAPABILITIES {
        add(&mut linker)?;
    }
    Ok(linker)
}

fn add_types(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    http::add_to_linker::<_, Types>(linker, |_| Types)
}

/// The interface `http`, which has types and no functions.
struct Types;

impl HasData for Types {
    type Data<'a> = Types;
}

impl http::Host for Types {}
