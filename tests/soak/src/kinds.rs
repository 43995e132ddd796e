//! Every kind of bad file, and the refusal that it must get.

use super::bad::{Bad, Expected, Target, Thing};
use super::modules;
use super::random::Random;
use anyhow::{Context, Result};
use pace_kit::fixture;
use rustix::fs::{CWD, FileType, Mode};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Texts one of which must be in a refusal.
type Says = &'static [&'static str];

const NO_WASM: Says = &["not WebAssembly: "];
const INVALID: Says = &["invalid WebAssembly: "];
const NO_FILE: Says = &["plugin.wasm is not a regular file"];
const NOTHING: Says = &["plugin.wasm: No such file or directory"];

/// A component that ends between two of its sections is still a component, but an incomplete one.
const CUT: Says = &["invalid WebAssembly: ", "does not export `", "exports no hook"];

/// Test plugins that can be read and cannot be used.
const UNUSABLE: [(&str, Says); 8] = [
    ("endless-configure", &["configure failed: deadline: "]),
    ("missing-configure", &["does not export `pace:plugin/lifecycle@"]),
    ("no-hook", &["exports no hook"]),
    ("refuses-config", &["colour: must be `green`"]),
    ("unknown-import", &["imports `acme:extra/thing`"]),
    ("wasi-import", &["imports `wasi:keyvalue/store@"]),
    ("wrong-type", &["expected func() -> verdict, found func() -> u32"]),
    ("wrong-version", &["made for pace:plugin@9.9.9"]),
];

/// Returns all kinds.
pub(crate) fn all() -> Result<Vec<Bad>> {
    let mut kinds = of_a_good_file();
    kinds.extend(foreign());
    kinds.extend(no_files());
    for (name, says) in UNUSABLE {
        let fixture = fs::read(fixture(name)).with_context(|| format!("cannot read {name}"))?;
        kinds.push(Bad {
            target: Target::Unconfigured,
            ..bytes(name, says, move |_| fixture.clone())
        });
    }
    for (name, says, module) in modules::all() {
        kinds.push(bytes(name, says, move |_| module.clone()));
    }
    Ok(kinds)
}

/// Kinds made from a good file, or from a part of it.
fn of_a_good_file() -> Vec<Bad> {
    vec![
        bytes("empty", NO_WASM, |_| Vec::new()),
        bytes("truncated after 3 bytes", &["WebAssembly"], |good| {
            good[..3].to_vec()
        }),
        bytes("truncated after the header", CUT, |good| good[..8].to_vec()),
        bytes("truncated in the middle", CUT, |good| {
            good[..good.len() / 2].to_vec()
        }),
        bytes("truncated near the end", CUT, |good| {
            good[..good.len() * 9 / 10].to_vec()
        }),
        random("truncated anywhere", CUT, |good, random| {
            // The cut is before the last sections, without which the file would be the same plugin.
            good[..8 + random.below(good.len() as u64 * 9 / 10 - 8) as usize].to_vec()
        }),
        bytes("without its last byte", INVALID, |good| {
            good[..good.len() - 1].to_vec()
        }),
        bytes("a byte too many", INVALID, |good| [good, &[0]].concat()),
        bytes("twice itself", INVALID, |good| [good, good].concat()),
        bytes("without its first byte", NO_WASM, |good| good[1..].to_vec()),
        bytes("a flipped byte in the header", INVALID, |good| flipped(good, 4)),
        bytes("a flipped byte in the first section", INVALID, |good| {
            flipped(good, 8)
        }),
        bytes("zeros", NO_WASM, |good| vec![0; good.len()]),
        random("random bytes", NO_WASM, |good, random| {
            random_bytes(random, good.len())
        }),
        random(
            "WebAssembly's header and random bytes",
            INVALID,
            |good, random| {
                // No section begins with this byte.
                [&good[..8], &[0xff], &random_bytes(random, 1000)].concat()
            },
        ),
        Bad {
            target: Target::Pinned,
            ..bytes(
                "another hash than the pinned one",
                &["the configuration asks for sha256 "],
                |good| [good, &[0, 2, 1, b'n']].concat(),
            )
        },
        Bad {
            name: "the same bytes with a new time".to_owned(),
            expected: Expected::Ignored,
            target: Target::Any,
            thing: Thing::Touched,
        },
        Bad {
            name: "a byte a millisecond".to_owned(),
            expected: Expected::Taken,
            target: Target::Any,
            thing: Thing::Dripped,
        },
    ]
}

