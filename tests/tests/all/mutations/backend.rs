//! A backend that keeps what it gets to the byte, and says what it is told to the byte.

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

/// Listens on a free port of 127.0.0.1 until it is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    listener: Arc<Socket>,
    shared: Arc<Shared>,
}

/// What came on a connection: a request, or something that is none.
#[derive(Clone)]
pub(crate) struct Record {
    /// The bytes that belong to it; of something that is none, all that were there.
    pub(crate) bytes: Vec<u8>,
    pub(crate) read: Read<RequestHead>,
}

/// What is said to a request.
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// Where the bytes are cut, so that they come one by one.
    pub(crate) cuts: Vec<usize>,
    pub(crate) then: Then,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Close,
    /// It ends with RST.
    Reset,
    /// Everything that comes is sent back.
    Echo,
}

/// What a backend says to requests.
pub(crate) trait Manner: Send + Sync + 'static {
    /// To a request that has the number among the records. One that is interrupted has none yet.
    fn reply(&self, number: usize, read: &Read<RequestHead>) -> Reply;

    /// Whether it speaks when it has read the head.
    fn interrupts(&self, _head: &RequestHead) -> bool {
        false
    }
}

struct Shared {
    manner: Box<dyn Manner>,
    records: Mutex<Records>,
}

/// What came, in order. Numbers go on when it is forgotten.
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
                // An error is the other side's end of the connection.
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

    /// Begins anew, with other numbers.
    pub(crate) fn forget(&self) {
        let mut records = self.shared.records.lock();
        records.forgotten += records.kept.len();
        records.kept.clear();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // Wakes the thread that accepts. What fails has ended already.
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

    /// Takes from the bytes what belongs to the request, or all of them if it is none, and returns its number.
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
