//! Has messages pass the stream filters of a route, in the pieces in which they arrive.

use std::mem;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use pace_content::body::{Access, Content};
use pace_content::decode::Codings;
use pace_content::frames::{Advance, EventFields, Filter, Framing, Stage, Step};

use super::body::{has_body, lose};
use super::message::{Request, Response};
use super::route::Failed;
use super::session::Session;
use pace_hook::{Ending, Failure, Hook, Opening};

/// The way in which a body arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The sizes of the pieces in which it comes. `None`, and those of another body: it comes as one.
    pub pieces: Option<Vec<usize>>,
    /// What follows the last of them.
    pub ending: Ending,
}

/// A body as it went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// What was sent when each piece had come, and at last what was sent at the end.
    pub pieces: Vec<Bytes>,
    /// The way in which it ended.
    pub ending: Ending,
    /// Whether it broke off before anything was sent of it or waited for: then the head was not sent either.
    pub(super) is_unbegun: bool,
}

impl Default for Arrival {
    /// A whole body, as one piece.
    fn default() -> Arrival {
        Arrival {
            pieces: None,
            ending: Ending::Complete,
        }
    }
}

impl Arrival {
    /// The pieces of a body.
    fn cut(&self, body: &Bytes) -> Vec<Bytes> {
        let sizes = match &self.pieces {
            Some(sizes) if sizes.iter().sum::<usize>() == body.len() => sizes.clone(),
            _ if body.is_empty() => Vec::new(),
            _ => vec![body.len()],
        };
        let mut rest = body.clone();
        sizes.iter().map(|&size| rest.split_to(size)).collect()
    }

    /// A body that passes as it arrives.
    pub(super) fn pass(&self, body: &Bytes) -> Passage {
        let mut pieces = self.cut(body);
        pieces.push(Bytes::new());
        Passage {
            pieces,
            ending: self.ending,
            is_unbegun: false,
        }
    }
}

impl Passage {
    /// All that was sent.
    pub fn body(&self) -> Bytes {
        self.pieces.concat().into()
    }
}

/// A message, with the filters that it passes one behind the other.
pub(super) struct Opened<'s> {
    filters: Vec<Filtering<'s>>,
    /// The pieces as the filters see them: decoded.
    pieces: Vec<Bytes>,
    /// The body as it is sent, if that goes on beside filters which only look at the decoded one.
    beside: Option<Passage>,
}

/// A plugin that filters a message.
struct Filtering<'s> {
    plugin: &'s Session,
    hook: Hook,
    /// `None` once it has been told the end.
    opening: Option<Opening>,
    access: Access,
    stage: Stage,
    is_over: bool,
}

/// The heads that filters can look at.
#[derive(Clone, Copy)]
struct Scene<'a> {
    request: &'a Request,
    response: Option<(&'a Response, Option<&'a str>)>,
}

/// A filter with the heads, as its stage asks it.
struct Shown<'s, 'a> {
    plugin: &'s Session,
    hook: Hook,
    opening: &'a mut Option<Opening>,
    framing: Framing,
    scene: Scene<'a>,
}

/// The reason why a message breaks off.
enum Broken<'s> {
    Cut,
    Failed(Failed<'s>),
}

/// Asks the stream filters of a request whether they filter its body, if it has one. If one of them may change it, the head is from
/// then on that of a changed body.
pub(super) fn open_request<'s>(
    filters: &[&'s Session],
    request: &mut Request,
) -> Result<Opened<'s>, Failed<'s>> {
    let mut opened = Vec::new();
    if !request.body.is_empty() || request.arrival.pieces.is_some() {
        let scene = Scene {
            request,
            response: None,
        };
        opened = open(filters, Hook::RequestStreamFilter, scene)?;
    }
    let opened = message(opened, &request.headers, &request.body, &request.arrival)?;
    if opened.edits() {
        lose(&mut request.headers);
        request.headers.remove(CONTENT_LENGTH);
    }
    Ok(opened)
}

