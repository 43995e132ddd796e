//! Puts bad files in place of good ones, several at a time, and checks the proxy's refusals.

use super::bad::{Bad, Expected, Target};
use super::fleet::Fleet;
use super::kinds;
use super::operator::{Means, Operator, ensure_unchanged};
use super::place::Way;
use super::random::Random;
use super::setting::PINNED;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

/// Every kind has been tried after this much time with swaps; a minute's run has more.
const ALL_KINDS_WITHIN: Duration = Duration::from_secs(25);

/// How long a file is left alone if the proxy has no reason to log anything about it.
const QUIET: Duration = Duration::from_millis(400);

/// The ways in which bad files are put in place.
const WAYS: [Way; 4] = [Way::InPlace, Way::Rename, Way::Symlink, Way::Directory];

/// One in this many bad files is requested to be read, and not waited for.
const ASKED: u64 = 4;

/// The results of bad files.
#[derive(Default)]
pub(crate) struct Spoils {
    /// The number of bad files.
    pub(crate) files: u64,
    /// The number of kinds.
    pub(crate) kinds: usize,
    /// The refusal of each kind that has been tried.
    pub(crate) said: BTreeMap<String, String>,
}

/// Puts bad files in place, each kind once before any comes again.
pub(crate) struct Spoiler {
    kinds: Vec<Bad>,
    /// Numbers of the kinds still to come before all come again.
    left: Vec<usize>,
    put: usize,
    random: Random,
}

/// The plugin that a bad file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// A plugin whose file may change, by its index.
    Swapped(usize),
    /// The plugin whose file is pinned.
    Pinned,
}

impl Spoiler {
    pub(crate) fn new(seed: u64) -> Result<Spoiler> {
        Ok(Spoiler {
            kinds: kinds::all()?,
            left: Vec::new(),
            put: 0,
            random: Random::new(seed, u64::MAX),
        })
    }

    /// Puts a bad file in place of each plugin's, and again if the time with swaps so far calls for more of
    /// them. [`Fleet::broken`] has the plugins to be mended afterwards.
    pub(crate) fn run(
        &mut self,
        spent: Duration,
        fleet: &mut Fleet,
        operator: &mut Operator<'_>,
        spoils: &mut Spoils,
    ) -> Result<()> {
        spoils.kinds = self.kinds.len();
        let share = (spent.as_secs_f64() / ALL_KINDS_WITHIN.as_secs_f64()).min(1.0);
        let due = (self.kinds.len() as f64 * share) as usize;
        loop {
            let batch = self.next_batch(fleet.swapped.len());
            self.put += batch.len();
            self.put_all(&batch, fleet, operator, spoils)?;
            if self.put >= due {
                return Ok(());
            }
            for index in std::mem::take(&mut fleet.broken) {
                restore(fleet, Slot::Swapped(index), operator)?;
            }
        }
    }

    /// Chooses a kind for each plugin, as far as there are kinds left. A file that is not refused comes
    /// alone: the proxy takes it, or must be given time to do nothing.
    fn next_batch(&mut self, plugins: usize) -> Vec<(Slot, usize)> {
        if self.left.is_empty() {
            self.left = (0..self.kinds.len()).collect();
            self.random.shuffle(&mut self.left);
        }
        let is_refused = |kind: usize| matches!(self.kinds[kind].expected, Expected::Refused(_));
        if !is_refused(self.left[0]) {
            let index = self.random.below(plugins as u64) as usize;
            return vec![(Slot::Swapped(index), self.left.remove(0))];
        }
        let mut batch = Vec::new();
        let slots = (0..plugins).rev().map(Slot::Swapped);
        for slot in [Slot::Pinned].into_iter().chain(slots) {
            let targets: &[Target] = match slot {
                Slot::Pinned => &[Target::Pinned],
                Slot::Swapped(index) if index + 1 == plugins => &[Target::Unconfigured, Target::Any],
                Slot::Swapped(_) => &[Target::Any],
            };
            let place = targets.iter().find_map(|target| {
                let suits = |kind: &usize| is_refused(*kind) && self.kinds[*kind].target == *target;
                self.left.iter().position(suits)
            });
            batch.extend(place.map(|place| (slot, self.left.remove(place))));
        }
        batch
    }

    /// Puts all files in place at once, and then checks the proxy's reaction to each.
    fn put_all(
        &mut self,
        batch: &[(Slot, usize)],
        fleet: &mut Fleet,
        operator: &mut Operator<'_>,
        spoils: &mut Spoils,
    ) -> Result<()> {
        let of = |kind: usize| format!("bad file: {}", self.kinds[kind].name);
        for &(slot, kind) in batch {
            let bad = &self.kinds[kind];
            put(slot, bad, &mut self.random, fleet, operator).with_context(|| of(kind))?;
        }
        for &(slot, kind) in batch {
            let bad = &self.kinds[kind];
            let said = see(slot, bad, fleet, operator).with_context(|| of(kind))?;
            spoils.files += 1;
            spoils.said.insert(bad.name.clone(), said);
        }
        Ok(())
    }
}

