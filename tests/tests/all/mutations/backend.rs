//! A backend that records requests and sends replies byte by byte.

use std::io::{self, Read as _, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pace_tests::DEADLINE;
use parking_lot::Mutex;
use socket2::{Domain, SockRef, Socket, Type};

use super::pieces;
use super::reader::{Read, RequestHead, State, read_request};

/// A backend that listens on a free port of 127.0.0.1 until it is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    listener: Arc<Socket>,
    shared: Arc<Shared>,
}

/// A message received on a connection: a request, or bytes that are none.
#[derive(Clone)]
pub(crate) struct Record {
    /// The bytes of the request; all bytes received, if they are no request.
    pub(crate) bytes: Vec<u8>,
    pub(crate) read: Read<RequestHead>,
}

/// The reply to a request.
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// The positions at which the bytes are cut, so that they are sent in pieces.
    pub(crate) cuts: Vec<usize>,
    pub(crate) then: Then,
}

/// The connection's fate after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Close,
    /// The connection ends with RST.
    Reset,
    /// All further bytes are sent back.
    Echo,
}

/// The replies of a backend to requests.
pub(crate) trait Manner: Send + Sync + 'static {
    /// Replies to a request that has this number among the records. A request that is interrupted has none
    /// yet.
    fn reply(&self, number: usize, read: &Read<RequestHead>) -> Reply;

    /// Whether the backend replies when it has read the head.
    fn interrupts(&self, _head: &RequestHead) -> bool {
        false
    }
}

struct Shared {
    manner: Box<dyn Manner>,
    records: Mutex<Records>,
}

/// The records in order. Numbers go on after records are forgotten.
#[derive(Default)]
struct Records {
    forgotten: usize,
    kept: Vec<Record>,
}

impl Backend {
    pub(crate) fn new(manner: impl Manner) -> Backend {
        let listen = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
            socket.listen(128)?;
            Ok(socket)
        };
        let listener = Arc::new(listen().expect("there is a free port"));
        let address = listener.local_addr().ok().and_then(|address| address.as_socket());
        let shared = Arc::new(Shared {
            manner: Box::new(manner),
            records: Mutex::default(),
        });
        let (accepting, connections) = (Arc::clone(&listener), Arc::clone(&shared));
        thread::spawn(move || {
            while let Ok((connection, _)) = accepting.accept() {
                let shared = Arc::clone(&connections);
                // An error means that the other side has ended the connection.
                thread::spawn(move || shared.serve(connection.into()));
            }
        });
        Backend {
            address: address.expect("a bound socket has an address"),
            listener,
            shared,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The records since they were [forgotten](Backend::forget), each with its number.
    pub(crate) fn records(&self) -> Vec<(usize, Record)> {
        let records = self.shared.records.lock();
        (records.forgotten..).zip(records.kept.iter().cloned()).collect()
    }

    /// Forgets the records. The numbers of further ones are larger.
    pub(crate) fn forget(&self) {
        let mut records = self.shared.records.lock();
        records.forgotten += records.kept.len();
        records.kept.clear();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // The shutdown wakes the accepting thread. A shutdown that fails means that the socket has ended
        // already.
        let _ = self.listener.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let mut bytes = Vec::new();
        let (mut told_to_go_on, mut interrupted) = (false, false);
        loop {
            let read = read_request(&bytes);
            let interrupts = |head: &RequestHead| self.manner.interrupts(head);
            let speaks = read.is_whole() || read.head.as_ref().is_some_and(interrupts);
            if speaks && !interrupted {
                let whole = read.is_whole().then(|| self.record(&mut bytes, &read));
                let reply = self.manner.reply(whole.unwrap_or_default(), &read);
                interrupted = whole.is_none();
                told_to_go_on = false;
                pieces::write(&mut stream, &reply.bytes, &reply.cuts)?;
                match (reply.then, whole) {
                    (Then::GoOn, _) | (Then::Echo, None) => continue,
                    (Then::Close, _) => return stream.shutdown(Shutdown::Both),
                    (Then::Reset, _) => return SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
                    (Then::Echo, Some(_)) => return echo(stream, bytes),
                }
            }
            match read.state {
                State::Whole => {
                    self.record(&mut bytes, &read);
                    interrupted = false;
                }
                State::Broken(_) => {
                    self.record(&mut bytes, &read);
                    return stream.shutdown(Shutdown::Both);
                }
                State::Partial => {
                    let waits = |head: &RequestHead| head.fields.lists("expect", "100-continue");
                    if !told_to_go_on && read.head.as_ref().is_some_and(waits) {
                        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                        told_to_go_on = true;
                    }
                    if more(&mut stream, &mut bytes)? == 0 {
                        if !bytes.is_empty() {
                            self.record(&mut bytes, &read);
                        }
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes the bytes of a request, or all bytes if they are none, and returns the record's number.
    fn record(&self, bytes: &mut Vec<u8>, read: &Read<RequestHead>) -> usize {
        let end = if read.is_whole() { read.taken } else { bytes.len() };
        let mut records = self.records.lock();
        records.kept.push(Record {
            bytes: bytes.drain(..end).collect(),
            read: read.clone(),
        });
        records.forgotten + records.kept.len() - 1
    }
}

fn echo(mut stream: TcpStream, mut bytes: Vec<u8>) -> io::Result<()> {
    loop {
        stream.write_all(&bytes)?;
        bytes.clear();
        if more(&mut stream, &mut bytes)? == 0 {
            return stream.shutdown(Shutdown::Both);
        }
    }
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 16 * 1024];
    let read = stream.read(&mut piece)?;
    bytes.extend_from_slice(&piece[..read]);
    Ok(read)
}
