//! The ways in which operators replace a file.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How a new version gets to the path that the proxy watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The file is written over.
    InPlace,
    /// Another file is renamed over it.
    Rename,
    /// A symbolic link to another file is renamed over it.
    Symlink,
    /// The path leads through a link to a directory, and that link is replaced, as Kubernetes does with the
    /// content of a ConfigMap.
    Directory,
    /// The file is overwritten a byte at a time for a while, and then the rest at once.
    Drip,
}

/// The file in a plugin's directory that the configuration names.
pub(crate) const FILE: &str = "plugin.wasm";

/// The link that [`Way::Directory`] changes, by Kubernetes' name for it.
const DATA: &str = "..data";

/// How many bytes of a file are written one by one, and the pause after each.
const DRIPS: usize = 300;
const DRIP: Duration = Duration::from_millis(1);

/// The directory of one plugin. It does not grow, however often the file is replaced.
pub(crate) struct Place {
    directory: PathBuf,
    replaced: u64,
}

impl Place {
    /// Makes the directory.
    pub(crate) fn new(directory: PathBuf) -> Result<Place> {
        fs::create_dir_all(&directory)?;
        Ok(Place {
            directory,
            replaced: 0,
        })
    }

    /// The path that the proxy watches.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Replaces the file.
    pub(crate) fn put(&mut self, way: Way, bytes: &[u8]) -> Result<()> {
        self.replaced += 1;
        self.try_put(way, bytes)
            .with_context(|| format!("cannot replace {} ({way:?})", self.path().display()))
    }

    fn try_put(&self, way: Way, bytes: &[u8]) -> Result<()> {
        let path = self.path();
        if path.is_dir() {
            self.clear()?;
        }
        // Only a regular file can be overwritten.
        let way = match way {
            Way::InPlace | Way::Drip if !path.is_file() => Way::Rename,
            other => other,
        };
        match way {
            Way::InPlace => fs::write(&path, bytes)?,
            Way::Rename => self.put_file(FILE, bytes)?,
            Way::Symlink => {
                // Three names take turns, so that the link changes while its previous target still exists.
                let target = format!("version-{}.wasm", self.replaced % 3);
                self.put_file(&target, bytes)?;
                self.put_link(FILE, &target)?;
            }
            Way::Directory => {
                let target = format!("..version-{}", self.replaced % 3);
                fs::create_dir_all(self.directory.join(&target))?;
                self.put_file(&format!("{target}/{FILE}"), bytes)?;
                self.put_link(DATA, &target)?;
                let link = format!("{DATA}/{FILE}");
                if fs::read_link(&path).ok().as_deref() != Some(Path::new(&link)) {
                    self.put_link(FILE, &link)?;
                }
            }
            Way::Drip => {
                let mut file = File::create(&path)?;
                let (first, rest) = bytes.split_at(bytes.len().min(DRIPS));
                for byte in first {
                    file.write_all(&[*byte])?;
                    thread::sleep(DRIP);
                }
                file.write_all(rest)?;
            }
        }
        Ok(())
    }

    /// Whether the file is there and has this content.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        let path = self.path();
        path.is_file() && fs::read(path).is_ok_and(|found| found == bytes)
    }

    /// Removes whatever is at the path.
    pub(crate) fn clear(&self) -> Result<()> {
        let path = self.path();
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path)?,
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
        Ok(())
    }

    fn put_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let new = self.directory.join(".new");
        fs::write(&new, bytes)?;
        fs::rename(&new, self.directory.join(name))?;
        Ok(())
    }

    fn put_link(&self, name: &str, target: &str) -> Result<()> {
        let new = self.directory.join(".new-link");
        symlink(target, &new)?;
        fs::rename(&new, self.directory.join(name))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_can_be_replaced_in_any_way_after_any_other() {
        const WAYS: [Way; 5] = [Way::InPlace, Way::Rename, Way::Symlink, Way::Directory, Way::Drip];
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut place = Place::new(directory.path().join("plugin")).expect("it is writable");
        for first in WAYS {
            for second in WAYS {
                for (way, bytes) in [(first, b"first"), (second, b"other")] {
                    place.put(way, bytes).expect("the directory is writable");
                    let read = fs::read(place.path()).expect("the file is there");
                    assert_eq!(read, bytes, "{first:?} and {second:?}");
                }
            }
        }
        let entries = fs::read_dir(directory.path().join("plugin")).expect("it is there");
        assert!(entries.count() <= 8, "old versions are not kept");
    }

    #[test]
    fn directory_at_the_path_is_removed() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut place = Place::new(directory.path().join("plugin")).expect("it is writable");
        fs::create_dir(place.path()).expect("nothing is there");
        place
            .put(Way::InPlace, b"file")
            .expect("the directory is writable");
        assert_eq!(fs::read(place.path()).ok().as_deref(), Some(&b"file"[..]));
        assert!(place.has(b"file") && !place.has(b"other"));
        place.clear().expect("it can be removed");
        place.clear().expect("nothing is there");
        assert!(!place.has(b""));
    }
}
