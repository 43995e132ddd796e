//! Measures the cost of calls of a hook.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::exchange::Exchange;
use super::message::{Copied, Request, Response};
use super::session::Session;
use pace_hook::{Ending, Failure, Hook, Judgement, Opening, Reply, Selection, Verdict};

/// The cost of calls of a hook on one reused instance.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The number of measured calls.
    pub calls: u32,
    /// The median time of a call, including all of the host's work for it.
    pub median: Duration,
    /// The 99th percentile of the time.
    pub p99: Duration,
    /// The mean number of host functions called; `None` if no instance is kept between calls.
    pub calls_out: Option<f64>,
    /// The mean number of texts and other bytes of messages, pools, answers and log lines that were handed
    /// over, either way: names and values of headers count one by one.
    pub copies: f64,
    /// The mean number of their bytes.
    pub bytes: f64,
    /// The median number of instructions, if they are counted.
    pub instructions: Option<u64>,
    /// Linear memory at the end, in bytes; `None` if no instance is kept between calls.
    pub memory: Option<usize>,
}

/// The message that passes stream filters: one unit, however it is cut.
const MESSAGE: &[u8] = b"data: {}\n\n";

/// One call in so many comes before the measured ones, so that one-time work is done.
const WARM_UP: u32 = 5;

impl Session {
    /// Calls a hook so many times, at least once, with the same messages, and measures each call. The clock
    /// moves a millisecond between calls. With `vary_client` requests come from 65,536 clients in turn.
    ///
    /// # Errors
    ///
    /// A call failed, or the plugin has no such hook.
    pub fn measure(
        &self,
        hook: Hook,
        exchange: &Exchange,
        calls: u32,
        vary_client: bool,
    ) -> Result<Cost, Failure> {
        let calls = calls.max(1);
        for number in 0..calls / WARM_UP {
            self.measured(hook, exchange, number, vary_client)?;
        }
        let overhead = overhead();
        let before = self.usage();
        let mut times = Vec::with_capacity(calls as usize);
        let mut instructions = Vec::with_capacity(calls as usize);
        let (mut copies, mut bytes) = (0, 0);
        let mut counted = before.and_then(|usage| usage.instructions);
        for number in 0..calls {
            let call = self.measured(hook, exchange, number.wrapping_add(calls), vary_client)?;
            times.push(call.time.saturating_sub(overhead));
            copies += call.copies;
            bytes += call.bytes;
            let now = self.usage().and_then(|usage| usage.instructions);
            if let (Some(before), Some(now)) = (counted, now) {
                // A new instance, in place of one that grew too large, begins at 0.
                instructions.push(now.checked_sub(before).unwrap_or(now));
            }
            counted = now;
        }
        let after = self.usage();
        times.sort_unstable();
        instructions.sort_unstable();
        let calls_out = match (before, after) {
            (Some(before), Some(after)) if after.calls_out >= before.calls_out => {
                Some((after.calls_out - before.calls_out) as f64 / f64::from(calls))
            }
            _ => None,
        };
        Ok(Cost {
            calls,
            median: percentile(&times, 50).unwrap_or_default(),
            p99: percentile(&times, 99).unwrap_or_default(),
            calls_out,
            copies: copies as f64 / f64::from(calls),
            bytes: bytes as f64 / f64::from(calls),
            instructions: percentile(&instructions, 50),
            memory: after.map(|usage| usage.memory),
        })
    }

    /// Filters a short message, if it was opened.
    fn pass_through(
        &self,
        opening: Option<Opening>,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
    ) -> Result<Copied, Failure> {
        if let Some(opening) = opening {
            self.pass_piece(opening, Bytes::from_static(MESSAGE), request, response)?;
        }
        Ok(Copied::default())
    }

