//! Routes: the requests that each is for, and their fate.

mod answers;
mod command;
mod conditions;
mod limits;
mod mirrors;
mod rewriting;
mod splits;

use pace_tests::{HttpBackend, Pace};

use crate::sections::{SERVER, pool};

/// A file with these backends, each in a pool of its name, and these routes: the keys of each.
fn file(backends: &[(&str, &HttpBackend)], routes: &[&str]) -> String {
    let pools = backends.iter().map(|(name, backend)| pool(name, &[*backend]));
    let routes = routes.iter().map(|keys| format!("[[routes]]\n{keys}\n"));
    SERVER.to_owned() + &pools.chain(routes).collect::<String>()
}

/// A proxy with these backends and routes.
fn routed(backends: &[(&str, &HttpBackend)], routes: &[&str]) -> Pace {
    Pace::with_config(&file(backends, routes))
}
