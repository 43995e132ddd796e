//! Swaps plugins while the proxy serves, and sees what it makes of that.

use super::admin::{Admin, PluginStatus};
use super::bad::{self, Bad, Expected, Target};
use super::fleet::{Fleet, Plugin};
use super::journal::Journal;
use super::place::Way;
use super::random::Random;
use super::subject::{PINNED, Subject};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// From one swap to the next, if the proxy is done with it by then.
const INTERVAL: Duration = Duration::from_millis(300);

/// How long the proxy may take to notice a file, compile it and serve with it.
const LIMIT: Duration = Duration::from_secs(20);

/// How long a file is left alone that the proxy has no reason to speak of.
const QUIET: Duration = Duration::from_millis(400);

const LOOK: Duration = Duration::from_millis(20);

/// One swap of so many is a bad file.
const BAD: u64 = 10;

/// What makes the proxy replace a plugin.
#[derive(Clone, Copy, Debug)]
enum Means {
    /// Nothing but the file.
    File(Way),
    /// The file, and being asked to look.
    Post,
    /// The file, and SIGHUP.
    HangUp,
    /// Being asked to return to the version before.
    RollBack,
}

/// Each plugin's turn goes through all of them.
const MEANS: [Means; 8] = [
    Means::File(Way::InPlace),
    Means::File(Way::Rename),
    Means::Post,
    Means::File(Way::Symlink),
    Means::RollBack,
    // The first may make the link into the directory, the second only changes the directory.
    Means::File(Way::Directory),
    Means::File(Way::Directory),
    Means::HangUp,
];

/// What came of the swaps.
#[derive(Default)]
pub(crate) struct Swaps {
    pub(crate) good: u64,
    /// From when a swap began until it was seen to serve.
    pub(crate) slowest: Duration,
    pub(crate) bad: u64,
    /// What the proxy said of each kind.
    pub(crate) kinds: BTreeMap<String, String>,
    /// Why swapping ended before its time.
    pub(crate) unexpected: Option<String>,
}

/// Swaps one plugin after another.
pub(crate) struct Swapper<'a> {
    subject: &'a Subject,
    admin: Admin,
    journal: &'a Journal,
    fleet: Fleet,
    bad: Vec<Bad>,
    random: Random,
    turn: u64,
    /// The plugin whose file is bad, to be mended with the next swap.
    broken: Option<usize>,
}

impl<'a> Swapper<'a> {
    pub(crate) fn new(subject: &'a Subject, journal: &'a Journal, fleet: Fleet, seed: u64) -> Result<Self> {
        let mut random = Random::new(seed, u64::MAX);
        let mut bad = bad::all(seed)?;
        random.shuffle(&mut bad);
        Ok(Swapper {
            subject,
            admin: Admin::new(subject.admin),
            journal,
            fleet,
            bad,
            random,
            turn: 0,
            broken: None,
        })
    }

