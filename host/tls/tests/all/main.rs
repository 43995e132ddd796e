//! Handshakes over real streams, with certificates that each test makes.

mod acme;
mod client;
mod kit;
mod server;
mod testing;
