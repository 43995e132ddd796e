//! Capabilities, the host functions that plugins are lent: one file per interface of the contract.
//!
//! Each file has a view that borrows what the interface needs of a [`Guest`], the generated trait implemented for the
//! view (behind [`metered`], so that every call is measured), and two functions that make it available: `add_to_linker`
//! to components, and `add_directly` to core modules that run by themselves (see `direct`). An error returned from a host
//! function is a trap: it ends the hook and the instance.

mod certificate;
mod clock;
mod counters;
mod edit;
mod headers;
mod log;
mod metered;
mod request;
mod response;
mod upstreams;
pub(super) mod wasi;
mod windows;

#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub use counters::CounterHandle;
pub(super) use edit::Edits;
use wasmtime::Engine;
use wasmtime::component::{HasData, Linker};
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub use windows::WindowHandle;

use super::bindings::pace::plugin::http;
use super::direct::Interface;
use super::guest::Guest;

/// The interfaces that a component may import.
pub(super) const INTERFACES: [&str; 8] = [
    "pace:plugin/http@0.1.0",
    "pace:plugin/request@0.1.0",
    "pace:plugin/response@0.1.0",
    "pace:plugin/upstreams@0.1.0",
    "pace:plugin/counters@0.1.0",
    "pace:plugin/windows@0.1.0",
    "pace:plugin/log@0.1.0",
    "pace:plugin/clock@0.1.0",
];

/// A linker with all interfaces.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    http::add_to_linker::<_, Types>(&mut linker, |_| Types)?;
    request::add_to_linker(&mut linker)?;
    response::add_to_linker(&mut linker)?;
    upstreams::add_to_linker(&mut linker)?;
    counters::add_to_linker(&mut linker)?;
    windows::add_to_linker(&mut linker)?;
    log::add_to_linker(&mut linker)?;
    clock::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The interfaces that have functions, with the functions that add them for core modules.
pub(super) const DIRECT: [(&str, AddDirectly); 7] = [
    ("request", request::add_directly),
    ("response", response::add_directly),
    ("upstreams", upstreams::add_directly),
    ("counters", counters::add_directly),
    ("windows", windows::add_directly),
    ("log", log::add_directly),
    ("clock", clock::add_directly),
];

type AddDirectly = fn(&mut Interface<'_>) -> wasmtime::Result<()>;

/// The interface `http`, which has types and no functions.
struct Types;

impl HasData for Types {
    type Data<'a> = Types;
}

impl http::Host for Types {}
