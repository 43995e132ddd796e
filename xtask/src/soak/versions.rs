//! Versions of a default plugin: they do the same, and no two have the same bytes.

use crate::cargo;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs;

/// A plugin's file.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) bytes: Vec<u8>,
    /// In hexadecimal digits, as the admin API shows it.
    pub(crate) sha256: String,
    /// What it writes into requests and responses, if it is one of those that do.
    pub(crate) stamp: Option<String>,
}

/// An endless supply of versions of one plugin.
pub(crate) struct Versions {
    component: Vec<u8>,
    /// Where the component has the text that tells its versions apart.
    stamp: Option<usize>,
    made: u64,
}

/// How `header-injection` says who served: the name of a header, which both requests and responses get, and
/// its value. They lie side by side among its constants.
const IDENTITY: (&[u8], &[u8]) = (b"X-Proxy", b"pace");

impl Versions {
    /// Of a default plugin, as `cargo xtask plugins` builds it. Each says a word of its own in this header if there
    /// is one, which only `header-injection` can have: seven characters, in place of `X-Proxy`.
    pub(crate) fn of(plugin: &str, header: Option<&str>) -> Result<Versions> {
        let file = cargo::root()
            .join("target/plugins")
            .join(plugin)
            .with_extension("wasm");
        let mut component = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let stamp = match header {
            Some(header) => Some(rename(&mut component, header)?),
            None => None,
        };
        Ok(Versions {
            component,
            stamp,
            made: 0,
        })
    }

    /// One that has not been there yet.
    pub(crate) fn make(&mut self) -> Version {
        let number = self.made;
        self.made += 1;
        let mut bytes = self.component.clone();
        let stamp = self.stamp.map(|place| {
            let word = word(number);
            bytes[place..place + word.len()].copy_from_slice(word.as_bytes());
            word
        });
        append_custom_section(&mut bytes, number);
        Version {
            sha256: sha256(&bytes),
            bytes,
            stamp,
        }
    }
}

/// In hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Has it say its word in this header. Returns where it has the word.
fn rename(component: &mut [u8], header: &str) -> Result<usize> {
    let (name, word) = (IDENTITY.0, stamp_place(component)?);
    ensure!(
        header.len() == name.len(),
        "{header} has another length than X-Proxy"
    );
    component[word - name.len()..word].copy_from_slice(header.as_bytes());
    Ok(word)
}

fn stamp_place(component: &[u8]) -> Result<usize> {
    let constant = [IDENTITY.0, IDENTITY.1].concat();
    let mut places = component
        .windows(constant.len())
        .enumerate()
        .filter(|(_, window)| *window == constant)
        .map(|(place, _)| place + IDENTITY.0.len());
    let place = places
        .next()
        .context("header-injection does not hold its X-Proxy header where it is looked for")?;
    ensure!(
        places.next().is_none(),
        "header-injection holds its X-Proxy header twice"
    );
    Ok(place)
}

/// Four letters, one word for each number below 456,976.
fn word(number: u64) -> String {
    (0..4)
        .rev()
        .map(|digit| char::from(b'a' + (number / 26_u64.pow(digit) % 26) as u8))
        .collect()
}

/// A custom section is allowed anywhere in a component and means nothing: id 0, length, a name with its
/// length, content.
fn append_custom_section(component: &mut Vec<u8>, number: u64) {
    const NAME: &[u8] = b"soak";
    let content = number.to_le_bytes();
    component.extend([0, (1 + NAME.len() + content.len()) as u8, NAME.len() as u8]);
    component.extend(NAME);
    component.extend(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_differ() {
        let words: BTreeSet<String> = (0..26 * 26 * 3).map(word).collect();
        assert_eq!(words.len(), 26 * 26 * 3);
        assert_eq!((word(0), word(27)), ("aaaa".to_owned(), "aabb".to_owned()));
    }

    #[test]
    fn each_version_has_its_own_bytes_and_stamp() {
        let mut component = b"\0asm\x0d\0\x01\0..X-Proxypace..".to_vec();
        let mut versions = Versions {
            stamp: rename(&mut component, "x-front").ok(),
            component,
            made: 0,
        };
        let (first, second) = (versions.make(), versions.make());
        assert_ne!(first.sha256, second.sha256);
        assert_eq!(first.stamp.as_deref(), Some("aaaa"));
        assert_eq!(
            second.bytes,
            b"\0asm\x0d\0\x01\0..x-frontaaab..\0\x0d\x04soak\x01\0\0\0\0\0\0\0"
        );
    }

    #[test]
    fn the_place_of_the_stamp_must_be_clear() {
        assert!(stamp_place(b"X-Proxy").is_err());
        assert!(rename(&mut b"X-Proxypace".to_vec(), "x-long-name").is_err());
        assert!(stamp_place(b"X-Proxypace X-Proxypace").is_err());
    }

    #[test]
    fn hashes_are_hexadecimal() {
        assert!(sha256(b"").starts_with("e3b0c44298fc1c14"));
    }
}
