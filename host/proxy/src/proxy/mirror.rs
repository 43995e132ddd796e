//! Sends copies of requests to another pool, for whose responses nobody waits.

use std::sync::Arc;

use bytes::Bytes;
use pace_wire::fields::TooLarge;
use pace_wire::framing::Framing;
use pace_wire::request::RequestHead;

use super::Proxy;
use super::attempt::Upload;
use super::choose::{Selected, select};
use super::context::{Context, Counted};
use super::forward;
use crate::http1::{BodyReader, Client};
use crate::io::Transport;
use crate::telemetry::MirrorResult;

impl Proxy {
    /// Sends a copy of a request whose body is there, if one is wanted and none has been sent. It is the request as no attempt
    /// has changed it. The copy is made here, and everything else is done by a task of its own.
    ///
    /// The copy takes the way of any other request, with nobody at the client's end of it.
    pub(super) fn mirror(
        &self,
        client: &Client,
        request: &RequestHead,
        context: &Context,
        upload: &mut Upload,
    ) {
        let is_mirrored = std::mem::take(&mut upload.is_mirrored);
        let Some(mirror) = context.mirror().filter(|_| is_mirrored) else {
            return;
        };
        let of_attempts = context.attempting.as_ref();
        let canonical = of_attempts.and_then(|attempting| attempting.canonical_body());
        let Some(body) = canonical
            .map(|body| &body[..])
            .or_else(|| upload.pump.whole_body(&client.input))
        else {
            return mirror.metrics.count(MirrorResult::Incomplete);
        };
        let Some(place) = mirror.take_place() else {
            return mirror.metrics.count(MirrorResult::TooMany);
        };
        let Ok(mut copied) = copy(request, body) else {
            return mirror.metrics.count(MirrorResult::Incomplete);
        };
        let body = Transport::Unattended(Box::new(Bytes::copy_from_slice(body)));
        let mut client = Client::new(body, Arc::clone(&client.arrival));
        let in_flight = Counted::in_gauge(&self.shared.metrics.mirrored_in_flight);
        let mut context = context.of_copy(&client.arrival, Arc::clone(&mirror.route), in_flight);
        let (proxy, metrics) = (self.clone(), mirror.metrics.clone());
        tokio::spawn(async move {
            let reader = BodyReader::of_request(&copied, &context.snapshot.rules);
            let mut upload = forward::begin(reader, &copied, &context);
            forward::prepare(&mut upload, &copied, &context);
            if let Selected::Backend(first) = select(&copied, &mut context) {
                proxy
                    .forward(&mut client, &mut copied, &mut context, &mut upload, first)
                    .await;
            }
            // A copy is counted after its place is free.
            drop(place);
            metrics.count(match context.answered {
                true => MirrorResult::Answered,
                false => MirrorResult::Failed,
            });
        });
    }
}

/// A request with a body that is there, and that nobody has to be asked for.
fn copy(request: &RequestHead, body: &[u8]) -> Result<RequestHead, TooLarge> {
    let mut copy = request.clone();
    copy.version = http::Version::HTTP_11;
    copy.fields.remove("Expect");
    copy.fields.remove("Trailer");
    if request.framing != Framing::None {
        copy.fields
            .set("Content-Length", body.len().to_string().as_bytes())?;
        copy.framing = match body.len() {
            0 => Framing::None,
            length => Framing::Length(length as u64),
        };
    }
    Ok(copy)
}
