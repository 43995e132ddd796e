//! Frames of HTTP/2 (RFC 9113) as a load reads and writes them.

use anyhow::{Context, Result, ensure};
use pace_kit::{Frame, flag, kind};

/// The bytes with which a client begins a connection.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most bytes of a frame's payload that a side sends unless the other has allowed more.
pub(super) const MAX_FRAME: usize = 16 << 10;

/// The length of a frame's header.
const HEADER: usize = 9;

/// The part of a frame that matters to a load.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The head of an answer, and whether the stream ends with it.
    Head { stream: u32, status: u16, ends: bool },
    /// Data of this length, and whether the stream ends with it.
    Data { stream: u32, length: usize, ends: bool },
    /// Settings of the proxy, each with its value.
    Settings(Vec<(u16, u32)>),
    /// More room in a window.
    Window { stream: u32, more: u32 },
    /// A question that must be answered with the same bytes.
    Ping(Vec<u8>),
    /// A frame that asks for nothing.
    Nothing,
}

/// Appends a frame.
pub(super) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame is small");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Reads frames that arrive in pieces.
#[derive(Default)]
pub(super) struct Reader {
    /// The beginning of a frame that is incomplete.
    partial: Vec<u8>,
}

impl Reader {
    /// Takes the next frame from the front of `bytes`; `None` if it is incomplete, with all bytes taken.
    ///
    /// # Errors
    ///
    /// The proxy has ended the stream or the connection, or the frame is none that an answer needs.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>> {
        if self.partial.is_empty()
            && let Some(length) = frame_length(bytes)?
            && let Some((frame, rest)) = bytes.split_at_checked(length)
        {
            *bytes = rest;
            return event(frame).map(Some);
        }
        for wanted in [|_: &[u8]| Ok(Some(HEADER)), frame_length] {
            let Some(wanted) = wanted(&self.partial)? else {
                break;
            };
            let missing = wanted.saturating_sub(self.partial.len()).min(bytes.len());
            let (taken, rest) = bytes.split_at(missing);
            self.partial.extend_from_slice(taken);
            *bytes = rest;
        }
        if frame_length(&self.partial)? != Some(self.partial.len()) {
            return Ok(None);
        }
        let event = event(&self.partial);
        self.partial.clear();
        event.map(Some)
    }
}

/// The length of the frame that begins here, if its header is complete.
fn frame_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some([a, b, c, ..]) = bytes.get(..HEADER) else {
        return Ok(None);
    };
    let payload = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    ensure!(payload <= MAX_FRAME, "a frame has {payload} bytes");
    Ok(Some(HEADER + payload))
}

/// Reads a complete frame.
fn event(frame: &[u8]) -> Result<Event> {
    let (header, payload) = frame.split_at(HEADER);
    let (kind, flags) = (header[3], header[4]);
    let number = |bytes: &[u8]| {
        let bytes: Option<&[u8; 4]> = bytes.first_chunk();
        bytes
            .map(|bytes| u32::from_be_bytes(*bytes))
            .context("a frame is too short")
    };
    let stream = number(&header[5..])? & 0x7fff_ffff;
    Ok(match kind {
        kind::DATA => Event::Data {
            stream,
            length: payload.len(),
            ends: flags & flag::END_STREAM != 0,
        },
        kind::HEADERS => Event::Head {
            stream,
            status: status(flags, stream, payload)?,
            ends: flags & flag::END_STREAM != 0,
        },
        kind::SETTINGS if flags & flag::ACK != 0 => Event::Nothing,
        kind::SETTINGS => {
            let settings = payload.chunks_exact(6);
            let setting = |bytes: &[u8]| Ok((u16::from_be_bytes([bytes[0], bytes[1]]), number(&bytes[2..])?));
            Event::Settings(settings.map(setting).collect::<Result<_>>()?)
        }
        kind::WINDOW_UPDATE => Event::Window {
            stream,
            more: number(payload)?,
        },
        kind::PING if flags & flag::ACK == 0 => Event::Ping(payload.to_vec()),
        kind::RST_STREAM => anyhow::bail!("a stream was ended with error {}", number(payload)?),
        kind::GOAWAY => anyhow::bail!(
            "the connection was ended with error {}",
            number(payload.get(4..).unwrap_or_default())?
        ),
        kind::PUSH_PROMISE | kind::CONTINUATION => anyhow::bail!("a frame of kind {kind} cannot be measured"),
        _ => Event::Nothing,
    })
}