fn put(
    slot: Slot,
    bad: &Bad,
    random: &mut Random,
    fleet: &mut Fleet,
    operator: &mut Operator<'_>,
) -> Result<()> {
    let before = operator.admin.plugin(name(slot, fleet))?;
    ensure!(
        before.refused.is_none(),
        "a good file, and it is said: {before:?}"
    );
    let way = WAYS[random.below(WAYS.len() as u64) as usize];
    match slot {
        Slot::Pinned => {
            let pinned = &mut fleet.pinned;
            bad.thing
                .put(&mut pinned.place, &pinned.version.bytes, way, random)?;
        }
        Slot::Swapped(index) => {
            let plugin = &mut fleet.swapped[index];
            if bad.expected == Expected::Taken {
                operator.replace(plugin, Means::File(Way::Drip))?;
                return Ok(());
            }
            let good = &plugin.current.version.bytes;
            bad.thing.put(&mut plugin.place, good, way, random)?;
        }
    }
    if let Expected::Refused(says) = bad.expected
        && random.below(ASKED) == 0
    {
        let said = operator.admin.reload_in_vain(name(slot, fleet))?;
        ensure_says(says, &said)?;
    }
    Ok(())
}

/// Returns the proxy's refusal of the file, in one line.
fn see(slot: Slot, bad: &Bad, fleet: &mut Fleet, operator: &mut Operator<'_>) -> Result<String> {
    let name = name(slot, fleet);
    let (after, said) = match bad.expected {
        Expected::Refused(says) => {
            // On a busy machine a file written in place may be read, and refused, before it is complete.
            let is_right = |said: &String| ensure_says(says, said).is_ok();
            let after = operator
                .await_status(name, |plugin| plugin.refused.as_ref().is_some_and(is_right))
                .with_context(|| format!("one of {says:?} should be in what the proxy says"))?;
            let said = after.refused.clone().unwrap_or_default();
            (after, said)
        }
        Expected::Ignored => {
            thread::sleep(QUIET);
            let after = operator.admin.plugin(name)?;
            ensure!(after.refused.is_none(), "refused: {:?}", after.refused);
            (after, "nothing".to_owned())
        }
        Expected::Taken => (
            operator.admin.plugin(name)?,
            "taken when it was complete".to_owned(),
        ),
    };
    match slot {
        Slot::Pinned => {
            ensure!(after.generation == 1, "the pinned plugin was replaced");
            restore(fleet, slot, operator)?;
        }
        Slot::Swapped(index) => {
            ensure_unchanged(&fleet.swapped[index], &after)?;
            if matches!(bad.expected, Expected::Refused(_)) {
                fleet.broken.push(index);
            }
        }
    }
    Ok(said.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Puts the serving file back, which the proxy must not refuse.
fn restore(fleet: &mut Fleet, slot: Slot, operator: &mut Operator<'_>) -> Result<()> {
    let (place, version) = match slot {
        Slot::Swapped(index) => {
            let plugin = &mut fleet.swapped[index];
            (&mut plugin.place, &plugin.current.version)
        }
        Slot::Pinned => (&mut fleet.pinned.place, &fleet.pinned.version),
    };
    place.put(Way::Rename, &version.bytes)?;
    let sha256 = version.sha256.clone();
    let name = name(slot, fleet);
    let after = operator
        .await_status(name, |plugin| plugin.refused.is_none())
        .with_context(|| format!("{name} by the file that serves"))?;
    ensure!(after.sha256 == sha256, "{name} has been replaced by what served");
    Ok(())
}

fn name(slot: Slot, fleet: &Fleet) -> &'static str {
    match slot {
        Slot::Swapped(index) => fleet.swapped[index].name,
        Slot::Pinned => PINNED.0,
    }
}

fn ensure_says(says: &[&str], said: &str) -> Result<()> {
    if !says.iter().any(|words| said.contains(words)) {
        bail!("one of {says:?} should be in what the proxy says: {said}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_comes_once_for_its_target() {
        const PLUGINS: usize = 3;
        let mut spoiler = Spoiler::new(1).expect("the plugins have been built");
        let mut seen = BTreeSet::new();
        let mut batches = 0;
        loop {
            for (slot, kind) in spoiler.next_batch(PLUGINS) {
                assert!(seen.insert(kind), "{}", spoiler.kinds[kind].name);
                match spoiler.kinds[kind].target {
                    Target::Any => assert_ne!(slot, Slot::Pinned),
                    Target::Unconfigured => assert_eq!(slot, Slot::Swapped(PLUGINS - 1)),
                    Target::Pinned => assert_eq!(slot, Slot::Pinned),
                }
            }
            batches += 1;
            if spoiler.left.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), spoiler.kinds.len());
        assert!(
            batches <= spoiler.kinds.len() / 2,
            "{batches} batches: each is for several plugins"
        );
    }

    #[test]
    fn refusal_for_another_reason_is_an_error() {
        assert!(ensure_says(&["empty", "invalid"], "not WebAssembly: it is empty").is_ok());
        assert!(ensure_says(&["empty", "invalid"], "no such file").is_err());
    }
}
