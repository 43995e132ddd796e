//! The outcomes of reloads and rollbacks. This module alone has the sentences about them.

use std::fmt;

use super::Changes;
use pace_config::Sha256;
use pace_sandbox::Generation;

/// The outcome of a reload or a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// Nothing has changed.
    Unchanged,
    /// A plugin's file was to be reloaded, and it is the one that serves.
    ServesAlready {
        /// The plugin.
        plugin: String,
        /// The generation.
        generation: u64,
    },
    /// A new configuration, or a new generation, serves.
    Published(Published),
    /// New connections get the certificates that are in the files now. The texts have the first name and the end of each.
    Renewed(Vec<String>),
    /// The same, but for some whose files cannot be used: in their places those before serve on. The last text says why.
    PartlyRenewed(Vec<String>, String),
    /// An earlier generation serves again.
    RolledBack {
        /// The plugin.
        plugin: String,
        /// The number of the generation when it served before.
        generation: u64,
        /// The new number, if it serves with other settings now.
        anew: Option<u64>,
        /// The generation that served until then.
        in_place_of: u64,
    },
    /// The request is not carried out, and nothing is replaced.
    Refused(Refused),
}

/// The configuration and generations that have begun to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The changes of the configuration, if it has been replaced.
    pub configuration: Option<Changes>,
    /// The generations that have begun to serve.
    pub generations: Vec<Begun>,
}

/// A generation that has begun to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The plugin.
    pub plugin: String,
    /// The number of the generation.
    pub generation: u64,
    /// The hash of its file.
    pub sha256: Sha256,
    /// The generation that served until then.
    pub in_place_of: Option<u64>,
}

/// The reason why a reload or rollback is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The configuration has no such plugin.
    UnknownPlugin(String),
    /// A plugin's file cannot serve, or a plugin cannot return to the generation before. The reason names the plugin.
    Plugin(String),
    /// The configuration cannot be taken.
    Configuration(String),
    /// The certificates in the files cannot be used.
    Certificates(String),
    /// The thread for this has died.
    ThreadDied(&'static str),
}

/// The outcomes of a reload of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadOutcomes(pub Vec<ReloadOutcome>);

impl ReloadOutcome {
    /// Whether the request is not carried out, or not all of it.
    pub fn is_refused(&self) -> bool {
        matches!(self, ReloadOutcome::Refused(_) | ReloadOutcome::PartlyRenewed(..))
    }
}

impl ReloadOutcomes {
    /// Whether a part is not carried out.
    pub fn is_refused(&self) -> bool {
        self.0.iter().any(ReloadOutcome::is_refused)
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

impl From<Refused> for ReloadOutcome {
    fn from(refused: Refused) -> ReloadOutcome {
        ReloadOutcome::Refused(refused)
    }
}

impl fmt::Display for ReloadOutcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadOutcome::Unchanged => out.write_str("nothing has changed"),
            ReloadOutcome::ServesAlready { plugin, generation } => write!(
                out,
                "plugin `{plugin}`: the file is the one that serves, generation {generation}"
            ),
            ReloadOutcome::Renewed(certificates) => {
                write!(out, "the certificates are taken: {}", certificates.join(", "))
            }
            ReloadOutcome::PartlyRenewed(certificates, reasons) => write!(
                out,
                "some certificates are not taken, the old ones serve on in their places: {reasons}; taken are: {}",
                certificates.join(", ")
            ),
            ReloadOutcome::Published(published) => published.fmt(out),
            ReloadOutcome::RolledBack {
                plugin,
                generation,
                anew,
                in_place_of,
            } => write!(
                out,
                "plugin `{plugin}`: {}, in place of {in_place_of} (asked to)",
                Restored {
                    generation: *generation,
                    anew: *anew
                }
            ),
            ReloadOutcome::Refused(refused) => refused.fmt(out),
        }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if let Some(changes) = &self.configuration {
            out.write_str("the configuration has been taken")?;
            if !changes.is_empty() {
                write!(out, " ({changes})")?;
            }
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

/// An earlier generation that serves again. `Display` is a part of a sentence.
pub(super) struct Restored {
    pub(super) generation: u64,
    pub(super) anew: Option<u64>,
}

impl fmt::Display for Restored {
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
            Refused::Certificates(reason) => {
                write!(
                    out,
                    "the certificates are not taken, the old ones serve on: {reason}"
                )
            }
            Refused::ThreadDied(task) => write!(out, "the thread that {task} has died"),
        }
    }
}

impl fmt::Display for ReloadOutcomes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for outcome in self
            .0
            .iter()
            .filter(|outcome| **outcome != ReloadOutcome::Unchanged)
        {
            write!(out, "{between}{outcome}")?;
            between = "; ";
        }
        match between {
            "" => ReloadOutcome::Unchanged.fmt(out),
            _ => Ok(()),
        }
    }
}
