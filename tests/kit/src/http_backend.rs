//! A backend that speaks HTTP properly.

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use crate::answer::Then;
use crate::backend_tls::BackendWire;
use crate::{Answer, BackendTls, Gate, Request};

/// An HTTP/1.1 server on a free port of 127.0.0.1.
///
/// A stopped backend keeps its port: connections to it are refused, and no other process gets it.
pub struct HttpBackend {
    address: SocketAddr,
    /// Bound to the port for the backend's whole life, and never listening.
    _reserved: Socket,
    /// Bound to the same port, and listening.
    listener: Option<Arc<Socket>>,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Option<BackendTls>,
    answer: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    /// `None` if requests are not kept.
    requests: Option<Mutex<Vec<Request>>>,
    connections: AtomicUsize,
    /// Open connections by their number.
    open: Mutex<HashMap<usize, TcpStream>>,
}

impl HttpBackend {
    /// Starts a backend that answers each request by this function, which may take its time.
    pub fn new(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> HttpBackend {
        let mut backend = HttpBackend::stopped(None, answer, Some(Mutex::default()));
        backend.start();
        backend
    }

    /// Starts a backend that speaks TLS. HTTP/1.1 is what it speaks within, whatever was agreed on.
    pub fn encrypted(
        tls: &BackendTls,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> HttpBackend {
        let mut backend = HttpBackend::stopped(Some(tls.clone()), answer, Some(Mutex::default()));
        backend.start();
        backend
    }

    /// Starts a backend for any number of requests: like [`HttpBackend::new`], but it keeps none of them.
    pub fn forgetful(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> HttpBackend {
        let mut backend = HttpBackend::stopped(None, answer, None);
        backend.start();
        backend
    }

    /// Starts a backend that answers every request with its name.
    pub fn named(name: &'static str) -> HttpBackend {
        HttpBackend::new(move |_| Answer::new(name))
    }

    /// Starts a backend that answers every request with its name, once the gate is open.
    pub fn behind(gate: &Gate, name: &'static str) -> HttpBackend {
        let gate = gate.clone();
        HttpBackend::new(move |_| {
            gate.wait();
            Answer::new(name)
        })
    }

    /// Creates a backend that is not running: its port refuses connections.
    pub fn down() -> HttpBackend {
        HttpBackend::stopped(None, |_| Answer::new("up again"), Some(Mutex::default()))
    }

    fn stopped(
        tls: Option<BackendTls>,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
        requests: Option<Mutex<Vec<Request>>>,
    ) -> HttpBackend {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reserved.local_addr().expect("a bound socket has an address");
        HttpBackend {
            address: address.as_socket().expect("it is an IPv4 address"),
            _reserved: reserved,
            listener: None,
            shared: Arc::new(Shared {
                tls,
                answer: Box::new(answer),
                requests,
                connections: AtomicUsize::new(0),
                open: Mutex::default(),
            }),
        }
    }

    /// Accepts connections from now on.
    pub fn start(&mut self) {
        let listener = Arc::new(bind(self.address));
        listener.listen(128).expect("nobody else listens on this port");
        self.listener = Some(Arc::clone(&listener));
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || shared.accept(&listener));
    }

    /// Closes every connection, and refuses new ones.
    pub fn stop(&mut self) {
        if let Some(listener) = self.listener.take() {
            // The shutdown wakes the accepting thread. A shutdown that fails means that the socket has ended
            // already.
            let _ = listener.shutdown(Shutdown::Both);
        }
        for (_, connection) in self.shared.open.lock().drain() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Host and port: the backend's label in Pace's metrics and headers.
    pub fn label(&self) -> String {
        self.address.to_string()
    }

    /// The backend's URL for a configuration.
    pub fn url(&self) -> String {
        let scheme = match self.shared.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.address)
    }

    /// The address that the backend listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, each from the moment when it was read whole.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.shared.requests.as_ref();
        requests
            .expect("it is asked for what it remembers")
            .lock()
            .clone()
    }

    /// The only request so far.
    pub fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests: {requests:#?}");
        requests.remove(0)
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for HttpBackend {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Binds a socket with SO_REUSEADDR, which lets two sockets have a port as long as at most one of them
/// listens.
fn bind(address: SocketAddr) -> Socket {
    let bind = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bind().unwrap_or_else(|error| panic!("cannot bind {address}: {error}"))
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &Socket) {
        // The loop ends when the listener is shut down.
        while let Ok((connection, _)) = listener.accept() {
            let stream = TcpStream::from(connection);
            let number = self.connections.fetch_add(1, Ordering::SeqCst);
            if let Ok(clone) = stream.try_clone() {
                self.open.lock().insert(number, clone);
            }
            let shared = Arc::clone(&self);
            thread::spawn(move || {
                // An error means that the other side has ended the connection, which tests see there.
                let _ = shared.serve(stream);
                shared.open.lock().remove(&number);
            });
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let wire = match &self.tls {
            Some(tls) => tls.accept(stream)?,
            None => BackendWire::Plain(stream),
        };
        let mut wire = BufReader::new(wire);
        while let Some(mut request) = Request::read_head(&mut wire)? {
            if request.expects_continue() {
                wire.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            request.read_body(&mut wire)?;
            if let Some(requests) = &self.requests {
                requests.lock().push(request.clone());
            }
            let then = (self.answer)(&request).write(&request.method, wire.get_mut())?;
            if then == Then::HangUp {
                Request::read_head(&mut wire)?;
            }
            if then != Then::GoOn || request.headers.close() {
                wire.get_mut().close()?;
                break;
            }
        }
        Ok(())
    }
}
