//! Versions of a plugin: all behave the same, and no two have the same module.

use super::setting::Stamp;
use anyhow::{Context, Result, bail, ensure};
use pace_kit::{leb128, root};
use sha2::{Digest, Sha256};
use std::fs;
use std::ops::Range;
use wasmparser::{Parser, Payload};

/// A plugin's file.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) bytes: Vec<u8>,
    /// The file's hash in hexadecimal digits, as the admin API shows it.
    pub(crate) sha256: String,
    /// The text that it writes into requests and responses, if the plugin has a stamp.
    pub(crate) stamp: Option<String>,
}

/// An endless supply of versions of one plugin.
pub(crate) struct Versions {
    component: Vec<u8>,
    /// The offset of the head of the module's section in the component, and the module's range.
    module: (usize, Range<usize>),
    /// The offset in the component of the constant that tells versions apart.
    stamp: Option<(usize, &'static Stamp)>,
    made: u64,
}

impl Versions {
    /// Makes versions of a file that `cargo xtask plugins` builds. With a stamp, each has a word of its own
    /// in it.
    pub(crate) fn of(plugin: &str, stamp: Option<&'static Stamp>) -> Result<Versions> {
        let file = root().join("target/plugins").join(plugin).with_extension("wasm");
        let mut component = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let stamp = match stamp {
            Some(stamp) => Some((place(&mut component, stamp).context(plugin.to_owned())?, stamp)),
            None => None,
        };
        Ok(Versions {
            module: module(&component).with_context(|| plugin.to_owned())?,
            component,
            stamp,
            made: 0,
        })
    }

    /// Makes the module a different one, so that it is not compiled yet.
    fn mark(&self, component: &mut Vec<u8>, number: u64) {
        let (head, module) = self.module.clone();
        let section = custom_section(number);
        let length = leb128(module.len() + section.len());
        component.splice(module.end..module.end, section);
        component.splice(head + 1..module.start, length);
    }

    /// Makes a version that has not existed before.
    pub(crate) fn make(&mut self) -> Version {
        let number = self.made;
        self.made += 1;
        let mut bytes = self.component.clone();
        let stamp = self.stamp.map(|(place, stamp)| {
            let word = word(number);
            let mut constant = stamp.constant.to_owned();
            constant.replace_range(stamp.word..stamp.word + word.len(), &word);
            let value = constant.split_off(stamp.header.len());
            let place = place + stamp.header.len();
            bytes[place..place + value.len()].copy_from_slice(value.as_bytes());
            value
        });
        self.mark(&mut bytes, number);
        Version {
            sha256: sha256(&bytes),
            bytes,
            stamp,
        }
    }
}

/// Finds a component's first module: the offset of the section's head, and the module's range.
fn module(component: &[u8]) -> Result<(usize, Range<usize>)> {
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ModuleSection { unchecked_range, .. } = payload? {
            // The head is a byte for the kind, and the length in the fewest bytes possible.
            let head = 1 + leb128(unchecked_range.len()).len();
            return Ok((unchecked_range.start - head, unchecked_range));
        }
    }
    bail!("there is no module in it")
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Finds the stamp's constant in a component, and renames the header there.
fn place(component: &mut [u8], stamp: &Stamp) -> Result<usize> {
    let constant = stamp.constant.as_bytes();
    let mut places = component
        .windows(constant.len())
        .enumerate()
        .filter(|(_, window)| *window == constant)
        .map(|(place, _)| place);
    let place = places
        .next()
        .with_context(|| format!("{} is not among the constants", stamp.constant))?;
    ensure!(
        places.next().is_none(),
        "{} is there twice, and one of them may be for something else",
        stamp.constant
    );
    component[place..place + stamp.header.len()].copy_from_slice(stamp.header.as_bytes());
    Ok(place)
}

/// A word of four letters, a different one for each number below 456,976.
fn word(number: u64) -> String {
    (0..4)
        .rev()
        .map(|digit| char::from(b'a' + (number / 26_u64.pow(digit) % 26) as u8))
        .collect()
}

/// A custom section, which is allowed anywhere in a module and has no meaning: id 0, length, a name with its
/// length, content.
fn custom_section(number: u64) -> Vec<u8> {
    const NAME: &[u8] = b"soak";
    let content = number.to_le_bytes();
    let head = [0, (1 + NAME.len() + content.len()) as u8, NAME.len() as u8];
    [&head, NAME, &content].concat()
}

#[cfg(test)]
mod tests {
    use super::super::setting::STAMPS;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_differ() {
        let words: BTreeSet<String> = (0..26 * 26 * 3).map(word).collect();
        assert_eq!(words.len(), 26 * 26 * 3);
        assert_eq!((word(0), word(27)), ("aaaa".to_owned(), "aabb".to_owned()));
    }

    /// A component with another section before the module's.
    fn component(module: &[u8]) -> Vec<u8> {
        let section = [&[1], &*leb128(module.len()), module].concat();
        [
            b"\0asm\x0d\0\x01\0",
            &[0, 2, 1, b'a'][..],
            &section,
            &[0, 2, 1, b'z'],
        ]
        .concat()
    }

    fn versions(module: &[u8], stamp: Option<&'static Stamp>) -> Versions {
        let mut component = component(module);
        Versions {
            stamp: stamp.map(|stamp| (place(&mut component, stamp).expect("it is there"), stamp)),
            module: super::module(&component).expect("it is there"),
            component,
            made: 0,
        }
    }

    #[test]
    fn versions_differ_in_module_and_stamp() {
        for (stamp, before, words, after) in [
            (
                &STAMPS[0],
                "..Content-Typetext/plain..",
                ["text/aaaan", "text/aaabn"],
                "..content-typetext/aaabn..",
            ),
            (&STAMPS[1], "..X-Proxypace..", ["aaaa", "aaab"], "..x-frontaaab.."),
        ] {
            let mut versions = versions(before.as_bytes(), Some(stamp));
            let (first, second) = (versions.make(), versions.make());
            assert_ne!(first.sha256, second.sha256);
            assert_eq!(
                [first.stamp, second.stamp],
                words.map(|word| Some(word.to_owned()))
            );
            let section = b"\0\x0d\x04soak\x01\0\0\0\0\0\0\0";
            assert_eq!(second.bytes, component(&[after.as_bytes(), section].concat()));
        }
    }

    #[test]
    fn module_may_outgrow_the_encoding_of_its_length() {
        let mut versions = versions(&[7; 120], None);
        let version = versions.make();
        assert_eq!(
            version.bytes,
            component(&[&[7; 120], &*custom_section(0)].concat())
        );
        let (_, module) = super::module(&version.bytes).expect("it is still there");
        assert_eq!(module.len(), 120 + custom_section(0).len());
        assert!(super::module(b"\0asm\x0d\0\x01\0").is_err());
    }

    #[test]
    fn ambiguous_or_missing_stamp_is_an_error() {
        let place = |component: &[u8]| place(&mut component.to_vec(), &STAMPS[1]);
        assert!(place(b"X-Proxy").is_err());
        assert!(place(b"X-Proxypace X-Proxypace").is_err());
    }

    #[test]
    fn stamp_word_lies_in_the_value_behind_the_header() {
        for stamp in &STAMPS {
            assert!(stamp.word >= stamp.header.len() && stamp.word + 4 <= stamp.constant.len());
        }
    }

    #[test]
    fn hash_is_written_in_hexadecimal() {
        assert!(sha256(b"").starts_with("e3b0c44298fc1c14"));
    }
}
