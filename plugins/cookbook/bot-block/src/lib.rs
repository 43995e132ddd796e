//! Refuses clients by their `User-Agent`.
//!
//! | key | | default |
//! |---|---|---|
//! | `block` | parts of the header; who has one of them gets 403. Capital letters do not matter | required |
//! | `allow` | parts that let a client in although `block` has one too | none |
//! | `block_empty` | whether to keep out who sends no such header, or an empty one | `false` |
//! | `except` | paths, and all below them, that are for everybody | `["/robots.txt"]` |
//!
//! The header is a client's own statement: this refuses honest robots and careless ones, and no others.

#![forbid(unsafe_code)]

use pace_plugin::{PathPrefix, Plugin, Reply, Request, RequestFilter, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BotBlock {
    block: Vec<String>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    block_empty: bool,
    // A robot has to be able to read the paths that it may use.
    #[serde(default = "robots_txt")]
    except: Vec<PathPrefix>,
}

fn robots_txt() -> Vec<PathPrefix> {
    vec![PathPrefix::from_static("/robots.txt")]
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
        Ok(config)
    }
}

impl RequestFilter for BotBlock {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let blocked = self.blocks(&request.header("user-agent").unwrap_or_default());
        let excepts = |path: String| self.except.iter().any(|prefix| prefix.contains(&path));
        match blocked && !excepts(request.path()) {
            true => Reply::new(403).body("Robots are not welcome here.\n").into(),
            false => Verdict::Next,
        }
    }
}

pace_plugin::export!(BotBlock: RequestFilter);