/// Has the body of the request pass the filters that have opened it.
pub(super) fn pass_request<'s>(opened: Opened<'s>, request: &mut Request) -> Result<Passage, Failed<'s>> {
    let scene = Scene {
        request,
        response: None,
    };
    let is_filtered = opened.is_filtered();
    let passage = pass(opened, scene, request.arrival.ending)?;
    if is_filtered {
        request.body = passage.body();
    }
    Ok(passage)
}

/// Tells the filters that the body of the request is not sent.
pub(super) fn break_off<'s>(opened: Opened<'s>, request: &Request) -> Result<(), Failed<'s>> {
    let scene = Scene {
        request,
        response: None,
    };
    end_all(opened.filters, scene, Ending::Cut)
}

/// Has the body of a response pass the stream filters, if there can be one and they want it.
pub(super) fn pass_response<'s>(
    filters: &[&'s Session],
    request: &Request,
    response: &mut Response,
    backend: Option<&str>,
) -> Result<Passage, Failed<'s>> {
    let body = response.body.clone().unwrap_or_default();
    let mut opened = Vec::new();
    if has_body(request, response) {
        let scene = Scene {
            request,
            response: Some((&*response, backend)),
        };
        opened = open(filters, Hook::ResponseStreamFilter, scene)?;
    }
    if let (Some(first), StatusCode::PARTIAL_CONTENT) = (opened.first(), response.status) {
        // Pace asks for the whole before it asks the filter again.
        return Err(Failed {
            plugin: first.plugin,
            hook: Hook::ResponseStreamFilter,
            failure: Failure::body_partial(),
        });
    }
    let opened = message(opened, &response.headers, &body, &response.arrival)?;
    if opened.edits() {
        lose(&mut response.headers);
        response.headers.remove(CONTENT_LENGTH);
    }
    let is_filtered = opened.is_filtered();
    let scene = Scene {
        request,
        response: Some((&*response, backend)),
    };
    let passage = pass(opened, scene, response.arrival.ending)?;
    let made = passage.body();
    if is_filtered && made != body {
        response.body = Some(made);
    }
    Ok(passage)
}

/// Asks filters in order whether they filter a message.
fn open<'s>(filters: &[&'s Session], hook: Hook, scene: Scene<'_>) -> Result<Vec<Filtering<'s>>, Failed<'s>> {
    let mut opened = Vec::new();
    for &plugin in filters {
        let opening = match scene.response {
            None => plugin.open_request_stream(scene.request),
            Some((response, backend)) => plugin.open_response_stream(scene.request, response, backend),
        };
        match opening.map_err(Failed::of(plugin, hook)) {
            Ok(opening) => opened.extend(opening.map(|opening| Filtering::new(plugin, hook, opening))),
            Err(failed) => {
                end_all(opened, scene, Ending::Cut)?;
                return Err(failed);
            }
        }
    }
    Ok(opened)
}

/// Tells filters that a message has ended in another way than complete.
fn end_all<'s>(filters: Vec<Filtering<'s>>, scene: Scene<'_>, how: Ending) -> Result<(), Failed<'s>> {
    for mut filter in filters {
        filter.shown(scene).1.end(how)?;
    }
    Ok(())
}

/// A message with these headers as the filters see it. One that is encoded comes as one piece.
fn message<'s>(
    filters: Vec<Filtering<'s>>,
    headers: &HeaderMap,
    body: &Bytes,
    arrival: &Arrival,
) -> Result<Opened<'s>, Failed<'s>> {
    let codings = headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = Codings::parse(codings.map(HeaderValue::as_bytes)).is_ok_and(|all| all.is_empty());
    let pieces = match filters.first() {
        Some(Filtering { plugin, hook, .. }) if !is_plain => {
            let content = plugin.content(headers, body, Content::MOST);
            vec![content.map_err(Failed::of(plugin, *hook))?.into_shown()]
        }
        _ => arrival.cut(body),
    };
    let mut opened = Opened {
        filters,
        pieces,
        beside: None,
    };
    if !opened.is_filtered() || (!is_plain && !opened.edits()) {
        opened.beside = Some(arrival.pass(body));
    }
    Ok(opened)
}

