//! What an operator does to one plugin, and how he sees what came of it.

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

/// From one look at what serves to the next. Each takes time that the proxy could use.
const LOOK: Duration = Duration::from_millis(20);

/// No file serves by itself before nobody has written to it for so long.
const QUIET: Duration = Duration::from_millis(100);

/// What makes the proxy replace a plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Means {
    /// Nothing but the file.
    File(Way),
    /// The file, and being asked to look.
    Post,
    /// The file, and SIGHUP.
    HangUp,
    /// The file that was there before, in place of the one that is there now.
    PutBack,
    /// Being asked to return to the version before.
    RollBack,
}

/// Has the proxy's files, signals and admin listener.
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

    /// Makes another version of a plugin serve, and waits until it does. Whether it has never served before.
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
            // After rollbacks and bad files it may be there already, and then nothing would come of it.
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

    /// Asks until the answer is as it should be.
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

/// What serves is what should.
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
