//! Has messages pass the plugin's stream filters, in the pieces in which they arrive.

use std::mem;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use pace_content::body::{Access, Content};
use pace_content::decode::Codings;
use pace_content::frames::{Advance, EventFields, Filter, Framing, Stage, Step};

use super::body::{has_body, lose};
use super::message::{Request, Response};
use super::session::Session;
use pace_hook::{Ending, Failure, Opening};

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
        }
    }
}

impl Passage {
    /// All that was sent.
    pub fn body(&self) -> Bytes {
        self.pieces.concat().into()
    }
}

/// A message that the plugin filters.
pub(super) struct Opened {
    opening: Opening,
    /// The pieces as the filter sees them: decoded.
    pieces: Vec<Bytes>,
    /// The body as it was sent, if that goes on beside a filter which only looks at the decoded one.
    beside: Option<Passage>,
}

/// The filter of a message, with the heads that it can look at meanwhile.
struct Shown<'a> {
    session: &'a Session,
    /// `None` once it has been told the end.
    opening: Option<Opening>,
    framing: Framing,
    request: &'a Request,
    response: Option<(&'a Response, Option<&'a str>)>,
}

/// The reason why a message breaks off.
enum Broken {
    Cut,
    Failed(Failure),
}

impl Session {
    /// Runs `request-stream-filter.open` for the body of the request, if it has one. If the filter may change it, the head is from
    /// then on that of a changed body.
    pub(super) fn open_request(&self, request: &mut Request) -> Result<Option<Opened>, Failure> {
        if request.body.is_empty() && request.arrival.pieces.is_none() {
            return Ok(None);
        }
        let Some(opening) = self.open_request_stream(request)? else {
            return Ok(None);
        };
        let opened = self.message(opening, &request.headers, &request.body, &request.arrival)?;
        if opened.opening.access == Access::Edit {
            lose(&mut request.headers);
            request.headers.remove(CONTENT_LENGTH);
        }
        Ok(Some(opened))
    }

    /// Has the body of the request pass the filter that has opened it.
    pub(super) fn pass_request(&self, opened: Opened, request: &mut Request) -> Result<Passage, Failure> {
        let passage = self.pass(opened, request, None, request.arrival.ending)?;
        request.body = passage.body();
        Ok(passage)
    }

    /// Tells the filter that the body of the request is not sent.
    pub(super) fn break_off_request(&self, opened: Opened, request: &Request) -> Result<(), Failure> {
        self.end(opened.opening, request, None, Ending::Cut).map(drop)
    }

    /// Has the body of a response pass `response-stream-filter`, if there can be one and the plugin wants it.
    pub(super) fn pass_response(
        &self,
        request: &Request,
        response: &mut Response,
        backend: Option<&str>,
    ) -> Result<Passage, Failure> {
        let body = response.body.clone().unwrap_or_default();
        let unfiltered = response.arrival.pass(&body);
        if !has_body(request, response) {
            return Ok(unfiltered);
        }
        let Some(opening) = self.open_response_stream(request, response, backend)? else {
            return Ok(unfiltered);
        };
        if response.status == StatusCode::PARTIAL_CONTENT {
            // Pace asks for the whole before it asks the filter again.
            return Err(Failure::body_partial());
        }
        let opened = self.message(opening, &response.headers, &body, &response.arrival)?;
        if opened.opening.access == Access::Edit {
            lose(&mut response.headers);
            response.headers.remove(CONTENT_LENGTH);
        }
        let seen = Some((&*response, backend));
        let passage = self.pass(opened, request, seen, response.arrival.ending)?;
        let made = passage.body();
        if made != body {
            response.body = Some(made);
        }
        Ok(passage)
    }

    /// A message with these headers as the filter sees it. One that is encoded comes as one piece.
    fn message(
        &self,
        opening: Opening,
        headers: &HeaderMap,
        body: &Bytes,
        arrival: &Arrival,
    ) -> Result<Opened, Failure> {
        let codings = headers.get_all(CONTENT_ENCODING).iter();
        let is_plain = Codings::parse(codings.map(HeaderValue::as_bytes)).is_ok_and(|all| all.is_empty());
        let pieces = match is_plain {
            true => arrival.cut(body),
            false => vec![self.content(headers, body, Content::MOST)?.into_shown()],
        };
        let goes_beside = !is_plain && opening.access != Access::Edit;
        Ok(Opened {
            opening,
            pieces,
            beside: goes_beside.then(|| arrival.pass(body)),
        })
    }

