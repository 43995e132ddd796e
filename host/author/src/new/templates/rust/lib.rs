@@ if request-filter
//! Admits clients with a known key, and limits how often each key is used.
//!
//! | key | | default |
//! |---|---|---|
//! | `keys` | a table: the name of a client, and its key | required |
//! | `requests`, `seconds` | the limit of requests of each client, and its period | 100, 60 |
@@ else
//! Describe here what this plugin does.
@@ end

#![forbid(unsafe_code)]

@@ if request-filter
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use pace_plugin::{Key, Reply, Request, RequestFilter, Verdict, Window};
@@ else
use pace_plugin::{NoConfig, Request};
@@ end
@@ if response-filter
use pace_plugin::{Response, ResponseFilter};
@@ end
@@ if response-filter-only
use pace_plugin::Verdict;
@@ end
@@ if finished
use pace_plugin::{Finished, Outcome, info};
@@ end
@@ if request-stream-filter
use pace_plugin::RequestStreamFilter;
@@ end
@@ if response-stream-filter
use pace_plugin::ResponseStreamFilter;
@@ end
@@ if request-body-filter
use pace_plugin::RequestBodyFilter;
@@ end
@@ if response-body-filter
use pace_plugin::ResponseBodyFilter;
@@ end
@@ if attempt-filter
use pace_plugin::{Attempt, AttemptFilter, Judgement};
@@ end
@@ if select-upstream
use pace_plugin::{Health, SelectUpstream, Selection, Upstreams, random};
@@ end
use pace_plugin::Plugin;

@@ if request-filter
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    keys: BTreeMap<String, String>,
    requests: Option<NonZeroU32>,
    seconds: Option<NonZeroU32>,
}

struct Mine {
    keys: BTreeMap<String, String>,
    window: Window,
}

impl Plugin for Mine {
    type Config = Config;

    /// The operator reads the error: name the key, and say what is allowed.
    fn configure(config: Config) -> Result<Self, String> {
        if config.keys.is_empty() {
            return Err("keys: a name and a key are needed".into());
        }
        if let Some((name, _)) = config.keys.iter().find(|(_, key)| key.is_empty()) {
            return Err(format!("keys.{name}: the key must not be empty"));
        }
        let requests = config.requests.map_or(100, NonZeroU32::get);
        let seconds = config.seconds.map_or(60, NonZeroU32::get);
        let window = Window::open("requests", requests, Duration::from_secs(seconds.into()))?;
        Ok(Mine { keys: config.keys, window })
    }
}

impl RequestFilter for Mine {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let key = request.header("x-api-key");
        let Some(client) = key.and_then(|key| owner(&self.keys, &key)) else {
            return Reply::new(401)
                .header("www-authenticate", "ApiKey")
                .body("This needs an API key.\n")
                .into();
        };
        if let Err(full) = self.window.hit(Key::Bytes(client.as_bytes())) {
            let seconds = full.wait.as_millis().div_ceil(1000);
            return Reply::new(429)
                .header("retry-after", seconds.to_string())
                .body("Too many requests.\n")
                .into();
        }
        let edited = request.set_header("x-api-client", client).and(request.remove_header("x-api-key"));
        match edited {
            Ok(_) => Verdict::Next,
            Err(refused) => Reply::new(500).body(format!("{refused}\n")).into(),
        }
    }
}

/// The owner of a key. Every byte of every key is compared, so that the duration does not reveal where it differs.
fn owner<'a>(keys: &'a BTreeMap<String, String>, key: &[u8]) -> Option<&'a str> {
    let differs = |known: &str| {
        let bits = key.iter().zip(known.bytes()).fold(0, |bits, (a, b)| bits | (a ^ b));
        bits != 0 || key.len() != known.len()
    };
    keys.iter().fold(None, |found, (name, known)| if differs(known) { found } else { Some(name) })
}

@@ else
struct Mine;

impl Plugin for Mine {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Mine)
    }
}

@@ end
@@ if attempt-filter
/// Sends a request again whose backend is too busy, and tells the next one that it is not the first.
impl AttemptFilter for Mine {
    fn prepare(&mut self, _: &Request, attempt: &mut Attempt) -> pace_plugin::Verdict {
        if attempt.number() > 1
            && let Err(refused) = attempt.set_header("x-attempt", attempt.number().to_string())
        {
            pace_plugin::warn!("x-attempt: {refused}");
        }
        pace_plugin::Verdict::Next
    }

    fn judge(&mut self, _: &Request, _: &Attempt, response: Option<&pace_plugin::Response>) -> Judgement {
        match response.map(pace_plugin::Response::status) {
            Some(429 | 503) => Judgement::Retry,
            _ => Judgement::Accept,
        }
    }
}

