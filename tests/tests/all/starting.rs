//! The time before Pace serves: connections are refused, a port in use is reported at once, and a signal ends
//! it at once.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};

use pace_tests::{Exit, Setup, Signal, Starting, slow_to_compile, wait_until};
use socket2::Socket;

use crate::unread_log::reserved;

/// A Pace that compiles for longer than any test waits, and the ports that it will listen on.
struct Slow {
    pace: Starting,
    address: SocketAddr,
    admin: SocketAddr,
    /// Bound, so that no other process gets the ports.
    _ports: [Socket; 2],
}

impl Slow {
    fn compiling() -> Slow {
        let ((address, port), (admin, admin_port)) = (reserved(), reserved());
        let pace = setup(address, admin).begin();
        pace.wait_for_log("compiling sha256");
        Slow {
            pace,
            address,
            admin,
            _ports: [port, admin_port],
        }
    }
}

fn setup(address: SocketAddr, admin: SocketAddr) -> Setup {
    let config = format!(
        "[server]\nlisten = '{address}'\n[admin]\nlisten = '{admin}'\n\
         [[plugins]]\nname = 'slow'\nwasm = 'slow.wasm'\n\
         [[pools]]\nname = 'p'\nbackends = ['127.0.0.1:1']\n[[routes]]\npool = 'p'\nplugins = ['slow']\n"
    );
    Setup::new()
        .file("slow.wasm", slow_to_compile())
        .env("RUST_LOG", "info,pace::reload=debug")
        .config(&config)
}

#[test]
fn connections_are_refused_while_plugins_are_compiled() {
    let slow = Slow::compiling();
    for address in [slow.address, slow.admin] {
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    slow.pace.signal(Signal::TERM);
    slow.pace.wait();
}

#[test]
fn signal_ends_pace_while_plugins_are_compiled() {
    for (signal, name) in [
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
    ] {
        let slow = Slow::compiling();
        slow.pace.signal(signal);
        let Exit { code, stderr, .. } = slow.pace.wait();
        assert_eq!(code, Some(0), "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.contains(&format!("{name}: this is the end")), "{stderr}");
    }
}

#[test]
fn signals_of_other_servers_are_ignored_while_plugins_are_compiled() {
    let slow = Slow::compiling();
    slow.pace.signal(Signal::USR1);
    slow.pace.wait_for_log("SIGUSR1: nothing to open again");
    slow.pace.signal(Signal::USR2);
    slow.pace
        .wait_for_log("SIGUSR2: nothing is done, because this process does not serve");
    slow.pace.signal(Signal::HUP);
    slow.pace.signal(Signal::TERM);
    assert_eq!(slow.pace.wait().code, Some(0));
}

#[test]
fn port_in_use_is_reported_before_plugins_are_compiled() {
    for listens in [0, 1] {
        let (address, admin) = (reserved(), reserved());
        let taken = [&address, &admin][listens];
        taken.1.listen(1).expect("nobody else does");
        let exit = setup(address.0, admin.0).run();
        let key = ["[server] listen", "[admin] listen"][listens];
        let expected = format!(
            "cannot listen on {} ({key}): port {} is in use",
            taken.0,
            taken.0.port()
        );
        assert!(exit.refusal().contains(&expected), "{exit:#?}");
        assert!(!exit.stderr.contains("compiling"), "{exit:#?}");
    }
}

/// Both have bound the port when neither listens; the first that is ready gets it.
#[test]
fn second_of_two_concurrent_starts_is_refused() {
    let (address, port) = reserved();
    let config = format!("[server]\nlisten = '{address}'\n[upstreams]\nbackends = ['127.0.0.1:1']\n");
    let [one, other] = [(); 2].map(|()| Setup::new().config(&config).begin());
    let serves = |pace: &Starting| pace.log().contains("listening on http://");
    wait_until("one to serve", || serves(&one) || serves(&other));
    let (first, second) = if serves(&one) { (one, other) } else { (other, one) };
    let refused = second.wait();
    let expected = format!(
        "cannot listen on {address} ([server] listen): port {} is in use",
        address.port()
    );
    assert!(refused.refusal().contains(&expected), "{refused:#?}");
    TcpStream::connect(address).expect("the first serves");
    drop(port);
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code, Some(0));
}

/// Any program may hold the port, also without `SO_REUSEADDR`.
#[test]
fn port_of_another_program_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let exit = Setup::new()
        .args(["--backend", "127.0.0.1:1", "--listen", &address])
        .run();
    assert!(
        exit.refusal().contains("is in use by another process"),
        "{exit:#?}"
    );
}
