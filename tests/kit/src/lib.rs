//! The parts that tests, soak and bench of Pace are made of: a backend, the real program, a client, and
//! sockets between them.
//!
//! ```text
//! Client ──▶ Pace (target/debug/pace, its own process) ──▶ HttpBackend
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`HttpBackend`] | an HTTP/1.1 backend that answers as a test wants, and remembers its requests |
//! | [`chat_provider`] | one that speaks OpenAI's interface for chats |
//! | [`Http2Backend`], [`Call`] | an HTTP/2 backend that handles each request as a test wants |
//! | [`Scripted`], [`Line`] | a backend that follows a script, byte by byte |
//! | [`FrameBackend`] | a backend that follows a script, frame by frame |
//! | [`BackendTls`] | the TLS of a backend |
//! | [`Pace`], [`Setup`], [`Starting`], [`Exit`], [`program`] | Pace: started, sent signals, ended; or refusing to start |
//! | [`Successor`] | a Pace that has taken another's place |
//! | [`Process`], [`Profile`] | any program: its output, its end, the kernel's figures about it, where cargo puts it |
//! | [`Client`] | one client with its address, speaking properly or byte by byte |
//! | [`Authority`], [`Certificate`], [`Tls`], [`Wire`] | certificates, and clients that speak TLS |
//! | [`Http2`], [`RequestStream`] | a client that speaks HTTP/2 properly |
//! | [`Frames`], [`Frame`] | one that speaks it frame by frame |
//! | [`Request`], [`Response`], [`Headers`] | messages as they were on the wire |
//! | [`Metrics`] | Pace's counters |
//! | [`Gate`], [`wait_for`] | waiting without sleeps |
//! | [`fixture`], [`component`], [`recipe`], [`core_module`], [`text_fixture`], [`text_plugin`], [`built_for`], [`slow_to_compile`], [`edition`] | the `.wasm` files |
//!
//! Everything blocks and has a thread of its own: the backtrace of a test that hangs shows where. Failures
//! panic, because they fail the test; methods called `try_` return an error instead. Ports are free ones on
//! loopback, so that tests run in parallel.

mod answer;
mod backend_tls;
mod certificate;
mod chat_provider;
mod client;
mod frame_backend;
mod frames;
mod gate;
mod http2;
mod http2_backend;
mod http_backend;
mod message;
mod metrics;
mod pace;
mod pebble;
mod proc;
mod process;
mod profile;
mod reader;
mod script;
mod setup;
mod successor;
mod tls;
mod wait;
mod wasm;

pub use answer::Answer;
pub use backend_tls::BackendTls;
pub use certificate::{Authority, Certificate, KeyKind};
pub use chat_provider::chat_provider;
pub use client::Client;
pub use frame_backend::FrameBackend;
pub use frames::{Frame, Frames, block, flag, kind, setting};
pub use gate::Gate;
pub use h2::{Error as Http2Error, Reason};
pub use http_backend::HttpBackend;
pub use http2::{Flowing, Http2, RequestStream, StreamResponse};
pub use http2_backend::{Call, CallHead, Http2Backend, Http2Options};
pub use message::{Headers, Request, Response};
pub use metrics::Metrics;
pub use pace::{Exit, Pace, Starting};
pub use pebble::Pebble;
pub use process::Process;
pub use profile::Profile;
pub use rustix::process::Signal;
pub use script::{Line, Scripted};
pub use setup::{Setup, program};
pub use successor::Successor;
pub use tls::{Signatures, Tls, TlsVersion, Wire};
pub use wait::{DEADLINE, ask_within, wait_for, wait_until};
pub use wasm::{
    built_for, component, core_module, edition, exhausts_compiler, fixture, leb128, recipe, root,
    slow_to_compile, text_fixture, text_module, text_plugin, with_section,
};
