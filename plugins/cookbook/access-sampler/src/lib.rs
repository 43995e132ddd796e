//! Measures requests by tenant: how many there are, how they end, how long they take.
//!
//! | key | | default |
//! |---|---|---|
//! | `tenant` | the header that names the tenant | required |
//! | `one_in` | of so many requests one is measured in `request_seconds`, by chance; all are counted, 1 to 10000 | 1 |
//!
//! The metrics are `plugin_requests_total` with `tenant`, `status` and `ending`, `plugin_response_bytes_total` with
//! `tenant`, and the histogram `plugin_request_seconds` with `tenant` and `pool`. A request without the header is
//! counted under `-`. After 200 tenants the next ones are `other`, so clients cannot fill the memory.

#![forbid(unsafe_code)]

use pace_plugin::metrics::{Counter, Histogram};
use pace_plugin::{Finished, HeaderName, Integer, Outcome, Plugin, Request, random};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    tenant: HeaderName,
    one_in: Option<Integer<1, 10_000>>,
}

struct Sampler {
    tenant: HeaderName,
    one_in: u64,
    requests: Counter<3>,
    bytes: Counter<1>,
    seconds: Histogram<2>,
}

const BOUNDS: [f64; 9] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

impl Plugin for Sampler {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let requests = ["tenant", "status", "ending"];
        let seconds = "Time of requests, from the head to the end.";
        Ok(Self {
            tenant: config.tenant,
            one_in: config.one_in.map_or(1, Integer::get),
            requests: Counter::open("requests_total", "Requests that are over.", requests)?,
            bytes: Counter::open("response_bytes_total", "Bytes of responses' bodies.", ["tenant"])?,
            seconds: Histogram::open("request_seconds", seconds, ["tenant", "pool"], &BOUNDS)?,
        })
    }
}

/// The class of a status, as a label has it.
fn class(status: Option<u16>) -> &'static str {
    match status {
        None => "none",
        Some(..200) => "1xx",
        Some(..300) => "2xx",
        Some(..400) => "3xx",
        Some(..500) => "4xx",
        Some(_) => "5xx",
    }
}

impl Finished for Sampler {
    fn finished(&mut self, request: &Request, outcome: &Outcome) {
        let tenant = request.header(&self.tenant).unwrap_or_else(|| b"-".to_vec());
        let tenant = String::from_utf8_lossy(&tenant);
        let labels = [&*tenant, class(outcome.status()), outcome.ended().name()];
        self.requests.add(labels, 1);
        self.bytes.add([&tenant], outcome.response_bytes());
        if self.one_in == 1 || random::number().is_multiple_of(self.one_in) {
            let pool = outcome.pool().unwrap_or_else(|| "-".to_owned());
            self.seconds
                .observe([&tenant, &pool], outcome.total_time().as_secs_f64());
        }
    }
}

pace_plugin::export!(Sampler: Finished);