    /// Tells the filter how the message ended. Returns the bytes that it adds.
    fn end(
        &self,
        opening: Opening,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
        how: Ending,
    ) -> Result<Option<Content>, Failure> {
        let mut last = Content::unit(Bytes::new());
        let access = match how {
            Ending::Complete => opening.access,
            _ => Access::Nothing,
        };
        last.allow(access, self.limits().1);
        self.end_stream(opening, request, response, how, &mut last)?;
        Ok((last.size() > 0).then_some(last))
    }

    /// Has one piece pass the filter that has opened it.
    pub(super) fn pass_piece(
        &self,
        opening: Opening,
        piece: Bytes,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
    ) -> Result<Passage, Failure> {
        let opened = Opened {
            opening,
            pieces: vec![piece],
            beside: None,
        };
        self.pass(opened, request, response, Ending::Complete)
    }

    fn pass(
        &self,
        opened: Opened,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
        how: Ending,
    ) -> Result<Passage, Failure> {
        let Opened {
            mut opening,
            pieces: came,
            beside,
        } = opened;
        let (framing, access) = (opening.framing, opening.access);
        let (_, limit) = self.limits();
        let mut stage = Stage::new(framing, access, mem::take(&mut opening.interest), limit);
        let mut filter = Shown {
            session: self,
            opening: Some(opening),
            framing,
            request,
            response,
        };
        let count = came.len();
        let mut pieces = Vec::with_capacity(count + 1);
        for piece in came {
            stage.push(piece);
            match drain(&mut stage, &mut filter) {
                Ok(sent) => pieces.push(sent),
                Err((sent, broken)) => return broken.end(pieces, sent, count),
            }
        }
        match how {
            Ending::Complete => stage.finish(),
            how => filter.end(how).map(drop)?,
        }
        let (sent, ended) = match how {
            Ending::Complete => match drain(&mut stage, &mut filter) {
                Ok(sent) => (sent, Ok(())),
                Err((sent, broken)) => (sent, Err(broken)),
            },
            _ => (Bytes::new(), Ok(())),
        };
        match ended {
            Ok(()) => pieces.push(sent),
            Err(broken) => return broken.end(pieces, sent, count),
        }
        Ok(beside.unwrap_or(Passage { pieces, ending: how }))
    }
}

impl Broken {
    /// The passage that ends with `sent`, of so many pieces and an end; or the failure.
    fn end(self, mut pieces: Vec<Bytes>, sent: Bytes, count: usize) -> Result<Passage, Failure> {
        match self {
            Broken::Failed(failure) => Err(failure),
            Broken::Cut => {
                pieces.push(sent);
                pieces.resize(count + 1, Bytes::new());
                Ok(Passage {
                    pieces,
                    ending: Ending::Cut,
                })
            }
        }
    }
}

/// All that a stage has to send until it wants more or is over; with the reason if the message breaks off behind it.
fn drain(stage: &mut Stage, filter: &mut Shown<'_>) -> Result<Bytes, (Bytes, Broken)> {
    let mut sent = Vec::new();
    loop {
        match stage.advance(filter) {
            Ok(Advance::Bytes(bytes)) => sent.extend_from_slice(&bytes),
            Ok(Advance::Again) => {}
            Ok(Advance::Wants | Advance::End) => return Ok(sent.into()),
            Err(broken) => return Err((sent.into(), broken)),
        }
    }
}

impl Shown<'_> {
    /// Tells the filter how the message ended. Returns the bytes that it adds.
    fn end(&mut self, how: Ending) -> Result<Option<Content>, Failure> {
        match self.opening.take() {
            Some(opening) => self.session.end(opening, self.request, self.response, how),
            None => Ok(None),
        }
    }
}

impl Filter for Shown<'_> {
    type Broken = Broken;

    fn next(
        &mut self,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<Option<Step>, Broken> {
        let Some(opening) = &mut self.opening else {
            return Ok(None);
        };
        self.session
            .next_unit(opening, self.request, self.response, content, event)
            .map(Some)
            .map_err(Broken::Failed)
    }

    fn too_large(&mut self) -> Result<(), Broken> {
        Err(Broken::Failed(Failure::unit_too_large(self.framing)))
    }

    fn complete(&mut self) -> Result<Option<Content>, Broken> {
        self.end(Ending::Complete).map_err(Broken::Failed)
    }

    fn cut(&mut self) -> Broken {
        match self.end(Ending::Cut) {
            Ok(_) => Broken::Cut,
            Err(failure) => Broken::Failed(failure),
        }
    }
}
