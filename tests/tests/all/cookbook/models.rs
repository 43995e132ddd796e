//! Plugins between clients and providers of language models.

use pace_tests::{Pace, Request, Response, chat_provider, recipe};
use serde_json::{Value, json};

use super::{refusal, start};
use crate::sections::{SERVER, pool};

pub(super) fn chat(body: &Value) -> Request {
    Request::post("/v1/chat/completions", body.to_string()).header("Content-Type", "application/json")
}

pub(super) fn say(model: &str, words: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": words }] })
}

/// The data of a stream's events, up to `[DONE]`, which must be the last.
pub(super) fn events(response: &Response) -> Vec<Value> {
    let mut data: Vec<&str> = response
        .text()
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").expect("there is nothing else"))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{}", response.text());
    let events = data.into_iter().map(serde_json::from_str);
    events.collect::<Result<_, _>>().expect("each is JSON")
}

/// The text that the events have together.
pub(super) fn content(events: &[Value]) -> String {
    let deltas = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    deltas.collect()
}

#[test]
fn ai_route_sends_each_model_to_its_pool() {
    let (large, small) = (chat_provider(&["gpt-4"]), chat_provider(&["llama"]));
    let pace = Pace::with_config(&format!(
        "{SERVER}\n[[plugins]]\nname = \"ai-route\"\nwasm = {:?}\n\
         config = {{ models = {{ \"gpt-*\" = \"large\", llama = \"small\", lost = \"nowhere\" }} }}\n\n{}\n{}\n\
         [[routes]]\npools = [{{ pool = \"large\" }}, {{ pool = \"small\" }}]\nplugins = [\"ai-route\"]\n",
        recipe("ai-route"),
        pool("large", &[&large]),
        pool("small", &[&small]),
    ));
    let mut client = pace.client();
    // Each provider refuses the other's model, so chance would not do.
    for _ in 0..3 {
        for model in ["gpt-4", "llama"] {
            let answer = client.send(&chat(&say(model, "hello there")));
            let answer: Value = serde_json::from_str(answer.text()).expect("it is JSON");
            assert_eq!(answer["model"], model);
            assert_eq!(answer["choices"][0]["message"]["content"], "hello there");
        }
    }
    assert_eq!((large.requests().len(), small.requests().len()), (3, 3));

    let mut refused = |body: &str| {
        let answer = client.send(&Request::post("/v1/chat/completions", body));
        let error: Value = serde_json::from_str(answer.text()).expect("clients expect JSON");
        (
            answer.status,
            error["error"]["message"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let unknown = (404, "the model `claude` is not served here".to_owned());
    assert_eq!(refused(r#"{"model": "claude"}"#), unknown);
    assert_eq!(refused(r#"{"model": "lost"}"#).0, 500);
    assert_eq!(refused("hello").0, 400);
    assert_eq!((large.requests().len(), small.requests().len()), (3, 3));
    let mistake = pace.wait_for_log(&["the pool `nowhere` of `lost`"]);
    assert!(
        mistake.contains("the route has to list it in `pools`"),
        "{mistake}"
    );
    assert!(refusal("ai-route", "models = {}").contains("at least one is needed, or a `default`"));
}

#[test]
fn ai_usage_counts_tokens_of_documents_and_streams() {
    let provider = chat_provider(&["gpt-4"]);
    let pace = start("ai-usage", "tenant = \"X-Tenant\"", &[&provider]);
    let mut client = pace.client();
    let counted = |kind, tokens| {
        let labels = [
            ("plugin", "ai-usage"),
            ("model", "gpt-4"),
            ("tenant", "acme"),
            ("kind", kind),
        ];
        pace.wait_for_metric("plugin_ai_tokens_total", &labels, tokens);
    };
    let mut send = |body: &Value| client.send(&chat(body).header("X-Tenant", "acme"));

    let mut body = say("gpt-4", "one two three");
    assert_eq!(send(&body).status, 200);
    assert_eq!(
        serde_json::from_slice::<Value>(&provider.request().body).ok(),
        Some(body.clone())
    );
    counted("input", 3);
    counted("output", 3);

    // The provider is made to say it, and the client sees no more than without the plugin.
    body["stream"] = json!(true);
    body["max_tokens"] = json!(2);
    let seen = events(&send(&body));
    assert_eq!((content(&seen), seen.len()), ("one two".to_owned(), 4));
    let sent = provider.requests().pop().expect("it was sent on").body;
    let sent: Value = serde_json::from_slice(&sent).expect("it is still JSON");
    assert_eq!(sent["stream_options"], json!({ "include_usage": true }));
    counted("input", 6);
    counted("output", 5);

    // A client that asks itself gets what it asks for.
    body["stream_options"] = json!({ "include_usage": true });
    let seen = events(&send(&body));
    let usage = &seen.last().expect("there are events")["usage"];
    assert_eq!(usage["total_tokens"], 5);
    counted("input", 9);
    counted("output", 7);

    // What is refused takes nothing, whatever its model. The request behind it has been counted, so this one would have been.
    assert_eq!(send(&say("gpt-3", "one")).status, 404);
    assert_eq!(send(&say("gpt-4", "one")).status, 200);
    counted("input", 10);
    let of_all = pace.metrics().sum("plugin_ai_tokens_total", &[("kind", "input")]);
    assert_eq!(of_all, 10);
}
