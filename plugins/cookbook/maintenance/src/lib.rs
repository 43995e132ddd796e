//! Answers in place of backends under maintenance: 503, with a page.
//!
//! | key | | default |
//! |---|---|---|
//! | `page` | the text of the page | `"Back soon.\n"` |
//! | `content_type` | what the text is | `"text/plain; charset=utf-8"` |
//! | `retry_after_seconds` | when clients may ask again, 1 to 86400 | 300 |
//! | `allow` | networks and addresses that reach the backends all the same | nobody |
//! | `except` | paths, and all below them, that do too | none |
//!
//! Put it on a route when work begins, and take it off when the work is done: Pace reads its configuration
//! again when the file changes.

#![forbid(unsafe_code)]

use pace_plugin::{
    HeaderValue, Integer, Network, PathPrefix, Plugin, Reply, Request, RequestFilter, Verdict,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    page: Option<String>,
    content_type: Option<HeaderValue>,
    retry_after_seconds: Option<Integer<1, 86_400>>,
    #[serde(default)]
    allow: Vec<Network>,
    #[serde(default)]
    except: Vec<PathPrefix>,
}

struct Maintenance {
    answer: Reply,
    allow: Vec<Network>,
    except: Vec<PathPrefix>,
}

impl Plugin for Maintenance {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let seconds = config.retry_after_seconds.map_or(300, Integer::get);
        let content_type = config.content_type.as_deref();
        let answer = Reply::new(503)
            .header("Retry-After", seconds.to_string())
            .header(
                "Content-Type",
                content_type.unwrap_or("text/plain; charset=utf-8"),
            )
            // A cache that keeps it would go on saying so when the work is done.
            .header("Cache-Control", "no-store")
            .body(config.page.unwrap_or_else(|| "Back soon.\n".into()));
        Ok(Self {
            answer,
            allow: config.allow,
            except: config.except,
        })
    }
}

impl RequestFilter for Maintenance {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let (address, path) = (request.client_address(), request.path());
        let allowed = self.allow.iter().any(|network| network.contains(address));
        match allowed || self.except.iter().any(|prefix| prefix.contains(&path)) {
            true => Verdict::Next,
            false => self.answer.clone().into(),
        }
    }
}

pace_plugin::export!(Maintenance: RequestFilter);
