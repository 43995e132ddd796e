//! The trailer section, which may follow the last chunk.

use super::Fault;
use crate::fields::{Fields, Span, TooLarge, is_value};
use crate::known::Known;
use crate::request::Underscores;
use crate::scan::HeadScan;

/// The trailer section while it arrives.
#[derive(Debug, Default)]
pub(super) struct TrailerSection {
    /// `None` until something other than the empty line comes; nearly always nothing does.
    section: Option<Box<Section>>,
    underscores: Underscores,
}

#[derive(Debug, Default)]
struct Section {
    scan: HeadScan,
    text: Vec<u8>,
    fields: Fields,
}

/// The most bytes and lines of a trailer section.
const MAX_BYTES: usize = 16 << 10;
const MAX_LINES: usize = 64;

impl TrailerSection {
    pub(super) fn new(underscores: Underscores) -> TrailerSection {
        TrailerSection {
            section: None,
            underscores,
        }
    }

    /// Reads on. Returns how many bytes belong to the section, and whether it has ended.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        if self.section.is_none() && bytes.starts_with(b"\r\n") {
            return Ok((2, true));
        }
        let section = self.section.get_or_insert_default();
        let before = section.text.len();
        let room = (MAX_BYTES - before).min(bytes.len());
        section.text.extend_from_slice(&bytes[..room]);
        match section.scan.advance(&section.text) {
            Ok(Some(end)) => {
                section.text.truncate(end);
                section.parse(self.underscores)?;
                Ok((end - before, true))
            }
            Ok(None) if section.text.len() < MAX_BYTES => Ok((room, false)),
            _ => Err(Fault::Trailer),
        }
    }

    pub(super) fn fields_mut(&mut self) -> Option<&mut Fields> {
        self.section
            .as_deref_mut()
            .map(|section| &mut section.fields)
            .filter(|fields| !fields.is_empty())
    }

    pub(super) fn fields(&self) -> Option<&Fields> {
        self.section
            .as_deref()
            .map(|section| &section.fields)
            .filter(|fields| !fields.is_empty())
    }
}

impl Section {
    fn parse(&mut self, underscores: Underscores) -> Result<(), Fault> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
        let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(&self.text, &mut lines)
        else {
            return Err(Fault::Trailer);
        };
        self.fields.begin(&self.text);
        for line in lines {
            if !passes(line.name, underscores)? {
                continue;
            }
            self.fields.push(
                Span::within(&self.text, line.name.as_bytes()),
                Span::within(&self.text, line.value),
            );
        }
        Ok(())
    }
}

/// The trailers of a stream of HTTP/2, by the same rules.
pub fn of_stream<'a>(
    trailers: impl Iterator<Item = (&'a str, &'a [u8])>,
    underscores: Underscores,
) -> Result<Fields, Fault> {
    let mut fields = Fields::new();
    for (count, (name, value)) in trailers.enumerate() {
        if count == MAX_LINES || !is_value(value) {
            return Err(Fault::Trailer);
        }
        if passes(name, underscores)? {
            fields.append(name, value).map_err(|TooLarge| Fault::Trailer)?;
        }
    }
    Ok(fields)
}

fn passes(name: &str, underscores: Underscores) -> Result<bool, Fault> {
    if underscores != Underscores::Pass && name.contains('_') {
        return match underscores {
            Underscores::Refuse => Err(Fault::Trailer),
            Underscores::Drop | Underscores::Pass => Ok(false),
        };
    }
    Ok(may_be_trailer(name))
}

/// Whether a field may come after a body. Fields that frame, route, modify or authenticate a message, or say
/// how to read its content, may not (RFC 9110, section 6.5.1): a recipient that merged them into the head
/// would read another message.
fn may_be_trailer(name: &str) -> bool {
    const NEVER: [&str; 16] = [
        "age",
        "authorization",
        "cache-control",
        "cookie",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "pragma",
        "range",
        "set-cookie",
        "vary",
        "www-authenticate",
    ];
    let begins = |start: &str| {
        name.get(..start.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(start))
    };
    Known::in_any_spelling(name.as_bytes()) == Known::Other
        && !begins("content-")
        && !begins("proxy-")
        && !begins("x-forwarded-")
        && !NEVER.iter().any(|never| name.eq_ignore_ascii_case(never))
}
