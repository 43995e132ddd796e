//! Bad files in the place of good ones, several at a time, and whether the proxy says what is wrong.

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

/// After so much time with swaps, of which a minute's run has more, every kind has been there.
const ALL_KINDS_WITHIN: Duration = Duration::from_secs(25);

/// How long a file is left alone that the proxy has no reason to speak of.
const QUIET: Duration = Duration::from_millis(400);

/// The ways in which bad files come.
const WAYS: [Way; 4] = [Way::InPlace, Way::Rename, Way::Symlink, Way::Directory];

/// One bad file of so many is not waited for, but asked for.
const ASKED: u64 = 4;

/// What came of bad files.
#[derive(Default)]
pub(crate) struct Spoils {
    /// How many there were.
    pub(crate) files: u64,
    /// How many kinds there are.
    pub(crate) kinds: usize,
    /// What the proxy said of those that have been there.
    pub(crate) said: BTreeMap<String, String>,
}

/// Puts bad files, each kind once before any comes again.
pub(crate) struct Spoiler {
    kinds: Vec<Bad>,
    /// Numbers of the kinds that are still to come before all come again.
    left: Vec<usize>,
    put: usize,
    random: Random,
}

/// Where a bad file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// To this one of the plugins whose files may change.
    Swapped(usize),
    /// To the one whose file may not.
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

    /// Puts a bad file in the place of each plugin's, and again, if after so much time with swaps there
    /// should have been more of them. [`Fleet::broken`] is what has to be mended then.
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

    /// A kind for each plugin, as far as there are. What is not refused comes alone: the proxy takes it, or
    /// must be given time to do nothing.
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

    /// All at once, and then it is seen what the proxy makes of each.
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

/// Returns what the proxy says of it, in one line.
fn see(slot: Slot, bad: &Bad, fleet: &mut Fleet, operator: &mut Operator<'_>) -> Result<String> {
    let name = name(slot, fleet);
    let (after, said) = match bad.expected {
        Expected::Refused(says) => {
            // On a busy machine what is written in place may be looked at, and refused, before it is all there.
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

/// Puts back what serves, which the proxy says nothing against.
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
    fn every_kind_comes_once_and_where_it_is_meant_to() {
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
    fn a_reason_is_not_any_reason() {
        assert!(ensure_says(&["empty", "invalid"], "not WebAssembly: it is empty").is_ok());
        assert!(ensure_says(&["empty", "invalid"], "no such file").is_err());
    }
}
