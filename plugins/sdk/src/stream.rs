//! The hooks for messages that pass in pieces.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::bindings::imports::pace::plugin::streams as host;
use crate::{Content, EditError, Ending, Plugin, Request, Response};

/// The hook for the body of a request on its way to the backend, piece by piece while it passes.
///
/// It works as [`ResponseStreamFilter`] does. Filters run once per request: an attempt that is made again sends
/// what they have made of the body. They do not run for requests without a body.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Framing, Opening, Request, RequestStreamFilter, Step, Unit};
///
/// /// Breaks off uploads that have a marked line.
/// struct NoMarks;
/// # impl Plugin for NoMarks {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(NoMarks) }
/// # }
///
/// impl RequestStreamFilter for NoMarks {
///     type Message = ();
///
///     fn open(&mut self, _: &Request) -> Option<Opening<()>> {
///         Some(Opening::look(Framing::Line, ()).interest(["X-MARK"]))
///     }
///
///     fn next(&mut self, _: &mut (), _: &Request, _: &mut Unit) -> Step {
///         Step::Cut
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `RequestStreamFilter`",
    label = "`export!` names it for this type",
    note = "write `impl RequestStreamFilter for {Self}` with `fn open` and `fn next`, or leave the name out"
)]
pub trait RequestStreamFilter: Plugin {
    /// The state of one message, from one unit to the next. It is dropped with the message.
    type Message: 'static;

    /// Look at the head of the request, and say whether its body is to be filtered, and how.
    ///
    /// ```
    /// # use pace_plugin::{Framing, Opening, Request, RequestStreamFilter, Step, Unit, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl RequestStreamFilter for Mine {
    /// # type Message = u64;
    /// fn open(&mut self, request: &Request) -> Option<Opening<u64>> {
    ///     request.path().starts_with("/lines/").then(|| Opening::look(Framing::Line, 0))
    /// }
    /// # fn next(&mut self, _: &mut u64, _: &Request, _: &mut Unit) -> Step { Step::Pass }
    /// # }
    /// ```
    fn open(&mut self, request: &Request) -> Option<Opening<Self::Message>>;

    /// Look at the next unit, change it, and say what becomes of it.
    ///
    /// ```
    /// # use pace_plugin::{Framing, Opening, Request, RequestStreamFilter, Step, Unit, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl RequestStreamFilter for Mine {
    /// # type Message = u64;
    /// # fn open(&mut self, _: &Request) -> Option<Opening<u64>> { None }
    /// fn next(&mut self, lines: &mut u64, _: &Request, _: &mut Unit) -> Step {
    ///     *lines += 1;
    ///     if *lines < 1000 { Step::Pass } else { Step::Cut }
    /// }
    /// # }
    /// ```
    fn next(&mut self, message: &mut Self::Message, request: &Request, unit: &mut Unit) -> Step;

    /// Take note that the message is over; see [`ResponseStreamFilter::end`].
    ///
    /// ```
    /// # use pace_plugin::{Content, Ending, Framing, Opening, Request, RequestStreamFilter, Step, Unit, info, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl RequestStreamFilter for Mine {
    /// # type Message = u64;
    /// # fn open(&mut self, _: &Request) -> Option<Opening<u64>> { None }
    /// # fn next(&mut self, _: &mut u64, _: &Request, _: &mut Unit) -> Step { Step::Pass }
    /// fn end(&mut self, lines: u64, _: &Request, how: Ending, _: &mut Content) {
    ///     info!("{lines} lines, {}", how.name());
    /// }
    /// # }
    /// ```
    fn end(&mut self, message: Self::Message, request: &Request, how: Ending, last: &mut Content) {
        let _ = (message, request, how, last);
    }
}

/// The hook for the body of a response on its way to the client, piece by piece while it passes.
///
/// A message lives in one instance. If that instance ends, because another call in it failed for instance, the filter
/// has failed for this message, and the operator's `on_failure` decides.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Framing, Opening, Request, Response, ResponseStreamFilter, Step, Unit, warn};
///
/// /// Puts a line before the end of pages.
/// struct Footer;
/// # impl Plugin for Footer {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Footer) }
/// # }
///
/// impl ResponseStreamFilter for Footer {
///     type Message = ();
///
///     fn open(&mut self, _: &Request, response: &Response) -> Option<Opening<()>> {
///         let is_page = response.header("content-type")?.starts_with(b"text/html");
///         is_page.then(|| Opening::edit(Framing::Chunk, ()).interest(["</body>"]))
///     }
///
///     fn next(&mut self, _: &mut (), _: &Request, unit: &mut Unit) -> Step {
///         let Some(at) = unit.find("</body>", 0) else { return Step::Pass };
///         if let Err(refused) = unit.splice(at..at, "<p>Served by Pace</p>") {
///             warn!("a page stays as it is: {refused}");
///         }
///         Step::Finish
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `ResponseStreamFilter`",
    label = "`export!` names it for this type",
    note = "write `impl ResponseStreamFilter for {Self}` with `fn open` and `fn next`, or leave the name out"
)]
pub trait ResponseStreamFilter: Plugin {
    /// The state of one message, from one unit to the next. It is dropped with the message.
    type Message: 'static;

