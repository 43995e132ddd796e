//! Gives every request an id that client, backend and both their logs share.
//!
//! | key | | default |
//! |---|---|---|
//! | `header` | the header that carries it, to the backend and to the client | `"X-Request-Id"` |
//! | `trust` | networks and addresses whose own id is kept: proxies in front of this one | nobody |
//!
//! The id is a UUID of version 7 (RFC 9562), so ids sort by time. It is unique, not secret: plugins have no
//! source of random numbers, and a client could guess the next id.

#![forbid(unsafe_code)]

use std::time::Duration;

use pace_plugin::{
    Counter, HeaderName, Network, Plugin, Request, RequestFilter, Response, ResponseFilter, Verdict,
};
use pace_plugin::{clock, error};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    header: Option<HeaderName>,
    #[serde(default)]
    trust: Vec<Network>,
}

struct RequestId {
    header: HeaderName,
    trust: Vec<Network>,
    requests: Counter,
    /// The seed, a different one in each instance, also in other processes and on other machines.
    seed: u64,
}

impl Plugin for RequestId {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self {
            header: config
                .header
                .unwrap_or_else(|| HeaderName::from_static("X-Request-Id")),
            trust: config.trust,
            requests: Counter::open("requests")?,
            seed: clock::since_1970().as_nanos() as u64,
        })
    }
}

/// A UUID of version 7: milliseconds, then the part of the current one, in 4096ths (RFC 9562, section 6.2,
/// method 3), then bits that tell apart the ids of one moment.
fn uuid(time: Duration, unique: u64) -> String {
    let millis = time.as_millis() as u64 & 0xffff_ffff_ffff;
    let part = u64::from(time.subsec_nanos() % 1_000_000) * 4096 / 1_000_000;
    let (high, low) = (millis << 16 | 0x7000 | part, unique >> 2 | 1 << 63);
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!(
        "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}",
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): different numbers stay different, and look like
/// random ones.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Whether an id may be written into a log as it is.
fn is_id(id: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=128).contains(&id.len()) && id.iter().all(allowed)
}

impl RequestFilter for RequestId {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let client = request.client_address();
        if self.trust.iter().any(|network| network.contains(client)) {
            let ids = request.header_values(&self.header);
            if let [id] = ids.as_slice()
                && is_id(id)
            {
                return Verdict::Next;
            }
        }
        let id = uuid(
            clock::since_1970(),
            mix(self.seed.wrapping_add(self.requests.add(1))),
        );
        // It is no reason to refuse a request; one without an id is better than one with the client's.
        if let Err(refused) = request.set_header(&self.header, id) {
            error!("a request has no id: {refused}");
            let _ = request.remove_header(&self.header);
        }
        Verdict::Next
    }
}

impl ResponseFilter for RequestId {
    fn response_filter(&mut self, request: &Request, response: &mut Response) -> Verdict {
        if let Some(id) = request.header(&self.header)
            && let Err(refused) = response.set_header(&self.header, id)
        {
            error!("a response has no id: {refused}");
        }
        Verdict::Next
    }
}

pace_plugin::export!(RequestId: RequestFilter, ResponseFilter);

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z.
    #[test]
    fn id_is_a_uuid_of_version_7() {
        let millis = Duration::from_millis(0x017f_22e2_79b0);
        let part = Duration::from_nanos(0xcc3 * 1_000_000 / 4096 + 1);
        let id = uuid(millis + part, 0x18c4_dc0c_0c07_398f << 2);
        assert_eq!(id, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn ids_sort_by_time_and_differ_at_one_time() {
        let at = |micros, number| uuid(Duration::from_micros(micros), mix(number));
        assert!(at(1_000, 9) < at(1_001, 5) && at(1_001, 5) < at(2_000, 1));
        let ids: std::collections::HashSet<String> = (0..10_000).map(|number| at(5, number)).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