/// The status at the beginning of a block of fields.
fn status(flags: u8, stream: u32, block: &[u8]) -> Result<u16> {
    /// The block begins with entry 8 of the static table, `:status: 200`, as nearly always.
    const OK: u8 = 0x88;
    /// The flags of a head with priority or padding, which servers have no use for.
    const UNUSUAL: u8 = 0x20 | flag::PADDED;
    ensure!(
        flags & flag::END_HEADERS != 0 && flags & UNUSUAL == 0,
        "a head with flags {flags:#x} cannot be measured"
    );
    if block.first() == Some(&OK) {
        return Ok(200);
    }
    let frame = Frame::new(kind::HEADERS, flags, stream, block);
    frame.status().context("a head has no status that can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(reader: &mut Reader, mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = reader.take(&mut bytes).expect("these are frames") {
            events.push(event);
        }
        assert!(bytes.is_empty());
        events
    }

    #[test]
    fn frames_in_pieces_are_read_as_in_one() {
        let mut bytes = Vec::new();
        write(&mut bytes, kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
        write(&mut bytes, kind::HEADERS, flag::END_HEADERS, 1, &[0x88, 0x0f]);
        write(&mut bytes, kind::DATA, flag::END_STREAM, 1, b"hello");
        write(&mut bytes, kind::WINDOW_UPDATE, 0, 3, &[0, 0, 1, 0]);
        write(&mut bytes, kind::PING, 0, 0, b"12345678");
        write(&mut bytes, kind::SETTINGS, flag::ACK, 0, b"");
        write(
            &mut bytes,
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            5,
            &[0x20, 0x8e],
        );
        let expected = || {
            vec![
                Event::Settings(vec![(4, 1 << 16)]),
                Event::Head {
                    stream: 1,
                    status: 200,
                    ends: false,
                },
                Event::Data {
                    stream: 1,
                    length: 5,
                    ends: true,
                },
                Event::Window { stream: 3, more: 256 },
                Event::Ping(b"12345678".to_vec()),
                Event::Nothing,
                Event::Head {
                    stream: 5,
                    status: 500,
                    ends: true,
                },
            ]
        };
        for cut in 0..bytes.len() {
            let mut reader = Reader::default();
            let (first, second) = bytes.split_at(cut);
            let mut found = events(&mut reader, first);
            found.extend(events(&mut reader, second));
            assert_eq!(found, expected(), "{cut}");
        }
        let mut reader = Reader::default();
        let found: Vec<Event> = bytes
            .iter()
            .flat_map(|byte| events(&mut reader, &[*byte]))
            .collect();
        assert_eq!(found, expected());
    }

    #[test]
    fn frame_that_ends_a_stream_or_connection_is_an_error() {
        for (kind, payload, said) in [
            (
                kind::RST_STREAM,
                &[0, 0, 0, 7][..],
                "stream was ended with error 7",
            ),
            (
                kind::GOAWAY,
                &[0, 0, 0, 0, 0, 0, 0, 11],
                "connection was ended with error 11",
            ),
            (kind::GOAWAY, &[0, 0, 0, 0], "too short"),
            (kind::CONTINUATION, &[], "cannot be measured"),
        ] {
            let mut bytes = Vec::new();
            write(&mut bytes, kind, 0, 1, payload);
            let error = Reader::default().take(&mut &bytes[..]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let huge = [1, 0, 0, kind::DATA, 0, 0, 0, 0, 1];
        assert!(Reader::default().take(&mut &huge[..]).is_err());
    }
}
