//! Backends on Unix sockets.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pace_tests::{HttpBackend, Pace, Request};
use tempfile::TempDir;

use super::tell;
use crate::sections::{EVERYTHING, SERVER};

/// A server on a path, which answers each request with its `Host` and counts connections.
struct Socket {
    path: PathBuf,
    connections: Arc<AtomicUsize>,
    _directory: TempDir,
}

impl Socket {
    fn new() -> Socket {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("app.sock");
        let connections = Arc::<AtomicUsize>::default();
        let socket = Socket {
            path,
            connections,
            _directory: directory,
        };
        socket.start();
        socket
    }

    fn start(&self) {
        let listener = UnixListener::bind(&self.path).expect("the path is free");
        let connections = Arc::clone(&self.connections);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || drop(serve(stream)));
            }
        });
    }

    fn label(&self) -> String {
        format!("unix:{}", self.path.display())
    }
}

fn serve(mut stream: UnixStream) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let host = head.lines().find_map(|line| line.strip_prefix("host: "));
        let body = host.unwrap_or("none");
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
    }
}

fn start(backends: &[&str], keys: &str) -> Pace {
    Pace::with_config(&format!(
        "{SERVER}\n[[plugins]]\nname = 'headers'\nwasm = 'builtin:header-injection'\n\n\
         [[pools]]\nname = 'web'\nbackends = {backends:?}\n{keys}\n\n{EVERYTHING}plugins = ['headers']\n"
    ))
}

#[test]
fn backend_on_a_unix_socket_is_one_like_others() {
    let socket = Socket::new();
    let pace = start(&[&socket.label()], "health_check = { interval_ms = 60000 }");
    let mut client = pace.client();
    for _ in 0..5 {
        let response = client.send(&Request::get("/a").header("Host", "app.example"));
        assert_eq!((response.status, response.text()), (200, "app.example"));
        assert_eq!(response.header("x-backend"), Some(&*socket.label()));
    }
    // One connection was kept, and another may be a check's.
    assert!(socket.connections.load(Ordering::SeqCst) <= 2);
    let body = client.send(&Request::post("/", vec![b'x'; 300_000]));
    assert_eq!(body.status, 200);
    let labels = [("backend", &*socket.label())];
    pace.wait_for_metric("pace_upstream_attempts_total", &labels, 6);
    // A client of HTTP/1.0 may say no host.
    let mut old = pace.client();
    old.write("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.read("GET").expect("it is answered").text(), "localhost");
}

#[test]
fn socket_that_is_gone_is_one_that_cannot_be_connected_to() {
    let (socket, up) = (Socket::new(), HttpBackend::named("up"));
    let pace = start(
        &[&socket.label(), &up.url()],
        "health_check = { interval_ms = 20, kind = 'tcp' }",
    );
    fs::remove_file(&socket.path).expect("it is there");
    for _ in 0..4 {
        assert_eq!(pace.get("/").status, 200);
    }
    pace.wait_for_health(&socket.label(), "unhealthy");
    pace.wait_for_log(&[&socket.label(), "is unhealthy", "No such file"]);
    socket.start();
    pace.wait_for_health(&socket.label(), "healthy");
}

#[test]
fn backend_on_a_unix_socket_is_drained_by_its_path() {
    let (socket, up) = (Socket::new(), HttpBackend::named("up"));
    let pace = start(&[&socket.label(), &up.url()], "");
    let told = tell(&pace, &socket.label(), "drain");
    assert_eq!(told.status, 200, "{told:?}");
    for _ in 0..4 {
        assert_eq!(pace.get("/").text(), "up");
    }
    assert!(Path::new(&socket.path).exists());
    assert_eq!(tell(&pace, &socket.label(), "enable").status, 200);
}