    /// Prepares an attempt, and judges it if the plugin lets it be made.
    fn attempt(
        &self,
        request: &Request,
        response: &Response,
        exchange: &Exchange,
    ) -> Result<Copied, Failure> {
        let mut trial = self.trial(request);
        if let Verdict::Respond(reply) = self.prepare(request, &mut trial, exchange.attempt)? {
            return Ok(of_reply(&reply));
        }
        let backend = exchange.pool.backends.first();
        let backend = backend.map(|backend| backend.address.as_str());
        match self.judge(request, &trial, Some((response, backend)), exchange.attempt)? {
            Judgement::Accept | Judgement::Retry => Ok(Copied::default()),
            Judgement::Respond(reply) => Ok(of_reply(&reply)),
        }
    }

    fn measured(
        &self,
        hook: Hook,
        exchange: &Exchange,
        number: u32,
        vary_client: bool,
    ) -> Result<Call, Failure> {
        let mut request = exchange.request.clone();
        let mut response = exchange.response.clone();
        let pool = exchange.pool.clone();
        if vary_client {
            let [.., high, low] = number.to_be_bytes();
            request.client = IpAddr::V4(Ipv4Addr::new(10, 1, high, low));
        }
        self.advance(Duration::from_millis(1));
        let begin = Instant::now();
        let answered = match hook {
            Hook::RequestFilter => self.request_filter(&mut request).map(of_verdict),
            Hook::RequestBodyFilter => self.request_body(&mut request).map(of_verdict),
            Hook::ResponseBodyFilter => self.response_body(&request, &mut response, None).map(of_verdict),
            Hook::RequestStreamFilter => self
                .open_request_stream(&request)
                .and_then(|opening| self.pass_through(opening, &request, None)),
            Hook::AttemptFilter => self.attempt(&request, &response, exchange),
            Hook::SelectUpstream => self
                .select_upstream(&request, &pool, exchange.attempt)
                .map(of_selection),
            Hook::ResponseFilter => {
                let backend = exchange.pool.backends.first();
                let backend = backend.map(|backend| backend.address.as_str());
                self.response_filter(&request, &mut response, backend)
                    .map(of_verdict)
            }
            Hook::ResponseStreamFilter => {
                let from = Some((&response, None));
                self.open_response_stream(&request, &response, None)
                    .and_then(|opening| self.pass_through(opening, &request, from))
            }
            Hook::Finished => {
                let outcome = exchange
                    .end
                    .outcome(Some(response.status.as_u16()), None, Ending::Complete);
                self.finished(&request, Some((&response, None)), &outcome)
                    .map(|()| Copied::default())
            }
        };
        let time = begin.elapsed();
        let copied = answered?;
        for line in self.take_lines() {
            copied.add(line.text);
        }
        let all = [&copied, &request.copied, &response.copied, &pool.copied];
        Ok(Call {
            time,
            copies: all.iter().map(|copied| copied.copies()).sum(),
            bytes: all.iter().map(|copied| copied.bytes()).sum(),
        })
    }
}

struct Call {
    time: Duration,
    copies: u64,
    bytes: u64,
}

fn of_verdict(verdict: Verdict) -> Copied {
    match verdict {
        Verdict::Next => Copied::default(),
        Verdict::Respond(reply) => of_reply(&reply),
    }
}

fn of_selection(selection: Selection) -> Copied {
    match selection {
        Selection::Pick(_) | Selection::Pass => Copied::default(),
        Selection::Respond(reply) => of_reply(&reply),
    }
}

fn of_reply(reply: &Reply) -> Copied {
    let copied = Copied::default();
    for (name, value) in &reply.headers {
        copied.add(name);
        copied.add(value);
    }
    copied.add(&reply.body);
    copied
}

/// The time that two looks at the clock take.
fn overhead() -> Duration {
    let mut times: Vec<Duration> = (0..1000).map(|_| Instant::now().elapsed()).collect();
    times.sort_unstable();
    percentile(&times, 50).unwrap_or_default()
}

/// The value that `percent` of a hundred sorted values do not exceed.
fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_one_of_the_values() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 50), Some(50));
        assert_eq!(percentile(&hundred, 99), Some(99));
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[1, 2, 3], 50), Some(2));
        assert_eq!(percentile::<u32>(&[], 50), None);
    }
}
