//! A client of Pace.

use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::{DEADLINE, Request, Response, Tls, Wire};

/// A client with one connection at a time, which it keeps for as long as the other side does.
pub struct Client {
    to: SocketAddr,
    from: IpAddr,
    tls: Option<Tls>,
    connection: Option<BufReader<Wire>>,
    connections: usize,
}

impl Client {
    /// Creates a client on 127.0.0.1.
    pub fn new(to: SocketAddr) -> Client {
        Client::bound(Ipv4Addr::LOCALHOST.into(), to)
    }

    /// Creates a client with an address of its own: all of 127.0.0.0/8 is this machine.
    pub fn bound(from: IpAddr, to: SocketAddr) -> Client {
        Client {
            to,
            from,
            tls: None,
            connection: None,
            connections: 0,
        }
    }

    /// Makes the client speak TLS.
    #[must_use]
    pub fn tls(mut self, tls: &Tls) -> Client {
        self.tls = Some(tls.clone());
        self
    }

    /// Sends a GET and waits for its response.
    pub fn get(&mut self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// Sends a request and waits for its response.
    pub fn send(&mut self, request: &Request) -> Response {
        self.try_send(request)
            .unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.target))
    }

    /// Sends a request and waits for its response; an error if the other side breaks off.
    pub fn try_send(&mut self, request: &Request) -> io::Result<Response> {
        self.transmit(request)?;
        self.read(&request.method)
    }

    /// Sends a request and waits for nothing.
    pub fn transmit(&mut self, request: &Request) -> io::Result<()> {
        let bytes = request.encode(&self.to.to_string());
        self.open()?.get_mut().write_all(&bytes)
    }

    /// Sends bytes, whatever they are, on the connection at hand or a new one.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let connection = self.open().expect("Pace accepts connections");
        connection
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("the connection is open");
    }

    /// Waits for the response to a request of this method.
    pub fn read(&mut self, method: &str) -> io::Result<Response> {
        let response = self.read_whole(method);
        if response.as_ref().map_or(true, |response| response.last) {
            self.close();
        }
        response
    }

    fn read_whole(&mut self, method: &str) -> io::Result<Response> {
        let mut response = self.read_head(method)?;
        let mut body = Vec::new();
        self.read_body(&response, |piece| body.extend_from_slice(piece))?;
        response.body = body;
        Ok(response)
    }

    /// Waits for the head of the response to a request of this method. The caller reads the body next.
    pub fn read_head(&mut self, method: &str) -> io::Result<Response> {
        Response::read_head(self.connected()?, method)
    }

    /// Reads the body of a response and hands it over piece by piece. The connection stays open, even after
    /// the last response.
    pub fn read_body(&mut self, of: &Response, each: impl FnMut(&[u8])) -> io::Result<()> {
        of.read_body(self.connected()?, each)
    }

    /// Sends bytes and waits for a response.
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.write(bytes);
        self.read("GET").expect("there is a response")
    }

    /// Whether unread bytes have arrived.
    pub fn has_received(&self) -> bool {
        !self.peek(1).is_empty()
    }

    /// Returns the bytes that have arrived, up to 64 KiB, and leaves them unread. With TLS they are still encrypted.
    pub fn received(&self) -> Vec<u8> {
        self.peek(64 * 1024)
    }

    /// Returns the buffered bytes, and at most `most` of those that wait in the socket behind them.
    fn peek(&self, most: usize) -> Vec<u8> {
        let Some(connection) = &self.connection else {
            return Vec::new();
        };
        let mut bytes = connection.buffer().to_vec();
        let mut waiting = vec![0; most];
        let stream = connection.get_ref().socket();
        stream.set_nonblocking(true).expect("the connection is open");
        let peeked = stream.peek(&mut waiting).unwrap_or_default();
        stream.set_nonblocking(false).expect("the connection is open");
        bytes.extend_from_slice(&waiting[..peeked]);
        bytes
    }

    /// Waits until the other side closes, and returns the bytes that came until then.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        self.try_read_to_end()
            .unwrap_or_else(|error| panic!("the connection was not closed: {error}"))
    }

    /// Waits until the other side closes, and returns the bytes that came until then; an error if it does not
    /// close.
    pub fn try_read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(mut connection) = self.connection.take() {
            match connection.read_to_end(&mut bytes) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }

    /// Closes the connection, so that the next request makes another.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// Sends bytes on the connection at hand or a new one; an error if the other side does not take them.
    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.open()?.get_mut().write_all(bytes.as_ref())
    }

    /// Waits for so many bytes on the connection at hand.
    pub fn try_read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.open()?.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends a head and a body without looking for an answer in between, as many clients do, and waits for
    /// the response.
    pub fn upload(&mut self, head: &str, body: &[u8]) -> io::Result<Response> {
        // The other side may answer early and stop reading: its answer is read even if a write failed.
        let _ = self.try_write(head).and_then(|()| self.try_write(body));
        self.read("POST")
    }

    /// Shuts down the sending side. The client can still receive.
    pub fn finish(&mut self) {
        let connection = self.connection.as_mut().expect("there is a connection");
        let finished = connection.get_mut().finish();
        finished.expect("the connection is open");
    }

    /// The connection at hand.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn wire(&self) -> &Wire {
        let connection = self.connection.as_ref().expect("there is a connection");
        connection.get_ref()
    }

    /// The number of connections opened so far.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Connects, unless there is a connection already.
    pub fn connect(&mut self) -> io::Result<()> {
        self.open().map(drop)
    }

    fn connected(&mut self) -> io::Result<&mut BufReader<Wire>> {
        self.connection.as_mut().ok_or(io::ErrorKind::NotConnected.into())
    }

    fn open(&mut self) -> io::Result<&mut BufReader<Wire>> {
        if self.connection.is_none() {
            let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, None)?;
            // A bound port is taken for every destination until it has left TIME_WAIT, and all tests share
            // 28,232 of them; an unbound socket takes its port for this destination alone.
            if self.from != Ipv4Addr::LOCALHOST {
                socket.bind(&SocketAddr::new(self.from, 0).into())?;
            }
            socket.connect(&self.to.into())?;
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
            let wire = match &self.tls {
                None => Wire::Plain(stream),
                Some(tls) => tls.connect(stream)?,
            };
            self.connection = Some(BufReader::new(wire));
            self.connections += 1;
        }
        self.connected()
    }
}
