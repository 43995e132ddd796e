//! Files that are no better than what serves: what the proxy must not take, each for a reason of its own.

use super::modules;
use super::place::{Place, Way};
use super::random::Random;
use crate::cargo;
use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::SystemTime;

/// What the proxy must do about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Say why it does not take it.
    Refused,
    /// Nothing: it is the file that serves.
    Ignored,
    /// Take it, once it is all there.
    Taken,
}

/// Which plugin a file is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One whose file may change.
    Any,
    /// One of them that has no configuration, which would be refused before the rest of it is seen.
    Unconfigured,
    /// The one whose hash is in the configuration.
    Pinned,
}

/// One kind of bad file.
pub(crate) struct Bad {
    pub(crate) name: String,
    pub(crate) expected: Expected,
    pub(crate) target: Target,
    pub(crate) thing: Thing,
}

/// What is put where the file was.
pub(crate) enum Thing {
    /// Something made of a good file's bytes.
    Bytes(Make),
    /// Not an ordinary file, or not ordinarily made; the path is free.
    Made(fn(&Path) -> Result<()>),
    /// The same file with a new time.
    Touched,
    /// A good version, written a byte a millisecond for a while.
    Dripped,
}

/// Makes a bad file of a good one.
type Make = Box<dyn Fn(&[u8]) -> Vec<u8> + Send>;

impl Thing {
    /// Puts it there.
    pub(crate) fn put(&self, place: &mut Place, good: &[u8], way: Way) -> Result<()> {
        match self {
            Thing::Bytes(make) => place.put(way, &make(good)),
            Thing::Made(make) => {
                place.clear()?;
                make(&place.path())
            }
            Thing::Touched => {
                let file = File::options().append(true).open(place.path())?;
                file.set_modified(SystemTime::now())?;
                Ok(())
            }
            Thing::Dripped => place.put(Way::Drip, good),
        }
    }
}

/// Plugins of the tests that can be read and cannot be used.
const UNUSABLE: [&str; 8] = [
    "endless-configure",
    "missing-configure",
    "no-hook",
    "refuses-config",
    "unknown-import",
    "wasi-import",
    "wrong-type",
    "wrong-version",
];

/// Every kind there is.
pub(crate) fn all(seed: u64) -> Result<Vec<Bad>> {
    let mut kinds = vec![
        bytes("empty", |_| Vec::new()),
        bytes("truncated after 3 bytes", |good| good[..3].to_vec()),
        bytes("truncated after the header", |good| good[..8].to_vec()),
        bytes("truncated in the middle", |good| good[..good.len() / 2].to_vec()),
        bytes("truncated near the end", |good| {
            good[..good.len() * 9 / 10].to_vec()
        }),
        bytes("without its last byte", |good| good[..good.len() - 1].to_vec()),
        bytes("a byte too many", |good| [good, &[0]].concat()),
        bytes("twice itself", |good| [good, good].concat()),
        bytes("without its first byte", |good| good[1..].to_vec()),
        bytes("a flipped byte in the header", |good| flipped(good, 4)),
        bytes("a flipped byte in the first section", |good| flipped(good, 8)),
        bytes("zeros", |good| vec![0; good.len()]),
        bytes("random bytes", move |good| random_bytes(seed, good.len())),
        bytes("WebAssembly's header and random bytes", move |good| {
            [&good[..8], &random_bytes(seed, 1000)].concat()
        }),
        bytes("text", |_| b"#!/bin/sh\necho plugin\n".to_vec()),
        bytes("an error page", |_| {
            b"<!doctype html><title>404 Not Found</title>".to_vec()
        }),
        bytes("WebAssembly as text", |_| b"(module)\n".to_vec()),
        bytes("a program for Linux", |_| {
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec()
        }),
        bytes("a core module without a type", |_| {
            b"\0asm\x01\0\0\0\0\x02\x01n".to_vec()
        }),
        bytes_for(Target::Pinned, "another hash than the pinned one", |good| {
            [good, &[0, 2, 1, b'n']].concat()
        }),
        made("larger than 32 MiB", |path| {
            Ok(File::create(path)?.set_len(33 << 20)?)
        }),
        made("a directory", |path| Ok(fs::create_dir(path)?)),
        made("a FIFO", |path| {
            let mode = Mode::from_raw_mode(0o600);
            Ok(rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                FileType::Fifo,
                mode,
                0,
            )?)
        }),
        made("a socket", |path| {
            UnixListener::bind(path)?;
            Ok(())
        }),
        made("a device", |path| Ok(symlink("/dev/zero", path)?)),
        made("a link to a directory", |path| Ok(symlink(".", path)?)),
        made("a link to itself", |path| {
            let name = path.file_name().context("it has a name")?;
            Ok(symlink(name, path)?)
        }),
        made("a dangling link", |path| Ok(symlink("nowhere.wasm", path)?)),
        made("deleted", |_| Ok(())),
        other(
            "the same bytes with a new time",
            Expected::Ignored,
            Thing::Touched,
        ),
        other("a byte a millisecond", Expected::Taken, Thing::Dripped),
    ];
    for name in UNUSABLE {
        let file = cargo::root()
            .join("target/plugins/fixtures")
            .join(name)
            .with_extension("wasm");
        let fixture = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        kinds.push(bytes_for(Target::Unconfigured, name, move |_| fixture.clone()));
    }
    for (name, module) in modules::all()? {
        kinds.push(bytes(name, move |_| module.clone()));
    }
    Ok(kinds)
}

fn bytes(name: &str, make: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Bad {
    bytes_for(Target::Any, name, make)
}

fn bytes_for(target: Target, name: &str, make: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Bad {
    Bad {
        target,
        ..other(name, Expected::Refused, Thing::Bytes(Box::new(make)))
    }
}

fn made(name: &str, make: fn(&Path) -> Result<()>) -> Bad {
    other(name, Expected::Refused, Thing::Made(make))
}

fn other(name: &str, expected: Expected, thing: Thing) -> Bad {
    Bad {
        name: name.to_owned(),
        expected,
        target: Target::Any,
        thing,
    }
}

fn flipped(good: &[u8], place: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[place] ^= 0xff;
    bytes
}

fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed, 0);
    (0..length).map(|_| random.next() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_many_kinds_and_each_has_a_name_of_its_own() {
        let kinds = all(1).expect("the plugins have been built");
        let names: BTreeSet<&str> = kinds.iter().map(|bad| bad.name.as_str()).collect();
        assert_eq!(names.len(), kinds.len());
        assert!(names.len() > 30, "{}", names.len());
    }

    #[test]
    fn none_is_the_good_file() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut place = Place::new(directory.path().join("plugin")).expect("it is writable");
        let good = b"\0asm\x0d\0\x01\0 and more".as_slice();
        for bad in all(1).expect("the plugins have been built") {
            place.put(Way::Rename, good).expect("it is writable");
            bad.thing
                .put(&mut place, good, Way::Rename)
                .expect("it can be made");
            // What is no file is not read: a FIFO would wait for a writer.
            let same = place.path().is_file() && fs::read(place.path()).is_ok_and(|bytes| bytes == good);
            assert_eq!(same, bad.expected != Expected::Refused, "{}", bad.name);
        }
    }
}
