//! WebSockets (RFC 6455) over TLS, frame by frame.

use std::io::{self, Read, Write};

use pace_tests::{Authority, Line, Scripted, Signal, Tls, TlsVersion, Wire};

use super::one;

/// The key and its answer in section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A whole message in one frame (section 5.2). Clients mask theirs.
fn frame(opcode: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => frame.push(masked | length as u8),
        length @ 126..=0xffff => {
            frame.push(masked | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(masked | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    frame
}

/// Reads a frame: its opcode, and its payload without the mask.
fn read_frame(mut bytes: impl FnMut(usize) -> io::Result<Vec<u8>>) -> io::Result<(u8, Vec<u8>)> {
    let head = bytes(2)?;
    let length = match head[1] & 0x7f {
        126 => bytes(2)?
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)),
        127 => bytes(8)?
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)),
        length => usize::from(length),
    };
    let mask = if head[1] & 0x80 == 0 {
        vec![0; 4]
    } else {
        bytes(4)?
    };
    let payload = bytes(length)?;
    let payload = payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]);
    Ok((head[0] & 0xf, payload.collect()))
}

/// Echoes messages, answers PING, and closes when it is asked to.
fn echo(line: &mut Line) -> io::Result<()> {
    let head = line.head()?.unwrap_or_default();
    let has = |field: &str| head.to_ascii_lowercase().contains(&field.to_ascii_lowercase());
    assert!(
        has(&format!("Sec-WebSocket-Key: {KEY}\r\n")) && has("Sec-WebSocket-Version: 13\r\n"),
        "{head}"
    );
    assert!(
        has("Upgrade: websocket\r\n") && has("Connection: Upgrade\r\n"),
        "{head}"
    );
    line.write(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    ))?;
    loop {
        let (opcode, payload) = read_frame(|count| line.bytes(count))?;
        match opcode {
            CLOSE => {
                line.write(frame(CLOSE, None, &payload))?;
                return Ok(());
            }
            PING => line.write(frame(PONG, None, &payload))?,
            opcode => line.write(frame(opcode, None, &payload))?,
        }
    }
}

struct Socket(Wire);

impl Socket {
    fn open(pace: &pace_tests::Pace, tls: &Tls) -> Socket {
        let stream = std::net::TcpStream::connect(pace.address()).expect("Pace listens");
        stream
            .set_read_timeout(Some(pace_tests::DEADLINE))
            .expect("it is a socket");
        let mut wire = tls.connect(stream).expect("the handshake succeeds");
        write!(
            wire,
            "GET /chat HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .expect("Pace reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            wire.read_exact(&mut byte).expect("the answer comes");
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(
            head.contains(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n")),
            "{head}"
        );
        Socket(wire)
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) {
        let frame = frame(opcode, Some([0x37, 0xfa, 0x21, 0x3d]), payload);
        self.0.write_all(&frame).expect("Pace reads");
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let frame = read_frame(|count| {
            let mut bytes = vec![0; count];
            self.0.read_exact(&mut bytes)?;
            Ok(bytes)
        });
        frame.expect("a frame comes")
    }
}

#[test]
fn messages_of_every_size_pass_both_ways_until_the_end() {
    let backend = Scripted::new(echo);
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    for version in [TlsVersion::V12, TlsVersion::V13] {
        let mut socket = Socket::open(&pace, &Tls::only(&authority, "a.test", version));
        for size in [0, 1, 125, 126, 0xffff, 0x1_0000, 300_000] {
            let text = vec![b'x'; size];
            socket.send(TEXT, &text);
            assert!(socket.receive() == (TEXT, text), "{size} bytes with {version:?}");
        }
        // Many frames before the first is read.
        for nth in 0..100_u8 {
            socket.send(PING, &[nth]);
        }
        for nth in 0..100_u8 {
            assert_eq!(socket.receive(), (PONG, vec![nth]));
        }
        socket.send(CLOSE, &1000_u16.to_be_bytes());
        assert_eq!(socket.receive(), (CLOSE, 1000_u16.to_be_bytes().to_vec()));
        let mut rest = Vec::new();
        socket.0.read_to_end(&mut rest).expect("the end is said in order");
        assert_eq!(rest, b"");
    }
}

#[test]
fn socket_goes_on_while_the_certificate_is_replaced_and_the_process_ends() {
    let backend = Scripted::new(echo);
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut socket = Socket::open(&pace, &Tls::new(&authority, "a.test"));
    authority.issue(&["a.test"]).write(pace.directory(), "a");
    pace.wait_for_log(&["INFO", "the certificates are taken"]);
    socket.send(TEXT, b"still here");
    assert_eq!(socket.receive(), (TEXT, b"still here".to_vec()));
    pace.signal(Signal::TERM);
    pace_tests::wait_until("the end of accepting", || !pace.accepts());
    socket.send(TEXT, b"and here");
    assert_eq!(socket.receive(), (TEXT, b"and here".to_vec()));
    socket.send(CLOSE, b"");
    assert_eq!(socket.receive(), (CLOSE, Vec::new()));
    assert_eq!(pace.wait().code, Some(0));
}
