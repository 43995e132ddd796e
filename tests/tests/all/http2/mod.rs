//! HTTP/2 with clients, over TLS and with prior knowledge.

mod endings;
mod floods;
mod messages;
mod refusals;
mod streams;
mod uploads;
mod windows;

use pace_tests::{Authority, Certificate, Frames, Http2, Pace, Setup, Tls};

/// A response that ends where its head says.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Errors of streams and connections (RFC 9113, section 7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;

/// A Pace with a plain listener and an encrypted one, on one worker.
struct Both {
    pace: Pace,
    authority: Authority,
}

/// The name in the certificate.
const NAME: &str = "a.test";

impl Both {
    /// Starts Pace before a backend. `server` has further keys of `[server]`, `pool` those of the pool.
    fn with(backend: &str, server: &str, pool: &str) -> Both {
        let authority = Authority::new("servers");
        let certificate: Certificate = authority.issue(&[NAME]);
        let config = format!(
            "[server]\nworkers = 1\n{server}\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
             [[listeners]]\nlisten = \"127.0.0.1:0\"\n\n\
             [[listeners]]\nlisten = \"127.0.0.2:0\"\n\
             certificates = [{{ cert = \"a.pem\", key = \"a.key\" }}]\n\n\
             [[pools]]\nname = \"web\"\nbackends = [\"{backend}\"]\n{pool}\n\n\
             [[routes]]\nmatch = {{ path_prefix = \"/\" }}\npool = \"web\"\n"
        );
        // The log has a line for each request.
        let setup = Setup::new().config(&config).env("RUST_LOG", "info");
        certificate.write(setup.directory(), "a");
        Both {
            pace: setup.start(),
            authority,
        }
    }

    fn before(backend: &str) -> Both {
        Both::with(backend, "", "")
    }

    /// A client for each way to HTTP/2.
    fn clients(&self) -> [Http2; 2] {
        [self.plain(), self.encrypted()]
    }

    fn plain(&self) -> Http2 {
        Http2::connect(self.pace.listeners()[0])
    }

    fn encrypted(&self) -> Http2 {
        Http2::connect_tls(self.pace.listeners()[1], &self.tls(), NAME)
    }

    /// A client of frames, without TLS.
    fn frames(&self) -> Frames {
        self.frames_with(&[])
    }

    fn frames_with(&self, settings: &[(u16, u32)]) -> Frames {
        Frames::connect(self.pace.listeners()[0], settings)
    }

    fn encrypted_frames(&self) -> Frames {
        Frames::connect_tls(self.pace.listeners()[1], &self.tls(), &[])
    }

    fn tls(&self) -> Tls {
        Tls::new(&self.authority, NAME)
    }

    /// Waits until every connection of a client has been closed.
    fn wait_until_closed(&self) {
        pace_tests::wait_until("all connections to be closed", || {
            self.pace.metrics().sum("pace_connections_open", &[]) == 0
        });
    }
}
