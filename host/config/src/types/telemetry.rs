//! `[access_log]` and `[tracing]`.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// `[access_log]`: which requests have a line, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessLog {
    /// The file that lines are appended to; `None`: standard output.
    pub file: Option<PathBuf>,
    /// The form of a line.
    pub format: LogFormat,
    /// The fields of a line, in this order. At least one, none twice.
    pub fields: Vec<LogField>,
    /// One in so many requests has a line, 1 to 1,000,000.
    pub sample_one_in: u32,
    /// The statuses of requests that have a line.
    pub statuses: StatusSet,
    /// The statuses of requests that have a line in any case.
    pub always: StatusSet,
}

impl AccessLog {
    /// A log of every request, for lines that go elsewhere than a configuration says.
    pub fn of_all(format: LogFormat, fields: Vec<LogField>) -> AccessLog {
        AccessLog {
            file: None,
            format,
            fields,
            sample_one_in: 1,
            statuses: StatusSet::ALL,
            always: StatusSet::NONE,
        }
    }
}

/// The form of a line of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// An object of JSON.
    #[default]
    Json,
    /// `name=value` pairs.
    Text,
}

/// Declares [`LogField`] from one entry for each field, in the order of a line.
macro_rules! fields {
    ($($(#[doc = $about:literal])* $case:ident $name:literal,)*) => {
        /// A field of the access log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LogField {
            $($(#[doc = $about])* $case,)*
        }

        impl LogField {
            /// Every field, in the order of a line that says nothing else.
            pub const ALL: &'static [LogField] = &[$(LogField::$case),*];

            /// The name in the configuration and in the line.
            pub fn name(self) -> &'static str {
                match self {
                    $(LogField::$case => $name,)*
                }
            }
        }
    };
}

fields! {
    /// The time of the request's beginning, in UTC.
    Time "time",
    /// The request's id, where `[server] request_id` names its field.
    Id "id",
    /// The trace, where the request is traced.
    Trace "trace",
    /// The client's address.
    Client "client",
    /// The method.
    Method "method",
    /// `http` or `https`.
    Scheme "scheme",
    /// The host that was asked for.
    Host "host",
    /// The path as it was sent.
    Path "path",
    /// The query as it was sent.
    Query "query",
    /// The version of HTTP that the client spoke.
    Protocol "protocol",
    /// The status that was sent; 499 if the client left before it got one.
    Status "status",
    /// How the response ended.
    End "end",
    /// The reason why the request was refused.
    Refused "refused",
    /// The bytes of the request's body that were read.
    BytesReceived "bytes_received",
    /// The bytes of the response's body that were sent.
    BytesSent "bytes_sent",
    /// Milliseconds from the request's head to the end of the response.
    Duration "duration_ms",
    /// Milliseconds of waiting for a place at a backend.
    Queue "queue_ms",
    /// Milliseconds of connecting to the backend.
    Connect "connect_ms",
    /// Milliseconds from the request's head to that of the response.
    FirstByte "first_byte_ms",
    /// The route.
    Route "route",
    /// The pool.
    Pool "pool",
    /// The backend of the last attempt.
    Backend "backend",
    /// The number of attempts.
    Attempts "attempts",
    /// The reason why the last attempt that failed did.
    Failure "failure",
    /// The version of TLS.
    TlsVersion "tls_version",
    /// The cipher suite of TLS.
    TlsCipher "tls_cipher",
    /// The name that the client asked for in the handshake of TLS.
    TlsName "tls_name",
    /// `User-Agent`.
    UserAgent "user_agent",
    /// `Referer`.
    Referrer "referrer",
    /// Each call of a hook, with its verdict and its time.
    Plugins "plugins",
    /// The fields that plugins have added, as `PLUGIN.KEY`.
    Annotations "annotations",
}

/// A set of statuses of HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusSet([u64; StatusSet::WORDS]);

impl StatusSet {
    const WORDS: usize = 600_usize.div_ceil(64);

    /// No status.
    pub const NONE: StatusSet = StatusSet([0; StatusSet::WORDS]);

    /// Every status.
    pub const ALL: StatusSet = StatusSet::NONE.with(100, 599);

    /// The set, and the statuses of a range, its last included. Those above 599 are none.
    #[must_use]
    pub const fn with(mut self, first: u16, last: u16) -> StatusSet {
        let mut status = first;
        while status <= last && status < 600 {
            self.0[status as usize / 64] |= 1 << (status % 64);
            status += 1;
        }
        self
    }

    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        let word = self.0.get(usize::from(status) / 64);
        word.is_some_and(|word| word & (1 << (status % 64)) != 0)
    }

    /// The ranges of statuses that the set consists of, in their order.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u16>> {
        let mut next = 100;
        std::iter::from_fn(move || {
            let first = (next..600).find(|status| self.contains(*status))?;
            let end = (first..600).find(|status| !self.contains(*status)).unwrap_or(600);
            next = end;
            Some(first..=end - 1)
        })
    }

    /// Whether no status is in the set.
    pub fn is_empty(&self) -> bool {
        *self == StatusSet::NONE
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses = (100..600).filter(|status| self.contains(*status));
        out.debug_set().entries(statuses).finish()
    }
}

/// `[tracing]`: which requests are traced, and where their spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tracing {
    /// The collector.
    pub collector: Collector,
    /// Fields of each request to the collector, by name.
    pub headers: Vec<(String, Secret)>,
    /// The authorities that vouch for the collector; the system's if there is none.
    pub ca: Option<PathBuf>,
    /// The name of this proxy in its spans, `service.name`.
    pub service: String,
    /// One in so many requests is traced, of those for which no trusted proxy has decided. 1 to 1,000,000.
    pub sample_one_in: u32,
    /// The longest time for a request to the collector.
    pub timeout: Duration,
}

/// The URL of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collector {
    /// Whether connections are encrypted.
    pub is_encrypted: bool,
    /// The host, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path.
    pub path: String,
}

impl Collector {
    pub(crate) fn new(is_encrypted: bool, host: String, port: u16, path: String) -> Collector {
        Collector {
            is_encrypted,
            host,
            port,
            path,
        }
    }

    /// Host and port, as `Host` has them.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A text that nobody is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    source: Option<SecretSource>,
}

/// The place where a secret is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// This variable of the environment.
    Env(String),
    /// This file.
    File(PathBuf),
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret { text, source: None }
    }
}

impl Secret {
    pub(crate) fn new(text: String, source: SecretSource) -> Secret {
        Secret {
            text,
            source: Some(source),
        }
    }

    /// The text, for its use and nothing else.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The place where the text was read; `None` if it was not read anywhere.
    pub fn source(&self) -> Option<&SecretSource> {
        self.source.as_ref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_set_has_what_was_inserted() {
        assert!(StatusSet::NONE.is_empty());
        let set = StatusSet::NONE.with(404, 404).with(500, 700);
        let has: Vec<u16> = (0..=1000).filter(|status| set.contains(*status)).collect();
        let expected: Vec<u16> = [404].into_iter().chain(500..=599).collect();
        assert_eq!(has, expected);
        assert!(StatusSet::ALL.contains(499));
        assert_eq!(set.ranges().collect::<Vec<_>>(), [404..=404, 500..=599]);
        assert_eq!(StatusSet::NONE.ranges().count(), 0);
    }

    #[test]
    fn secret_is_not_printed() {
        let secret = Secret::from("swordfish".to_owned());
        assert_eq!(format!("{secret:?}"), "(secret)");
    }
}
