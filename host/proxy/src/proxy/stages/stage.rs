//! One stream filter of a message, and what cuts the message for it.

use std::time::Duration;

use bytes::Bytes;
use pace_content::body::Content;
use pace_content::frames::{self, Advance, EventFields, Filter, Step};

use super::Broken;
use crate::chain::{FailedClosed, Filtering, Scene};
use pace_hook::{Ending, Failure};

pub(super) struct Stage {
    filter: Filtering,
    passage: frames::Stage,
}

/// A filter with the heads that it can look at meanwhile.
struct Shown<'a> {
    filter: &'a mut Filtering,
    scene: Scene<'a>,
    /// The time that plugins have taken.
    spent: &'a mut Duration,
    framing: frames::Framing,
}

impl Stage {
    pub(super) fn new((filter, passage): (Filtering, frames::Stage)) -> Stage {
        Stage { filter, passage }
    }

    pub(super) fn edits(&self) -> bool {
        self.filter.edits()
    }

    /// Whether the plugin is still interested in the message.
    pub(super) fn is_open(&self) -> bool {
        self.filter.is_open()
    }

    /// Whether these bytes, if they came next, would pass as they are, so that [`Stage::note_passed`] is enough.
    pub(super) fn passes(&self, bytes: &[u8]) -> bool {
        self.passage.passes(bytes)
    }

    /// Takes note of bytes that pass, and were not pushed.
    pub(super) fn note_passed(&mut self, bytes: &[u8]) {
        self.passage.note_passed(bytes);
    }

    /// Takes the next bytes, after [`Advance::Wants`].
    pub(super) fn push(&mut self, more: Bytes) {
        self.passage.push(more);
    }

    /// Takes the next bytes, after [`Advance::Wants`].
    pub(super) fn push_slice(&mut self, more: &[u8]) {
        self.passage.push_slice(more);
    }

    /// Takes note that the message is complete.
    pub(super) fn finish(&mut self) {
        self.passage.finish();
    }

    /// The next thing to do. The time that the plugin takes is added to `spent`.
    pub(super) fn advance(&mut self, scene: Scene<'_>, spent: &mut Duration) -> Result<Advance, Broken> {
        let framing = self.passage.framing();
        let filter = &mut self.filter;
        self.passage.advance(&mut Shown {
            filter,
            scene,
            spent,
            framing,
        })
    }

    /// Records that the filter has failed.
    pub(super) fn fail(&mut self, failure: &Failure) -> Result<(), FailedClosed> {
        self.filter.fail(failure)
    }

    /// Tells the plugin that the message has ended before its end.
    pub(super) fn break_off(&mut self, scene: Scene<'_>, how: Ending) {
        self.filter.break_off(scene, how);
    }
}

impl Filter for Shown<'_> {
    type Broken = Broken;

    fn next(
        &mut self,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<Option<Step>, Broken> {
        let (decided, time) = self.filter.next(self.scene, content, event).map_err(closed)?;
        *self.spent += time;
        Ok(decided)
    }

    fn too_large(&mut self) -> Result<(), Broken> {
        self.filter
            .fail(&Failure::unit_too_large(self.framing))
            .map_err(closed)
    }

    fn complete(&mut self) -> Result<Option<Content>, Broken> {
        self.filter.complete(self.scene).map_err(closed)
    }

    fn cut(&mut self) -> Broken {
        self.filter.break_off(self.scene, Ending::Cut);
        Broken::Cut
    }
}

fn closed(FailedClosed(reason): FailedClosed) -> Broken {
    Broken::Failed(reason)
}
