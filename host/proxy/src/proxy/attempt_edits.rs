//! The changes that plugins make to one attempt, and their judgement of what came of it.
//!
//! Every attempt begins with the same request, as the filters have left it. What `attempt-filter.prepare` changes lies beside it and is
//! forgotten with the attempt; the head is copied for the first change of a field, and not before.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use pace_content::body::Content;
use pace_content::budget::Permit;
use pace_wire::fields::{Fields, TooLarge};
use pace_wire::framing::Framing;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::attempt::Upload;
use super::body::{announce, announced, changed, lose_digests};
use super::choose::Selected;
use super::context::Context;
use super::refuse::Refused;
use crate::chain::{JudgeFlow, RequestFlow, Undo};
use pace_hook::field::{self, FieldName};
use pace_hook::{Attempt, AttemptFailure, EditError, Headers, Pools};

/// The attempts of a request whose route has plugins that prepare and judge them.
#[derive(Default)]
pub(super) struct Attempting {
    /// The body that each attempt begins with, if it has been collected or there is none.
    body: Option<Canonical>,
    /// The trailers of that body, if an attempt has gone without some of them.
    trailers: Option<Fields>,
    /// The changes for the attempt that is prepared or made.
    edits: Edits,
}

/// A whole body in both forms.
struct Canonical {
    /// The bytes that are sent if no plugin changes them.
    outgoing: Bytes,
    /// The bytes that plugins see.
    shown: Bytes,
    /// A part of the budget, for the changes of plugins.
    permit: Permit,
}

/// The changes for one attempt.
#[derive(Clone, Default)]
pub(super) struct Edits {
    head: Option<Box<RequestHead>>,
    /// The names of headers with secrets.
    secret: Vec<HeaderName>,
    /// Whether the host is the plugins'.
    has_host: bool,
    target: Option<String>,
    time: Option<Duration>,
    body: Option<Bytes>,
}

/// The state of an attempt that is left only if another can be made.
pub(super) struct Aside {
    edits: Edits,
    pool: Option<usize>,
}

impl Attempting {
    /// Has each attempt begin with this body.
    pub(super) fn begin_with(&mut self, content: &mut Content, permit: Permit) {
        let shown = content.share();
        let sent = content.sent().filter(|_| !content.is_changed());
        self.body = Some(Canonical {
            outgoing: sent.cloned().unwrap_or_else(|| shown.clone()),
            shown,
            permit,
        });
    }

    /// Has each attempt begin without a body, if the request has none and no plugin has given it one.
    pub(super) fn begin_without_body(&mut self, permit: Permit) {
        self.body.get_or_insert_with(|| Canonical {
            outgoing: Bytes::new(),
            shown: Bytes::new(),
            permit,
        });
    }

    /// Has the body pass the stream filters of the request, once: what they make of it is what a further attempt sends.
    pub(super) fn body_passes(&mut self) {
        self.body = None;
    }

    /// The body as no attempt has changed it, if it has been collected.
    pub(super) fn canonical_body(&self) -> Option<&Bytes> {
        self.body.as_ref().map(|body| &body.outgoing)
    }

    /// The head that the present attempt sends.
    pub(super) fn head<'a>(&'a self, request: &'a RequestHead) -> &'a RequestHead {
        self.edits.head.as_deref().unwrap_or(request)
    }

    /// The target that the present attempt sends, if a plugin has set it.
    pub(super) fn target(&self) -> Option<&str> {
        self.edits.target.as_deref()
    }

    /// Whether a plugin has set the host that the present attempt sends.
    pub(super) fn has_host(&self) -> bool {
        self.edits.has_host
    }

    /// The longest time of the present attempt, if a plugin has set one.
    pub(super) fn time(&self) -> Option<Duration> {
        self.edits.time
    }

    /// Removes a field from what the present attempt sends.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(head) = &mut self.edits.head {
            head.fields.remove(name);
        }
    }

    /// Has the upload send the body of the present attempt.
    pub(super) fn load(&mut self, upload: &mut Upload) {
        let Some(canonical) = &self.body else {
            return;
        };
        let body = self.edits.body.as_ref();
        upload.pump.put(body.unwrap_or(&canonical.outgoing).clone());
        let trailers = upload.pump.reader().trailers_mut();
        match (trailers, &self.trailers) {
            (Some(trailers), None) if body.is_some() => {
                self.trailers = Some(trailers.clone());
                lose_digests(Some(trailers));
            }
            (Some(trailers), Some(all)) => {
                trailers.clone_from(all);
                if body.is_some() {
                    lose_digests(Some(trailers));
                }
            }
            _ => {}
        }
    }
}

