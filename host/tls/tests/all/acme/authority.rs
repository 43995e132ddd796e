//! Pebble, and the listeners that answer its challenges.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pace_tls::acme::{Acme, ChallengeKind, Challenges, HTTP_PATH, Settings, Watched, schedule::Schedule};
use pace_tls::server::{Frontend, Handshake, Tickets, accept};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use crate::kit::{deadline, settings};
use crate::testing::authority;

/// An authority, running until this is dropped.
pub(crate) struct Pebble {
    processes: Vec<Child>,
    scratch: TempDir,
    ports: Ports,
    root: String,
}

#[derive(Clone, Copy)]
struct Ports {
    directory: u16,
    names: u16,
    http: u16,
    tls: u16,
}

/// A program of the package, if it is installed.
fn installed(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|path| path.join(program).exists());
    if !found {
        eprintln!(
            "SKIPPED: {program} is not installed, so nothing of ACME was tried: apt-get install pebble"
        );
    }
    found
}

fn free_port() -> u16 {
    // The name server needs the port for UDP, too.
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

impl Pebble {
    /// Starts an authority whose certificates are valid for this many seconds, or returns nothing if pebble is not
    /// installed.
    pub(crate) fn start(validity: u64) -> Option<Pebble> {
        if !installed("pebble") || !installed("pebble-challtestsrv") {
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        let ca = authority("pebble's own");
        let made = ca.issue_to(&["localhost", "127.0.0.1"]);
        let ports = Ports {
            directory: free_port(),
            names: free_port(),
            http: free_port(),
            tls: free_port(),
        };
        std::fs::write(scratch.path().join("cert.pem"), &made.leaf_pem).unwrap();
        std::fs::write(scratch.path().join("key.pem"), &made.key_pem).unwrap();
        let Ports {
            directory, http, tls, ..
        } = ports;
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:{directory}", "managementListenAddress": "",
                "certificate": "cert.pem", "privateKey": "key.pem", "httpPort": {http}, "tlsPort": {tls},
                "certificateValidityPeriod": {validity}}}}}"#
        );
        std::fs::write(scratch.path().join("config.json"), config).unwrap();
        let mut pebble = Pebble {
            processes: Vec::new(),
            scratch,
            ports,
            root: ca.pem,
        };
        pebble.run();
        Some(pebble)
    }

    fn run(&mut self) {
        let Ports { directory, names, .. } = self.ports;
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server.args([
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv6",
            "",
            "-management",
            "127.0.0.1:0",
        ]);
        name_server.arg("-dns01").arg(format!("127.0.0.1:{names}"));
        let mut pebble = Command::new("pebble");
        pebble
            .args(["-config", "config.json", "-dnsserver"])
            .arg(format!("127.0.0.1:{names}"));
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        for mut program in [name_server, pebble] {
            program
                .current_dir(self.scratch.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            self.processes.push(program.spawn().unwrap());
        }
        for port in [directory, names] {
            wait_for(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        }
    }

    /// Ends the authority and starts it again. It keeps nothing: accounts and orders are gone.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.run();
    }

    pub(crate) fn stop(&mut self) {
        for mut process in self.processes.drain(..) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    pub(crate) fn settings(&self, names: &[&str], challenges: &[ChallengeKind]) -> Settings {
        Settings {
            directory: format!("https://localhost:{}/dir", self.ports.directory),
            email: Some("ops@example.test".to_owned()),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            state_dir: self.state(),
            root_ca: Some(("pebble.pem".to_owned(), self.root.clone().into_bytes())),
            challenges: challenges.to_vec(),
            schedule: Schedule {
                first_retry: Duration::from_millis(200),
                longest_retry: Duration::from_secs(2),
                least_between: Duration::from_millis(100),
            },
        }
    }

    /// Answers challenges over plain HTTP as a listener on port 80 does.
    pub(crate) async fn answer_http(&self, challenges: Arc<Challenges>) -> Running<()> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.ports.http))
            .await
            .unwrap();
        Running(tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = client.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let token = request
                    .split(' ')
                    .nth(1)
                    .and_then(|path| path.strip_prefix(HTTP_PATH));
                let answer = match token.and_then(|token| challenges.http(token)) {
                    Some(answer) => format!("HTTP/1.0 200 OK\r\n\r\n{answer}"),
                    None => "HTTP/1.0 404 Not Found\r\n\r\n".to_owned(),
                };
                let _ = client.write_all(answer.as_bytes()).await;
            }
        }))
    }

    /// Answers challenges over TLS as a listener does that has no certificate yet.
    pub(crate) async fn answer_tls(&self, challenges: Arc<Challenges>) -> Running<()> {
        let frontend = Frontend::new(settings(Vec::new()), &Tickets::new(), Some(challenges)).unwrap();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.ports.tls))
            .await
            .unwrap();
        Running(tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let done = accept(client, &frontend, deadline()).await;
                assert!(matches!(done, Ok(Handshake::Challenge)), "{done:?}");
            }
        }))
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A task that ends when this is dropped.
pub(crate) struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens an [`Acme`] and runs it.
pub(crate) fn run(
    settings: Settings,
    challenges: &Arc<Challenges>,
) -> (Watched, Running<std::convert::Infallible>) {
    let (acme, watched) = Acme::open(settings, challenges.clone()).unwrap();
    (watched, Running(tokio::spawn(acme.run())))
}

pub(crate) fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "waited for too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Files below `path`.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// A port at which no process listens.
pub(crate) fn nobody() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}