/// Files that never were a plugin.
fn foreign() -> Vec<Bad> {
    vec![
        bytes("text", NO_WASM, |_| b"#!/bin/sh\necho plugin\n".to_vec()),
        bytes("an error page", NO_WASM, |_| {
            b"<!doctype html><title>404 Not Found</title>".to_vec()
        }),
        bytes("WebAssembly as text", NO_WASM, |_| b"(module)\n".to_vec()),
        bytes("a program for Linux", NO_WASM, |_| {
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec()
        }),
        random(
            "code that wasmtime has compiled",
            &["it is code that wasmtime has compiled"],
            |_, random| {
                // 200 is wasmtime's number for the operating system in its ELF files.
                [b"\x7fELF\x02\x01\x01\xc8".as_slice(), &random_bytes(random, 4096)].concat()
            },
        ),
        bytes(
            "a core module without a type",
            &["without the component type"],
            |_| b"\0asm\x01\0\0\0\0\x02\x01n".to_vec(),
        ),
    ]
}

/// Kinds without content that could be a plugin.
fn no_files() -> Vec<Bad> {
    vec![
        made(
            "larger than 32 MiB",
            &["the file has 34603008 bytes, 33554432 are allowed"],
            |path| Ok(File::create(path)?.set_len(33 << 20)?),
        ),
        made("a directory", NO_FILE, |path| Ok(fs::create_dir(path)?)),
        made("a FIFO", NO_FILE, |path| {
            let mode = Mode::from_raw_mode(0o600);
            Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0)?)
        }),
        made("a socket", &["cannot read "], |path| {
            UnixListener::bind(path)?;
            Ok(())
        }),
        made("a device", NO_FILE, |path| Ok(symlink("/dev/zero", path)?)),
        made("a link to a directory", NO_FILE, |path| Ok(symlink(".", path)?)),
        made(
            "a link to itself",
            &["plugin.wasm: Too many levels of symbolic links"],
            |path| {
                let name = path.file_name().context("it has a name")?;
                Ok(symlink(name, path)?)
            },
        ),
        made("a dangling link", NOTHING, |path| {
            Ok(symlink("nowhere.wasm", path)?)
        }),
        made("deleted", NOTHING, |_| Ok(())),
    ]
}

fn bytes(name: &str, says: Says, make: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Bad {
    random(name, says, move |good, _| make(good))
}

fn random(name: &str, says: Says, make: impl Fn(&[u8], &mut Random) -> Vec<u8> + Send + 'static) -> Bad {
    refused(name, says, Thing::Bytes(Box::new(make)))
}

fn made(name: &str, says: Says, make: fn(&Path) -> Result<()>) -> Bad {
    refused(name, says, Thing::Made(make))
}

fn refused(name: &str, says: Says, thing: Thing) -> Bad {
    Bad {
        name: name.to_owned(),
        expected: Expected::Refused(says),
        target: Target::Any,
        thing,
    }
}

fn flipped(good: &[u8], place: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[place] ^= 0xff;
    bytes
}

fn random_bytes(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.next() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::super::place::{Place, Way};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn kinds_are_many_and_have_distinct_names() {
        let kinds = all().expect("the plugins have been built");
        let names: BTreeSet<&str> = kinds.iter().map(|bad| bad.name.as_str()).collect();
        assert_eq!(names.len(), kinds.len());
        assert!(names.len() > 40, "{}", names.len());
    }

    #[test]
    fn bad_file_is_never_the_good_file() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut place = Place::new(directory.path().join("plugin")).expect("it is writable");
        let mut random = Random::new(1, 0);
        let good = b"\0asm\x0d\0\x01\0 and more".as_slice();
        for bad in all().expect("the plugins have been built") {
            place.put(Way::Rename, good).expect("it is writable");
            bad.thing
                .put(&mut place, good, Way::Rename, &mut random)
                .expect("it can be made");
            // Only a regular file is read: a FIFO would wait for a writer.
            let same = place.path().is_file() && fs::read(place.path()).is_ok_and(|bytes| bytes == good);
            let refused = matches!(bad.expected, Expected::Refused(_));
            assert_eq!(same, !refused, "{}", bad.name);
        }
    }
}