impl Canonical {
    /// The body as an attempt begins with it.
    fn content(&self) -> Content {
        Content::unit(self.shown.clone()).with_permit(self.permit.budget().permit())
    }
}

impl Edits {
    /// Copies the head for its first change.
    fn head_mut(&mut self, request: &RequestHead) -> &mut RequestHead {
        self.head.get_or_insert_with(|| Box::new(request.clone()))
    }

    /// Has the attempt send the content that plugins have changed.
    fn put(&mut self, request: &RequestHead, content: Content) -> Result<(), TooLarge> {
        let has_trailers = request.framing == Framing::Chunked;
        let body = content.into_shown();
        let head = self.head_mut(request);
        changed(&mut head.fields);
        if !has_trailers {
            head.framing = announce(&mut head.fields, &body)?;
        }
        self.body = Some(body);
        Ok(())
    }
}

/// An attempt as plugins see it.
struct View<'a> {
    edits: &'a mut Edits,
    request: &'a RequestHead,
    context: &'a Context,
    /// The index of its pool, if that is another than the request's.
    pool: Option<usize>,
    /// 1 for the first.
    number: u32,
    /// Whether the request could be sent once more.
    is_kept: bool,
    failure: Option<AttemptFailure>,
    /// The address of its backend and the time at which it began, if it has begun.
    begun: Option<(&'a str, Instant)>,
    /// Whether the changes of the plugin at hand can be undone, and what was there before the first of them.
    is_undoable: bool,
    before: Option<(Edits, Option<usize>)>,
}

impl View<'_> {
    fn head(&self) -> &RequestHead {
        self.edits.head.as_deref().unwrap_or(self.request)
    }

    fn is_secret(&self, name: &str) -> bool {
        let mut secret = self.edits.secret.iter();
        secret.any(|secret| secret.as_str().eq_ignore_ascii_case(name))
    }

    /// The changes, for another one.
    fn edit(&mut self) -> &mut Edits {
        if self.is_undoable && self.before.is_none() {
            self.before = Some((self.edits.clone(), self.pool));
        }
        self.edits
    }

    /// The head, for a change.
    fn head_mut(&mut self) -> &mut RequestHead {
        let request = self.request;
        self.edit().head_mut(request)
    }

    fn forget_secret(&mut self, name: &FieldName) {
        self.edit().secret.retain(|secret| secret != name.name());
    }
}

impl Undo for View<'_> {
    fn keep(&mut self, is_undoable: bool) {
        self.is_undoable = is_undoable;
        self.before = None;
    }

    fn undo(&mut self) {
        if let Some((edits, pool)) = self.before.take() {
            *self.edits = edits;
            self.pool = pool;
        }
    }
}

impl Headers for View<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        if self.is_secret(name) {
            return None;
        }
        let of_route = self.context.route().rewrite.host.as_deref();
        match of_route.filter(|_| !self.edits.has_host && name.eq_ignore_ascii_case(HOST.as_str())) {
            Some(host) => Some(host.as_bytes()),
            None => self.head().header(name),
        }
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        match self.is_secret(name) {
            true => Vec::new(),
            false => self.head().header_values(name),
        }
    }

    fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.head().for_each_header(&mut |name, value| {
            if !self.is_secret(name) {
                each(name, value);
            }
        });
    }

    fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.head_mut().set_header(name, value)?;
        self.edit().has_host |= *name.name() == HOST;
        self.forget_secret(name);
        Ok(())
    }

    fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.head_mut().append_header(name, value)
    }

    fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
        if self.head().header(name.name().as_str()).is_none() {
            // The head need not be copied, and the name may be one that is never removed.
            return match name.is_removable() {
                true => Ok(false),
                false => Err(EditError::Forbidden),
            };
        }
        let removed = self.head_mut().remove_header(name)?;
        self.forget_secret(name);
        Ok(removed)
    }
}

