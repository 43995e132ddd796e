//! Messages of stream filters: objects in an instance, which last longer than the call that made them.
//!
//! With an instance for each worker, a message belongs to the instance in which it was opened, and finds it by its number in
//! the place of its use (see `slots`). If that instance has ended, the message's filter has failed. With an instance for each
//! call, a message has an instance of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bindings::pace::plugin::streams as wasm;
use super::breaker::Admission;
use super::code::Exports;
use super::instance::Instance;
use super::lend::Call;
use super::program::{Use, illegal};
use super::stream_filter::{Object, Opened, StreamFilter};
use pace_config::Isolation;
use pace_content::body::{Access, Content};
use pace_content::frames::{EventFields, Framing, IllegalInterest, Interest, Step};
use pace_hook::{Ending, Failure, FailureReason, Heads, Hook, Message, Opening};

/// A message that a plugin in WebAssembly filters.
struct WasmMessage {
    used: Arc<Use>,
    filter: Filter,
    access: Access,
    object: Object,
    home: Home,
    /// Its share of the limits, if it has an instance of its own. It is given back after the instance.
    _seats: Option<[Seat; 2]>,
}

/// The place of a message's object.
enum Home {
    /// The instance with this number, which the thread keeps.
    Kept(u64),
    /// An instance of its own.
    Own(Box<Instance>),
    /// The object is gone.
    None,
}

/// One of the two stream filters of a plugin.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    pub(super) hook: Hook,
    pub(super) of: fn(&Exports) -> &StreamFilter,
}

/// Asks a plugin whether it filters a message.
pub(super) fn open(used: &Arc<Use>, filter: Filter, heads: Heads<'_>) -> Result<Option<Opening>, Failure> {
    let limits = &used.generation.limits;
    let seats = match used.generation.isolation {
        Isolation::Worker => {
            let open = used.slot.with_place(|place| place.messages(used.slot.owner));
            if open >= limits.streams {
                return Err(too_many(limits.streams));
            }
            None
        }
        Isolation::Request => {
            let of_use = Room::take(&used.room).ok_or_else(|| too_many(limits.streams))?;
            let of_pool = Room::take(&used.generation.program.platform.room);
            Some([of_use, of_pool.ok_or_else(|| pool_is_full(limits.streams))?])
        }
    };
    let call = Call::of_stream(heads, None);
    let open = |instance: &mut Instance| {
        let opened = instance.run(used, call, |exports, store| (filter.of)(exports).open(store))?;
        opened.map(parse_interest).transpose()
    };
    let opened = used.called(filter.hook, || match seats {
        None => used.with_own_instance(|instance| {
            let opened = open(instance)?;
            instance.messages += u32::from(opened.is_some());
            Ok(opened.map(|opened| (opened, Home::Kept(instance.number))))
        }),
        Some(_) => {
            let mut instance = Box::new(Instance::new(used)?);
            let opened = open(&mut instance)?;
            Ok(opened.map(|opened| (opened, Home::Own(instance))))
        }
    })?;
    Ok(opened.map(|((opened, interest), home)| {
        let access = opened.access.into();
        Opening {
            message: Box::new(WasmMessage {
                used: Arc::clone(used),
                filter,
                access,
                object: opened.object,
                home,
                _seats: seats,
            }),
            framing: opened.framing.into(),
            access,
            interest,
        }
    }))
}

/// Parses the strings of interest.
fn parse_interest(opened: Opened) -> Result<(Opened, Interest), Failure> {
    let Opened { interest, .. } = opened;
    let interest = Interest::new(interest).map_err(|IllegalInterest| {
        illegal(format!(
            "it named strings of interest that are too many, too long or empty: {} are allowed, of 1 to {} bytes",
            Interest::STRINGS,
            Interest::LENGTH
        ))
    })?;
    let opened = Opened {
        interest: Vec::new(),
        ..opened
    };
    Ok((opened, interest))
}

fn too_many(limit: u32) -> Failure {
    Failure {
        reason: FailureReason::TooManyStreams,
        detail: format!("it has {limit} messages open already"),
    }
}

fn pool_is_full(limit: u32) -> Failure {
    Failure {
        reason: FailureReason::TooManyStreams,
        detail: format!(
            "the plugins with `isolation = \"request\"` and this `limits.streams` have {limit} messages open already, \
             which is all that their common memory has room for"
        ),
    }
}

fn lost() -> Failure {
    Failure {
        reason: FailureReason::InstanceLost,
        detail: "the instance with the message is gone: another call in it failed, or too many others took its place"
            .to_owned(),
    }
}

