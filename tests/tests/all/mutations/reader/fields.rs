//! Field lines (RFC 9112, section 5), and the meaning of several fields together.

use super::bytes::{elements, line};
use super::{Fault, Quirk, is_token, trim};

/// Field lines in order: names in their spelling, values without the white space around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// The values of a name in any spelling.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let known = move |(known, _): &&(Vec<u8>, Vec<u8>)| known.eq_ignore_ascii_case(name.as_bytes());
        self.0.iter().filter(known).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The elements of a list, which may be in several lines, in lower case and without empty ones.
    pub(crate) fn list(&self, name: &str) -> Vec<Vec<u8>> {
        self.all(name)
            .flat_map(elements)
            .filter(|element| !element.is_empty())
            .map(<[u8]>::to_ascii_lowercase)
            .collect()
    }

    /// Whether a list has an element.
    pub(crate) fn lists(&self, name: &str, element: &str) -> bool {
        self.list(name).iter().any(|known| known == element.as_bytes())
    }
}

/// The kind of message whose fields are read: recipients have to be stricter with requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Request,
    Response,
}

/// Reads fields up to the empty line, and returns them with their length. `None` if they are not complete.
pub(super) fn read_fields(
    bytes: &[u8],
    of: Of,
    quirks: &mut Vec<Quirk>,
) -> Result<Option<(Fields, usize)>, Fault> {
    let mut fields = Fields::default();
    let mut taken = 0;
    loop {
        let Some(line) = line(&bytes[taken..]) else {
            return Ok(None);
        };
        line.check()?;
        match (line.quirk(), of) {
            (Some(_), Of::Request) => return Err(Fault::BareLineFeed),
            (Some(quirk), Of::Response) => quirks.push(quirk),
            (None, _) => {}
        }
        taken += line.taken;
        match line.text {
            [] => return Ok(Some((fields, taken))),
            [b' ' | b'\t', ..] => {
                let last = fields.0.last_mut().filter(|_| of == Of::Response);
                let (_, value) = last.ok_or(Fault::Fold)?;
                value.push(b' ');
                value.extend_from_slice(trim(line.text));
                quirks.push(Quirk::FoldedLine);
            }
            text => fields.0.push(field(text, of, quirks)?),
        }
    }
}

fn field(line: &[u8], of: Of, quirks: &mut Vec<Quirk>) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(Fault::FieldName)?;
    let (mut name, value) = (&line[..colon], &line[colon + 1..]);
    if of == Of::Response && trim(name) != name {
        quirks.push(Quirk::SpaceBeforeColon);
        name = trim(name);
    }
    match is_token(name) {
        true => Ok((name.to_vec(), trim(value).to_vec())),
        false => Err(Fault::FieldName),
    }
}
