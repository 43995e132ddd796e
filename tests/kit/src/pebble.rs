//! An authority that speaks ACME: Debian's `pebble`, with its name server.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use tempfile::TempDir;

use crate::{Authority, Process, wait_until};

/// An authority for every name there is: all are this machine's. It runs until this is dropped.
pub struct Pebble {
    directory: u16,
    http: u16,
    tls: u16,
    root: String,
    _scratch: TempDir,
    _processes: [Process; 2],
}

impl Pebble {
    /// Starts an authority whose certificates are valid for so many seconds. Returns `None`, and prints why, if the
    /// program is not installed.
    pub fn start(validity: u64) -> Option<Pebble> {
        if !["pebble", "pebble-challtestsrv"].into_iter().all(is_installed) {
            println!(
                "SKIPPED: pebble is not installed, so no certificate was ordered: apt-get install pebble"
            );
            return None;
        }
        let scratch = TempDir::new().expect("a temporary directory can be made");
        let authority = Authority::new("pebble's own");
        authority
            .issue(&["localhost", "127.0.0.1"])
            .write(scratch.path(), "pebble");
        let [directory, names, http, tls] = [free_port(), free_port(), free_port(), free_port()];
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:{directory}", "managementListenAddress": "",
                "certificate": "pebble.pem", "privateKey": "pebble.key", "httpPort": {http}, "tlsPort": {tls},
                "certificateValidityPeriod": {validity}}}}}"#
        );
        fs::write(scratch.path().join("config.json"), config).expect("it can be written");
        let names = format!("127.0.0.1:{names}");
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server
            .args([
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-defaultIPv6",
                "",
            ])
            .args(["-management", "127.0.0.1:0", "-dns01", &names]);
        let mut pebble = Command::new("pebble");
        pebble
            .args(["-config", "config.json", "-dnsserver", &names])
            .env("PEBBLE_VA_NOSLEEP", "1");
        let processes = [name_server, pebble].map(|mut program| {
            program.current_dir(scratch.path());
            Process::spawn(&mut program).expect("it is installed")
        });
        for address in [names, format!("127.0.0.1:{directory}")] {
            wait_until("the authority", || TcpStream::connect(&address).is_ok());
        }
        Some(Pebble {
            directory,
            http,
            tls,
            root: authority.pem().to_owned(),
            _scratch: scratch,
            _processes: processes,
        })
    }

    /// `[acme]` for these names, with `state` and `root.pem` beside the configuration.
    pub fn config(&self, names: &[&str]) -> String {
        format!(
            "[acme]\ndirectory = \"https://localhost:{}/dir\"\nnames = {names:?}\nstate_dir = \"state\"\nroot_ca = \"root.pem\"\n\n",
            self.directory
        )
    }

    /// The content of `root.pem`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The address where it looks for answers over HTTP.
    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.http).into()
    }

    /// The address where it looks for answers over TLS.
    pub fn tls(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.tls).into()
    }
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// A port at which nobody listens. For the name server it has to be free for UDP, too.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are ports");
        let port = listener.local_addr().expect("it is bound").port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
