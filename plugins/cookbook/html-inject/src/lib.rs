//! Puts a line before the end of pages, while they pass.
//!
//! | key | | default |
//! |---|---|---|
//! | `html` | a text that is put before `</body>` | required |
//!
//! A page is a response with `Content-Type: text/html`. It is decoded if it was encoded, in whatever case the tag
//! is written and wherever the network has cut it, and its `Content-Length` goes. Its first `</body>` counts, even
//! one in a script's text. Pages in UTF-16, which have no such bytes, stay as they are.

#![forbid(unsafe_code)]

use pace_plugin::{Framing, Opening, Plugin, Request, Response, ResponseStreamFilter, Step, Unit, warn};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    html: String,
}

struct HtmlInject {
    html: String,
    ends: [String; 16],
}

impl Plugin for HtmlInject {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        match config.html.is_empty() {
            true => Err("html: must not be empty".into()),
            false => Ok(Self {
                html: config.html,
                ends: std::array::from_fn(spelling),
            }),
        }
    }
}

/// One of the 16 ways to write the tag: a bit says that a letter is a capital.
fn spelling(bits: usize) -> String {
    let letters = "body".chars().enumerate();
    let name = letters.map(|(place, letter)| match bits >> place & 1 {
        0 => letter,
        _ => letter.to_ascii_uppercase(),
    });
    format!("</{}>", name.collect::<String>())
}

impl ResponseStreamFilter for HtmlInject {
    type Message = ();

    fn open(&mut self, _: &Request, response: &Response) -> Option<Opening<()>> {
        let value = response.header("content-type")?.to_ascii_lowercase();
        let is_page = value.starts_with(b"text/html");
        is_page.then(|| Opening::edit(Framing::Chunk, ()).interest(&self.ends))
    }

    fn next(&mut self, _: &mut (), _: &Request, unit: &mut Unit) -> Step {
        let Some(at) = self.ends.iter().filter_map(|end| unit.find(end, 0)).min() else {
            return Step::Pass;
        };
        if let Err(refused) = unit.splice(at..at, &self.html) {
            warn!("a page stays as it is: {refused}");
        }
        Step::Finish
    }
}

pace_plugin::export!(HtmlInject: ResponseStreamFilter);