impl Attempt for View<'_> {
    fn pool(&self) -> &str {
        &self.context.pool_at(self.pool).name
    }

    fn use_pool(&mut self, name: &str) -> Result<(), EditError> {
        let index = self.context.split().index_of(name);
        let index = index.ok_or(EditError::NotGranted)?;
        self.edit();
        self.pool = Some(index);
        Ok(())
    }

    fn limit_time(&mut self, limit: Duration) {
        self.edit().time = Some(limit);
    }

    fn set_secret_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.set_header(name, value)?;
        self.edit().secret.push(name.name().clone());
        Ok(())
    }

    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        field::check_target(value)?;
        self.edit().target = Some(value.to_owned());
        Ok(())
    }

    fn backend(&self) -> Option<&str> {
        Some(self.begun?.0)
    }

    fn failure(&self) -> Option<AttemptFailure> {
        self.failure
    }

    fn can_retry(&self) -> bool {
        self.is_kept && self.context.has_attempt_after(self.number)
    }

    fn elapsed(&self) -> Duration {
        self.begun.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

/// Has the route's plugins prepare the next attempt, if any does that. Returns what is done instead of choosing a backend, if a plugin has
/// answered or failed.
pub(super) fn prepare(request: &RequestHead, context: &mut Context, is_kept: bool) -> Option<Selected> {
    let mut attempting = context.attempting.take()?;
    attempting.edits = Edits::default();
    let number = context.attempt + 1;
    let mut content = attempting.body.as_ref().map(Canonical::content);
    let mut view = View {
        edits: &mut attempting.edits,
        request,
        context,
        pool: None,
        number,
        is_kept,
        failure: context.last_failure,
        begun: None,
        is_undoable: false,
        before: None,
    };
    let chain = &context.route().chain;
    let flow = chain.prepare(
        context.call_context(),
        request,
        &mut view,
        content.as_mut(),
        number,
    );
    let pool = view.pool;
    let put = match content.filter(Content::is_changed) {
        Some(content) => attempting.edits.put(request, content),
        None => Ok(()),
    };
    context.attempting = Some(attempting);
    context.go_to(pool);
    match (flow, put) {
        (RequestFlow::Next, Ok(())) => None,
        (RequestFlow::Next, Err(TooLarge)) => {
            Some(Selected::Refused(Refused::Request(Refusal::HeadTooLarge)))
        }
        (RequestFlow::Respond(reply), _) => Some(Selected::Reply(reply)),
        (RequestFlow::Failed, _) => Some(Selected::Refused(Refused::PluginFailed)),
    }
}

/// Has the route's plugins judge the present attempt by its response, or by its failure if it has brought none.
pub(super) fn judge(
    request: &RequestHead,
    context: &mut Context,
    upload: &Upload,
    brought: Result<&ResponseHead, AttemptFailure>,
) -> JudgeFlow {
    let Some(mut attempting) = context.attempting.take() else {
        return JudgeFlow::Accept;
    };
    let flow = {
        let begun = context.current.as_ref();
        let begun = begun.map(|(place, since)| (place.backend().label.as_str(), *since));
        let number = context.attempt;
        let view = View {
            edits: &mut attempting.edits,
            request,
            context,
            pool: context.elsewhere(),
            number,
            is_kept: upload.pump.can_begin_again(),
            failure: brought.err(),
            begun,
            is_undoable: false,
            before: None,
        };
        let mut call = context.call_context();
        call.facts.response_size = brought.ok().and_then(|head| announced(head.framing));
        let backend = begun.map(|(label, _)| label);
        let response = brought
            .ok()
            .map(|head| (head as &dyn pace_hook::ResponseHead, backend));
        context
            .route()
            .chain
            .judge(call, request, &view, response, number)
    };
    context.attempting = Some(attempting);
    flow
}

/// Puts the present attempt aside while another is prepared.
pub(super) fn set_aside(context: &mut Context) -> Option<Aside> {
    let attempting = context.attempting.as_mut()?;
    Some(Aside {
        edits: std::mem::take(&mut attempting.edits),
        pool: context.elsewhere(),
    })
}

/// Goes back to an attempt that no other has followed.
pub(super) fn resume(context: &mut Context, aside: Option<Aside>) {
    let Some(Aside { edits, pool }) = aside else {
        return;
    };
    if let Some(attempting) = &mut context.attempting {
        attempting.edits = edits;
    }
    context.go_to(pool);
}