fn pass<'s>(opened: Opened<'s>, scene: Scene<'_>, how: Ending) -> Result<Passage, Failed<'s>> {
    let Opened {
        mut filters,
        pieces: came,
        beside,
    } = opened;
    let count = came.len();
    let mut pieces = Vec::with_capacity(count + 1);
    for piece in came {
        match through(&mut filters, Some(piece), scene) {
            Ok(sent) => pieces.push(sent),
            Err((sent, broken)) => return broken.end(filters, scene, (pieces, sent), (count, beside)),
        }
        if filters.last().is_some_and(|filter| filter.is_over) {
            // It has ended the message, of which the filters before it have not seen the end.
            end_all(filters, scene, Ending::Cut)?;
            pieces.resize(count + 1, Bytes::new());
            return Ok(Passage {
                pieces,
                ending: Ending::Complete,
                is_unbegun: false,
            });
        }
    }
    match how {
        Ending::Complete => match through(&mut filters, None, scene) {
            Ok(sent) => pieces.push(sent),
            Err((sent, broken)) => return broken.end(filters, scene, (pieces, sent), (count, beside)),
        },
        how => {
            end_all(filters, scene, how)?;
            pieces.push(Bytes::new());
        }
    }
    Ok(beside.unwrap_or(Passage {
        pieces,
        ending: how,
        is_unbegun: false,
    }))
}

/// Has a piece pass all filters, or the end of the message if it is `None`. Returns what comes out behind the last of them; with the
/// reason if the message breaks off there.
fn through<'s>(
    filters: &mut [Filtering<'s>],
    piece: Option<Bytes>,
    scene: Scene<'_>,
) -> Result<Bytes, (Bytes, Broken<'s>)> {
    let Some((first, behind)) = filters.split_first_mut() else {
        return Ok(piece.unwrap_or_default());
    };
    if first.is_over {
        return Ok(Bytes::new());
    }
    match piece {
        Some(piece) => first.stage.push(piece),
        None => first.stage.finish(),
    }
    let mut sent = Vec::new();
    let mut out = |passed: Result<Bytes, (Bytes, Broken<'s>)>| match passed {
        Ok(bytes) => {
            sent.extend_from_slice(&bytes);
            Ok(())
        }
        Err((bytes, broken)) => {
            sent.extend_from_slice(&bytes);
            Err(broken)
        }
    };
    let result = loop {
        let (stage, mut shown) = first.shown(scene);
        let passed = match stage.advance(&mut shown) {
            Ok(Advance::Bytes(bytes)) => through(behind, Some(bytes), scene),
            Ok(Advance::Again) => continue,
            Ok(Advance::Wants) => break Ok(()),
            Ok(Advance::End) => {
                first.is_over = true;
                break out(through(behind, None, scene));
            }
            Err(broken) => Err((Bytes::new(), broken)),
        };
        if let Err(broken) = out(passed) {
            break Err(broken);
        }
    };
    match result {
        Ok(()) => Ok(sent.into()),
        Err(broken) => Err((sent.into(), broken)),
    }
}

impl Session {
    /// Has one piece pass the filter that has opened it.
    pub(super) fn pass_piece(
        &self,
        opening: Opening,
        piece: Bytes,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
    ) -> Result<Passage, Failure> {
        let hook = match response {
            None => Hook::RequestStreamFilter,
            Some(_) => Hook::ResponseStreamFilter,
        };
        let opened = Opened {
            filters: vec![Filtering::new(self, hook, opening)],
            pieces: vec![piece],
            beside: None,
        };
        let scene = Scene { request, response };
        pass(opened, scene, Ending::Complete).map_err(|failed| failed.failure)
    }
}

impl Opened<'_> {
    /// Whether there is a filter.
    pub(super) fn is_filtered(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Whether this plugin filters the message.
    pub(super) fn is_of(&self, plugin: &Session) -> bool {
        let mut filters = self.filters.iter();
        filters.any(|filter| std::ptr::eq(filter.plugin, plugin))
    }

    fn edits(&self) -> bool {
        self.filters.iter().any(|filter| filter.access == Access::Edit)
    }
}