    /// Swaps until `deadline`, and then puts what is broken in order. Ends early, and does nothing any more,
    /// if the proxy does not do what it should.
    pub(crate) fn run(&mut self, deadline: Instant, swaps: &mut Swaps) {
        let mut next = Instant::now();
        while swaps.unexpected.is_none() && (Instant::now() < deadline || self.broken.is_some()) {
            if let Err(error) = self.swap(swaps) {
                swaps.unexpected = Some(format!("{error:#}"));
            }
            next = (next + INTERVAL).max(Instant::now());
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn swap(&mut self, swaps: &mut Swaps) -> Result<()> {
        self.turn += 1;
        if self.turn.is_multiple_of(BAD) && self.broken.is_none() {
            let number = (self.turn / BAD - 1) as usize % self.bad.len();
            let said = self
                .put_bad(number, swaps)
                .with_context(|| format!("bad file: {}", self.bad[number].name))?;
            swaps.bad += 1;
            swaps.kinds.insert(self.bad[number].name.clone(), said);
            return Ok(());
        }
        let broken = self.broken.take();
        let index = broken.unwrap_or(self.turn as usize % self.fleet.swapped.len());
        let step = self.turn / self.fleet.swapped.len() as u64 + index as u64;
        let means = match MEANS[step as usize % MEANS.len()] {
            // It would leave the bad file where it is.
            Means::RollBack if broken.is_some() => Means::Post,
            other => other,
        };
        let start = Instant::now();
        let plugin = &mut self.fleet.swapped[index];
        let name = plugin.name;
        replace(plugin, means, self.subject, &mut self.admin, self.journal)
            .with_context(|| format!("{name} by {means:?}"))?;
        swaps.slowest = swaps.slowest.max(start.elapsed());
        swaps.good += 1;
        Ok(())
    }

    /// Says what the proxy says.
    fn put_bad(&mut self, number: usize, swaps: &mut Swaps) -> Result<String> {
        let bad = &self.bad[number];
        let way = if self.random.below(2) == 0 {
            Way::InPlace
        } else {
            Way::Rename
        };
        if bad.target == Target::Pinned {
            let pinned = &mut self.fleet.pinned;
            bad.thing.put(&mut pinned.place, &pinned.version.bytes, way)?;
            let (name, _) = PINNED;
            let refused = await_status(&mut self.admin, name, |plugin| plugin.refused.is_some())?;
            pinned.place.put(way, &pinned.version.bytes)?;
            let after = await_status(&mut self.admin, name, |plugin| plugin.refused.is_none())?;
            ensure!(after.generation == 1, "the pinned plugin was replaced");
            return reason(refused);
        }
        let index = match bad.target {
            Target::Any | Target::Pinned => self.random.below(self.fleet.swapped.len() as u64) as usize,
            Target::Unconfigured => self.fleet.swapped.len() - 1,
        };
        let plugin = &mut self.fleet.swapped[index];
        let before = self.admin.plugin(plugin.name)?;
        ensure!(
            before.refused.is_none(),
            "a good file, and it is said: {before:?}"
        );
        match bad.expected {
            Expected::Refused => {
                bad.thing
                    .put(&mut plugin.place, &plugin.current.version.bytes, way)?;
                let after = await_status(&mut self.admin, plugin.name, |plugin| plugin.refused.is_some())?;
                ensure_unchanged(plugin, &after)?;
                self.broken = Some(index);
                reason(after)
            }
            Expected::Ignored => {
                bad.thing
                    .put(&mut plugin.place, &plugin.current.version.bytes, way)?;
                thread::sleep(QUIET);
                let after = self.admin.plugin(plugin.name)?;
                ensure_unchanged(plugin, &after)?;
                ensure!(after.refused.is_none(), "refused: {:?}", after.refused);
                Ok("nothing".to_owned())
            }
            Expected::Taken => {
                replace(
                    plugin,
                    Means::File(Way::Drip),
                    self.subject,
                    &mut self.admin,
                    self.journal,
                )?;
                swaps.good += 1;
                Ok("taken when it was complete".to_owned())
            }
        }
    }
}

/// Makes another version of a plugin serve, and waits until it does.
fn replace(
    plugin: &mut Plugin,
    means: Means,
    subject: &Subject,
    admin: &mut Admin,
    journal: &Journal,
) -> Result<()> {
    if let (Means::RollBack, Some(previous)) = (means, plugin.previous.clone()) {
        let stamp = previous.version.stamp.as_deref();
        journal.begin(plugin.name, previous.number, stamp, Instant::now());
        admin.roll_back(plugin.name)?;
        plugin.rolled_back();
        return await_current(plugin, admin, journal);
    }
    let version = plugin.versions.make();
    let stamp = version.stamp.as_deref();
    journal.begin(plugin.name, plugin.last_number + 1, stamp, Instant::now());
    let way = match means {
        Means::File(way) => way,
        Means::Post | Means::HangUp | Means::RollBack => Way::Rename,
    };
    plugin.place.put(way, &version.bytes)?;
    match means {
        Means::Post => admin.reload(plugin.name)?,
        Means::HangUp => subject.hang_up()?,
        Means::File(_) | Means::RollBack => {}
    }
    plugin.took(version);
    await_current(plugin, admin, journal)
}

fn await_current(plugin: &Plugin, admin: &mut Admin, journal: &Journal) -> Result<()> {
    let wanted = &plugin.current;
    let after = await_status(admin, plugin.name, |status| {
        status.sha256 == wanted.version.sha256
    })?;
    journal.done(Instant::now());
    ensure_unchanged(plugin, &after)
}

/// Asks until the answer is as it should be.
fn await_status(
    admin: &mut Admin,
    plugin: &str,
    wanted: impl Fn(&PluginStatus) -> bool,
) -> Result<PluginStatus> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = admin.plugin(plugin)?;
        if wanted(&status) {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            bail!("nothing came of it within {} s: {status:?}", LIMIT.as_secs());
        }
        thread::sleep(LOOK);
    }
}

/// Why a file was refused, in one line.
fn reason(status: PluginStatus) -> Result<String> {
    let reason = status.refused.unwrap_or_default();
    ensure!(!reason.trim().is_empty(), "no reason is given");
    Ok(reason.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What serves is what should.
fn ensure_unchanged(plugin: &Plugin, status: &PluginStatus) -> Result<()> {
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
