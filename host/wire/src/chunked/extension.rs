//! `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`

use crate::connection::is_token;

/// The position in the extensions of a chunk's line, after the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// In white space, which only a semicolon may follow.
    BehindSize,
    BeforeName,
    Name,
    BehindName,
    BeforeValue,
    Value,
    Quoted,
    Escaped,
    BehindQuoted,
    BehindValue,
}

impl Extension {
    /// The position after the byte behind the size; `None` if no extension begins with it.
    pub(super) fn begin(byte: u8) -> Option<Extension> {
        Extension::BehindSize.step(byte)
    }

    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Extension::Name | Extension::Value | Extension::BehindQuoted)
    }

    /// The position after one more byte; `None` if the grammar has no such line.
    pub(super) fn step(self, byte: u8) -> Option<Extension> {
        use Extension as E;
        match (self, byte) {
            (E::BehindSize, b' ' | b'\t') => Some(E::BehindSize),
            (E::BehindSize, b';') => Some(E::BeforeName),
            (E::BeforeName, b' ' | b'\t') => Some(E::BeforeName),
            (E::BeforeName | E::Name, byte) if is_token(byte) => Some(E::Name),
            (E::Name | E::BehindName, b' ' | b'\t') => Some(E::BehindName),
            (E::Name | E::BehindName, b'=') => Some(E::BeforeValue),
            (E::BeforeValue, b' ' | b'\t') => Some(E::BeforeValue),
            (E::BeforeValue, b'"') => Some(E::Quoted),
            (E::BeforeValue | E::Value, byte) if is_token(byte) => Some(E::Value),
            (E::Quoted, b'"') => Some(E::BehindQuoted),
            (E::Quoted, b'\\') => Some(E::Escaped),
            (E::Quoted | E::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Some(E::Quoted),
            (E::Value | E::BehindQuoted | E::BehindValue, b' ' | b'\t') => Some(E::BehindValue),
            (E::Name | E::BehindName | E::Value | E::BehindQuoted | E::BehindValue, b';') => {
                Some(E::BeforeName)
            }
            _ => None,
        }
    }
}
