//! Pace through real sockets, with real components: a module per subject, in one program so that it is linked
//! once.
//!
//! A test reads as a story: origins, the proxy, clients, and what they saw of each other.

mod access_log;
mod admin;
mod backend_answers;
mod breaker;
mod budgets;
mod cache;
mod client_address;
mod command_line;
mod config_reload;
mod configured_swaps;
mod connections;
mod containment;
mod contract;
mod edits;
mod http;
mod instances;
mod isolation;
mod leaks;
mod limits;
mod loading;
mod metrics;
mod plugin_answers;
mod plugin_limits;
mod readme;
mod recycling;
mod retries;
mod rollback;
mod routing;
mod sections;
mod shipped_config;
mod short_form;
mod shutdown;
mod status;
mod swap;
mod swap_files;
mod swapping;
mod walls;
mod wrong_config;
