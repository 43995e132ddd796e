//! Messages that pass in pieces, and the filters that see them.

use pace_content::body::{Access, Content};
use pace_content::frames::{EventFields, Framing, Interest, Step};

use crate::{Ending, Failure, RequestAccess, RequestFacts, RequestHead, RequestScope, ResponseHead};

/// A message that a plugin filters, from `open` to its end.
///
/// Dropping it without [`Message::end`] drops the plugin's object: its filter has failed, or the rest of the message is not
/// the plugin's business any more.
pub trait Message: Send {
    /// Shows the next unit: its bytes, and the fields of the event that it is. What the filter may change is set in both.
    ///
    /// After an error the message must be dropped.
    fn next(
        &mut self,
        heads: Heads<'_>,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<Step, Failure>;

    /// Tells the plugin that the message is over. `last` is empty, and what the plugin puts there is sent last.
    fn end(self: Box<Self>, heads: Heads<'_>, how: Ending, last: &mut Content) -> Result<(), Failure>;
}

/// The plugin's decision to filter a message.
pub struct Opening {
    /// The message.
    pub message: Box<dyn Message>,
    /// The way in which it is cut into units.
    pub framing: Framing,
    /// [`Access::Look`] or [`Access::Edit`].
    pub access: Access,
    /// The strings of which one has to occur in a unit that is shown.
    pub interest: Interest,
}

/// The heads of the messages that a stream filter can look at. Neither can be changed any more.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// The request.
    pub request: &'a dyn RequestHead,
    /// The facts about the request that its head does not tell.
    pub facts: &'a RequestFacts<'a>,
    /// The response and the backend that it is from, if there is one yet.
    pub response: Option<(&'a dyn ResponseHead, Option<&'a str>)>,
}

impl<'a> Heads<'a> {
    /// The view of the request.
    pub fn scope(self) -> RequestScope<'a> {
        RequestScope {
            head: RequestAccess::Read(self.request),
            facts: self.facts,
        }
    }
}
