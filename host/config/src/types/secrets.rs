use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::telemetry::Secret;

/// The secrets that are granted to a plugin, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(Arc<BTreeMap<String, Granted>>);

#[derive(Debug, PartialEq, Eq)]
struct Granted {
    secret: Secret,
    /// The file that has it.
    file: Option<PathBuf>,
}

impl Secrets {
    /// The secret of a name; `None` if none is granted.
    pub fn find(&self, name: &str) -> Option<&Secret> {
        self.0.get(name).map(|granted| &granted.secret)
    }

    /// The files that have secrets.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.values().filter_map(|granted| granted.file.as_deref())
    }
}

impl FromIterator<(String, Secret, Option<PathBuf>)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, Secret, Option<PathBuf>)>>(all: I) -> Secrets {
        let granted = |(name, secret, file)| (name, Granted { secret, file });
        Secrets(Arc::new(all.into_iter().map(granted).collect()))
    }
}
