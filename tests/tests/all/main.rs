//! Pace through real sockets, with real components: a module per subject, in one program so that it is linked
//! once.
//!
//! A test reads as a story: origins, the proxy, clients, and what they saw of each other.

mod access_log;
mod admin;
mod backend_answers;
mod client_address;
mod command_line;
mod connections;
mod containment;
mod contract;
mod edits;
mod http;
mod instances;
mod limits;
mod loading;
mod metrics;
mod plugin_answers;
mod readme;
mod retries;
mod routing;
mod sections;
mod shipped_config;
mod short_form;
mod shutdown;
mod walls;
mod wrong_config;
