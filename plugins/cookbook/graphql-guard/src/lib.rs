//! Limits the queries of GraphQL: their size, and how deep and how wide they are.
//!
//! | key | | default |
//! |---|---|---|
//! | `max_bytes` | bytes of a body, 1 to 1048576 | 65536 |
//! | `max_depth` | selections inside one another, 1 to 100 | 10 |
//! | `max_aliases` | aliases in all queries of a request, 0 to 10000 | 15 |
//! | `max_queries` | queries of one request, a batch, 1 to 100 | 5 |
//!
//! Queries come by POST in JSON; a GET gets 405, since its query is in the target, which nobody looks at here. A
//! fragment counts where it is defined and not where it is spread, so the server has to limit spreads.

#![forbid(unsafe_code)]

use pace_plugin::{
    Content, Integer, Json, Plugin, Reply, Request, RequestBodyFilter, RequestFilter, Verdict,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guard {
    max_bytes: Option<Integer<1, 1_048_576>>,
    max_depth: Option<Integer<1, 100>>,
    max_aliases: Option<Integer<0, 10_000>>,
    max_queries: Option<Integer<1, 100>>,
}

impl Plugin for Guard {
    type Config = Self;

    fn configure(config: Self) -> Result<Self, String> {
        Ok(config)
    }
}

/// The measures of a query.
#[derive(Default)]
struct Shape {
    depth: u64,
    aliases: u64,
}

/// Reads the tokens of a query (GraphQL, October 2021, section 2.1) as far as they matter: braces, colons behind
/// aliases, and strings and comments, in which neither counts. `None`: they do not match.
fn shape(query: &str) -> Option<Shape> {
    let mut shape = Shape::default();
    let (mut depth, mut parentheses) = (0_u64, 0_u64);
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match first {
            '#' => after.find(['\n', '\r']).map_or("", |end| &after[end..]),
            '"' => after_string(after)?,
            '(' => {
                parentheses += 1;
                after
            }
            ')' => {
                parentheses = parentheses.checked_sub(1)?;
                after
            }
            // Inside parentheses braces and colons belong to values and arguments.
            _ if parentheses > 0 => after,
            '{' => {
                depth += 1;
                shape.depth = shape.depth.max(depth);
                after
            }
            '}' => {
                depth = depth.checked_sub(1)?;
                after
            }
            ':' => {
                shape.aliases += 1;
                after
            }
            _ => after,
        };
    }
    (depth == 0 && parentheses == 0).then_some(shape)
}

/// The text behind a string whose first quote has been read.
fn after_string(text: &str) -> Option<&str> {
    if let Some(mut block) = text.strip_prefix("\"\"") {
        loop {
            let end = block.find("\"\"\"")?;
            let is_escaped = block[..end].ends_with('\\');
            block = &block[end + 3..];
            if !is_escaped {
                return Some(block);
            }
        }
    }
    let mut is_escaped = false;
    let end = text.find(|letter| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })?;
    Some(&text[end + 1..])
}

impl Guard {
    fn check(&self, body: &Content) -> Result<(), &'static str> {
        let queries = match body.json("") {
            Ok(Json::Object) => vec!["/query".to_owned()],
            Ok(Json::Array) => {
                let count = body.json_length("").ok().flatten().unwrap_or_default();
                if count as u64 > self.max_queries.map_or(5, Integer::get) {
                    return Err("too many queries at once");
                }
                (0..count).map(|index| format!("/{index}/query")).collect()
            }
            _ => return Err("expected a query in JSON"),
        };
        let mut aliases = 0;
        for place in queries {
            let query = match body.json(&place) {
                Ok(Json::Text(query)) => query,
                // A persisted query has a hash and no text.
                Ok(Json::Absent | Json::Null) => continue,
                _ => return Err("query: expected one string"),
            };
            let shape = shape(&query).ok_or("query: its brackets or quotes do not match")?;
            aliases += shape.aliases;
            if shape.depth > self.max_depth.map_or(10, Integer::get) {
                return Err("query: nested too deep");
            }
            if aliases > self.max_aliases.map_or(15, Integer::get) {
                return Err("query: too many aliases");
            }
        }
        Ok(())
    }
}

/// An error as clients of GraphQL read it.
fn refuse(status: u16, message: &str) -> Verdict {
    let errors = serde_json::json!({ "errors": [{ "message": message }] });
    let reply = Reply::new(status).header("content-type", "application/json");
    reply.body(errors.to_string()).into()
}

impl RequestFilter for Guard {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let most = self.max_bytes.map_or(65_536, Integer::get);
        match request.method().as_str() {
            "POST" if request.declared_body_size().is_some_and(|size| size > most) => {
                refuse(413, "the request is too large")
            }
            "POST" => Verdict::Next,
            // A browser asks whether it may.
            "OPTIONS" => {
                request.skip_body();
                Verdict::Next
            }
            _ => Reply::new(405).header("allow", "POST, OPTIONS").into(),
        }
    }
}

impl RequestBodyFilter for Guard {
    fn request_body_filter(&mut self, _: &mut Request, body: &mut Content) -> Verdict {
        if body.size() as u64 > self.max_bytes.map_or(65_536, Integer::get) {
            return refuse(413, "the request is too large");
        }
        match self.check(body) {
            Ok(()) => Verdict::Next,
            Err(why) => refuse(400, why),
        }
    }
}

pace_plugin::export!(Guard: RequestFilter, RequestBodyFilter);
