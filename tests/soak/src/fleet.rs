//! The plugins of a run: their files, and the versions that serve.

use super::place::{Place, Way};
use super::setting::{MISBEHAVING, PINNED, STAMPS, SWAPPED, plugin_directory};
use super::versions::{Version, Versions};
use anyhow::{Context, Result};
use pace_kit::fixture;
use std::fs;
use std::path::Path;

/// All plugins whose files are changed.
pub(crate) struct Fleet {
    /// The plugins that are swapped, in the order of the routes.
    pub(crate) swapped: Vec<Plugin>,
    pub(crate) pinned: Pinned,
    /// Indices in `swapped` of plugins whose file is bad, to be mended by the next swaps.
    pub(crate) broken: Vec<usize>,
}

/// A plugin that gets new versions.
pub(crate) struct Plugin {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) versions: Versions,
    pub(crate) current: Served,
    pub(crate) previous: Option<Served>,
    /// The highest number that a generation of the plugin has had.
    pub(crate) last_number: u64,
}

/// A version that the proxy has taken.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) number: u64,
    pub(crate) version: Version,
}

/// The plugin whose version must not change.
pub(crate) struct Pinned {
    pub(crate) place: Place,
    pub(crate) version: Version,
}

impl Fleet {
    /// Puts the first version of every plugin into its directory.
    pub(crate) fn prepare(directory: &Path) -> Result<Fleet> {
        let mut swapped = Vec::new();
        for (name, file) in SWAPPED {
            let stamp = STAMPS.iter().find(|stamp| stamp.plugin == name);
            let mut versions = Versions::of(file, stamp)?;
            let mut place = Place::new(plugin_directory(directory, name))?;
            let version = versions.make();
            place.put(Way::Rename, &version.bytes)?;
            swapped.push(Plugin {
                name,
                place,
                versions,
                current: Served { number: 1, version },
                previous: None,
                last_number: 1,
            });
        }
        let (name, package) = PINNED;
        let mut place = Place::new(plugin_directory(directory, name))?;
        let version = Versions::of(package, None)?.make();
        place.put(Way::Rename, &version.bytes)?;
        for name in MISBEHAVING {
            let bytes = fs::read(fixture(name)).with_context(|| format!("cannot read {name}"))?;
            Place::new(plugin_directory(directory, name))?.put(Way::Rename, &bytes)?;
        }
        Ok(Fleet {
            swapped,
            pinned: Pinned { place, version },
            broken: Vec::new(),
        })
    }

    /// The serving generations in the order of the routes, and the stamps that their plugins write.
    pub(crate) fn generations(&self) -> (Vec<(String, u64)>, [String; STAMPS.len()]) {
        let swapped = self
            .swapped
            .iter()
            .map(|plugin| (plugin.name.to_owned(), plugin.current.number));
        let pinned = (PINNED.0.to_owned(), 1);
        let stamps = STAMPS.map(|stamp| {
            let mut plugins = self.swapped.iter();
            let plugin = plugins.find(|plugin| plugin.name == stamp.plugin);
            plugin
                .and_then(|plugin| plugin.current.version.stamp.clone())
                .unwrap_or_default()
        });
        (swapped.chain([pinned]).collect(), stamps)
    }
}

impl Plugin {
    /// Records that a new version has been taken.
    pub(crate) fn took(&mut self, version: Version) {
        self.last_number += 1;
        let new = Served {
            number: self.last_number,
            version,
        };
        self.previous = Some(std::mem::replace(&mut self.current, new));
    }

    /// Records that the previous version serves again. Asking for another rollback would undo that.
    pub(crate) fn rolled_back(&mut self) {
        if let Some(previous) = &mut self.previous {
            std::mem::swap(&mut self.current, previous);
        }
    }
}
