//! The other plugins of a route, as a case has them beside the one under test.

use std::path::Path;

use super::raw;
use super::resolve::located;
use super::suite::{Neighbor, Neighbors};
use pace_config::reading::{Document, Table, limits};
use pace_config::{Fault, Problem};
use pace_harness::Setup;

/// The neighbors of a table, over those of its defaults.
pub(super) fn neighbors(
    document: &Document<'_>,
    before: Option<&Vec<Table<raw::Neighbor>>>,
    after: Option<&Vec<Table<raw::Neighbor>>>,
    defaults: &Neighbors,
) -> Neighbors {
    let read = |list: Option<&Vec<Table<raw::Neighbor>>>, default: &[Neighbor]| match list {
        Some(list) => list.iter().map(|raw| neighbor(document, raw)).collect(),
        None => default.to_vec(),
    };
    Neighbors {
        before: read(before, &defaults.before),
        after: read(after, &defaults.after),
    }
}

fn neighbor(document: &Document<'_>, Table { value: raw, place }: &Table<raw::Neighbor>) -> Neighbor {
    let name = raw.name.clone();
    let mut setup = Setup {
        name: name.unwrap_or_else(|| default_name(&raw.wasm)),
        config: raw.config.0.clone(),
        secrets: raw.secrets.clone(),
        ..Setup::default()
    };
    if let Some(written) = &raw.limits {
        setup.limits = limits(&written.value);
    }
    Neighbor {
        location: document.location(place),
        wasm: located(document, &raw.wasm),
        setup,
    }
}

/// `jwt` for `../jwt.wasm` and for `builtin:jwt`.
fn default_name(wasm: &str) -> String {
    if let Some(name) = wasm.strip_prefix("builtin:") {
        return name.to_owned();
    }
    let stem = Path::new(wasm).file_stem();
    stem.map_or_else(|| wasm.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// The neighbors that are called as another plugin of the route is.
pub(super) fn same_names(neighbors: &Neighbors, tested: &Setup) -> Vec<Problem> {
    let mut names = vec![&tested.name];
    let mut problems = Vec::new();
    for Neighbor { location, setup, .. } in neighbors.iter() {
        if names.contains(&&setup.name) {
            let fault = format!(
                "there is another plugin `{}` on this route, and values in the context of a request belong to a name: add \
                 `name = \"...\"`",
                setup.name
            );
            problems.push(Problem {
                location: location.clone(),
                key: None,
                fault: Fault::Refused(fault),
            });
        }
        names.push(&setup.name);
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_that_of_the_file() {
        assert_eq!(default_name("builtin:rate-limiter"), "rate-limiter");
        assert_eq!(default_name("../target/plugins/jwt.wasm"), "jwt");
        assert_eq!(default_name("jwt"), "jwt");
    }
}
