//! The recipes for providers together on one route: for clients of the kit, and for OpenAI's own.
//!
//! The latter is a package of Python that not every machine has: `cargo xtask test` installs it if it can. By hand:
//!
//! ```sh
//! PACE_TEST_LANGUAGES=python cargo test -p pace-tests --test all cookbook::providers
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use pace_tests::{Answer, HttpBackend, Pace, Setup, chat_provider, recipe, root};
use serde_json::{Value, json};

use super::models::{chat, content, events, say};
use crate::plugin_new::asked_for;
use crate::sections::{SERVER, plugin, pool};

/// Pace before a provider that has no room, another that stands in for it with a model of its own, and a small one.
struct Providers {
    full: HttpBackend,
    spare: HttpBackend,
    small: HttpBackend,
    pace: Pace,
}

impl Providers {
    fn start() -> Providers {
        let full = HttpBackend::new(|_| Answer::status(429));
        let (spare, small) = (chat_provider(&["big"]), chat_provider(&["llama"]));
        let entry = |name, config: &str| format!("{}{config}\n", plugin(name, &recipe(name)));
        let config = [
            SERVER.to_owned(),
            entry(
                "ai-route",
                "config = { models = { 'gpt-*' = 'full', llama = 'small' } }",
            ),
            entry("ai-usage", "config = { tenant = 'X-Api-Client' }"),
            entry(
                "ai-budget",
                "config = { tokens = 1000, seconds = 3600, client = 'X-Api-Client', answer = 50 }",
            ),
            entry(
                "ai-failover",
                "secrets = { full = { file = 'full.key' }, spare = { file = 'spare.key' } }\n\
                 [[plugins.config.providers]]\npool = 'full'\nhost = 'full.example'\nsecret = 'full'\n\
                 [[plugins.config.providers]]\npool = 'spare'\nhost = 'spare.example'\nsecret = 'spare'\n\
                 models = { 'gpt-4' = 'big' }",
            ),
            pool("full", &[&full]),
            pool("spare", &[&spare]),
            pool("small", &[&small]),
            "[[routes]]\nplugins = ['ai-route', 'ai-usage', 'ai-budget', 'ai-failover']\n\
             pools = [{ pool = 'full' }, { pool = 'spare', weight = 0 }, { pool = 'small', weight = 0 }]\n"
                .to_owned(),
        ];
        let keys = Setup::new()
            .file("full.key", "the-full-key")
            .file("spare.key", "the-spare-key");
        let pace = keys.config(&config.join("\n")).start();
        Providers {
            full,
            spare,
            small,
            pace,
        }
    }

    /// Waits until so many tokens of ann's have been counted.
    fn counted(&self, model: &str, input: u64, output: u64) {
        for (kind, tokens) in [("input", input), ("output", output)] {
            let labels = [("model", model), ("tenant", "ann"), ("kind", kind)];
            self.pace
                .wait_for_metric("plugin_ai_tokens_total", &labels, tokens);
        }
    }

    /// Checks the keys that the providers have seen.
    fn keep_keys(&self) {
        for (backend, key) in [(&self.full, "the-full-key"), (&self.spare, "the-spare-key")] {
            for request in backend.requests() {
                assert_eq!(request.headers.all("authorization"), [format!("Bearer {key}")]);
            }
        }
    }
}

#[test]
fn recipes_for_providers_work_together() {
    let providers = Providers::start();
    let mut client = providers.pace.client();
    let mut send = |body: &Value| client.send(&chat(body).header("X-Api-Client", "ann"));

    let mut body = say("gpt-4", "one two three");
    let whole: Value = serde_json::from_str(send(&body).text()).expect("it is JSON");
    assert_eq!(
        (&whole["model"], &whole["usage"]["total_tokens"]),
        (&json!("big"), &json!(6))
    );
    body["stream"] = json!(true);
    let streamed = events(&send(&body));
    assert_eq!(content(&streamed), "one two three");
    assert!(
        streamed.iter().all(|event| event["usage"].is_null()),
        "nobody asked"
    );
    assert_eq!(send(&say("llama", "four")).status, 200);
    providers.counted("big", 6, 6);
    providers.counted("llama", 1, 1);

    // The failed attempts took nothing: there is room for this one beside 14 tokens, and for no more.
    let mut last = say("llama", "five");
    last["max_tokens"] = json!(900);
    let most = 1000 - 14 - last.to_string().len().div_ceil(4);
    last["max_tokens"] = json!(most + 1);
    assert_eq!(send(&last).status, 429);
    last["max_tokens"] = json!(most);
    assert_eq!(send(&last).status, 200);

    assert_eq!(
        (providers.full.requests().len(), providers.spare.requests().len()),
        (2, 2)
    );
    assert_eq!(providers.small.requests().len(), 2);
    providers.keep_keys();
}

#[test]
fn openai_client_is_served_through_the_recipes() {
    if !asked_for("python") {
        return;
    }
    let providers = Providers::start();
    let url = format!("http://{}/v1", providers.pace.address());
    let here = root().join("tests/tests/all/cookbook/openai");
    let python = python_with(&here.join("requirements.txt"));
    // The environment may name a proxy.
    let output = Command::new(python)
        .arg(here.join("chats.py"))
        .arg(url)
        .env_clear()
        .output()
        .expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = "whole: one two three big 6\n\
                    streamed: four five []\n\
                    with usage: six [2]\n\
                    another model: seven llama\n\
                    models: big\n\
                    unknown: the model `claude` is not served here\n\
                    too large: the request may take more tokens than a budget has\n\
                    spent: the budget of tokens is spent True\n";
    assert_eq!(said, expected, "{}", String::from_utf8_lossy(&output.stderr));
    providers.counted("big", 6, 6);
    providers.counted("llama", 1, 1);
    providers.keep_keys();
}

/// The interpreter of an environment with these packages. `cargo xtask test` has made it, or it is made here.
fn python_with(requirements: &Path) -> PathBuf {
    let environment = root().join("target/languages/openai/.venv");
    let python = environment.join("bin/python");
    let is_there = Command::new(&python).args(["-c", "import openai"]).output();
    if is_there.is_ok_and(|output| output.status.success()) {
        return python;
    }
    let run = |command: &mut Command| {
        let output = command.output().expect("it can be started");
        assert!(output.status.success(), "{command:?}: {output:?}");
    };
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&environment));
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "-r"])
        .arg(requirements));
    python
}
