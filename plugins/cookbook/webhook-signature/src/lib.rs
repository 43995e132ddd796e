//! Lets webhooks in whose signature is right and young, once each.
//!
//! | key | | default |
//! |---|---|---|
//! | `scheme` | `"github"` (`X-Hub-Signature-256`), `"stripe"` (`Stripe-Signature`) or `"slack"` (`X-Slack-Signature`) | required |
//! | `secrets` | the names of the secrets that are good, as the plugin's own `secrets` have them | required |
//! | `tolerance_seconds` | how far a signature's time may be from now, 1 to 86400 | 300 |
//!
//! The body is checked as it was sent, byte for byte. A signature is remembered for twice the tolerance, unless
//! the backend has failed: then the webhook may come again. GitHub's have no time, so none is too old.

#![forbid(unsafe_code)]

use std::time::Duration;

use pace_plugin::{
    Content, Finished, Form, Hash, Integer, Outcome, Plugin, Reply, Request, RequestBodyFilter,
};
use pace_plugin::{Table, Verdict, clock, context, log, secrets};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    scheme: Scheme,
    secrets: Vec<String>,
    tolerance_seconds: Option<Integer<1, 86_400>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    Github,
    Stripe,
    Slack,
}

struct Webhook {
    config: Config,
    tolerance: Duration,
    seen: Table,
}

/// The parts of a request that speak of its signature.
#[derive(Default)]
struct Signed {
    time: Option<String>,
    before: String,
    candidates: Vec<[u8; 32]>,
}

impl Plugin for Webhook {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if config.secrets.is_empty() {
            return Err("secrets: at least one is needed".into());
        }
        if let Some(name) = config.secrets.iter().find(|name| !secrets::has(name)) {
            return Err(format!(
                "secrets: `{name}` is not granted: name it in the plugin's own `secrets`"
            ));
        }
        let tolerance = Duration::from_secs(config.tolerance_seconds.map_or(300, Integer::get));
        let seen = Table::open("seen")?;
        Ok(Self {
            config,
            tolerance,
            seen,
        })
    }
}

impl Scheme {
    /// `None`: there is no signature of this scheme.
    fn read(self, request: &Request) -> Option<Signed> {
        let text = |name| String::from_utf8(request.header(name)?).ok();
        Some(match self {
            Self::Github => Signed {
                candidates: vec![digest(text("x-hub-signature-256")?.strip_prefix("sha256=")?)?],
                ..Signed::default()
            },
            Self::Stripe => {
                let header = text("stripe-signature")?;
                let parts = header.split(',').filter_map(|part| part.trim().split_once('='));
                let (_, time) = parts.clone().find(|(key, _)| *key == "t")?;
                // While a secret is changed there are two.
                let signatures = parts.filter(|(key, _)| *key == "v1");
                Signed {
                    time: Some(time.to_owned()),
                    before: format!("{time}."),
                    candidates: signatures.filter_map(|(_, digits)| digest(digits)).collect(),
                }
            }
            Self::Slack => {
                let time = text("x-slack-request-timestamp")?;
                Signed {
                    before: format!("v0:{time}:"),
                    time: Some(time),
                    candidates: vec![digest(text("x-slack-signature")?.strip_prefix("v0=")?)?],
                }
            }
        })
    }
}

fn digest(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let decoded = base16ct::mixed::decode(digits, &mut bytes).ok()?.len();
    (decoded == bytes.len()).then_some(bytes)
}

impl Webhook {
    /// The signature, if it is right.
    fn verify(&self, request: &Request, body: &Content) -> Result<[u8; 32], &'static str> {
        let signed = self.config.scheme.read(request).ok_or("it has no signature")?;
        if let Some(time) = signed.time {
            let time = time.parse().map_err(|_| "its signature has no time")?;
            if clock::since_1970().as_secs().abs_diff(time) > self.tolerance.as_secs() {
                return Err("its signature is not of this time");
            }
        }
        let is_right = |candidate: &[u8; 32]| {
            let verify = |name| body.verify_hmac(Hash::Sha256, name, &signed.before, Form::Sent, candidate);
            self.config.secrets.iter().any(|name| verify(name) == Ok(true))
        };
        signed
            .candidates
            .into_iter()
            .find(is_right)
            .ok_or("its signature is wrong")
    }
}

impl RequestBodyFilter for Webhook {
    fn request_body_filter(&mut self, request: &mut Request, body: &mut Content) -> Verdict {
        let signature = match self.verify(request, body) {
            Ok(signature) => signature,
            Err(why) => {
                let _ = log::annotate("refused", why);
                return Reply::new(401).body("This webhook is not taken.\n").into();
            }
        };
        // Its time may lie ahead as far as behind, so it is good for twice the tolerance.
        match self.seen.add(signature, b"", 2 * self.tolerance) {
            Ok(Some(_)) => Reply::new(409).body("This webhook was here before.\n").into(),
            Ok(None) if context::set("signature", signature).is_ok() => Verdict::Next,
            _ => Reply::new(503)
                .body("This webhook cannot be remembered.\n")
                .into(),
        }
    }
}

impl Finished for Webhook {
    fn finished(&mut self, _: &Request, outcome: &Outcome) {
        if let Some(signature) = context::get("signature")
            && outcome.status().is_none_or(|status| status >= 500)
        {
            self.seen.remove(signature);
        }
    }
}

pace_plugin::export!(Webhook: RequestBodyFilter, Finished);
