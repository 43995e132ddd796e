//! Answers in place of backends that are being worked on: 503, with a page.
//!
//! | key | | default |
//! |---|---|---|
//! | `page` | the text of the page | `"Back soon.\n"` |
//! | `content_type` | what the text is | `"text/plain; charset=utf-8"` |
//! | `retry_after_seconds` | when clients may ask again, 1 to 86400 | 300 |
//! | `allow` | networks and addresses that reach the backends all the same | nobody |
//! | `except` | paths, and all below them, that do too | none |
//!
//! Put it on a route when work begins, and take it off when it is done: Pace reads its configuration again
//! when the file changes.

#![forbid(unsafe_code)]

use pace_plugin::{HeaderValue, Network, Plugin, Reply, Request, RequestFilter, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    page: Option<String>,
    content_type: Option<HeaderValue>,
    retry_after_seconds: Option<u32>,
    #[serde(default)]
    allow: Vec<Network>,
    #[serde(default)]
    except: Vec<String>,
}

struct Maintenance {
    answer: Reply,
    allow: Vec<Network>,
    except: Vec<String>,
}

impl Maintenance {
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

impl Plugin for Maintenance {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let seconds = config.retry_after_seconds.unwrap_or(300);
        if !(1..=86400).contains(&seconds) {
            return Err(format!(
                "retry_after_seconds: expected 1 to 86400, found {seconds}"
            ));
        }
        if let Some(at) = config.except.iter().position(|path| !path.starts_with('/')) {
            return Err(format!("except[{at}]: a path starts with `/`"));
        }
        let content_type = config
            .content_type
            .as_ref()
            .map_or("text/plain; charset=utf-8", HeaderValue::as_str);
        let answer = Reply::new(503)
            .header("Retry-After", seconds.to_string())
            .header("Content-Type", content_type)
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
        let address = request.client_address();
        let allowed = self.allow.iter().any(|network| network.contains(address));
        match allowed || self.excepts(&request.path()) {
            true => Verdict::Next,
            false => self.answer.clone().into(),
        }
    }
}

pace_plugin::export!(Maintenance: RequestFilter);

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(json: &str) -> Result<Maintenance, String> {
        pace_plugin::parse_config(json).and_then(Maintenance::configure)
    }

    #[test]
    fn the_answer_is_made_once() {
        let json = r#"{"page": "<h1>Soon</h1>", "content_type": "text/html", "retry_after_seconds": 60}"#;
        let expected = Reply::new(503)
            .header("Retry-After", "60")
            .header("Content-Type", "text/html")
            .header("Cache-Control", "no-store")
            .body("<h1>Soon</h1>");
        assert_eq!(plugin(json).map(|plugin| plugin.answer), Ok(expected));
        assert!(plugin("{}").is_ok(), "nothing has to be said");
    }

    #[test]
    fn an_exception_is_a_path_and_what_is_below() {
        let plugin = plugin(r#"{"except": ["/health"]}"#).expect("it is right");
        assert!(plugin.excepts("/health") && plugin.excepts("/health/live"));
        for other in ["/healthy", "/", "/health/../admin", "/health/%2e%2e/admin"] {
            assert!(!plugin.excepts(other), "{other}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |json| plugin(json).err().unwrap_or_default();
        assert!(
            refusal(r#"{"retry_after_seconds": 0}"#).starts_with("retry_after_seconds: expected 1 to 86400")
        );
        assert!(refusal(r#"{"except": ["health"]}"#).starts_with("except[0]: "));
        assert!(refusal(r#"{"content_type": "a\n"}"#).starts_with("content_type: "));
    }
}
