//! Direct running: a plugin's core module, without the component around it.
//!
//! The usual component is one core module and a wrapping in which every import is a host function of the same name
//! behind the canonical ABI, and every hook the other way round. The component model's runtime works that out anew in
//! every call, for any types; with the default plugins that was three quarters of all that a request paid for wasm. Here
//! the module is run by itself, with the canonical ABI written out for the functions of the contract.
//!
//! | file | what it does |
//! |---|---|
//! | `extract`, `names` | shows that a component is nothing but its module, wrapped |
//! | `memory` | the canonical ABI: values in and out of the plugin's memory |
//! | `imports` | host functions as a core module imports them |
//! | `exports`, `stream` | hooks as a core module exports them |
//! | `own` | resources that a core module exports |
//!
//! A plugin can reach the same in both ways: the host functions are those of `capability`, the limits those of
//! [`Guest`](super::guest::Guest). There is no `unsafe` here. Other components (several modules, adapters, WASI) run as
//! components.

mod exports;
mod extract;
mod imports;
mod memory;
mod names;
mod own;
mod stream;
#[cfg(test)]
pub(super) mod tests;

pub(super) use exports::{Configure, Configured, Function, Loading, Returned};
pub(super) use extract::extract;
pub(super) use imports::{Imports, Interface};
pub(super) use memory::{
    Caller, CanonicalAbi, LONGEST_TEXT, Texts, answer_bytes, answer_bytes_of, answer_list, answer_option,
    answer_result, bytes, called, copied, guest, guest_mut, key, numbers_if_few, place, split, text,
    text_if_short, text_start, texts_if_few,
};
pub(super) use names::interface;
pub(super) use stream::StreamFilter;