impl<'s> Filtering<'s> {
    fn new(plugin: &'s Session, hook: Hook, mut opening: Opening) -> Filtering<'s> {
        let (framing, access) = (opening.framing, opening.access);
        let interest = mem::take(&mut opening.interest);
        Filtering {
            plugin,
            hook,
            opening: Some(opening),
            access,
            stage: Stage::new(framing, access, interest, plugin.limits().1),
            is_over: false,
        }
    }

    fn shown<'a>(&'a mut self, scene: Scene<'a>) -> (&'a mut Stage, Shown<'s, 'a>) {
        let shown = Shown {
            plugin: self.plugin,
            hook: self.hook,
            opening: &mut self.opening,
            framing: self.stage.framing(),
            scene,
        };
        (&mut self.stage, shown)
    }
}

impl<'s> Broken<'s> {
    /// The passage that ends with `sent`, of so many pieces and an end; or the failure. The other filters learn that the message was
    /// cut. What goes beside filters is not sent before they have seen it.
    fn end(
        self,
        filters: Vec<Filtering<'s>>,
        scene: Scene<'_>,
        (mut pieces, sent): (Vec<Bytes>, Bytes),
        (count, beside): (usize, Option<Passage>),
    ) -> Result<Passage, Failed<'s>> {
        let ended = end_all(filters, scene, Ending::Cut);
        match self {
            Broken::Failed(failed) => Err(failed),
            Broken::Cut => {
                ended?;
                // Pace sends the head once it waits for more.
                let has_waited = count > 1 && !pieces.is_empty();
                pieces.push(sent);
                if let Some(beside) = beside {
                    pieces = vec![Bytes::new(); beside.pieces.len()];
                }
                pieces.resize(pieces.len().max(count + 1), Bytes::new());
                Ok(Passage {
                    is_unbegun: !has_waited && pieces.iter().all(Bytes::is_empty),
                    pieces,
                    ending: Ending::Cut,
                })
            }
        }
    }
}

impl<'s> Shown<'s, '_> {
    /// Tells the filter how the message ended, unless it has been told. Returns the bytes that it adds.
    fn end(&mut self, how: Ending) -> Result<Option<Content>, Failed<'s>> {
        let Some(opening) = self.opening.take() else {
            return Ok(None);
        };
        let mut last = Content::unit(Bytes::new());
        let access = match how {
            Ending::Complete => opening.access,
            _ => Access::Nothing,
        };
        last.allow(access, self.plugin.limits().1);
        let Scene { request, response } = self.scene;
        self.plugin
            .end_stream(opening, request, response, how, &mut last)
            .map_err(Failed::of(self.plugin, self.hook))?;
        Ok((last.size() > 0).then_some(last))
    }
}

impl<'s> Filter for Shown<'s, '_> {
    type Broken = Broken<'s>;

    fn next(
        &mut self,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<Option<Step>, Broken<'s>> {
        let Some(opening) = &mut *self.opening else {
            return Ok(None);
        };
        let Scene { request, response } = self.scene;
        self.plugin
            .next_unit(opening, request, response, content, event)
            .map(Some)
            .map_err(|failure| Broken::Failed(Failed::of(self.plugin, self.hook)(failure)))
    }

    fn too_large(&mut self) -> Result<(), Broken<'s>> {
        let failed = Failed::of(self.plugin, self.hook);
        Err(Broken::Failed(failed(Failure::unit_too_large(self.framing))))
    }

    fn complete(&mut self) -> Result<Option<Content>, Broken<'s>> {
        self.end(Ending::Complete).map_err(Broken::Failed)
    }

    fn cut(&mut self) -> Broken<'s> {
        match self.end(Ending::Cut) {
            Ok(_) => Broken::Cut,
            Err(failed) => Broken::Failed(failed),
        }
    }
}
