//! A load of HTTP/2: many requests at once on each connection.

use super::connection::Done;
use super::fields::Requests;
use super::frames::{self, Event, MAX_FRAME, PREFACE, Reader};
use super::reactor::Reactor;
use super::socket::Socket;
use super::tls::Client;
use super::{Load, Until};
use crate::proxies::backend::{BUFFER, Backends};
use crate::proxies::http::Shape;
use anyhow::{Context, Result, bail, ensure};
use mio::{Registry, Token};
use pace_kit::{flag, kind, setting};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Connections with a fixed number of streams, driven by one thread. Each stream is replaced as soon as it is answered.
pub(crate) struct Streams<'b> {
    reactor: Reactor<'b>,
    connections: Vec<Connection>,
    /// The streams of a connection.
    streams: usize,
    requests: Requests,
    buffer: Vec<u8>,
    /// The answers since the last event.
    answers: Vec<(u16, Instant)>,
}

impl<'b> Streams<'b> {
    /// Opens the connections.
    pub(super) fn connect(
        address: SocketAddr,
        connections: usize,
        streams: usize,
        shape: &Shape,
        backends: Option<&'b mut Backends>,
    ) -> Result<Streams<'b>> {
        let reactor = Reactor::new(connections, backends)?;
        let tls = shape.tls.as_ref().context("HTTP/2 is measured with TLS")?;
        let tls = Client::new(tls, "h2")?;
        let open = |index| Connection::open(address, reactor.registry(), Token(index), &tls, streams);
        Ok(Streams {
            connections: (0..connections).map(open).collect::<Result<_>>()?,
            reactor,
            streams,
            requests: Requests::new(shape),
            buffer: vec![0; BUFFER],
            answers: Vec::with_capacity(streams),
        })
    }

    /// Keeps every stream busy until then, and waits for the last answers.
    ///
    /// # Errors
    ///
    /// A stream or connection was ended, an answer is malformed, or no more answers come.
    pub(super) fn drive(&mut self, until: Until) -> Result<Load> {
        let mut load = Load::default();
        let start = Instant::now();
        let mut sent = 0;
        let mut busy = 0;
        for connection in &mut self.connections {
            for _ in 0..self.streams {
                connection.begin(&self.requests, Instant::now())?;
                sent += 1;
                busy += 1;
            }
            connection.send(&self.requests)?;
        }
        while busy > 0 {
            self.reactor.wait()?;
            for event in &self.reactor.events {
                let Some(connection) = self.connections.get_mut(event.token().0) else {
                    continue;
                };
                connection.receive(&mut self.buffer, &mut self.answers)?;
                let now = Instant::now();
                for (status, since) in self.answers.drain(..) {
                    load.count(Done::Answer(status), now - since);
                    if until.wants_more(now - start, sent) {
                        connection.begin(&self.requests, now)?;
                        sent += 1;
                    } else {
                        busy -= 1;
                    }
                }
                connection.send(&self.requests)?;
            }
        }
        load.elapsed = start.elapsed();
        Ok(load)
    }
}

/// The room of every window that this side announces: more than any answer.
const WINDOW: u32 = 1 << 20;

/// The room of the window of the whole connection, which is refilled when half of it is used.
const CONNECTION_WINDOW: u32 = 1 << 30;

/// The room of a window that no side has changed.
const INITIAL_WINDOW: i64 = 65_535;

/// The smallest table in which the fields of a request stay.
const TABLE: u32 = 4096;

/// The identifier of the setting of the most streams (RFC 9113, section 6.5.2).
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// One connection of HTTP/2.
struct Connection {
    socket: Socket,
    reader: Reader,
    /// The frames that are to be sent next.
    out: Vec<u8>,
    /// The number of the next stream.
    next: u32,
    streams: HashMap<u32, Stream>,
    /// The streams whose body has not been framed to its end.
    uploads: Vec<u32>,
    /// The room for data on the whole connection.
    window: i64,
    /// The room for data on a new stream.
    stream_window: i64,
    /// The bytes of data that came since the last refill.
    received: u32,
    /// The number of streams that the proxy has to allow.
    wanted: usize,
}

/// A request that is not answered yet.
struct Stream {
    since: Instant,
    /// The number of bytes of the body that were framed.
    framed: usize,
    window: i64,
    status: Option<u16>,
}

