//! HTTP/2 frame by frame (RFC 9113), for clients and backends that break the protocol.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::{DEADLINE, Tls, Wire};

/// The types of frames (section 6).
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub mod flag {
    pub const NONE: u8 = 0;
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
}

/// Identifiers of settings (section 6.5.2).
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
}

/// The bytes with which a client begins a connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// Some of [`flag`].
    pub flags: u8,
    /// The stream, or 0 for the connection.
    pub stream: u32,
    /// The content.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Creates a frame of any kind.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// Settings, each with its value.
    pub fn settings(settings: &[(u16, u32)]) -> Frame {
        let mut payload = Vec::new();
        for (identifier, value) in settings {
            payload.extend_from_slice(&identifier.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        Frame::new(kind::SETTINGS, flag::NONE, 0, payload)
    }

    /// The whole head of a request: a method, a path, and further fields. `flags` are added to END_HEADERS.
    pub fn request(stream: u32, flags: u8, method: &str, path: &str, fields: &[(&str, &str)]) -> Frame {
        let mut all = vec![
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "a"),
        ];
        all.extend_from_slice(fields);
        Frame::new(kind::HEADERS, flag::END_HEADERS | flags, stream, block(&all))
    }

    /// A GET without further fields.
    pub fn get(stream: u32, path: &str) -> Frame {
        Frame::request(stream, flag::END_STREAM, "GET", path, &[])
    }

    /// The whole head of a response. `flags` are added to END_HEADERS.
    pub fn response(stream: u32, flags: u8, status: &str, fields: &[(&str, &str)]) -> Frame {
        let mut all = vec![(":status", status)];
        all.extend_from_slice(fields);
        Frame::new(kind::HEADERS, flag::END_HEADERS | flags, stream, block(&all))
    }

    /// The end of a connection: no stream behind this one has been looked at.
    pub fn goaway(last: u32, error: u32) -> Frame {
        let payload = [last.to_be_bytes(), error.to_be_bytes()].concat();
        Frame::new(kind::GOAWAY, flag::NONE, 0, payload)
    }

    /// Data of a body.
    pub fn data(stream: u32, flags: u8, data: impl Into<Vec<u8>>) -> Frame {
        Frame::new(kind::DATA, flags, stream, data)
    }

    /// The end of a stream before its time.
    pub fn reset(stream: u32, error: u32) -> Frame {
        Frame::new(kind::RST_STREAM, flag::NONE, stream, error.to_be_bytes())
    }

    /// Room in a window.
    pub fn window(stream: u32, more: u32) -> Frame {
        Frame::new(kind::WINDOW_UPDATE, flag::NONE, stream, more.to_be_bytes())
    }

    /// Whether the frame ends its stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }

    /// The error in RST_STREAM and GOAWAY.
    pub fn error(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().expect("they are four")))
    }

    /// The status in HEADERS, which is the first field of a block (section 8.3). Blocks of encoders that know the
    /// static table are understood: an entry of it, or its name with a value.
    pub fn status(&self) -> Option<u16> {
        if self.kind != kind::HEADERS {
            return None;
        }
        // Blocks may begin with changes of the table's size (RFC 7541, section 6.3).
        let mut block = &self.payload[..];
        while block.first().is_some_and(|first| first >> 5 == 1) {
            let more = block[0] & 0x1f == 0x1f;
            block = &block[1..];
            if more {
                let end = block.iter().position(|byte| byte & 0x80 == 0)?;
                block = &block[end + 1..];
            }
        }
        match block {
            [entry @ 0x88..=0x8e, ..] => Some([200, 204, 206, 304, 400, 404, 500][usize::from(entry - 0x88)]),
            [0x48 | 0x08 | 0x18, length, value @ ..] => {
                let value = value.get(..usize::from(length & 0x7f))?;
                match length & 0x80 {
                    0 => str::from_utf8(value).ok()?.parse().ok(),
                    _ => digits(value),
                }
            }
            _ => None,
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len()).expect("a frame is short");
        bytes.extend_from_slice(&length.to_be_bytes()[1..]);
        bytes.extend_from_slice(&[self.kind, self.flags]);
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
    }
}

/// The three digits of a status in Huffman's code (RFC 7541, appendix B): 0 to 2 have 5 bits, the others 6.
fn digits(value: &[u8]) -> Option<u16> {
    let mut bits = value
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut status = 0;
    for _ in 0..3 {
        let mut take = |count: usize| bits.by_ref().take(count).fold(0, |code, bit| code << 1 | bit);
        let digit = match take(5) {
            code @ 0..=2 => code,
            code => (code << 1 | take(1)).checked_sub(0x19)? + 3,
        };
        status = status * 10 + digit;
    }
    Some(status)
}

