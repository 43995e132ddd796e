//! Plugins run without the component around their code.
//!
//! The usual component is one core module and a wrapping in which every import is a host function of the
//! same name behind the canonical ABI, and every hook the other way round. The component model's runtime
//! finds that out anew in every call, for any types there may be; in the default plugins that was three
//! quarters of all that a request paid for wasm. Here the module is run by itself, with the canonical ABI
//! written out for the functions of the contract.
//!
//! | file | what it does |
//! |---|---|
//! | `extract`, `names` | shows that a component is nothing but its module, wrapped |
//! | `memory` | the canonical ABI: values in and out of the plugin's memory |
//! | `imports` | host functions as a core module imports them |
//! | `exports` | hooks as a core module exports them |
//!
//! What a plugin can reach is the same in both ways: the host functions are those of `capability`, the
//! limits those of [`Guest`](super::guest::Guest). There is no `unsafe` here. What is not such a component
//! (several modules, adapters, WASI) runs as a component.

mod exports;
mod extract;
mod imports;
mod memory;
mod names;
#[cfg(test)]
mod tests;

pub(super) use exports::{Configure, Configured, Function, Loading, Returned};
pub(super) use extract::extract;
pub(super) use imports::{Imports, Interface};
pub(super) use memory::{
    Caller, Exchange, answer_bytes, answer_list, answer_option, answer_result, bytes, called, copied, guest,
    guest_mut, key, place, split, text_if_short, text_start,
};
pub(super) use names::interface;
