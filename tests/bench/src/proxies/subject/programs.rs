//! Finds the program of a subject.

use super::{Kind, Setting, Subject, others, pace};
use crate::machine::version;
use anyhow::{Context, Error, Result, bail};
use pace_kit::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs of some subjects.
pub(crate) struct Programs(BTreeMap<&'static str, PathBuf>);

const NGINX: &str = "/usr/sbin/nginx";
const HAPROXY: &str = "/usr/sbin/haproxy";

impl Programs {
    /// The arguments with which `cargo build` builds the programs of these subjects.
    pub(crate) fn needed(profile: &Profile, subjects: &[Subject]) -> BTreeSet<String> {
        let built = subjects.iter().filter(|subject| subject.kind.is_built());
        let needed = built.map(|subject| {
            let program = subject.kind.program();
            // A variant is in the package of the program that it varies.
            let package = match subject.kind {
                Kind::BarePingoraSystemMalloc => Kind::BarePingora.program(),
                _ => program,
            };
            profile.need(package, &format!("--bin {program}"))
        });
        needed.collect()
    }

    /// Finds the programs that cargo has built with this profile, and the installed ones.
    pub(crate) fn find(profile: &Profile, subjects: &[Subject]) -> Result<Programs> {
        let mut programs = BTreeMap::new();
        for subject in subjects {
            let name = subject.kind.program();
            let program = match subject.kind.is_built() {
                true => profile.program(name).map_err(Error::msg)?,
                false => name.into(),
            };
            programs.insert(name, program);
        }
        Ok(Programs(programs))
    }

    /// The command that starts a subject, with its configuration written to `directory`.
    pub(super) fn command(
        &self,
        subject: &Subject,
        setting: &Setting,
        listen: SocketAddr,
        directory: &Path,
    ) -> Result<Command> {
        let program = self.0.get(subject.kind.program());
        let program = program.with_context(|| format!("{} was not built", subject.key))?;
        let mut command = Command::new(program);
        let write = |name: &str, text: String| -> Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        match subject.kind {
            Kind::BarePingora | Kind::BarePingoraSystemMalloc => {
                if setting.workers != 1 {
                    bail!("bare Pingora has one worker");
                }
                if setting.tls.is_some() {
                    bail!("bare Pingora has no TLS");
                }
                command.arg(listen.to_string());
                command.args(setting.backends.iter().map(SocketAddr::to_string));
            }
            Kind::Native(chain) => {
                command.arg(write(
                    "pace.toml",
                    pace::config(chain, setting, listen, directory),
                )?);
            }
            Kind::Pace(chain) => {
                let config = write("pace.toml", pace::config(chain, setting, listen, directory))?;
                command.arg("run").arg("--config").arg(config);
            }
            Kind::Nginx => {
                let config = write("nginx.conf", others::nginx(setting, listen, directory))?;
                command.arg("-e").arg("stderr").arg("-c").arg(config);
            }
            Kind::Haproxy => {
                let config = write("haproxy.cfg", others::haproxy(setting, listen))?;
                command.arg("-db").arg("-f").arg(config);
            }
        }
        command.env_remove("RUST_LOG").env_remove("CACHE_DIRECTORY");
        Ok(command)
    }
}

impl Kind {
    /// The name of the program, or its path.
    fn program(self) -> &'static str {
        match self {
            Kind::BarePingora => "bare-pingora",
            Kind::BarePingoraSystemMalloc => "bare-pingora-system-malloc",
            Kind::Native(_) => "native-policies",
            Kind::Pace(_) => "pace",
            Kind::Nginx => NGINX,
            Kind::Haproxy => HAPROXY,
        }
    }

    /// Whether cargo builds the program; otherwise it is installed.
    fn is_built(self) -> bool {
        !matches!(self, Kind::Nginx | Kind::Haproxy)
    }
}

impl Subject {
    /// Whether the subject is Pace.
    pub(crate) fn is_pace(&self) -> bool {
        matches!(self.kind, Kind::Native(_) | Kind::Pace(_))
    }

    /// Whether the subject can be measured here: other proxies must be installed.
    pub(crate) fn is_available(&self) -> bool {
        self.kind.is_built() || Path::new(self.kind.program()).exists()
    }

    /// The name for people, with the version of other proxies.
    pub(crate) fn label(&self) -> String {
        let asked = match self.kind {
            Kind::Nginx => version(Command::new(NGINX).arg("-v"), 3),
            Kind::Haproxy => version(Command::new(HAPROXY).arg("-v"), 3),
            _ => None,
        };
        // "nginx version: nginx/1.22.1", "HAProxy version 2.6.12-1+deb12u4 2026/10/17"
        let number = asked.as_deref().and_then(|said| {
            let last = said.split_whitespace().last()?;
            last.rsplit('/').next()?.split(['-', '+']).next()
        });
        match number {
            Some(number) => format!("{} {number}", self.name),
            None => self.name.to_owned(),
        }
    }
}