impl Connection {
    fn open(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        tls: &Client,
        wanted: usize,
    ) -> Result<Connection> {
        let mut out = PREFACE.to_vec();
        let mut settings = Vec::new();
        for (name, value) in [(setting::ENABLE_PUSH, 0), (setting::INITIAL_WINDOW_SIZE, WINDOW)] {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&u32::to_be_bytes(value));
        }
        frames::write(&mut out, kind::SETTINGS, flag::NONE, 0, &settings);
        frames::write(
            &mut out,
            kind::WINDOW_UPDATE,
            flag::NONE,
            0,
            &CONNECTION_WINDOW.to_be_bytes(),
        );
        Ok(Connection {
            socket: Socket::open(address, registry, token, Some(tls))?,
            reader: Reader::default(),
            out,
            next: 1,
            streams: HashMap::new(),
            uploads: Vec::new(),
            window: INITIAL_WINDOW,
            stream_window: INITIAL_WINDOW,
            received: 0,
            wanted,
        })
    }

    /// Begins a request. [`Connection::send`] sends it.
    fn begin(&mut self, requests: &Requests, since: Instant) -> Result<()> {
        let stream = self.next;
        ensure!(stream <= u32::MAX >> 1, "a connection has no streams left");
        self.next += 2;
        let head = match stream {
            1 => &requests.first,
            _ => &requests.further,
        };
        let flags = match requests.body.len() {
            0 => flag::END_HEADERS | flag::END_STREAM,
            _ => {
                self.uploads.push(stream);
                flag::END_HEADERS
            }
        };
        frames::write(&mut self.out, kind::HEADERS, flags, stream, head);
        let window = self.stream_window;
        self.streams.insert(
            stream,
            Stream {
                since,
                framed: 0,
                window,
                status: None,
            },
        );
        Ok(())
    }

    /// Sends all that the windows have room for.
    fn send(&mut self, requests: &Requests) -> Result<()> {
        let Connection {
            uploads,
            streams,
            window,
            out,
            socket,
            ..
        } = self;
        uploads.retain(|id| match streams.get_mut(id) {
            Some(stream) => !stream.frame(*id, &requests.body, window, out),
            None => false,
        });
        if !out.is_empty() {
            socket.send(out)?;
            out.clear();
        }
        Ok(())
    }

    /// Continues sending, and reads the frames that have arrived. Appends each answer to `answers`, with the time of its
    /// request.
    fn receive(&mut self, buffer: &mut [u8], answers: &mut Vec<(u16, Instant)>) -> Result<()> {
        self.socket.flush()?;
        while let Some(length) = self.socket.read(buffer)? {
            ensure!(length > 0, "a connection was closed");
            let mut bytes = &buffer[..length];
            while let Some(event) = self.reader.take(&mut bytes)? {
                self.take(event, answers)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event, answers: &mut Vec<(u16, Instant)>) -> Result<()> {
        match event {
            Event::Head { stream, status, ends } => {
                self.stream(stream)?.status.get_or_insert(status);
                if ends {
                    answers.push(self.end(stream)?);
                }
            }
            Event::Data { stream, length, ends } => {
                self.received += u32::try_from(length).expect("a frame is small");
                if self.received > CONNECTION_WINDOW / 2 {
                    let more = self.received.to_be_bytes();
                    frames::write(&mut self.out, kind::WINDOW_UPDATE, flag::NONE, 0, &more);
                    self.received = 0;
                }
                if ends {
                    answers.push(self.end(stream)?);
                }
            }
            Event::Settings(settings) => {
                for (name, value) in settings {
                    self.set(name, value)?;
                }
                frames::write(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
            }
            Event::Window { stream: 0, more } => self.window += i64::from(more),
            // The window of a stream that has ended does not matter.
            Event::Window { stream, more } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.window += i64::from(more);
                }
            }
            Event::Ping(payload) => frames::write(&mut self.out, kind::PING, flag::ACK, 0, &payload),
            Event::Nothing => {}
        }
        Ok(())
    }

    /// Takes a setting of the proxy.
    fn set(&mut self, name: u16, value: u32) -> Result<()> {
        match name {
            setting::INITIAL_WINDOW_SIZE => {
                let more = i64::from(value) - self.stream_window;
                self.stream_window += more;
                for stream in self.streams.values_mut() {
                    stream.window += more;
                }
            }
            setting::HEADER_TABLE_SIZE => ensure!(value >= TABLE, "the proxy's table has {value} bytes"),
            MAX_CONCURRENT_STREAMS => ensure!(
                value as usize >= self.wanted,
                "the proxy allows {value} streams, and {} are measured",
                self.wanted
            ),
            _ => {}
        }
        Ok(())
    }

    fn stream(&mut self, id: u32) -> Result<&mut Stream> {
        let stream = self.streams.get_mut(&id);
        stream.with_context(|| format!("a frame is for stream {id}, which is not open"))
    }

    /// The status and the time of a request whose answer is complete.
    fn end(&mut self, id: u32) -> Result<(u16, Instant)> {
        let Some(stream) = self.streams.remove(&id) else {
            bail!("a frame is for stream {id}, which is not open");
        };
        ensure!(
            !self.uploads.contains(&id),
            "an answer came before the whole request was sent"
        );
        let status = stream.status.context("an answer has no head")?;
        Ok((status, stream.since))
    }
}

impl Stream {
    /// Frames as much of the body as both windows have room for. Returns whether that was all of the rest.
    fn frame(&mut self, id: u32, body: &[u8], window: &mut i64, out: &mut Vec<u8>) -> bool {
        while self.framed < body.len() {
            let room = usize::try_from(self.window.min(*window)).unwrap_or(0);
            let length = room.min(MAX_FRAME).min(body.len() - self.framed);
            if length == 0 {
                return false;
            }
            let end = self.framed + length;
            let flags = match end == body.len() {
                true => flag::END_STREAM,
                false => flag::NONE,
            };
            frames::write(out, kind::DATA, flags, id, &body[self.framed..end]);
            self.framed = end;
            let length = i64::try_from(length).expect("a frame is small");
            self.window -= length;
            *window -= length;
        }
        true
    }
}
