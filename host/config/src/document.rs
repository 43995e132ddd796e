//! The file as a tree with the place of every value, and its decoding into `raw` types.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::excerpt::{Excerpt, line_number};
use super::problem::{Fault, Location, Problem};
use super::shape::Place;
use super::tree;

/// The most problems that are reported at once.
const MOST_PROBLEMS: usize = 20;

/// A file of valid TOML.
pub struct Document<'t> {
    path: Option<&'t Path>,
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Parses a text. Without `path` the text is empty and everything comes from the command line.
    pub fn parse(path: Option<&'t Path>, text: &'t str) -> Result<Self, Vec<Problem>> {
        let empty = Document {
            path,
            text,
            root: DeTable::new(),
        };
        match DeTable::parse(text) {
            Ok(root) => Ok(Document {
                root: root.into_inner(),
                ..empty
            }),
            Err(error) => {
                let place = error.span().map_or(Place::Nowhere, Place::File);
                // The most common cause: `listen = 0.0.0.0:8080`.
                let message = match error.message().strip_suffix(", expected nothing") {
                    Some(message) => format!("{message}; a text must be in quotes"),
                    None => error.message().to_owned(),
                };
                Err(vec![empty.problem(&place, Fault::Syntax(message))])
            }
        }
    }

    /// Decodes everything, or finds the problems with keys and values.
    ///
    /// serde stops at the first mistake. The faulty part is then removed from the tree, and the rest is
    /// decoded again, until no mistake is left.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Vec<Problem>> {
        let mut rest = self.root.clone();
        let mut found = Vec::new();
        let mut last = None;
        loop {
            let root = Spanned::new(0..self.text.len(), rest.clone());
            let error = match T::deserialize(toml::de::Deserializer::from(root)) {
                Ok(value) if found.is_empty() => return Ok(value),
                Ok(_) => break,
                Err(error) => error,
            };
            let span = error.span().unwrap_or_default();
            // A `[[list]]` has the span of its first element: the second round removes the list.
            if last.as_ref() != Some(&error)
                && let Some(fault) = self.fault(&error, &span)
            {
                found.push(self.problem(&Place::File(span.clone()), fault));
            }
            if found.len() == MOST_PROBLEMS || !tree::prune(&mut rest, &span) {
                break;
            }
            last = Some(error);
        }
        Err(found)
    }

    /// A problem at a place of this file, or of the command line.
    pub fn problem(&self, place: &Place, fault: Fault) -> Problem {
        let location = match (place, self.path) {
            (Place::Option(option), _) => Location::CommandLine(Some(option)),
            (_, None) => Location::CommandLine(None),
            (Place::Nowhere, Some(path)) => Location::File(path.to_owned()),
            (Place::File(span), Some(path)) => {
                Location::Line(path.to_owned(), Excerpt::new(self.text, span.clone()))
            }
        };
        let key = match (place, &fault) {
            // The messages of these faults name the key themselves.
            (_, Fault::Syntax(_) | Fault::UnknownKey { .. } | Fault::MixedForms { .. }) => None,
            (Place::File(span), _) => tree::find(&self.root, span).map(|node| node.to_string()),
            (Place::Option(_) | Place::Nowhere, _) => None,
        };
        Problem { location, key, fault }
    }

    /// The location of a place, as messages show it.
    pub fn location(&self, place: &Place) -> Location {
        self.problem(place, Fault::Refused(String::new())).location
    }

    /// The line of a place in the file, counted from 1.
    pub fn line(&self, place: &Place) -> Option<usize> {
        match place {
            Place::File(span) => Some(line_number(self.text, span.start)),
            Place::Option(_) | Place::Nowhere => None,
        }
    }

    /// The file and its text, if there is a file.
    pub(super) fn source(&self) -> Option<(&'t Path, &'t str)> {
        Some((self.path?, self.text))
    }

    /// The outermost table.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// The name of the file in messages.
    pub fn name(&self) -> String {
        self.path.map_or_else(
            || "the command line".to_owned(),
            |path| path.display().to_string(),
        )
    }

    /// The directory from which relative paths in the file start.
    pub fn directory(&self) -> PathBuf {
        self.path
            .and_then(Path::parent)
            .map(Path::to_owned)
            .unwrap_or_default()
    }

    /// Whether there is a file at all.
    pub fn is_file(&self) -> bool {
        self.path.is_some()
    }

    /// A message of serde in the operator's words. `None` if it only misses a part that was removed.
    ///
    /// serde's cases differ in the text alone; the tests of messages fail if that changes.
    fn fault(&self, error: &toml::de::Error, span: &Range<usize>) -> Option<Fault> {
        let message = error.message();
        let node = tree::find(&self.root, span);
        let quoted = |text: &str| {
            text.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };

        if let (Some(node), true) = (&node, message.starts_with("unknown field ")) {
            let allowed = message
                .rsplit_once(", expected ")
                .map_or_else(Vec::new, |(_, keys)| quoted(keys));
            return Some(Fault::UnknownKey {
                key: node.key().to_owned(),
                table: node.table(),
                allowed,
            });
        }
        if let Some(key) = message.strip_prefix("missing field ") {
            let key = key.trim_matches('`');
            let taken_out = node.is_some_and(|node| node.value.get(key).is_some());
            return (!taken_out).then(|| Fault::MissingKey(key.to_owned()));
        }
        // The other messages are Pace's own reasons, and quote the operator's text.
        let types = message
            .rsplit_once(", expected ")
            .filter(|_| message.starts_with("invalid "));
        let (Some(node), Some((found, expected))) = (node, types) else {
            return Some(Fault::Refused(message.to_owned()));
        };
        let found = match found {
            // This is how the library hands a date over.
            "invalid type: map" if node.value.is_datetime() => match self.text.get(span.clone()) {
                Some(date) => format!("the date {date}, which is a text only in quotes: \"{date}\""),
                None => "a date".to_owned(),
            },
            "invalid type: map" => "a table".to_owned(),
            "invalid type: sequence" => "a list".to_owned(),
            _ => self.show(node.value, span),
        };
        let expected = match expected {
            "a sequence" if node.is_outermost() => format!("a list, written [[{}]]", node.key()),
            "a table" if node.is_outermost() => format!("a table, written [{}]", node.key()),
            "a sequence" => "a list".to_owned(),
            "a map" => "a table".to_owned(),
            other => other.to_owned(),
        };
        Some(Fault::WrongValue { expected, found })
    }

    /// A value as it was written, if that is short.
    fn show(&self, value: &DeValue<'_>, span: &Range<usize>) -> String {
        match self.text.get(span.clone()) {
            Some(written) if written.len() <= 40 && !written.contains('\n') => {
                format!("the {} {written}", value.type_str())
            }
            _ => format!("another {}", value.type_str()),
        }
    }
}
