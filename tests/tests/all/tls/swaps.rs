//! Certificates that are replaced again and again under load: no handshake and no request fails.
//!
//! The suite swaps as fast as it can for a few seconds, by requests to the admin listener. A minute of what an operator does,
//! with files that are followed and replaced every second, is made when it is asked for:
//!
//! ```sh
//! PACE_TEST_SWAPS=60 cargo test -p pace-tests --test all tls::swaps
//! ```

use std::collections::BTreeSet;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pace_tests::{
    Authority, Certificate, Client, Http2, HttpBackend, Pace, Request, Setup, Tls, TlsVersion, wait_until,
};
use parking_lot::Mutex;

use super::{PROCESS, pool};

/// Clients that ask meanwhile, and their results.
struct Load<'a> {
    pace: &'a Pace,
    authority: &'a Authority,
    is_over: AtomicBool,
    handshakes: AtomicUsize,
    requests: AtomicUsize,
    /// Certificates that were shown.
    shown: Mutex<BTreeSet<Vec<u8>>>,
}

impl Load<'_> {
    /// Runs `swap` under load for a while, and checks that nothing has failed. Returns how many certificates clients were shown.
    fn under(pace: &Pace, authority: &Authority, swap: impl FnOnce()) -> usize {
        let load = Load {
            pace,
            authority,
            is_over: AtomicBool::new(false),
            handshakes: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            shown: Mutex::default(),
        };
        thread::scope(|scope| {
            let load = &load;
            let both = [TlsVersion::V12, TlsVersion::V13];
            let mut asking = Vec::new();
            for version in both {
                let tls = Tls::only(authority, "a.test", version);
                let forgetful = tls.clone().forgetful();
                asking.push(scope.spawn(move || load.connect(&forgetful)));
                asking.push(scope.spawn(move || load.connect(&tls)));
            }
            asking.push(scope.spawn(move || load.keep()));
            asking.push(scope.spawn(move || load.stream()));
            swap();
            load.is_over.store(true, Ordering::Relaxed);
            for thread in asking {
                thread.join().expect("nothing has failed");
            }
        });
        let (handshakes, requests) = (load.handshakes.into_inner(), load.requests.into_inner());
        println!("{handshakes} handshakes, {requests} requests");
        assert!(
            handshakes > 20 && requests > 40,
            "{handshakes} handshakes, {requests} requests"
        );
        load.shown.into_inner().len()
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// A connection for each request, resumed or not.
    fn connect(&self, tls: &Tls) {
        while self.goes_on() {
            let mut client = self.pace.client().tls(tls);
            assert_eq!(client.get("/").text(), "one");
            let shown = client.wire().certificate().expect("there is one");
            self.shown.lock().insert(shown);
            self.handshakes.fetch_add(1, Ordering::Relaxed);
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One connection of HTTP/1.1 for all requests.
    fn keep(&self) {
        let mut client = self.pace.client().tls(&Tls::new(self.authority, "a.test"));
        while self.goes_on() {
            assert_eq!(client.get("/").text(), "one");
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(client.connections(), 1);
    }

    /// One connection of HTTP/2 for all requests.
    fn stream(&self) {
        let tls = Tls::new(self.authority, "a.test");
        let mut client = Http2::connect_tls(self.pace.address(), &tls, "a.test");
        while self.goes_on() {
            let response = client.get("/");
            assert_eq!((response.status, response.text()), (200, "one"));
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A Pace that keeps connections for as many requests as there are. Certificate and key are in the files that `pair` names.
fn start(certificate: &Certificate, backend: &HttpBackend, pair: &str) -> Pace {
    let process = PROCESS.replace("workers = 1", "workers = 2\nkeepalive_requests = 0");
    let config = format!(
        "{process}\n[[listeners]]\nlisten = \"127.0.0.1:0\"\ncertificates = [{{ {pair} }}]\n\n{}{}",
        pool(&backend.label()),
        crate::sections::EVERYTHING,
    );
    let setup = Setup::new().config(&config);
    certificate.write(setup.directory(), "a");
    certificate.write_whole(setup.directory(), "whole");
    setup.start()
}

fn serves_with(pace: &Pace, authority: &Authority, certificate: &Certificate) -> bool {
    let mut client: Client = pace.client().tls(&Tls::new(authority, "a.test").forgetful());
    client.connect().expect("there is always one");
    client.wire().shows(certificate)
}

#[test]
fn certificate_that_is_replaced_every_50_ms_costs_no_handshake_and_no_request() {
    const PERIOD: Duration = Duration::from_millis(50);
    const SWAPS: u32 = 60;
    let backend = HttpBackend::forgetful(|_| pace_tests::Answer::new("one"));
    let authority = Authority::new("servers");
    let pace = start(
        &authority.issue(&["a.test"]),
        &backend,
        "cert = \"whole.pem\", key = \"whole.pem\"",
    );
    let mut last = None;
    let shown = Load::under(&pace, &authority, || {
        let begin = Instant::now();
        let mut admin = pace.admin();
        for nth in 1..=SWAPS {
            let next = authority.issue(&["a.test"]);
            next.write_whole(pace.directory(), "whole");
            let answer = admin.send(&Request::post("/reload", ""));
            assert_eq!(answer.status, 200, "{answer:?}");
            last = Some(next);
            thread::sleep((PERIOD * nth).saturating_sub(begin.elapsed()));
        }
    });
    let last = last.expect("there were swaps");
    assert!(serves_with(&pace, &authority, &last));
    assert!(
        shown > SWAPS as usize / 4,
        "clients were shown {shown} certificates"
    );
    let failures = pace.metrics().sum("pace_tls_handshake_failures_total", &[]);
    assert_eq!(failures, 0);
    let exit = pace.stop();
    assert!(!exit.stderr.contains("ERROR"), "{}", exit.stderr);
}

#[test]
fn certificate_that_is_replaced_every_second_costs_no_handshake_and_no_request() {
    let seconds = env::var("PACE_TEST_SWAPS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let swaps: u32 = seconds.unwrap_or(3);
    let backend = HttpBackend::forgetful(|_| pace_tests::Answer::new("one"));
    let authority = Authority::new("servers");
    let pace = start(
        &authority.issue(&["a.test"]),
        &backend,
        "cert = \"a.pem\", key = \"a.key\"",
    );
    let shown = Load::under(&pace, &authority, || {
        let begin = Instant::now();
        for nth in 1..=swaps {
            let next = authority.issue(&["a.test"]);
            // First the one file, then the other, as tools do.
            next.write(pace.directory(), "a");
            wait_until("the new certificate", || serves_with(&pace, &authority, &next));
            thread::sleep((Duration::from_secs(1) * nth).saturating_sub(begin.elapsed()));
        }
    });
    assert!(
        shown > swaps as usize / 2,
        "clients were shown {shown} certificates"
    );
    assert_eq!(pace.metrics().sum("pace_tls_handshake_failures_total", &[]), 0);
    let exit = pace.stop();
    assert!(!exit.stderr.contains("ERROR"), "{}", exit.stderr);
}
