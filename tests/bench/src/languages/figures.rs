//! The figures of the languages, as they are kept.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The languages, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Rust,
    C,
    Js,
    Python,
}

impl Language {
    pub(crate) const ALL: [Language; 4] = [Language::Rust, Language::C, Language::Js, Language::Python];

    /// The name that `pace plugin new --lang` uses.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::C => "c",
            Language::Js => "js",
            Language::Python => "python",
        }
    }

    /// The name that people use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::C => "C",
            Language::Js => "JavaScript",
            Language::Python => "Python",
        }
    }

    /// Whether the language brings a runtime of its own into the plugin.
    pub(crate) fn has_runtime(self) -> bool {
        matches!(self, Language::Js | Language::Python)
    }
}

/// A measurement of several languages, on one machine.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figures {
    /// Figures of different machines cannot be compared.
    pub(crate) machine: String,
    /// The number of rounds; each figure is their median.
    pub(crate) rounds: u32,
    pub(crate) languages: BTreeMap<Language, Figure>,
}

/// The costs of the plugin that `pace plugin new` writes in one language.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// The tool that made the component, with its version.
    pub(crate) tool: String,
    pub(crate) size_kib: f64,
    /// The time of a whole `pace check` with this plugin alone.
    pub(crate) check_seconds: f64,
    /// The time of the same `pace check` with the compiled code in the cache.
    pub(crate) cached_check_seconds: f64,
    /// The time to make and configure an instance.
    pub(crate) instance_microseconds: f64,
    /// The median of a call of `request-filter`.
    pub(crate) call_microseconds: f64,
    /// The linear memory after 10,000 calls, or after 100 if the language has a garbage collector that lets
    /// it grow.
    pub(crate) memory_mib: f64,
    /// The linear memory after 30,000 calls, in the languages whose collector lets it grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) later_memory_mib: Option<f64>,
}

impl Figures {
    pub(crate) fn read(file: &Path) -> Result<Figures> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} has no figures", file.display()))
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("figures are numbers and texts") + "\n"
    }
}
