//! The proxies that are measured.
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | the list of subjects, and what tells them apart |
//! | `pace` | Pace's configuration |
//! | `others` | nginx's and HAProxy's |
//! | `programs` | from a kind of proxy to a program |
//! | `start` | from a program to a process that listens |
//! | `process` | the kernel's figures about a process |

mod others;
mod pace;
mod process;
mod programs;
mod start;

pub(crate) use process::{Memory, Running};
pub(crate) use programs::Programs;
pub(crate) use start::free_address;

use std::net::SocketAddr;
use std::path::PathBuf;

/// A proxy, with its work on requests.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    /// The name for the command line and for files.
    pub(crate) key: &'static str,
    /// The name for people.
    pub(crate) name: &'static str,
    kind: Kind,
}

/// The program that runs.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Pingora with a round robin, with Pace's allocator.
    BarePingora,
    /// Pingora with a round robin, with the system's allocator.
    BarePingoraSystemMalloc,
    /// Pace, with its policies in native code as far as a chain has them.
    Native(Chain),
    Pace(Chain),
    Nginx,
    Haproxy,
}

/// The plugins of the route.
#[derive(Clone, Copy, PartialEq)]
enum Chain {
    /// No plugin is named, so that `builtin:round-robin` chooses.
    Empty,
    /// This many plugins that do nothing in `request-filter`.
    NoOps(usize),
    /// One of the balancers of the binary.
    Balancer(&'static str),
    /// The limiter, the round robin and the header editor.
    Defaults,
    /// The three, and one that reads every header of request and response.
    Reader,
    /// The three, each in a new instance for each call.
    Afresh,
    /// One that is shown the whole body of each request, and does this with it.
    Bodies(&'static str),
    /// One that looks at server-sent events: at each, or at those that contain this string.
    Events(Option<&'static str>),
}

/// Settings that do not make it another proxy.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) workers: usize,
    pub(crate) backends: Vec<SocketAddr>,
    /// Whether `x-forwarded-for` names the client, and clients are not forgotten.
    pub(crate) clients_are_named: bool,
    /// Whether Pace keeps compiled plugins.
    pub(crate) cache: bool,
    /// The certificate of a proxy that speaks TLS.
    pub(crate) tls: Option<TlsFiles>,
}

/// A certificate and its key in files.
#[derive(Clone)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, for HAProxy.
    pub(crate) both: PathBuf,
}

impl Setting {
    /// One worker in front of these backends.
    pub(crate) fn plain(backends: &[SocketAddr]) -> Setting {
        Setting {
            workers: 1,
            backends: backends.to_vec(),
            clients_are_named: false,
            cache: false,
            tls: None,
        }
    }

