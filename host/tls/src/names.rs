//! The way from the name that a client asks for to the thing that is served under it.

use std::collections::HashMap;

/// A table by host name: exact names before wildcards, and one entry for every other name and for none.
///
/// A wildcard stands for exactly one label (RFC 6125 section 6.4.3): `*.example.com` matches `a.example.com` and
/// neither `example.com` nor `a.b.example.com`. The case of letters does not matter. Of two entries with the same
/// name, the first one has it.
#[derive(Debug)]
pub struct Names<T> {
    things: Vec<T>,
    exact: HashMap<Box<str>, usize>,
    /// Wildcards, by the text that follows `*.`.
    wildcard: HashMap<Box<str>, usize>,
    default: usize,
}

/// The longest host name (RFC 1035). No certificate has a longer one.
const LONGEST: usize = 253;

impl<T> Names<T> {
    /// Makes the table. Each thing comes with its names and whether it is the default; without one, the first thing
    /// is.
    pub fn new<N: AsRef<str>>(things: impl IntoIterator<Item = (T, Vec<N>, bool)>) -> Names<T> {
        let mut names = Names {
            things: Vec::new(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: 0,
        };
        let mut chosen = None;
        for (thing, of, default) in things {
            let nth = names.things.len();
            for name in of {
                let name = name.as_ref().to_ascii_lowercase();
                let name = name.strip_suffix('.').unwrap_or(&name);
                let (table, key) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut names.wildcard, parent),
                    None => (&mut names.exact, name),
                };
                table.entry(key.into()).or_insert(nth);
            }
            if default {
                chosen.get_or_insert(nth);
            }
            names.things.push(thing);
        }
        names.default = chosen.unwrap_or(0);
        names
    }

    /// The thing for `name`, or for a client that names nothing. `None` only if the table is empty.
    pub fn find(&self, name: Option<&str>) -> Option<&T> {
        let named = name.and_then(|name| self.named(name));
        self.things.get(named.unwrap_or(self.default))
    }

    /// All things, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter()
    }

    fn named(&self, name: &str) -> Option<usize> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let mut lower = [0; LONGEST];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        // Only ASCII letters have changed.
        let name = std::str::from_utf8(lower).ok()?;
        if let Some(nth) = self.exact.get(name) {
            return Some(*nth);
        }
        let (label, parent) = name.split_once('.')?;
        if label.is_empty() {
            return None;
        }
        self.wildcard.get(parent).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(things: &[(&'static str, &[&str], bool)]) -> Names<&'static str> {
        Names::new(
            things
                .iter()
                .map(|(thing, names, default)| (*thing, names.to_vec(), *default)),
        )
    }

    #[test]
    fn exact_name_goes_before_wildcard_and_wildcard_before_default() {
        let names = table(&[
            ("default", &[], false),
            ("wild", &["*.example.com"], false),
            ("exact", &["A.example.com."], false),
        ]);
        for (name, expected) in [
            ("a.example.com", "exact"),
            ("A.EXAMPLE.COM", "exact"),
            ("a.example.com.", "exact"),
            ("b.example.com", "wild"),
            ("B.Example.com", "wild"),
            ("example.com", "default"),
            (".example.com", "default"),
            ("a.b.example.com", "default"),
            ("*.example.com", "wild"),
            ("com", "default"),
            ("", "default"),
        ] {
            assert_eq!(names.find(Some(name)), Some(&expected), "{name}");
        }
        assert_eq!(names.find(None), Some(&"default"));
    }

    #[test]
    fn marked_thing_is_default_else_the_first() {
        assert_eq!(
            table(&[("a", &["a"], false), ("b", &["b"], true)]).find(Some("c")),
            Some(&"b")
        );
        assert_eq!(
            table(&[("a", &["a"], false), ("b", &["b"], false)]).find(None),
            Some(&"a")
        );
        assert_eq!(table(&[]).find(Some("c")), None);
    }

    #[test]
    fn first_of_two_things_with_one_name_is_found() {
        assert_eq!(
            table(&[("a", &["x.org"], false), ("b", &["x.org"], true)]).find(Some("x.org")),
            Some(&"a")
        );
    }

    fn plain(name: &str) -> String {
        let name = name.to_lowercase();
        name.strip_suffix('.').unwrap_or(&name).to_owned()
    }

    fn name() -> impl Strategy<Value = String> {
        // Few letters and labels, so that names meet.
        proptest::collection::vec("[abAB*]{0,2}", 1..4).prop_map(|labels| labels.join("."))
    }

    proptest! {
        #[test]
        fn table_finds_the_same_as_a_comparison_with_every_name(
            things in proptest::collection::vec((proptest::collection::vec(name(), 0..4), any::<bool>()), 0..5),
            asked in name(),
        ) {
            let names = Names::new(things.iter().enumerate().map(|(nth, (of, default))| (nth, of.clone(), *default)));
            let having = |fits: &dyn Fn(&str) -> bool| things.iter().position(|(of, _)| of.iter().any(|name| fits(&plain(name))));
            let asked_lower = plain(&asked);
            let exact = having(&|name| !name.starts_with("*.") && name == asked_lower);
            let wild = having(&|name| {
                let Some(parent) = name.strip_prefix("*.") else { return false };
                asked_lower.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            });
            let default = things.iter().position(|(_, default)| *default).unwrap_or(0);
            let expected = exact.or(wild).unwrap_or(default);
            prop_assert_eq!(names.find(Some(&asked)).copied(), (expected < things.len()).then_some(expected));
        }

        #[test]
        fn any_text_is_looked_up_without_panic(asked in any::<String>()) {
            let names = table(&[("a", &["*.a"], false)]);
            prop_assert!(names.find(Some(&asked)).is_some());
        }
    }
}
