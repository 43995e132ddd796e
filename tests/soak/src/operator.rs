//! An operator: changes one plugin, and waits for the effect.

use super::admin::{Admin, PluginStatus};
use super::fleet::Plugin;
use super::journal::Journal;
use super::place::Way;
use anyhow::{Result, bail, ensure};
use pace_kit::{Pace, Signal};
use std::thread;
use std::time::{Duration, Instant};

/// How long the proxy may take to notice a file, compile it and serve with it.
const LIMIT: Duration = Duration::from_secs(20);

/// The time between two queries of the status. Each takes time that the proxy could use.
const LOOK: Duration = Duration::from_millis(20);

/// The proxy takes a file by itself only after it has not been written to for this long.
const QUIET: Duration = Duration::from_millis(100);

/// The ways in which an operator has a plugin replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Means {
    /// The file alone.
    File(Way),
    /// The file, and a request to read it.
    Post,
    /// The file, and SIGHUP.
    HangUp,
    /// The previous file again, in place of the present one.
    PutBack,
    /// A request to return to the previous version.
    RollBack,
}

/// An operator, who has the proxy's files, signals and admin listener.
pub(crate) struct Operator<'a> {
    pace: &'a Pace,
    pub(crate) admin: Admin,
    journal: &'a Journal,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(pace: &'a Pace, journal: &'a Journal) -> Operator<'a> {
        Operator {
            admin: Admin::new(pace.admin_address()),
            pace,
            journal,
        }
    }

    /// Replaces a plugin's version, and waits until the other one serves. Returns whether that version has
    /// never served before.
    pub(crate) fn replace(&mut self, plugin: &mut Plugin, means: Means) -> Result<bool> {
        if let (Means::RollBack, Some(previous)) = (means, plugin.previous.clone()) {
            let stamp = previous.version.stamp.as_deref();
            self.journal
                .begin(plugin.name, previous.number, stamp, Instant::now());
            self.admin.roll_back(plugin.name)?;
            plugin.rolled_back();
            return self.await_current(plugin).map(|()| false);
        }
        let before = match (means, &plugin.previous) {
            // After rollbacks and bad files the previous file may be in place already, and putting it back
            // would do nothing.
            (Means::PutBack, Some(previous)) if !plugin.place.has(&previous.version.bytes) => {
                Some(previous.version.clone())
            }
            _ => None,
        };
        let is_new = before.is_none();
        let version = before.unwrap_or_else(|| plugin.versions.make());
        let stamp = version.stamp.as_deref();
        self.journal
            .begin(plugin.name, plugin.last_number + 1, stamp, Instant::now());
        let way = match means {
            Means::File(way) => way,
            Means::Post | Means::HangUp | Means::PutBack | Means::RollBack => Way::Rename,
        };
        plugin.place.put(way, &version.bytes)?;
        match means {
            Means::Post => self.admin.reload(plugin.name)?,
            Means::HangUp => self.pace.signal(Signal::HUP),
            Means::File(_) | Means::PutBack => thread::sleep(QUIET),
            Means::RollBack => {}
        }
        plugin.took(version);
        self.await_current(plugin).map(|()| is_new)
    }

    fn await_current(&mut self, plugin: &Plugin) -> Result<()> {
        let wanted = &plugin.current.version.sha256;
        let after = self.await_status(plugin.name, |status| status.sha256 == *wanted)?;
        self.journal.done(Instant::now());
        ensure_unchanged(plugin, &after)
    }

    /// Queries the status until it is as expected.
    pub(crate) fn await_status(
        &mut self,
        plugin: &str,
        wanted: impl Fn(&PluginStatus) -> bool,
    ) -> Result<PluginStatus> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.admin.plugin(plugin)?;
            if wanted(&status) {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("nothing came of it within {} s: {status:?}", LIMIT.as_secs());
            }
            thread::sleep(LOOK);
        }
    }
}

/// Checks that the serving version is the expected one.
pub(crate) fn ensure_unchanged(plugin: &Plugin, status: &PluginStatus) -> Result<()> {
    let wanted = &plugin.current;
    ensure!(
        status.generation == wanted.number && status.sha256 == wanted.version.sha256,
        "generation {} should serve, and it is generation {} (sha256 {})",
        wanted.number,
        status.generation,
        status.sha256
    );
    Ok(())
}
