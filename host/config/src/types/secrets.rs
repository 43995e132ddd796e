use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::telemetry::{Secret, SecretSource};

/// The secrets that are granted to a plugin, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(Arc<BTreeMap<String, Secret>>);

impl Secrets {
    /// The secret of a name; `None` if none is granted.
    pub fn find(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// Every secret with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, secret)| (name.as_str(), secret))
    }

    /// The files that have secrets.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.values().filter_map(|secret| match secret.source()? {
            SecretSource::File(path) => Some(path.as_path()),
            SecretSource::Env(_) => None,
        })
    }
}

impl FromIterator<(String, Secret)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, Secret)>>(all: I) -> Secrets {
        Secrets(Arc::new(all.into_iter().collect()))
    }
}
