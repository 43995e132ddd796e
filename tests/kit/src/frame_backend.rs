//! A backend that speaks HTTP/2 frame by frame.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::{Frame, Frames, kind};

/// A server on a free port of 127.0.0.1 that runs a script on every connection, behind the preface of the client. The
/// connection is closed when the script ends.
///
/// Scripts say what [`Http2Backend`](crate::Http2Backend), which speaks HTTP/2 properly, cannot.
pub struct FrameBackend {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl FrameBackend {
    /// Starts a backend that says these settings, and then runs the script, which gets the number of the connection, from 0.
    pub fn new(
        settings: &[(u16, u32)],
        script: impl Fn(&mut Frames, usize) + Send + Sync + 'static,
    ) -> FrameBackend {
        let settings = Frame::settings(settings);
        FrameBackend::silent(move |frames, index| {
            frames.send(std::slice::from_ref(&settings));
            script(frames, index);
        })
    }

    /// Starts a backend that says nothing but what is in the script.
    pub fn silent(script: impl Fn(&mut Frames, usize) + Send + Sync + 'static) -> FrameBackend {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let index = count.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    // An error means that the other side has ended the connection, which tests see there.
                    if let Ok(mut frames) = Frames::accept(stream) {
                        script(&mut frames, index);
                    }
                });
            }
        });
        FrameBackend { address, connections }
    }

    /// Host and port.
    pub fn label(&self) -> String {
        self.address.to_string()
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Frames {
    /// Waits for the next head of a request, and returns the number of its stream; `None` if the connection has ended.
    pub fn next_request(&mut self) -> Option<u32> {
        loop {
            let frame = self.read()?;
            if frame.kind == kind::HEADERS {
                return Some(frame.stream);
            }
        }
    }
}