    /// Look at the heads, which cannot be changed any more, and say whether this message is to be filtered, and how.
    ///
    /// Once per response, when its head is settled.
    ///
    /// ```
    /// # use pace_plugin::{Framing, Opening, Request, Response, ResponseStreamFilter, Step, Unit, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl ResponseStreamFilter for Mine {
    /// # type Message = u64;
    /// fn open(&mut self, request: &Request, _: &Response) -> Option<Opening<u64>> {
    ///     request.path().starts_with("/lines/").then(|| Opening::look(Framing::Line, 0))
    /// }
    /// # fn next(&mut self, _: &mut u64, _: &Request, _: &mut Unit) -> Step { Step::Pass }
    /// # }
    /// ```
    fn open(&mut self, request: &Request, response: &Response) -> Option<Opening<Self::Message>>;

    /// Look at the next unit, change it, and say what becomes of it.
    ///
    /// Called for one unit after the other, in their order.
    ///
    /// ```
    /// # use pace_plugin::{Framing, Opening, Request, Response, ResponseStreamFilter, Step, Unit, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl ResponseStreamFilter for Mine {
    /// # type Message = u64;
    /// # fn open(&mut self, _: &Request, _: &Response) -> Option<Opening<u64>> { None }
    /// fn next(&mut self, lines: &mut u64, _: &Request, _: &mut Unit) -> Step {
    ///     *lines += 1;
    ///     if *lines < 1000 { Step::Pass } else { Step::Cut }
    /// }
    /// # }
    /// ```
    fn next(&mut self, message: &mut Self::Message, request: &Request, unit: &mut Unit) -> Step;

    /// Take note that the message is over.
    ///
    /// `how` is [`Ending::Complete`] (also after [`Step::Stop`]), [`Ending::ClientGone`], [`Ending::BackendFailed`] or
    /// [`Ending::Cut`]. After `Complete` a filter that edits can put bytes into `last`, which is empty: they are sent
    /// behind the message.
    ///
    /// ```
    /// # use pace_plugin::{Content, Ending, Framing, Opening, Request, Response, ResponseStreamFilter, Step, Unit, info, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl ResponseStreamFilter for Mine {
    /// # type Message = u64;
    /// # fn open(&mut self, _: &Request, _: &Response) -> Option<Opening<u64>> { None }
    /// # fn next(&mut self, _: &mut u64, _: &Request, _: &mut Unit) -> Step { Step::Pass }
    /// fn end(&mut self, lines: u64, _: &Request, how: Ending, _: &mut Content) {
    ///     info!("{lines} lines, {}", how.name());
    /// }
    /// # }
    /// ```
    fn end(&mut self, message: Self::Message, request: &Request, how: Ending, last: &mut Content) {
        let _ = (message, request, how, last);
    }
}

/// The decision to filter a message: how it is cut, whether it may be changed, and the state to begin with.
///
/// ```
/// use pace_plugin::{Framing, Opening};
///
/// // Counts the events that have tokens in them.
/// let opening = Opening::look(Framing::Event, 0_u32).interest(["_tokens\""]);
/// # let _ = opening;
/// ```
#[derive(Debug)]
#[must_use = "return it from `open`"]
pub struct Opening<M> {
    message: M,
    framing: Framing,
    access: host::Access,
    interest: Vec<Vec<u8>>,
}

impl<M> Opening<M> {
    /// Look at the message: it is sent exactly as it came, with its length, encoding and `etag`.
    ///
    /// ```
    /// # use pace_plugin::{Framing, Opening};
    /// let opening = Opening::look(Framing::Line, ());
    /// # let _ = opening;
    /// ```
    pub fn look(framing: Framing, message: M) -> Self {
        Self {
            message,
            framing,
            access: host::Access::Look,
            interest: Vec::new(),
        }
    }

    /// Change the message: its head is sent as it is for a changed body, whether there is a change or not.
    ///
    /// ```
    /// # use pace_plugin::{Framing, Opening};
    /// let opening = Opening::edit(Framing::Chunk, ());
    /// # let _ = opening;
    /// ```
    pub fn edit(framing: Framing, message: M) -> Self {
        Self {
            access: host::Access::Edit,
            ..Self::look(framing, message)
        }
    }