    /// The number of connections to backends that are kept: enough for one request at a time to each of them.
    fn connections_kept(&self) -> usize {
        (2 * self.backends.len()).max(128)
    }
}

const fn subject(key: &'static str, name: &'static str, kind: Kind) -> Subject {
    Subject { key, name, kind }
}

/// The subject that the others are compared with.
pub(crate) const BARE: Subject = subject("bare", "bare Pingora", Kind::BarePingora);
/// The base once more: differences between the two are noise.
pub(crate) const BARE_AGAIN: Subject = subject("bare-again", "bare Pingora again", Kind::BarePingora);
/// The base with another allocator.
pub(crate) const BARE_SYSTEM_MALLOC: Subject = subject(
    "bare-system-malloc",
    "bare Pingora with the system's allocator",
    Kind::BarePingoraSystemMalloc,
);
/// The host without the sandbox.
pub(crate) const NATIVE_EMPTY: Subject = subject(
    "native-empty",
    "Pace, no plugin, round robin in native code",
    Kind::Native(Chain::Empty),
);
/// The least work that Pace can be configured to do.
pub(crate) const EMPTY: Subject = subject("empty", "Pace, no plugin", Kind::Pace(Chain::Empty));
/// The policies without the sandbox.
pub(crate) const NATIVE: Subject = subject(
    "native",
    "Pace, three policies in native code",
    Kind::Native(Chain::Defaults),
);
/// The balancers but the round robin, which `empty` has, in native code and in the sandbox.
const NATIVE_LEAST_REQUEST: Subject = subject(
    "native-least-request",
    "Pace, `least-request` in native code",
    Kind::Native(Chain::Balancer("least-request")),
);
const LEAST_REQUEST: Subject = subject(
    "least-request",
    "Pace, `least-request`",
    Kind::Pace(Chain::Balancer("least-request")),
);
const NATIVE_PEAK_EWMA: Subject = subject(
    "native-peak-ewma",
    "Pace, `peak-ewma` in native code",
    Kind::Native(Chain::Balancer("peak-ewma")),
);
const PEAK_EWMA: Subject = subject(
    "peak-ewma",
    "Pace, `peak-ewma`",
    Kind::Pace(Chain::Balancer("peak-ewma")),
);
const NATIVE_CONSISTENT_HASH: Subject = subject(
    "native-consistent-hash",
    "Pace, `consistent-hash` in native code",
    Kind::Native(Chain::Balancer("consistent-hash")),
);
const CONSISTENT_HASH: Subject = subject(
    "consistent-hash",
    "Pace, `consistent-hash`",
    Kind::Pace(Chain::Balancer("consistent-hash")),
);
/// One more call.
pub(crate) const ONE_NO_OP: Subject = subject("no-op", "Pace, one no-op plugin", Kind::Pace(Chain::NoOps(1)));
/// Three more calls.
pub(crate) const THREE_NO_OPS: Subject =
    subject("no-ops", "Pace, three no-op plugins", Kind::Pace(Chain::NoOps(3)));
/// The configuration that users run.
pub(crate) const DEFAULTS: Subject = subject(
    "defaults",
    "Pace, three default plugins",
    Kind::Pace(Chain::Defaults),
);
/// The cost of reading headers.
pub(crate) const READER: Subject = subject(
    "reader",
    "Pace, those and one that reads all headers",
    Kind::Pace(Chain::Reader),
);
/// The cost of the strictest isolation.
pub(crate) const AFRESH: Subject = subject(
    "afresh",
    "Pace, three default plugins, `isolation = \"request\"`",
    Kind::Pace(Chain::Afresh),
);
/// The cost of holding a body until a plugin has seen it.
const VERDICT: Subject = subject(
    "body-verdict",
    "Pace, one plugin that is shown the whole body",
    Kind::Pace(Chain::Bodies("nothing")),
);
/// The cost of reading a body in the sandbox.
const READ: Subject = subject(
    "body-read",
    "Pace, one that reads the whole body",
    Kind::Pace(Chain::Bodies("read")),
);
/// The cost of a member of a body in JSON.
const JSON: Subject = subject(
    "body-json",
    "Pace, one that looks up a member of it",
    Kind::Pace(Chain::Bodies("json")),
);
/// The cost of events in which nothing is found.
const INTEREST: Subject = subject(
    "events-of-interest",
    "Pace, one plugin with an `interest` that no event has",
    Kind::Pace(Chain::Events(Some("\"usage\""))),
);
/// The cost of events that are shown.
const EVENTS: Subject = subject(
    "events",
    "Pace, one that is shown every event",
    Kind::Pace(Chain::Events(None)),
);
/// Debian's nginx.
pub(crate) const NGINX: Subject = subject("nginx", "nginx", Kind::Nginx);
/// Debian's HAProxy.
pub(crate) const HAPROXY: Subject = subject("haproxy", "HAProxy", Kind::Haproxy);

/// All subjects.
pub(crate) fn all() -> impl Iterator<Item = &'static Subject> {
    BESIDE.iter().chain(LADDER)
}

/// The subjects that only other scenes have.
const BESIDE: &[Subject] = &[
    BARE_SYSTEM_MALLOC,
    NATIVE_LEAST_REQUEST,
    LEAST_REQUEST,
    NATIVE_PEAK_EWMA,
    PEAK_EWMA,
    NATIVE_CONSISTENT_HASH,
    CONSISTENT_HASH,
    VERDICT,
    READ,
    JSON,
    INTEREST,
    EVENTS,
];

/// The subjects of the ladder, from the least to the most work, with the other proxies at the end.
pub(crate) const LADDER: &[Subject] = &[
    BARE,
    BARE_AGAIN,
    NATIVE_EMPTY,
    EMPTY,
    NATIVE,
    ONE_NO_OP,
    THREE_NO_OPS,
    DEFAULTS,
    READER,
    AFRESH,
    NGINX,
    HAPROXY,
];

/// The balancers, each in native code and in the sandbox.
pub(crate) const BALANCERS: &[Subject] = &[
    NATIVE_EMPTY,
    EMPTY,
    NATIVE_LEAST_REQUEST,
    LEAST_REQUEST,
    NATIVE_PEAK_EWMA,
    PEAK_EWMA,
    NATIVE_CONSISTENT_HASH,
    CONSISTENT_HASH,
];

/// No plugin, one that is shown no body, and those that are shown bodies of requests or events of responses.
pub(crate) const SHOWN_CONTENT: &[Subject] = &[EMPTY, ONE_NO_OP, VERDICT, READ, JSON, INTEREST, EVENTS];

impl Subject {
    /// Whether its plugin is shown bodies of requests.
    pub(crate) fn is_shown_bodies(&self) -> bool {
        matches!(self.kind, Kind::Pace(Chain::Bodies(_)))
    }

    /// Whether its plugin is shown server-sent events.
    pub(crate) fn is_shown_events(&self) -> bool {
        matches!(self.kind, Kind::Pace(Chain::Events(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn subjects_have_distinct_keys_and_names() {
        for part in [|subject: &Subject| subject.key, |subject: &Subject| subject.name] {
            assert_eq!(all().map(part).collect::<HashSet<_>>().len(), all().count());
        }
    }

    #[test]
    fn ladder_begins_with_the_base_and_has_no_balancer_of_its_own() {
        assert_eq!(LADDER[0].key, BARE.key);
        assert!(
            !LADDER
                .iter()
                .any(|subject| subject.key.ends_with("least-request"))
        );
        for balancer in BALANCERS {
            assert!(
                all().any(|subject| subject.key == balancer.key),
                "{}",
                balancer.key
            );
        }
    }
}
