//! Keeps out clients by their `User-Agent`.
//!
//! | key | | default |
//! |---|---|---|
//! | `block` | parts of the header; who has one of them gets 403. Capital letters do not matter | required |
//! | `allow` | parts that let a client in although `block` has one too | none |
//! | `block_empty` | whether to keep out who sends no such header, or an empty one | `false` |
//! | `except` | paths, and all below them, that are for everybody | `["/robots.txt"]` |
//!
//! The header is what a client says of itself: this keeps out honest robots and careless ones, nobody else.

#![forbid(unsafe_code)]

use pace_plugin::{Plugin, Reply, Request, RequestFilter, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BotBlock {
    block: Vec<String>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    block_empty: bool,
    // A robot that cannot read what it may do would not know better.
    #[serde(default = "robots_txt")]
    except: Vec<String>,
}

fn robots_txt() -> Vec<String> {
    vec!["/robots.txt".into()]
}

impl BotBlock {
    fn blocks(&self, user_agent: &[u8]) -> bool {
        let name = String::from_utf8_lossy(user_agent).to_lowercase();
        let has = |parts: &[String]| parts.iter().any(|part| name.contains(part));
        match name.trim() {
            "" => self.block_empty,
            _ => has(&self.block) && !has(&self.allow),
        }
    }

    fn excepts(&self, path: &str) -> bool {
        // What is behind them may be another path to the backend.
        let is_plain = !path.contains("..") && !path.contains('%');
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        let has = |prefix: &String| {
            path.strip_prefix(prefix.trim_end_matches('/'))
                .is_some_and(is_below)
        };
        is_plain && self.except.iter().any(has)
    }
}

impl Plugin for BotBlock {
    type Config = BotBlock;

    fn configure(mut config: BotBlock) -> Result<Self, String> {
        if config.block.is_empty() && !config.block_empty {
            return Err("block: at least one part is needed, or `block_empty = true`".into());
        }
        for (key, parts) in [("block", &mut config.block), ("allow", &mut config.allow)] {
            for (at, part) in parts.iter_mut().enumerate() {
                *part = part.to_lowercase();
                if part.trim().is_empty() {
                    return Err(format!("{key}[{at}]: every User-Agent has an empty part"));
                }
            }
        }
        match config.except.iter().position(|path| !path.starts_with('/')) {
            Some(at) => Err(format!("except[{at}]: a path starts with `/`")),
            None => Ok(config),
        }
    }
}

impl RequestFilter for BotBlock {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let blocked = self.blocks(&request.header("user-agent").unwrap_or_default());
        match blocked && !self.excepts(&request.path()) {
            true => Reply::new(403).body("Robots are not welcome here.\n").into(),
            false => Verdict::Next,
        }
    }
}

pace_plugin::export!(BotBlock: RequestFilter);

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(json: &str) -> Result<BotBlock, String> {
        pace_plugin::parse_config(json).and_then(BotBlock::configure)
    }

    #[test]
    fn a_part_is_found_in_any_case() {
        let plugin = plugin(r#"{"block": ["Bot", "crawler"], "allow": ["GoodBot/"]}"#).expect("it is right");
        for blocked in ["AcmeBot/1.0", "a CRAWLER", "Mozilla/5.0 (compatible; bot)"] {
            assert!(plugin.blocks(blocked.as_bytes()), "{blocked}");
        }
        for passes in ["", "Mozilla/5.0", "goodbot/2.1 (bot)"] {
            assert!(!plugin.blocks(passes.as_bytes()), "{passes}");
        }
        assert!(plugin.blocks(b"\xff bot"), "it need not be text");
    }

    #[test]
    fn who_says_nothing_can_be_blocked() {
        let plugin = plugin(r#"{"block": [], "block_empty": true}"#).expect("it is right");
        assert!(plugin.blocks(b"") && plugin.blocks(b" ") && !plugin.blocks(b"curl/8"));
    }

    #[test]
    fn an_exception_is_a_path_and_what_is_below() {
        let plugin = plugin(r#"{"block": ["bot"], "except": ["/feed"]}"#).expect("it is right");
        assert!(plugin.excepts("/feed") && plugin.excepts("/feed/1"));
        assert!(
            !plugin.excepts("/feeder")
                && !plugin.excepts("/feed/../a")
                && !plugin.excepts("/")
                && !plugin.excepts("/robots.txt")
        );
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |json| plugin(json).err().unwrap_or_default();
        assert!(refusal(r#"{"block": []}"#).starts_with("block: at least one"));
        assert!(refusal(r#"{"block": ["bot", " "]}"#).starts_with("block[1]: "));
        assert!(refusal(r#"{"block": ["bot"], "except": ["robots.txt"]}"#).starts_with("except[0]: "));
    }
}
