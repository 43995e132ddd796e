//! Replaces matches of patterns in responses: in whole bodies, and in each event of a stream.
//!
//! | key | | default |
//! |---|---|---|
//! | `patterns` | a table: a name, and a regular expression of the crate `regex`, on bytes | required |
//! | `types` | the media types that are looked at; `text/event-stream` always is | `["application/json", "text/plain", "text/html"]` |
//!
//! A match becomes `[name]`. In a stream it is found inside one event. What cannot be looked at is not sent: a
//! body gets 502, a stream breaks off.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use pace_plugin::metrics::Counter;
use pace_plugin::{
    Content, EditError, Framing, Opening, Plugin, Reply, Request, Response, ResponseBodyFilter,
};
use pace_plugin::{ResponseFilter, ResponseStreamFilter, Step, Unit, Verdict, error};
use regex::bytes::{NoExpand, Regex, RegexBuilder};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    patterns: BTreeMap<String, String>,
    types: Option<Vec<String>>,
}

struct Redact {
    patterns: Vec<(Regex, String)>,
    types: Vec<String>,
    redacted: Counter<1>,
}

impl Plugin for Redact {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let compile = |(name, pattern): (String, String)| {
            // Without Unicode a pattern is small: `\d` is a digit of ASCII, as in what is looked for here.
            let built = RegexBuilder::new(&pattern).unicode(false).build();
            let regex = built.map_err(|why| format!("patterns.{name}: {why}"))?;
            match regex.is_match(b"") {
                true => Err(format!("patterns.{name}: it must not match what is empty")),
                false => Ok((regex, format!("[{name}]"))),
            }
        };
        let patterns: Vec<_> = config
            .patterns
            .into_iter()
            .map(compile)
            .collect::<Result<_, String>>()?;
        if patterns.is_empty() {
            return Err("patterns: at least one is needed".into());
        }
        let usual = || {
            ["application/json", "text/plain", "text/html"]
                .map(str::to_owned)
                .to_vec()
        };
        let types = config.types.unwrap_or_else(usual);
        if types
            .iter()
            .any(|known| known.eq_ignore_ascii_case("text/event-stream"))
        {
            return Err("types: a stream is looked at in any case, event by event".into());
        }
        let redacted = Counter::open("redacted_total", "Matches that were replaced.", ["pattern"])?;
        Ok(Self {
            patterns,
            types,
            redacted,
        })
    }
}

/// The media type of a response, without parameters.
fn media_type(response: &Response) -> String {
    let value = response.header("content-type").unwrap_or_default();
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii()).to_ascii_lowercase()
}

impl Redact {
    fn redact(&self, content: &mut Content) -> Result<(), EditError> {
        let bytes = content.to_vec();
        let mut clean = Cow::Borrowed(bytes.as_slice());
        for (pattern, name) in &self.patterns {
            let matches = pattern.find_iter(&clean).count();
            if matches > 0 {
                clean = Cow::Owned(
                    pattern
                        .replace_all(&clean, NoExpand(name.as_bytes()))
                        .into_owned(),
                );
                self.redacted.add([name.trim_matches(['[', ']'])], matches as u64);
            }
        }
        match clean {
            Cow::Borrowed(_) => Ok(()),
            Cow::Owned(clean) => content.replace(clean),
        }
    }
}

impl ResponseFilter for Redact {
    fn response_filter(&mut self, _: &Request, response: &mut Response) -> Verdict {
        let found = media_type(response);
        if !self.types.iter().any(|known| known.eq_ignore_ascii_case(&found)) {
            response.skip_body();
        }
        Verdict::Next
    }
}

impl ResponseBodyFilter for Redact {
    fn response_body_filter(&mut self, _: &Request, _: &mut Response, body: &mut Content) -> Verdict {
        match self.redact(body) {
            Ok(()) => Verdict::Next,
            Err(refused) => {
                error!("a response could not be redacted: {refused}");
                Reply::new(502).into()
            }
        }
    }
}

impl ResponseStreamFilter for Redact {
    type Message = ();

    fn open(&mut self, _: &Request, response: &Response) -> Option<Opening<()>> {
        let is_stream = media_type(response) == "text/event-stream";
        is_stream.then(|| Opening::edit(Framing::Event, ()))
    }

    fn next(&mut self, _: &mut (), _: &Request, unit: &mut Unit) -> Step {
        match self.redact(unit) {
            Ok(()) => Step::Pass,
            Err(refused) => {
                error!("a stream breaks off, because it could not be redacted: {refused}");
                Step::Cut
            }
        }
    }
}

pace_plugin::export!(Redact: ResponseFilter, ResponseBodyFilter, ResponseStreamFilter);
