//! HTTP/1.1 to the letter, through real sockets: ambiguous messages are refused, and those that pass have one
//! spelling.

mod attempts;
mod buffering;
mod endings;
mod forwarding;
mod matrix;
mod requests;
mod responses;
mod retrying;
mod slow;
mod targets;
mod upgrades;

use pace_tests::{Client, Pace, Scripted};

use crate::sections::{EVERYTHING, ONE_WORKER};

/// A response that ends where its head says.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Starts Pace with one worker, one backend and one route. `more` has further keys of the pool.
fn before(backend: &Scripted, more: &str) -> Pace {
    Pace::with_config(&format!(
        "{ONE_WORKER}\n[[pools]]\nname = \"web\"\nbackends = [\"{}\"]\n{more}\n\n{EVERYTHING}",
        backend.label()
    ))
}

/// Everything that is received until the connection is closed.
fn all(client: &mut Client) -> String {
    String::from_utf8_lossy(&client.read_to_end()).into_owned()
}

/// The status of the first response among these bytes.
fn status(text: &str) -> u16 {
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}
