//! What came of something that was asked for. The sentences for people are here, and nowhere else.

use std::fmt;

use pace_config::Sha256;
use pace_sandbox::Generation;

/// What came of reloading or returning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is different.
    Unchanged,
    /// Somebody asked for a plugin's file, and it is the one that serves.
    ServesAlready {
        /// The plugin.
        plugin: String,
        /// The generation.
        generation: u64,
    },
    /// Something new serves.
    Published(Published),
    /// A generation from before serves again.
    RolledBack {
        /// The plugin.
        plugin: String,
        /// The generation that it was.
        generation: u64,
        /// The generation that it is now, because its settings are others.
        anew: Option<u64>,
        /// The generation that served until then.
        in_place_of: u64,
    },
    /// What was asked for is not done; what served serves on.
    Refused(Refused),
}

/// What has begun to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Whether the configuration is another one.
    pub configuration: bool,
    /// Generations of plugins.
    pub generations: Vec<Begun>,
}

/// A generation that has begun to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The plugin.
    pub plugin: String,
    /// Its number.
    pub generation: u64,
    /// What its file is.
    pub sha256: Sha256,
    /// The generation that served until then.
    pub in_place_of: Option<u64>,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The configuration has no such plugin.
    UnknownPlugin(String),
    /// A plugin's file cannot serve, or a plugin cannot return. The reason names it.
    Plugin(String),
    /// The configuration cannot be taken.
    Configuration(String),
    /// The thread that does it has died.
    ThreadDied(&'static str),
}

/// What came of looking at everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes(pub Vec<Outcome>);

impl Outcome {
    /// Whether what was asked for is not done.
    pub fn is_refused(&self) -> bool {
        matches!(self, Outcome::Refused(_))
    }
}

impl Outcomes {
    /// Whether something is not done.
    pub fn is_refused(&self) -> bool {
        self.0.iter().any(Outcome::is_refused)
    }
}

impl Begun {
    pub(super) fn new(next: &Generation, before: Option<&Generation>) -> Begun {
        Begun {
            plugin: next.plugin.to_string(),
            generation: next.number,
            sha256: next.sha256,
            in_place_of: before.map(|before| before.number),
        }
    }
}

impl From<Refused> for Outcome {
    fn from(refused: Refused) -> Outcome {
        Outcome::Refused(refused)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Unchanged => out.write_str("nothing has changed"),
            Outcome::ServesAlready { plugin, generation } => write!(
                out,
                "plugin `{plugin}`: the file is the one that serves, generation {generation}"
            ),
            Outcome::Published(published) => published.fmt(out),
            Outcome::RolledBack {
                plugin,
                generation,
                anew,
                in_place_of,
            } => write!(
                out,
                "plugin `{plugin}`: {}, in place of {in_place_of} (asked to)",
                Again {
                    generation: *generation,
                    anew: *anew
                }
            ),
            Outcome::Refused(refused) => refused.fmt(out),
        }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if self.configuration {
            out.write_str("the configuration has been taken")?;
            between = "; ";
        }
        for begun in &self.generations {
            write!(out, "{between}{begun}")?;
            between = "; ";
        }
        Ok(())
    }
}

impl fmt::Display for Begun {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Begun {
            plugin,
            generation,
            sha256,
            in_place_of,
        } = self;
        write!(
            out,
            "plugin `{plugin}`: generation {generation} serves (sha256 {sha256})"
        )?;
        match in_place_of {
            Some(before) => write!(out, ", in place of {before}"),
            None => Ok(()),
        }
    }
}

/// A generation that serves again. `Display` is a part of a sentence.
pub(super) struct Again {
    pub(super) generation: u64,
    pub(super) anew: Option<u64>,
}

impl fmt::Display for Again {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "generation {} serves again", self.generation)?;
        match self.anew {
            Some(number) => write!(out, " as generation {number}, with the settings of now"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::UnknownPlugin(name) => write!(out, "there is no plugin `{name}`"),
            Refused::Plugin(reason) => out.write_str(reason),
            Refused::Configuration(reason) => {
                write!(
                    out,
                    "the configuration is not taken, the old one serves on: {reason}"
                )
            }
            Refused::ThreadDied(what) => write!(out, "the thread that {what} has died"),
        }
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for outcome in self.0.iter().filter(|outcome| **outcome != Outcome::Unchanged) {
            write!(out, "{between}{outcome}")?;
            between = "; ";
        }
        match between {
            "" => Outcome::Unchanged.fmt(out),
            _ => Ok(()),
        }
    }
}