@@ end
@@ if select-upstream
/// Sends each attempt to the backend with the fewest requests in flight for its weight: to a healthy one if there is one, and no
/// two to the same. Of equal ones each is drawn as often as its weight says.
impl SelectUpstream for Mine {
    fn select_upstream(&mut self, _: &Request, upstreams: &Upstreams, _attempt: u32) -> Selection {
        let (mut best, mut drawn_from) = (None, 0);
        for index in 0..upstreams.count() {
            let (weight, health) = (u64::from(upstreams.weight(index)), upstreams.health(index));
            if weight == 0 || health == Health::Draining || upstreams.tried(index) {
                continue;
            }
            // Fractions in millionths can be compared.
            let load = u64::from(upstreams.in_flight(index)) * 1_000_000 / weight;
            let rank = (health != Health::Healthy, load);
            match best {
                Some((known, _)) if known < rank => continue,
                Some((known, _)) if known == rank => drawn_from += weight,
                _ => drawn_from = weight,
            }
            if random::number() % drawn_from < weight {
                best = Some((rank, index));
            }
        }
        best.map_or(Selection::Pass, |(_, index)| Selection::Pick(index))
    }
}

@@ end
@@ if request-body-filter
/// Refuses bodies that say that they are JSON, and are not.
impl RequestBodyFilter for Mine {
    fn request_body_filter(&mut self, request: &mut Request, body: &mut pace_plugin::Content) -> pace_plugin::Verdict {
        let kind = request.header("content-type").unwrap_or_default();
        match kind.starts_with(b"application/json") && body.json("").is_err() {
            true => pace_plugin::Reply::new(400).body("This is not JSON.\n").into(),
            false => pace_plugin::Verdict::Next,
        }
    }
}

@@ end
@@ if request-stream-filter
/// Hides what follows `password=` in the lines of an upload, and logs how many lines had it.
impl RequestStreamFilter for Mine {
    /// The number of these lines.
    type Message = u32;

    fn open(&mut self, _: &Request) -> Option<pace_plugin::Opening<u32>> {
        Some(pace_plugin::Opening::edit(pace_plugin::Framing::Line, 0).interest(["password="]))
    }

    fn next(&mut self, lines: &mut u32, _: &Request, line: &mut pace_plugin::Unit) -> pace_plugin::Step {
        let Some(at) = line.find("password=", 0) else {
            return pace_plugin::Step::Pass;
        };
        let end = line.size();
        *lines += 1;
        match line.splice(at..end, "password=***") {
            Ok(()) => pace_plugin::Step::Pass,
            Err(_) => pace_plugin::Step::Cut,
        }
    }

    fn end(&mut self, lines: u32, _: &Request, how: pace_plugin::Ending, _: &mut pace_plugin::Content) {
        pace_plugin::info!("{lines} passwords: {}", how.name());
    }
}

@@ end
@@ if response-filter
impl ResponseFilter for Mine {
    fn response_filter(&mut self, _: &Request, response: &mut Response) -> Verdict {
        if let Err(refused) = response.set_header("x-plugin", "@NAME@") {
            pace_plugin::warn!("x-plugin: {refused}");
        }
        Verdict::Next
    }
}

@@ end
@@ if response-body-filter
/// Marks pages at their end.
impl ResponseBodyFilter for Mine {
    fn response_body_filter(
        &mut self,
        _: &Request,
        _: &mut pace_plugin::Response,
        body: &mut pace_plugin::Content,
    ) -> pace_plugin::Verdict {
        if let Some(end) = body.find("</body>", 0)
            && let Err(refused) = body.splice(end..end, "<!-- @NAME@ -->")
        {
            pace_plugin::warn!("the mark: {refused}");
        }
        pace_plugin::Verdict::Next
    }
}

@@ end
@@ if response-stream-filter
/// Marks pages at their end, while they pass.
impl ResponseStreamFilter for Mine {
    type Message = ();

    fn open(&mut self, _: &Request, response: &pace_plugin::Response) -> Option<pace_plugin::Opening<()>> {
        let is_page = response.header("content-type")?.starts_with(b"text/html");
        is_page.then(|| pace_plugin::Opening::edit(pace_plugin::Framing::Chunk, ()).interest(["</body>"]))
    }

    fn next(&mut self, _: &mut (), _: &Request, unit: &mut pace_plugin::Unit) -> pace_plugin::Step {
        if let Some(end) = unit.find("</body>", 0)
            && let Err(refused) = unit.splice(end..end, "<!-- @NAME@ -->")
        {
            pace_plugin::warn!("the mark: {refused}");
        }
        pace_plugin::Step::Finish
    }
}

@@ end
@@ if finished
impl Finished for Mine {
    fn finished(&mut self, request: &Request, outcome: &Outcome) {
        info!("{} {}: {}", request.method(), request.path(), outcome.ended().name());
    }
}

@@ end
pace_plugin::export!(Mine: @HOOK_TRAITS@);
@@ if request-filter

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_found_by_the_whole_key_only() {
        let keys = [("ann".to_owned(), "secret".to_owned())].into();
        assert_eq!(owner(&keys, b"secret"), Some("ann"));
        assert_eq!(owner(&keys, b"secre"), None);
        assert_eq!(owner(&keys, b""), None);
    }
}
@@ end