    /// Be shown only the units in which one of these strings occurs; the others pass without a call.
    ///
    /// At most 16 strings of 1 to 64 bytes; more, or longer ones, fail the hook.
    ///
    /// ```
    /// # use pace_plugin::{Framing, Opening};
    /// let opening = Opening::edit(Framing::Chunk, ()).interest(["</body>", "</BODY>"]);
    /// # let _ = opening;
    /// ```
    pub fn interest<S: AsRef<[u8]>>(mut self, strings: impl IntoIterator<Item = S>) -> Self {
        let strings = strings.into_iter();
        self.interest
            .extend(strings.map(|string| string.as_ref().to_vec()));
        self
    }

    /// The parts, with the names of the contract.
    pub(crate) fn into_parts(self) -> (M, host::Framing, host::Access, Vec<Vec<u8>>) {
        let framing = match self.framing {
            Framing::Chunk => host::Framing::Chunk,
            Framing::Line => host::Framing::Line,
            Framing::Event => host::Framing::Event,
        };
        (self.message, framing, self.access, self.interest)
    }
}

/// The way in which a message is cut into units.
///
/// ```
/// assert_eq!(pace_plugin::Framing::Event.to_string(), "event");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The bytes that have come at once, 1 byte to 64 KiB.
    Chunk,
    /// One line, without its end.
    Line,
    /// One server-sent event; the content is its data.
    Event,
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunk => "chunk",
            Self::Line => "line",
            Self::Event => "event",
        })
    }
}

/// The decision about a unit, and about the rest of the message.
///
/// A filter that only looks may not return [`Step::Drop`] and [`Step::Stop`]: the hook fails.
///
/// ```
/// use pace_plugin::Step;
///
/// fn within(limit: u32, seen: u32) -> Step {
///     if seen < limit { Step::Pass } else { Step::Finish }
/// }
/// assert_eq!(within(3, 3), Step::Finish);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the unit, with the changes that were made to it.
    Pass,
    /// Send nothing of it.
    Drop,
    /// Send it, and ask no more: the rest passes without this filter.
    Finish,
    /// Send it, and end the message there as if it were complete.
    Stop,
    /// Do not send it, and break the message off.
    Cut,
}

impl From<Step> for host::Step {
    fn from(step: Step) -> Self {
        match step {
            Step::Pass => Self::Pass,
            Step::Drop => Self::Drop,
            Step::Finish => Self::Finish,
            Step::Stop => Self::Stop,
            Step::Cut => Self::Cut,
        }
    }
}

/// A unit of a message: its content, and the fields of an event beside it. A view that exists while `next` runs.
///
/// ```no_run
/// use pace_plugin::{Step, Unit};
///
/// fn without_pings(unit: &Unit) -> Step {
///     match unit.event_type().as_deref() {
///         Some("ping") => Step::Drop,
///         _ => Step::Pass,
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Unit {
    content: Content,
}

impl Unit {
    pub(crate) const fn ambient() -> Self {
        Self {
            content: Content::ambient(),
        }
    }

    /// The value of the event's `event` field; `None` if it has none, which means `message`, and where units are not events.
    ///
    /// ```no_run
    /// # fn example(unit: &pace_plugin::Unit) -> bool {
    /// unit.event_type().as_deref() == Some("error")
    /// # }
    /// ```
    pub fn event_type(&self) -> Option<String> {
        host::event_type()
    }

    /// The value of the event's `id` field; `None` if it has none, and where units are not events.
    ///
    /// ```no_run
    /// # fn example(unit: &pace_plugin::Unit) -> Option<String> {
    /// unit.event_id()
    /// # }
    /// ```
    pub fn event_id(&self) -> Option<String> {
        host::event_id()
    }

    /// Change the event's type; `None` removes the field.
    ///
    /// # Errors
    ///
    /// [`EditError::InvalidValue`] for a CR, LF or NUL in it, [`EditError::ReadOnly`] if the message was opened to be looked
    /// at, and [`EditError::NotAvailable`] where units are not events.
    ///
    /// ```no_run
    /// # fn example(unit: &mut pace_plugin::Unit) -> Result<(), pace_plugin::EditError> {
    /// unit.set_event_type(Some("token"))
    /// # }
    /// ```
    pub fn set_event_type(&mut self, value: Option<&str>) -> Result<(), EditError> {
        Ok(host::set_event_type(value)?)
    }
}

impl Deref for Unit {
    type Target = Content;

    fn deref(&self) -> &Content {
        &self.content
    }
}

impl DerefMut for Unit {
    fn deref_mut(&mut self) -> &mut Content {
        &mut self.content
    }
}
