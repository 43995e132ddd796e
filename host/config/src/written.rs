//! The text of a configuration, for messages about what it says.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::problem::{Fault, Problem};
use super::shape::Place;
use super::types::Config;
use super::warning::Warning;

/// The text that a configuration was read from, and the remarks that only the text gives rise to.
///
/// All are equal: configurations that differ in nothing else are used alike.
#[derive(Clone, Default)]
pub struct Written {
    source: Option<Arc<(PathBuf, String)>>,
    pub(super) remarks: Vec<Warning>,
}

/// The text may have secrets in the configuration of plugins, so it is not shown.
impl fmt::Debug for Written {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Written")
            .field("remarks", &self.remarks)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Written) -> bool {
        true
    }
}

impl Written {
    pub(super) fn new(document: &Document<'_>, remarks: Vec<Warning>) -> Written {
        let source = document.source();
        Written {
            source: source.map(|(path, text)| Arc::new((path.to_owned(), text.to_owned()))),
            remarks,
        }
    }
}

/// A table of the file, and where it is.
struct Found<'d> {
    table: &'d DeTable<'d>,
    place: std::ops::Range<usize>,
    /// Whether it is one of the short form, whose plugin nobody has named.
    is_short: bool,
}

impl Config {
    /// The problem of a plugin's configuration that the plugin refuses for a reason, at the key that the reason begins with.
    /// `route` is the one whose own configuration it is, if it is one's. `None` if no file has that configuration.
    pub fn refused_by_plugin(&self, plugin: &str, route: Option<&str>, reason: &str) -> Option<Problem> {
        let (path, text) = &**self.written.source.as_ref()?;
        let document = Document::parse(Some(path), text).ok()?;
        let of_route = route.and_then(|route| self.config_of_route(&document, plugin, route));
        let of_plugin = config_of_plugin(&document, plugin);
        // Keys that the route leaves out are the plugin's own.
        let places = of_route.iter().chain(&of_plugin);
        let at_key = places.clone().find_map(|found| {
            let (key, rest) = found.key(reason)?;
            Some((found, key, rest))
        });
        let (found, place, rest) = match at_key {
            Some(found) => found,
            None => {
                let found = places.clone().next()?;
                (found, found.place.clone(), reason)
            }
        };
        let file = self.file_of(plugin);
        let fault = match (found.is_short, route) {
            // Nobody has named the plugin, whose words for the key may be others.
            (true, _) => rest.to_owned(),
            (false, None) => format!("plugin `{plugin}` ({file}): {reason}"),
            (false, Some(route)) => {
                format!("plugin `{plugin}` ({file}): with the configuration of route `{route}`: {reason}")
            }
        };
        Some(document.problem(&Place::File(place), Fault::Refused(fault)))
    }

    /// The file of a plugin, or `builtin:NAME`.
    fn file_of(&self, plugin: &str) -> String {
        let source = self.plugins.iter().find(|known| known.name == plugin);
        source.map(|plugin| plugin.source.to_string()).unwrap_or_default()
    }

    fn config_of_route<'d>(
        &self,
        document: &'d Document<'d>,
        plugin: &str,
        route: &str,
    ) -> Option<Found<'d>> {
        let index = self.routes.iter().position(|known| known.name == route)?;
        let routes = document.root().get("routes")?.get_ref().as_array()?;
        let used = routes.get(index)?.get_ref().as_table()?.get("plugins")?;
        let mut used = used.get_ref().as_array()?.iter();
        let used = used.find(|used| has(used, "use", plugin))?;
        config(used)
    }
}

/// The configuration of a plugin, wherever the file has it.
fn config_of_plugin<'d>(document: &'d Document<'d>, plugin: &str) -> Option<Found<'d>> {
    let root = document.root();
    match root.get("plugins") {
        Some(plugins) => {
            let mut plugins = plugins.get_ref().as_array()?.iter();
            config(plugins.find(|entry| has(entry, "name", plugin))?)
        }
        None => {
            let table = match plugin {
                "rate-limiter" => "rate_limit",
                "header-injection" => "headers",
                _ => return None,
            };
            let (key, value) = root.get_key_value(table)?;
            Some(Found {
                table: value.get_ref().as_table()?,
                place: key.span(),
                is_short: true,
            })
        }
    }
}

/// The `config` of an entry; all of the entry if it has none.
fn config<'d>(entry: &'d Spanned<DeValue<'d>>) -> Option<Found<'d>> {
    let table = entry.get_ref().as_table()?;
    let (key, value) = table.get_key_value("config")?;
    Some(Found {
        table: value.get_ref().as_table()?,
        place: key.span(),
        is_short: false,
    })
}

fn has(entry: &Spanned<DeValue<'_>>, key: &str, value: &str) -> bool {
    let table = entry.get_ref().as_table();
    let found = table.and_then(|table| table.get(key)?.get_ref().as_str());
    found == Some(value)
}

impl Found<'_> {
    /// The place of the key that a reason begins with, as `request.set: …` does, and the rest of the reason.
    fn key<'r>(&self, reason: &'r str) -> Option<(std::ops::Range<usize>, &'r str)> {
        let mut keys = vec![(self.table, reason)];
        let mut found = None;
        while let Some((table, rest)) = keys.pop() {
            for (key, value) in table {
                let Some(behind) = rest.strip_prefix(self.called(key.get_ref())) else {
                    continue;
                };
                if let Some(reason) = behind.strip_prefix(": ") {
                    found = Some((key.span(), reason));
                }
                if let (Some(behind), Some(inner)) = (behind.strip_prefix('.'), value.get_ref().as_table()) {
                    keys.push((inner, behind));
                }
            }
        }
        found
    }

    /// The name by which the plugin calls a key of the file.
    fn called<'k>(&self, key: &'k str) -> &'k str {
        match key {
            "key_extractor" if self.is_short => "key",
            key => key,
        }
    }
}

/// A path that is written as a pattern, though it is none: where a glob or an expression has its special characters.
pub(super) fn looks_like_a_pattern(path: &str) -> bool {
    path.contains(['*', '[', ']', '{', '}', '|']) || path.ends_with('$') || path.contains("(?")
}
