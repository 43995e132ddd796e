//! Clients of every kind that ask without a pause, to find a connection that is refused or a request that fails.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pace_tests::{Answer, Client, Http2, HttpBackend, Reason, Request, Scripted, wait_until};
use parking_lot::Mutex;

/// The backends of all kinds of requests.
pub(super) struct Backends {
    web: HttpBackend,
    echo: Scripted,
}

/// Clients that ask until they are told to stop.
pub(super) struct Load {
    address: SocketAddr,
    is_over: AtomicBool,
    done: [AtomicUsize; KINDS.len()],
    failures: Mutex<Vec<String>>,
}

type Kind = fn(&Load, usize) -> Result<(), String>;

/// The kinds of clients, and how many there are of each.
const KINDS: [(&str, usize, Kind); 5] = [
    ("connection for each request", 2, connect),
    ("connection for all requests", 4, keep),
    ("stream of HTTP/2", 2, stream),
    ("upload", 3, upload),
    ("WebSocket", 3, tunnel),
];

/// The pause between the pieces of an upload, and between the messages in a WebSocket.
const PAUSE: Duration = Duration::from_millis(2);
const PIECES: usize = 50;
const PIECE: &str = "400\r\n";

impl Backends {
    pub(super) fn new() -> Backends {
        Backends {
            web: HttpBackend::forgetful(|request| Answer::new(request.body.len().to_string())),
            echo: Scripted::new(|line| {
                line.head()?;
                line.write(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n",
                )?;
                loop {
                    let message = line.bytes(8)?;
                    line.write(message)?;
                }
            }),
        }
    }

    /// A configuration with two workers, for as many requests on a connection as there are.
    pub(super) fn config(&self, listen: &str, server: &str) -> String {
        format!(
            "[server]\nlisten = \"{listen}\"\nworkers = 2\nkeepalive_requests = 0\n{server}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [[pools]]\nname = \"web\"\nbackends = [\"{}\"]\n[[pools]]\nname = \"echo\"\nbackends = [\"{}\"]\n\
             [[routes]]\npool = \"web\"\n[[routes]]\nmatch = {{ path_prefix = \"/echo\" }}\npool = \"echo\"\n",
            self.web.label(),
            self.echo.label()
        )
    }
}

impl Load {
    /// Does something under load, and checks that no client has failed.
    pub(super) fn on<T>(address: SocketAddr, act: impl FnOnce(&Load) -> T) -> T {
        let load = Load {
            address,
            is_over: AtomicBool::new(false),
            done: Default::default(),
            failures: Mutex::default(),
        };
        let result = thread::scope(|scope| {
            let load = &load;
            for (index, (name, count, ask)) in KINDS.into_iter().enumerate() {
                for _ in 0..count {
                    scope.spawn(move || {
                        if let Err(error) = ask(load, index) {
                            load.failures.lock().push(format!("{name}: {error}"));
                            load.is_over.store(true, Ordering::Relaxed);
                        }
                    });
                }
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(load)));
            load.is_over.store(true, Ordering::Relaxed);
            result
        });
        let failures = load.failures.into_inner();
        assert!(failures.is_empty(), "{failures:#?}");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Waits until clients of every kind have got more answers.
    pub(super) fn wait_for_more(&self) {
        let before = self.counts();
        wait_until("answers to every kind of client", || {
            !self.goes_on()
                || self
                    .counts()
                    .iter()
                    .zip(&before)
                    .all(|(now, before)| *now > before + 2)
        });
    }

    fn counts(&self) -> Vec<usize> {
        self.done
            .iter()
            .map(|done| done.load(Ordering::Relaxed))
            .collect()
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn count(&self, kind: usize) {
        self.done[kind].fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes a connection one to the backend that echoes what it hears.
pub(super) fn switch(client: &mut Client) -> io::Result<()> {
    client.try_write("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.try_read_exact(1)?);
    }
    match head.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(()),
        false => Err(io::Error::other(head.escape_ascii().to_string())),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn expect(is_right: bool, got: impl std::fmt::Debug) -> Result<(), String> {
    is_right.then_some(()).ok_or_else(|| format!("{got:?}"))
}

fn connect(load: &Load, kind: usize) -> Result<(), String> {
    while load.goes_on() {
        let response = Client::new(load.address)
            .try_send(&Request::get("/"))
            .map_err(text)?;
        expect((response.status, response.text()) == (200, "0"), response)?;
        load.count(kind);
    }
    Ok(())
}

fn keep(load: &Load, kind: usize) -> Result<(), String> {
    let mut client = Client::new(load.address);
    while load.goes_on() {
        // The client connects again when it has been told that the connection ends.
        let response = client.try_send(&Request::post("/", "body")).map_err(text)?;
        expect((response.status, response.text()) == (200, "4"), response)?;
        load.count(kind);
    }
    Ok(())
}

fn stream(load: &Load, kind: usize) -> Result<(), String> {
    let mut client = Http2::connect(load.address);
    while load.goes_on() {
        match client.try_send(&Request::get("/")) {
            Ok(response) => {
                expect((response.status, response.text()) == (200, "0"), response)?;
                load.count(kind);
            }
            // The request was not sent any more, or the other side has not looked at it.
            Err(error) if error.is_go_away() && error.reason() == Some(Reason::NO_ERROR) => {
                client = Http2::connect(load.address);
            }
            Err(error) => return Err(text(error)),
        }
    }
    Ok(())
}

fn upload(load: &Load, kind: usize) -> Result<(), String> {
    let piece = format!("{PIECE}{}\r\n", "a".repeat(1024));
    while load.goes_on() {
        let mut client = Client::new(load.address);
        client
            .try_write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .map_err(text)?;
        for _ in 0..PIECES {
            client.try_write(&piece).map_err(text)?;
            thread::sleep(PAUSE);
        }
        client.try_write("0\r\n\r\n").map_err(text)?;
        let response = client.read("POST").map_err(text)?;
        let length = (PIECES * 1024).to_string();
        expect((response.status, response.text()) == (200, &length), response)?;
        load.count(kind);
    }
    Ok(())
}

/// One WebSocket for all the time.
fn tunnel(load: &Load, kind: usize) -> Result<(), String> {
    let mut client = Client::new(load.address);
    switch(&mut client).map_err(text)?;
    let mut number = 0_u64;
    while load.goes_on() {
        number += 1;
        client.try_write(number.to_be_bytes()).map_err(text)?;
        expect(
            client.try_read_exact(8).map_err(text)? == number.to_be_bytes(),
            number,
        )?;
        load.count(kind);
        thread::sleep(PAUSE);
    }
    Ok(())
}
