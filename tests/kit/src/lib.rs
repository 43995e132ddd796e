//! What tests, soak and bench of Pace are made of: a backend, the real program, a client, and sockets between them.
//!
//! ```text
//! Client ──▶ Pace (target/debug/pace, its own process) ──▶ Origin
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`Origin`] | an HTTP/1.1 server that answers as a test wants, and remembers what it was asked |
//! | [`Scripted`], [`Line`] | a backend that follows a script, byte by byte |
//! | [`Pace`], [`Setup`], [`Starting`], [`Exit`], [`program`] | Pace: started, spoken to by signals, ended; or not even started |
//! | [`Process`], [`Profile`] | any program: what it prints, how it ends, what the kernel knows of it, where cargo puts it |
//! | [`Client`] | one client with its address, speaking properly or byte by byte |
//! | [`Request`], [`Response`], [`Headers`] | messages as they were on the wire |
//! | [`Metrics`] | what Pace counted |
//! | [`Gate`], [`wait_for`] | in place of sleeps |
//! | [`fixture`], [`component`], [`recipe`], [`core_module`], [`text_fixture`], [`text_plugin`], [`built_for`], [`slow_to_compile`], [`edition`] | the `.wasm` files |
//!
//! Everything blocks and has a thread of its own: a test that hangs shows where in its backtrace. What fails here panics,
//! because it fails the test; methods called `try_` return an error. Ports are free ones on loopback, so that tests run in
//! parallel.

mod answer;
mod client;
mod gate;
mod message;
mod metrics;
mod origin;
mod pace;
mod proc;
mod process;
mod profile;
mod reader;
mod script;
mod setup;
mod wait;
mod wasm;

pub use answer::Answer;
pub use client::Client;
pub use gate::Gate;
pub use message::{Headers, Request, Response};
pub use metrics::Metrics;
pub use origin::Origin;
pub use pace::{Exit, Pace, Starting};
pub use process::Process;
pub use profile::Profile;
pub use rustix::process::Signal;
pub use script::{Line, Scripted};
pub use setup::{Setup, program};
pub use wait::{DEADLINE, ask_within, wait_for, wait_until};
pub use wasm::{
    built_for, component, core_module, edition, exhausts_compiler, fixture, leb128, recipe, root,
    slow_to_compile, text_fixture, text_module, text_plugin, with_section,
};
