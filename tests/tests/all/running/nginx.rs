//! nginx in front of Pace, with the configuration that is shipped for it.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use pace_tests::{Authority, Client, Process, Request, Setup, Tls, root, wait_until};

use super::load::{Backends, switch};

/// An address that was free a moment ago.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    listener.local_addr().expect("it is bound").to_string()
}

#[test]
fn nginx_passes_websockets_and_large_uploads_to_pace() {
    let is_there = Command::new("nginx").arg("-v").output().is_ok();
    if !is_there {
        println!("SKIPPED: there is no nginx here");
        return;
    }
    let backends = Backends::new();
    let server = "trusted_proxies = [\"127.0.0.1\"]";
    let pace = Setup::new()
        .config(&backends.config("127.0.0.1:0", server))
        .start();
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = place.path().to_str().expect("it is UTF-8");
    let authority = Authority::new("tests");
    authority
        .issue(&["example.com"])
        .write(place.path(), "example.com");

    let (encrypted, plain) = (free(), free());
    let text = fs::read_to_string(root().join("config/nginx-tls.conf")).expect("the file is there");
    let lines = text.lines().filter(|line| !line.contains("listen [::]"));
    let site = lines.collect::<Vec<_>>().join("\n");
    let site = site
        .replace("listen 443 ssl", &format!("listen {encrypted} ssl"))
        .replace("listen 80;", &format!("listen {plain};"))
        .replace("server 127.0.0.1:8080", &format!("server {}", pace.address()))
        .replace("/etc/ssl/certs", directory)
        .replace("/etc/ssl/private", directory);
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {directory}/{name};\n"))
        .collect();
    let config = format!(
        "daemon off;\npid {directory}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{site}\n}}\n"
    );
    let path = place.path().join("nginx.conf");
    fs::write(&path, config).expect("the directory is writable");
    let mut nginx = Process::spawn(Command::new("nginx").args(["-p", directory, "-c"]).arg(&path))
        .expect("the program is there");
    let address = encrypted.parse().expect("it is an address");
    wait_until("nginx to listen", || {
        assert!(nginx.try_wait().is_none(), "{}", nginx.stderr());
        Client::new(address).connect().is_ok()
    });

    let client = || Client::new(address).tls(&Tls::new(&authority, "example.com"));
    let size = 3 << 20;
    let response = client().send(&Request::post("/", vec![b'a'; size]));
    assert_eq!(
        (response.status, response.text()),
        (200, size.to_string().as_str())
    );
    let mut tunnel = client();
    switch(&mut tunnel).expect("the protocol is switched");
    tunnel.try_write(b"12345678").expect("the connection is open");
    assert_eq!(tunnel.try_read_exact(8).expect("it is echoed"), b"12345678");
}
