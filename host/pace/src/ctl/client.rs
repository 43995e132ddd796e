//! Requests to the admin listener, each on a connection of its own.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use pace_base::escape::Shown;
use serde_json::Value;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest wait for an answer: a reload is answered when a plugin has been compiled.
const ANSWER: Duration = Duration::from_secs(180);

/// The most bytes of an answer.
const MOST: u64 = 64 << 20;

/// A client of the admin listener.
pub(super) struct Client {
    address: String,
    token: Option<String>,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Nobody listens, or the connection broke.
    #[error("the admin listener {0}: {1}; is there [admin], and is this its address (--admin, or --config)?")]
    Unreachable(String, io::Error),
    /// The answer is not one of HTTP, or not what is expected.
    #[error("the admin listener {0} gives no answer that is understood")]
    Strange(String),
    /// The token is missing or wrong.
    #[error(
        "the admin listener wants a token: set PACE_ADMIN_TOKEN, or name the configuration with --config"
    )]
    Unauthorized,
    /// The request was refused, for this reason.
    #[error("{0}")]
    Refused(Shown),
    /// The configuration has no admin listener.
    #[error("{} has no [admin], so there is nobody to ask", .0.display())]
    NoAdmin(PathBuf),
}

impl Client {
    pub(super) fn new(address: String, token: Option<String>) -> Client {
        Client { address, token }
    }

    /// The address of the listener.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What `/health` says: `ok`, or `draining`.
    pub(super) fn health(&self) -> Result<String, Failed> {
        let (_, said) = self.ask("GET", "/health")?;
        Ok(said.trim().to_owned())
    }

    /// The metrics.
    pub(super) fn metrics(&self) -> Result<super::top::Metrics, Failed> {
        let text = self.successful("GET", "/metrics")?;
        Ok(super::top::Metrics::parse(&text))
    }

    /// A list or an object.
    pub(super) fn json(&self, path: &str) -> Result<Value, Failed> {
        let text = self.successful("GET", path)?;
        serde_json::from_str(&text).map_err(|_| Failed::Strange(self.address.clone()))
    }

    /// Asks for a change. Returns the sentence about it.
    pub(super) fn post(&self, path: &str) -> Result<String, Failed> {
        self.successful("POST", path)
    }

    fn successful(&self, method: &str, path: &str) -> Result<String, Failed> {
        match self.ask(method, path)? {
            (200, said) => Ok(said),
            (401, _) => Err(Failed::Unauthorized),
            (_, said) => Err(Failed::Refused(Shown::lines(said.trim_end()))),
        }
    }

    fn ask(&self, method: &str, path: &str) -> Result<(u16, String), Failed> {
        let unreachable = |error| Failed::Unreachable(self.address.clone(), error);
        let answer = self.exchange(method, path).map_err(unreachable)?;
        parse(&answer).ok_or_else(|| Failed::Strange(self.address.clone()))
    }

    fn exchange(&self, method: &str, path: &str) -> io::Result<Vec<u8>> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.address.to_socket_addrs()? {
            let mut stream = match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => stream,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            stream.set_read_timeout(Some(ANSWER))?;
            // A name in `Host` would be taken for a web page's.
            let mut head = format!(
                "{method} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n",
                encoded(path)
            );
            if let Some(token) = &self.token {
                head += &format!("Authorization: Bearer {}\r\n", token.trim());
            }
            stream.write_all(format!("{head}\r\n").as_bytes())?;
            let mut answer = Vec::new();
            stream.take(MOST).read_to_end(&mut answer)?;
            return Ok(answer);
        }
        Err(last)
    }
}

/// A path whose characters no request line has in any other meaning.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'/'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'['
            | b']' => {
                text.push(byte.into());
            }
            byte => text += &format!("%{byte:02X}"),
        }
    }
    text
}

/// The status and the body of an answer that ends with its connection.
fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body = String::from_utf8(answer[end + 4..].to_vec()).ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_has_status_and_body() {
        let answer = b"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nno\n";
        assert_eq!(parse(answer), Some((409, "no\n".to_owned())));
        for wrong in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
        ] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn path_cannot_end_the_request_line() {
        assert_eq!(
            encoded("/plugins/a b\r\nX: y/reload"),
            "/plugins/a%20b%0D%0AX:%20y/reload"
        );
    }
}
