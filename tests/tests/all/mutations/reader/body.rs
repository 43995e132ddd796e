//! The end of a body (RFC 9112, section 6.3), and bodies in chunks (section 7.1).

use super::bytes::{decimal, elements, strict_line};
use super::fields::{Of, read_fields};
use super::{Fault, Fields, Quirk, Read, State, is_token, trim};

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Nothing,
    Length(u64),
    Chunks,
    UntilEnd,
}

/// The only number in all lines of Content-Length.
pub(super) fn length(fields: &Fields, quirks: &mut Vec<Quirk>) -> Result<Option<u64>, Fault> {
    let mut lengths = fields.all("content-length").flat_map(elements);
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    let number = decimal(first).ok_or(Fault::Length)?;
    for other in lengths {
        quirks.push(Quirk::RepeatedLength);
        if decimal(other) != Some(number) {
            return Err(Fault::Length);
        }
    }
    if first.len() > 1 && first.starts_with(b"0") {
        quirks.push(Quirk::LeadingZeros);
    }
    Ok(Some(number))
}

/// The codings in all lines of Transfer-Encoding, in lower case.
pub(super) fn codings(fields: &Fields, quirks: &mut Vec<Quirk>) -> Result<Option<Vec<Vec<u8>>>, Fault> {
    if !fields.has("transfer-encoding") {
        return Ok(None);
    }
    let list = fields.list("transfer-encoding");
    let written = fields.all("transfer-encoding").flat_map(elements);
    if written.count() > list.len() {
        quirks.push(Quirk::EmptyCoding);
    }
    let name =
        |coding: &Vec<u8>| trim(coding.split(|byte| *byte == b';').next().unwrap_or_default()).to_vec();
    let chunked = list.iter().position(|coding| name(coding) == b"chunked");
    let is_plain = |coding: &Vec<u8>| name(coding) != b"chunked" || coding == b"chunked";
    match list.is_empty()
        || !list
            .iter()
            .all(|coding| is_token(&name(coding)) && is_plain(coding))
        || chunked.is_some_and(|at| at + 1 != list.len())
    {
        true => Err(Fault::Coding),
        false => Ok(Some(list)),
    }
}

/// Reads the body that begins with these bytes into `read`. `ended` means that no bytes follow them.
pub(super) fn read_body<Head>(
    mut read: Read<Head>,
    bytes: &[u8],
    framing: Framing,
    ended: bool,
) -> Read<Head> {
    match framing {
        Framing::Nothing => read.ended(State::Whole),
        Framing::Length(length) => {
            let there = usize::try_from(length).map_or(bytes.len(), |length| length.min(bytes.len()));
            read.body = bytes[..there].to_vec();
            read.taken += there;
            match there as u64 == length {
                true => read.ended(State::Whole),
                false => read.ended(State::Partial),
            }
        }
        Framing::UntilEnd => {
            read.body = bytes.to_vec();
            read.taken += bytes.len();
            match ended {
                true => read.ended(State::Whole),
                false => read.ended(State::Partial),
            }
        }
        Framing::Chunks => match read_chunks(&mut read, bytes) {
            Ok(Some(taken)) => {
                read.taken += taken;
                read.ended(State::Whole)
            }
            Ok(None) => read.ended(State::Partial),
            Err(fault) => read.ended(State::Broken(fault)),
        },
    }
}

/// The length above which a chunk's line or trailers are unusual: longer ones have no use.
const LONG: usize = 256;

/// The length of the chunks and trailers, if they are complete.
fn read_chunks<Head>(read: &mut Read<Head>, bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let mut rest = bytes;
    loop {
        let Some(line) = strict_line(rest)? else {
            return early_fault(rest).map_or(Ok(None), Err);
        };
        let size = chunk_size(line.text, read)?;
        if line.text.len() > LONG {
            read.note(Quirk::LongLine);
        }
        rest = &rest[line.taken..];
        if size == 0 {
            let mut quirks = Vec::new();
            let trailers = read_fields(rest, Of::Request, &mut quirks)?;
            return Ok(trailers.map(|(trailers, taken)| {
                if taken > LONG {
                    read.note(Quirk::LongLine);
                }
                read.trailers = trailers;
                bytes.len() - rest.len() + taken
            }));
        }
        let there = usize::try_from(size).map_or(rest.len(), |size| size.min(rest.len()));
        read.body.extend_from_slice(&rest[..there]);
        rest = &rest[there..];
        if (there as u64) < size {
            return Ok(None);
        }
        match rest {
            [b'\r', b'\n', after @ ..] => rest = after,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(Fault::ChunkEnd),
        }
    }
}

/// A fault in a chunk's line before its end has come: the bytes that follow can be megabytes of data for
/// another reader.
fn early_fault(line: &[u8]) -> Option<Fault> {
    match line {
        [] | [b'\r'] => None,
        [first, ..] if !first.is_ascii_hexdigit() => Some(Fault::ChunkSize),
        _ => None,
    }
}

fn chunk_size<Head>(line: &[u8], read: &mut Read<Head>) -> Result<u64, Fault> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit());
    let (digits, extension) = line.split_at(digits.unwrap_or(line.len()));
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    if zeros > 0 && digits.len() > 1 {
        read.note(Quirk::LeadingZeros);
    }
    let text = str::from_utf8(digits).map_err(|_| Fault::ChunkSize)?;
    let size = u64::from_str_radix(text, 16).map_err(|_| Fault::ChunkSize)?;
    if extension
        .iter()
        .find(|byte| !b" \t".contains(byte))
        .is_some_and(|byte| *byte != b';')
    {
        return Err(Fault::ChunkSize);
    }
    match check_extension(extension, read) {
        Some(()) => Ok(size),
        None if trim(extension).is_empty() => Err(Fault::ChunkSize),
        None => Err(Fault::ChunkExtension),
    }
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`
fn check_extension<Head>(mut rest: &[u8], read: &mut Read<Head>) -> Option<()> {
    while !rest.is_empty() {
        rest = space(rest, read).strip_prefix(b";")?;
        rest = after_token(space(rest, read))?;
        if let Some(value) = space(rest, read).strip_prefix(b"=") {
            let value = space(value, read);
            rest = match value {
                [b'"', quoted @ ..] => after_quoted(quoted)?,
                token => after_token(token)?,
            };
        }
    }
    Some(())
}

fn space<'a, Head>(rest: &'a [u8], read: &mut Read<Head>) -> &'a [u8] {
    let spaces = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
    if spaces > 0 {
        read.note(Quirk::ChunkSpace);
    }
    &rest[spaces..]
}

fn after_token(rest: &[u8]) -> Option<&[u8]> {
    let end = rest
        .iter()
        .position(|byte| !is_token(&[*byte]))
        .unwrap_or(rest.len());
    (end > 0).then(|| &rest[end..])
}

/// The rest after the closing quote. The whole line has been checked for control bytes before.
fn after_quoted(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] | [_, after @ ..] => after,
            [] => return None,
        };
    }
}
