//! Answers a POST that comes again under the same `Idempotency-Key` as it answered the first.
//!
//! | key | | default |
//! |---|---|---|
//! | `hours` | how long an answer is kept, 1 to 720 | 24 |
//! | `seconds` | how long the first request may take, 1 to 3600 | 60 |
//! | `client` | the header that tells clients apart: each has keys of its own | `"Authorization"` |
//! | `required` | whether a POST without a key is refused | `false` |
//!
//! While the first is under way the others get 409. The same key with another body gets 422. What fails with 5xx
//! is not kept, so it may be tried again. Neither are streams of events, and answers larger than `limits.value_kb`.

#![forbid(unsafe_code)]

use std::time::Duration;

use pace_plugin::{
    Claimed, Content, Form, Hash, HeaderName, Integer, Plugin, Reply, Request, RequestBodyFilter,
};
use pace_plugin::{
    RequestFilter, Response, ResponseBodyFilter, ResponseFilter, Table, Verdict, context, error,
    header::check_name, warn,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    hours: Option<Integer<1, 720>>,
    seconds: Option<Integer<1, 3600>>,
    client: Option<HeaderName>,
    #[serde(default)]
    required: bool,
}

struct Idempotency {
    config: Config,
    answers: Table,
}

/// The head of the first answer, and the digest of its request. The body follows it in the table.
#[derive(Serialize, Deserialize)]
struct Kept {
    request: Vec<u8>,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
}

impl Plugin for Idempotency {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let answers = Table::open("answers")?;
        Ok(Self { config, answers })
    }
}

/// Headers that Pace sets for each answer, or that were about how the first one was sent, as those of its connection were. No reply
/// may have one of these.
fn is_kept(name: &str) -> bool {
    check_name(name).is_ok() && name != "content-encoding" && name != "date"
}

impl Kept {
    /// The first answer once more. The response hook sees it, too, and must not keep it again.
    fn answer(self, body: &[u8]) -> Verdict {
        context::remove("key");
        let reply = Reply::new(self.status)
            .body(body)
            .header("idempotent-replayed", "true");
        let headers = self.headers.into_iter();
        headers
            .fold(reply, |reply, (name, value)| reply.header(name, value))
            .into()
    }
}

impl RequestFilter for Idempotency {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let is_post = request.method() == "POST";
        let Some(key) = request.header("idempotency-key").filter(|_| is_post) else {
            if is_post && self.config.required {
                return Reply::new(400).body("This needs an Idempotency-Key.\n").into();
            }
            request.skip_body();
            request.skip_response_body();
            return Verdict::Next;
        };
        let client = self.config.client.as_deref().unwrap_or("authorization");
        let mut hash = Sha256::new();
        for part in [
            request.header(client).unwrap_or_default(),
            request.original_target().into_bytes(),
            key,
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        match context::set("key", hash.finalize()) {
            Ok(()) => Verdict::Next,
            Err(_) => Reply::new(500).into(),
        }
    }
}

impl RequestBodyFilter for Idempotency {
    fn request_body_filter(&mut self, _: &mut Request, body: &mut Content) -> Verdict {
        let (Some(key), Ok(digest)) = (context::get("key"), body.digest(Hash::Sha256, Form::Sent)) else {
            return Reply::new(500).into();
        };
        let _ = context::set("request", &digest);
        let time = Duration::from_secs(self.config.seconds.map_or(60, Integer::get));
        match self.answers.claim(&key, time) {
            Ok(Claimed::Yours) => Verdict::Next,
            Ok(Claimed::Others) => {
                let reply = Reply::new(409).header("retry-after", "1");
                reply
                    .body("The first request with this key is under way.\n")
                    .into()
            }
            Ok(Claimed::Value(value)) => {
                let mut documents = serde_json::Deserializer::from_slice(&value).into_iter::<Kept>();
                match documents.next() {
                    Some(Ok(kept)) if kept.request == digest => {
                        kept.answer(&value[documents.byte_offset()..])
                    }
                    _ => Reply::new(422)
                        .body("This key was used for another request.\n")
                        .into(),
                }
            }
            Err(refused) => {
                error!("a key could not be claimed: {refused}");
                Reply::new(503).into()
            }
        }
    }
}

impl ResponseFilter for Idempotency {
    fn response_filter(&mut self, _: &Request, response: &mut Response) -> Verdict {
        let media_type = response.header("content-type").unwrap_or_default();
        if media_type.to_ascii_lowercase().starts_with(b"text/event-stream") {
            response.skip_body();
        }
        Verdict::Next
    }
}

impl ResponseBodyFilter for Idempotency {
    fn response_body_filter(&mut self, _: &Request, response: &mut Response, body: &mut Content) -> Verdict {
        let (Some(key), Some(request)) = (context::get("key"), context::get("request")) else {
            return Verdict::Next;
        };
        // The claim of what may be tried again ends with its request.
        if response.status() >= 500 || response.backend().is_none() {
            return Verdict::Next;
        }
        let headers = response
            .headers()
            .into_iter()
            .map(|header| (header.name, header.value));
        let kept = Kept {
            request,
            status: response.status(),
            headers: headers.filter(|(name, _)| is_kept(name)).collect(),
        };
        let mut value = serde_json::to_vec(&kept).unwrap_or_default();
        value.extend(body.to_vec());
        let time = Duration::from_secs(3600 * self.config.hours.map_or(24, Integer::get));
        if let Err(refused) = self.answers.set(&key, value, time) {
            warn!("an answer is not kept: {refused}");
        }
        Verdict::Next
    }
}

pace_plugin::export!(Idempotency: RequestFilter, RequestBodyFilter, ResponseFilter, ResponseBodyFilter);