/// Fields as literals without indexing and without compression (RFC 7541, section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..0x7f => block.push(length as u8),
        length => {
            block.push(0x7f);
            let mut rest = length - 0x7f;
            while rest >= 0x80 {
                block.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            block.push(rest as u8);
        }
    }
    block.extend_from_slice(text.as_bytes());
}

/// A connection on which a client or a backend sends any frames.
pub struct Frames {
    wire: Wire,
    bytes: Vec<u8>,
    /// Frames that were read while others were looked for.
    seen: VecDeque<Frame>,
}

impl Frames {
    /// Connects with prior knowledge, and sends preface and settings.
    pub fn connect(to: SocketAddr, settings: &[(u16, u32)]) -> Frames {
        let stream = TcpStream::connect(to).expect("Pace listens");
        Frames::begin(Wire::Plain(stream), settings)
    }

    /// Connects with TLS, and sends preface and settings.
    pub fn connect_tls(to: SocketAddr, tls: &Tls, settings: &[(u16, u32)]) -> Frames {
        let stream = TcpStream::connect(to).expect("Pace listens");
        let wire = tls.clone().alpn(&["h2"]).connect(stream);
        Frames::begin(wire.expect("the handshake succeeds"), settings)
    }

    /// Reads the preface of a client, and sends nothing.
    ///
    /// # Errors
    ///
    /// If the client ends the connection, or speaks another protocol.
    pub fn accept(stream: TcpStream) -> io::Result<Frames> {
        let mut frames = Frames::of(Wire::Plain(stream));
        let mut preface = [0; PREFACE.len()];
        frames.wire.read_exact(&mut preface)?;
        match preface == *PREFACE {
            true => Ok(frames),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn of(wire: Wire) -> Frames {
        let socket = wire.socket();
        socket.set_nodelay(true).expect("it is a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("it is a socket");
        socket.set_write_timeout(Some(DEADLINE)).expect("it is a socket");
        Frames {
            wire,
            bytes: Vec::new(),
            seen: VecDeque::new(),
        }
    }

    /// Goes on on a connection of which nothing has been said.
    pub fn begin(wire: Wire, settings: &[(u16, u32)]) -> Frames {
        let mut frames = Frames::of(wire);
        let mut bytes = PREFACE.to_vec();
        Frame::settings(settings).encode(&mut bytes);
        frames.wire.write_all(&bytes).expect("Pace reads");
        frames
    }

    /// Sends frames at once.
    ///
    /// # Errors
    ///
    /// If the other side has ended the connection.
    pub fn try_send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.encode(&mut bytes);
        }
        self.wire.write_all(&bytes)
    }

    /// Sends frames at once.
    pub fn send(&mut self, frames: &[Frame]) {
        self.try_send(frames).expect("the connection is open");
    }

    /// Waits for the next frame; `None` if the connection has ended.
    pub fn read(&mut self) -> Option<Frame> {
        self.seen.pop_front().or_else(|| self.receive())
    }

    /// Waits for a frame of this kind on this stream, and leaves the others to be read later.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub fn wait_for(&mut self, kind: u8, stream: u32) -> Frame {
        let is_it = |frame: &Frame| (frame.kind, frame.stream) == (kind, stream);
        if let Some(at) = self.seen.iter().position(is_it) {
            return self.seen.remove(at).expect("it was found");
        }
        loop {
            let Some(frame) = self.receive() else {
                panic!(
                    "the connection ended before a frame {kind} on stream {stream}: {:?}",
                    self.seen
                );
            };
            if is_it(&frame) {
                return frame;
            }
            self.seen.push_back(frame);
        }
    }

    /// Waits for the end of the connection, and returns the frames until then.
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.read()).collect()
    }

    /// The connection below.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut bytes = [0; 16 << 10];
            match self.wire.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.bytes.extend_from_slice(&bytes[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("neither a frame nor the end came: {:?}", self.seen)
                }
                Err(_) => return None,
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head = self.bytes.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let payload = self.bytes.get(9..9 + length)?.to_vec();
        self.bytes.drain(..9 + length);
        Some(Frame::new(kind, flags, stream, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(block: &[u8]) -> Option<u16> {
        Frame::new(kind::HEADERS, flag::END_HEADERS, 1, block).status()
    }

    #[test]
    fn status_is_read_in_every_spelling_of_encoders() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x8d, 0]), Some(404));
        assert_eq!(status(&[0x20, 0x8c]), Some(400));
        assert_eq!(status(&[0x3f, 0xe1, 0x1f, 0x8c]), Some(400));
        assert_eq!(status(b"\x48\x03421"), Some(421));
        // RFC 7541, appendix C.6: "302" and "307".
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
    }

    #[test]
    fn strings_of_any_length_have_their_length_before_them() {
        let mut block = Vec::new();
        string(&mut block, &"a".repeat(1337 + 127 - 31));
        // RFC 7541, appendix C.1.2, with a prefix of 7 bits.
        assert_eq!(&block[..3], &[0x7f, 0x9a, 0x0a]);
    }
}