impl WasmMessage {
    /// Calls the instance that has the object. After an error the object is gone, or the message does not touch it any more.
    fn call<T>(
        &mut self,
        run: impl FnOnce(&Use, &mut Instance, Object) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (used, object) = (&*self.used, self.object);
        let result = match &mut self.home {
            Home::Kept(number) => used.slot.with_place(|place| {
                place.with_numbered(*number, &used.generation, |instance| run(used, instance, object))
            }),
            Home::Own(instance) => Some(run(used, instance, object)),
            Home::None => None,
        };
        let result = result.unwrap_or_else(|| Err(lost()));
        if result.is_err() {
            self.home = Home::None;
        }
        // The breaker is not asked: a message that is open has an instance that has not failed, and can fail once.
        used.report(Admission::Pass, self.filter.hook, &result);
        result
    }
}

impl Message for WasmMessage {
    fn next(
        &mut self,
        heads: Heads<'_>,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<Step, Failure> {
        let (access, filter) = (self.access, self.filter);
        let call = Call {
            unit: Some(event),
            ..Call::of_stream(heads, Some(content))
        };
        self.call(|used, instance, object| {
            let step = instance.run(used, call, |exports, store| {
                (filter.of)(exports).next(store, object)
            })?;
            let step = Step::from(step);
            match (access, step) {
                (Access::Look, Step::Drop | Step::Stop) => Err(illegal(format!(
                    "it returned {} for a message that it opened to look at",
                    if step == Step::Drop { "drop" } else { "stop" }
                ))),
                _ => Ok(step),
            }
        })
    }

    fn end(mut self: Box<Self>, heads: Heads<'_>, how: Ending, last: &mut Content) -> Result<(), Failure> {
        let filter = self.filter;
        let call = Call::of_stream(heads, Some(last));
        let ended = self.call(|used, instance, object| {
            instance.messages = instance.messages.saturating_sub(1);
            instance.run(used, call, |exports, store| {
                (filter.of)(exports).end(store, object, how.into())
            })
        });
        self.home = Home::None;
        ended
    }
}

impl Drop for WasmMessage {
    /// Has the plugin drop the object of a message that has not come to its end.
    fn drop(&mut self) {
        let (used, filter, object) = (&*self.used, self.filter, self.object);
        let run = |instance: &mut Instance| {
            instance.messages = instance.messages.saturating_sub(1);
            instance.enter(used, |exports, store| {
                (filter.of)(exports).drop_object(store, object)
            })
        };
        let dropped = match std::mem::replace(&mut self.home, Home::None) {
            Home::Kept(number) => {
                // At the end of a thread its places may be gone before its tasks are.
                let kept = used
                    .slot
                    .try_with_place(|place| place.with_numbered(number, &used.generation, run));
                kept.flatten()
            }
            Home::Own(mut instance) => Some(run(&mut instance)),
            Home::None => None,
        };
        if let Some(dropped @ Err(_)) = dropped {
            used.report(Admission::Pass, filter.hook, &dropped);
        }
    }
}

/// Room for a number of messages that have instances of their own.
pub(super) struct Room {
    taken: AtomicU32,
    most: u32,
}

/// One message's share of a [`Room`], given back when it is dropped.
struct Seat(Arc<Room>);

impl Room {
    pub(super) fn new(most: u32) -> Arc<Room> {
        Arc::new(Room {
            taken: AtomicU32::new(0),
            most,
        })
    }

    fn take(room: &Arc<Room>) -> Option<Seat> {
        let take = |taken| (taken < room.most).then_some(taken + 1);
        let taken = room
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.is_ok().then(|| Seat(Arc::clone(room)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl From<wasm::Framing> for Framing {
    fn from(framing: wasm::Framing) -> Framing {
        match framing {
            wasm::Framing::Chunk => Framing::Chunk,
            wasm::Framing::Line => Framing::Line,
            wasm::Framing::Event => Framing::Event,
        }
    }
}

impl From<wasm::Access> for Access {
    fn from(access: wasm::Access) -> Access {
        match access {
            wasm::Access::Look => Access::Look,
            wasm::Access::Edit => Access::Edit,
        }
    }
}

impl From<wasm::Step> for Step {
    fn from(step: wasm::Step) -> Step {
        match step {
            wasm::Step::Pass => Step::Pass,
            wasm::Step::Drop => Step::Drop,
            wasm::Step::Finish => Step::Finish,
            wasm::Step::Stop => Step::Stop,
            wasm::Step::Cut => Step::Cut,
        }
    }
}

#[cfg(test)]
mod tests;
