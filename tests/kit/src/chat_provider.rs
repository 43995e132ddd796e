//! A provider of language models that speaks OpenAI's interface for chats.

use serde_json::{Value, json};

use crate::{Answer, HttpBackend, Request};

/// Starts a provider of these models. It answers as the interface is specified, and repeats what the user said
/// last: a word is a token, an answer is JSON, or a stream of events, one for each token, if the request asks for
/// one, and says at its end how many tokens there were only if `stream_options.include_usage` asks for that.
pub fn chat_provider(models: &'static [&'static str]) -> HttpBackend {
    HttpBackend::new(move |request| match (&*request.method, &*request.target) {
        ("GET", "/v1/models") => {
            let data: Vec<Value> = models
                .iter()
                .map(|id| json!({ "id": id, "object": "model" }))
                .collect();
            document(Answer::new(json!({ "object": "list", "data": data }).to_string()))
        }
        ("POST", "/v1/chat/completions") => {
            Chat::read(request, models).map_or_else(|refusal| refusal, |chat| chat.answer())
        }
        _ => refuse(404, "there is nothing here"),
    })
}

fn document(answer: Answer) -> Answer {
    answer.header("Content-Type", "application/json")
}

fn refuse(status: u16, message: &str) -> Answer {
    let error = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    document(Answer::new(error.to_string()).with_status(status))
}

/// A request, and what is said to it.
struct Chat {
    model: String,
    prompt_tokens: usize,
    words: Vec<String>,
    is_stream: bool,
    includes_usage: bool,
    finish: &'static str,
}

impl Chat {
    fn read(request: &Request, models: &[&str]) -> Result<Chat, Answer> {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return Err(refuse(400, "the body is no JSON"));
        };
        let model = body["model"].as_str().unwrap_or_default();
        if !models.contains(&model) {
            return Err(refuse(404, "there is no such model"));
        }
        let texts = body["messages"].as_array().into_iter().flatten();
        let texts: Option<Vec<&str>> = texts.map(|message| message["content"].as_str()).collect();
        let Some(last) = texts.as_ref().and_then(|texts| texts.last()) else {
            return Err(refuse(400, "messages: at least one is needed, with a text"));
        };
        let includes_usage = match &body["stream_options"] {
            Value::Null => false,
            _ if body["stream"] != true => return Err(refuse(400, "stream_options: only for a stream")),
            options => options["include_usage"] == true,
        };
        let most = body["max_tokens"].as_u64().unwrap_or(u64::MAX) as usize;
        let said = last.split_whitespace();
        Ok(Chat {
            model: model.to_owned(),
            prompt_tokens: texts
                .iter()
                .flatten()
                .flat_map(|text| text.split_whitespace())
                .count(),
            words: said.clone().take(most).map(str::to_owned).collect(),
            is_stream: body["stream"] == true,
            includes_usage,
            finish: if said.count() > most { "length" } else { "stop" },
        })
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.words.len(),
            "total_tokens": self.prompt_tokens + self.words.len(),
        })
    }

    fn answer(&self) -> Answer {
        if self.is_stream {
            return Answer::chunks(self.events()).header("Content-Type", "text/event-stream");
        }
        let message = json!({ "role": "assistant", "content": self.words.join(" ") });
        let answer = json!({
            "id": "chat-1",
            "object": "chat.completion",
            "model": self.model,
            "choices": [{ "index": 0, "message": message, "finish_reason": self.finish }],
            "usage": self.usage(),
        });
        document(Answer::new(answer.to_string()))
    }

    /// The events of a stream. With the usage asked for, all others have one that is null.
    fn events(&self) -> Vec<Vec<u8>> {
        let event = |choices: Value, usage: Value| {
            let mut chunk = json!({
                "id": "chat-1",
                "object": "chat.completion.chunk",
                "model": self.model,
                "choices": choices,
            });
            if self.includes_usage {
                chunk["usage"] = usage;
            }
            format!("data: {chunk}\n\n").into_bytes()
        };
        let choice = |delta: Value, finish: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
            event(json!([choice]), Value::Null)
        };
        let mut events = vec![choice(json!({ "role": "assistant", "content": "" }), Value::Null)];
        for (place, word) in self.words.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            events.push(choice(
                json!({ "content": format!("{space}{word}") }),
                Value::Null,
            ));
        }
        events.push(choice(json!({}), json!(self.finish)));
        if self.includes_usage {
            events.push(event(json!([]), self.usage()));
        }
        events.push(b"data: [DONE]\n\n".to_vec());
        events
    }
}
