//! The less loaded of two random backends.

use crate::{Backends, Draw, Eligible, Member, Random};

/// Picks the less loaded of two backends that are drawn at random by weight.
///
/// Two choices are almost as even as a look at all backends (Mitzenmacher, The Power of Two Choices in Randomized Load
/// Balancing, 2001), cost the same for two backends and a thousand, and do not herd: proxies that see the same loads
/// do not all pick the same backend. With weights, drawing by weight and comparing the load for each unit of weight
/// keeps this (Berenbrink, Brinkmann, Friedetzky and Nagel, Balls into Non-uniform Bins, 2014).
#[derive(Clone, Debug)]
pub struct Choices {
    preferred: Tier,
    spare: Tier,
}

/// The load of each backend, by which two of them are compared.
pub trait Load {
    /// The load of a backend. It is divided by the backend's weight.
    fn of(&mut self, index: u32) -> f64;

    /// Takes note that an attempt at this backend has failed.
    fn failed(&mut self, _index: u32) {}
}

impl Choices {
    /// Prepares choices among the eligible backends.
    pub fn of(backends: &impl Backends) -> Self {
        let Eligible { preferred, spare } = Eligible::of(backends);
        Self {
            preferred: Tier::new(preferred),
            spare: Tier::new(spare),
        }
    }

    /// The backend for an attempt, counted from 1: one that this request has not been sent to. `None` if there is none
    /// left. If the two have the same load it is the one drawn first, so that an idle pool is used by weight.
    pub fn pick(
        &self,
        backends: &impl Backends,
        attempt: u32,
        random: &mut Random,
        load: &mut impl Load,
    ) -> Option<u32> {
        Some(self.pick_with_load(backends, attempt, random, load)?.0)
    }

    /// The backend as [`Choices::pick`] has it, and its load for each unit of weight; 0 if it is the only one.
    pub fn pick_with_load(
        &self,
        backends: &impl Backends,
        attempt: u32,
        random: &mut Random,
        load: &mut impl Load,
    ) -> Option<(u32, f64)> {
        let mut is_left = |index| {
            let is_left = attempt == 1 || !backends.tried(index);
            if !is_left {
                load.failed(index);
            }
            is_left
        };
        let (first, second) = [&self.preferred, &self.spare].into_iter().find_map(|tier| {
            let first = tier.draw(random, &mut is_left)?;
            let second = match tier.members.len() {
                1 => None,
                _ => tier.draw(random, |index| index != first.index && is_left(index)),
            };
            Some((first, second))
        })?;
        // The load of an only backend makes no difference, and may take calls into the host.
        let Some(second) = second else {
            return Some((first.index, 0.0));
        };
        let [of_first, of_second] =
            [first, second].map(|member| load.of(member.index) / f64::from(member.weight));
        Some(match of_second < of_first {
            true => (second.index, of_second),
            false => (first.index, of_first),
        })
    }
}

/// Backends that are asked alike.
#[derive(Clone, Debug)]
struct Tier {
    members: Box<[Member]>,
    draw: Draw,
}

/// The number of draws before a search. A draw is in vain if it hits a backend that this request was sent to, or the
/// first choice while the second is drawn.
const DRAWS: usize = 4;

impl Tier {
    fn new(members: Vec<Member>) -> Self {
        Self {
            draw: Draw::new(members.iter().map(|member| member.weight)),
            members: members.into(),
        }
    }

    /// Draws a member for which `is_wanted` holds. The search at the end passes unwanted members only, of which a
    /// request has no more than attempts, so its length does not depend on the size of the pool.
    fn draw(&self, random: &mut Random, mut is_wanted: impl FnMut(u32) -> bool) -> Option<Member> {
        for _ in 0..DRAWS {
            let member = self.members.get(self.draw.position(random.number()))?;
            if is_wanted(member.index) {
                return Some(*member);
            }
        }
        let (before, after) = self.members.split_at(random.below(self.members.len()));
        let mut all = after.iter().chain(before);
        all.find(|member| is_wanted(member.index)).copied()
    }
}

#[cfg(test)]
mod tests;
