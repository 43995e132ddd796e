//! Scenes: the questions that are measured.
//!
//! | file | question |
//! |---|---|
//! | `load` | the cost of a request, in several cases that take turns |
//! | `cases` | these cases: the ladder, and conditions that could make requests more expensive |
//! | `bodies` | the cost of plugins that are shown bodies and events |
//! | `traffic` | the cost with bodies of several sizes, and of connections that end or wait |
//! | `tls` | the cost with TLS and HTTP/2: requests, handshakes, uploads |
//! | `startup` | the time from starting a process to its first answer |
//! | `memory` | the resident memory, and its uses |

mod bodies;
mod cases;
mod load;
mod memory;
mod startup;
mod tls;
mod traffic;

use super::Args;
use super::backend::Backends;
use super::cores::Cores;
use super::result::Scene as Answer;
use super::subject::{self, Programs, Subject};
use anyhow::{Context, Result};
use clap::ValueEnum;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scene {
    /// From bare Pingora to every plugin, and other proxies
    Ladder,
    /// Bodies of several sizes both ways, a connection for each request, idle connections; and other proxies
    Traffic,
    /// TLS and HTTP/2: requests, handshakes, uploads, idle connections; beside nginx
    Tls,
    /// 1, 2 and 4 workers, on one core all the same
    Workers,
    /// 1 and 1,000,000 clients in the limiter
    Clients,
    /// 2 and 1,000 backends
    Backends,
    /// Each balancer, in native code and in the sandbox, with 2 and 1,000 backends
    Balancers,
    /// 3 and 30 headers in request and response
    Headers,
    /// Plugins that are shown the bodies of requests, and events of responses
    Bodies,
    /// Pace's allocator and the system's
    Allocator,
    /// From starting a process to its first answer, without and with compiled plugins on disk
    Startup,
    /// Resident memory: idle, with 10,000 idle connections, with 1,000,000 clients
    Memory,
}

/// The environment that every scene needs.
pub(crate) struct Stage<'a> {
    pub(crate) args: &'a Args,
    pub(crate) cores: &'a Cores,
    pub(crate) programs: &'a Programs,
}

impl Scene {
    /// The name of the scene.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value().expect("no scene is hidden");
        value.get_name().to_owned()
    }

    /// The subjects that take part: those that are available and asked for.
    pub(crate) fn subjects(self, args: &Args) -> Vec<Subject> {
        let all: &[Subject] = match self {
            Scene::Ladder => subject::LADDER,
            Scene::Traffic => &[subject::BARE, subject::DEFAULTS, subject::NGINX, subject::HAPROXY],
            Scene::Tls => &[
                subject::NGINX,
                subject::HAPROXY,
                subject::EMPTY,
                subject::DEFAULTS,
            ],
            Scene::Workers => &[subject::NATIVE, subject::DEFAULTS],
            Scene::Clients => &[subject::NATIVE, subject::DEFAULTS],
            Scene::Backends => &[subject::BARE, subject::DEFAULTS],
            Scene::Balancers => subject::BALANCERS,
            Scene::Headers => &[subject::BARE, subject::DEFAULTS, subject::READER],
            Scene::Bodies => subject::SHOWN_CONTENT,
            Scene::Allocator => &[subject::BARE, subject::BARE_SYSTEM_MALLOC],
            Scene::Startup => &[subject::BARE, subject::DEFAULTS, subject::NGINX, subject::HAPROXY],
            Scene::Memory => &[
                subject::BARE,
                subject::EMPTY,
                subject::DEFAULTS,
                subject::NGINX,
                subject::HAPROXY,
            ],
        };
        // The others are compared with the base.
        let base = match self {
            Scene::Ladder | Scene::Traffic => Some(subject::BARE.key),
            Scene::Tls => Some(subject::NGINX.key),
            Scene::Bodies => Some(subject::EMPTY.key),
            _ => None,
        };
        let is_base = |subject: &Subject| base == Some(subject.key);
        all.iter()
            .filter(|subject| subject.is_available())
            .filter(|subject| {
                args.only.is_empty() || is_base(subject) || args.only.iter().any(|key| key == subject.key)
            })
            .copied()
            .collect()
    }

    /// Measures the scene.
    pub(crate) fn play(self, stage: &Stage<'_>) -> Result<Answer> {
        let subjects = self.subjects(stage.args);
        let answer = match self {
            Scene::Startup => startup::play(stage, &subjects),
            Scene::Memory => memory::play(stage, &subjects),
            Scene::Traffic => traffic::play(stage, &subjects),
            Scene::Tls => tls::play(stage, &subjects),
            _ => self.play_load(stage, &subjects),
        };
        answer.with_context(|| format!("scene {}", self.name()))
    }

    fn play_load(self, stage: &Stage<'_>, subjects: &[Subject]) -> Result<Answer> {
        let mut backends = Backends::new()?;
        let cases = match self {
            Scene::Bodies => bodies::cases(subjects, &mut backends)?,
            _ => cases::of(self, subjects, &mut backends)?,
        };
        load::play(stage, &cases, &mut backends, self == Scene::Ladder)
    }
}
