//! A backend that follows a script, byte by byte.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use socket2::SockRef;

use crate::DEADLINE;

/// A server on a free port of 127.0.0.1 that runs a script on every connection, and remembers every byte that
/// it was sent.
///
/// Scripts say and hear what [`HttpBackend`](crate::HttpBackend), which speaks HTTP properly, cannot.
pub struct Scripted {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A connection to a [`Scripted`] backend, closed when the script ends.
pub struct Line {
    stream: TcpStream,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    /// The number of the connection at this backend, from 0.
    pub index: usize,
    /// How many bytes the script has consumed.
    seen: usize,
}

impl Scripted {
    /// Starts a backend that runs this script for each connection.
    pub fn new(script: impl Fn(&mut Line) -> io::Result<()> + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let received: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let script = Arc::new(script);
        let shared = Arc::clone(&received);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().flatten().enumerate() {
                shared.lock().push(Vec::new());
                let mut line = Line {
                    stream,
                    received: Arc::clone(&shared),
                    index,
                    seen: 0,
                };
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    // An error means that the other side has ended the connection, which tests see there.
                    let _ = line.stream.set_nodelay(true);
                    let _ = line.stream.set_read_timeout(Some(2 * DEADLINE));
                    let _ = script(&mut line);
                });
            }
        });
        Scripted { address, received }
    }

    /// Starts a backend that answers each request, which must be a head without a body, with the same bytes.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Scripted {
        let bytes = bytes.into();
        Scripted::new(move |line| {
            while line.head()?.is_some() {
                line.write(&bytes)?;
            }
            Ok(())
        })
    }

    /// The backend's host and port, as the configuration names it.
    pub fn label(&self) -> String {
        self.address.to_string()
    }

    /// The bytes that each connection has received so far, in the order in which the connections were made.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().clone()
    }

    /// The bytes that the only connection has received so far, as text.
    pub fn text(&self) -> String {
        let received = self.received();
        let all = received.concat();
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl Line {
    /// Waits for a head, and returns it with the empty line that ends it. `None` if the other side ends
    /// before it begins one.
    pub fn head(&mut self) -> io::Result<Option<String>> {
        let head = self.until(|bytes| {
            bytes
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .map(|at| at + 4)
        })?;
        Ok(head.map(|head| String::from_utf8_lossy(&head).into_owned()))
    }

    /// Waits for `count` bytes.
    pub fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.until(|bytes| (bytes.len() >= count).then_some(count))?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Waits until the other side shuts down its sending side.
    pub fn end(&mut self) -> io::Result<()> {
        while self.read()? > 0 {}
        Ok(())
    }

    /// Sends bytes.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Shuts down the sending side.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Ends the connection with a reset.
    pub fn reset(&mut self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO))
    }

    /// Waits until `end` finds the end of an item among the bytes not consumed yet.
    fn until(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Option<Vec<u8>>> {
        loop {
            let (found, is_empty) = {
                let received = self.received.lock();
                let unseen = &received[self.index][self.seen..];
                (end(unseen).map(|end| unseen[..end].to_vec()), unseen.is_empty())
            };
            if let Some(found) = found {
                self.seen += found.len();
                return Ok(Some(found));
            }
            if self.read()? == 0 {
                return match is_empty {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 64 << 10];
        let count = self.stream.read(&mut bytes)?;
        self.received.lock()[self.index].extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}
