//! The routes of a host, by path.

use std::ops::Range;

use pace_config::route::{Match, PathMatch};
use pace_wire::path;

use super::conditions::WantedPath;

/// The routes of a host: first those for a path, then expressions, then prefixes.
pub(super) struct Paths<T> {
    /// All of them, in the order in which they are tried.
    entries: Vec<Entry<T>>,
    /// The entries of each path, sorted by path.
    exact: Vec<(String, Range<usize>)>,
    /// The entries with expressions.
    regexes: Range<usize>,
    /// The entries of each prefix, sorted by prefix.
    prefixes: Vec<Prefix>,
}

struct Entry<T> {
    matching: Match,
    target: T,
}

struct Prefix {
    text: String,
    entries: Range<usize>,
    /// The longest other prefix that this one begins with.
    shorter: Option<usize>,
}

/// As many entries are looked at one after the other sooner than they are looked up.
const FEW: usize = 4;

impl<T> Default for Paths<T> {
    fn default() -> Paths<T> {
        Paths {
            entries: Vec::new(),
            exact: Vec::new(),
            regexes: 0..0,
            prefixes: Vec::new(),
        }
    }
}

impl<T> Paths<T> {
    /// Adds a route, which is found once the tables are [built](Paths::build).
    pub(super) fn add(&mut self, matching: Match, target: T) {
        self.entries.push(Entry { matching, target });
    }

    /// Builds the tables.
    pub(super) fn build(&mut self) {
        let entries = &mut self.entries;
        entries.sort_by(|one, other| one.matching.precedence().cmp(&other.matching.precedence()));
        // Entries with one path are neighbours.
        let same_path = |one: &Entry<T>, other: &Entry<T>| one.matching.path == other.matching.path;
        let mut start = 0;
        for neighbours in entries.chunk_by(same_path) {
            let range = start..start + neighbours.len();
            start = range.end;
            match &neighbours[0].matching.path {
                PathMatch::Exact(path) => self.exact.push((path.clone(), range)),
                PathMatch::Prefix(prefix) => self.prefixes.push(Prefix {
                    text: prefix.clone(),
                    entries: range,
                    shorter: None,
                }),
                PathMatch::Regex(_) if self.regexes.is_empty() => self.regexes = range,
                PathMatch::Regex(_) => self.regexes.end = range.end,
            }
        }
        self.exact.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.prefixes.sort_by(|one, other| one.text.cmp(&other.text));
        // The prefixes that the next one may begin with.
        let mut open: Vec<usize> = Vec::new();
        for index in 0..self.prefixes.len() {
            let text = &self.prefixes[index].text;
            while open
                .pop_if(|last| !text.starts_with(&self.prefixes[*last].text))
                .is_some()
            {}
            self.prefixes[index].shorter = open.last().copied();
            open.push(index);
        }
    }

    /// The first route for a path for whose conditions `holds` is true.
    pub(super) fn first<'r>(
        &'r self,
        path: &WantedPath<'_>,
        holds: &mut impl FnMut(&'r Match) -> bool,
    ) -> Option<&'r T> {
        let as_it_is = self.index_of(path.path, holds);
        let without = path.without_parameters.as_deref();
        let without = without.and_then(|path| self.index_of(path, holds));
        // Entries have the order in which they are tried.
        let first = as_it_is.into_iter().chain(without).min()?;
        Some(&self.entries[first].target)
    }

    /// The index of the first entry for a path for whose conditions `holds` is true.
    fn index_of<'r>(&'r self, path: &str, holds: &mut impl FnMut(&'r Match) -> bool) -> Option<usize> {
        if self.entries.len() <= FEW {
            let mut entries = self.entries.iter();
            return entries.position(|Entry { matching, .. }| matching.path.matches(path) && holds(matching));
        }
        if let Ok(found) = self.exact.binary_search_by(|(exact, _)| exact.as_str().cmp(path))
            && let Some(index) = self.first_of(&self.exact[found].1, holds)
        {
            return Some(index);
        }
        let found = self.regexes.clone().find(|index| {
            let matching = &self.entries[*index].matching;
            matching.path.matches(path) && holds(matching)
        });
        if found.is_some() {
            return found;
        }
        // A prefix of the path is not behind it, and whatever is between the two begins with the prefix.
        let behind = self
            .prefixes
            .partition_point(|prefix| prefix.text.as_str() <= path);
        let mut next = behind.checked_sub(1);
        while let Some(index) = next {
            let prefix = &self.prefixes[index];
            if path::below(path, &prefix.text)
                && let Some(found) = self.first_of(&prefix.entries, holds)
            {
                return Some(found);
            }
            next = prefix.shorter;
        }
        None
    }

    fn first_of<'r>(
        &'r self,
        range: &Range<usize>,
        holds: &mut impl FnMut(&'r Match) -> bool,
    ) -> Option<usize> {
        range.clone().find(|index| holds(&self.entries[*index].matching))
    }
}
