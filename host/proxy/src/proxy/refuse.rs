//! Pace's own answers to requests that it does not serve, and their reasons.

use http::StatusCode;
use http::header::HeaderValue;
use pace_wire::refusal::Refusal;

use super::answer::ALLOW;
use pace_hook::{AttemptFailure, Body, FailureReason, Reply};

/// The reason why Pace answers a request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request is malformed, or did not arrive in time.
    Request(Refusal),
    /// Pace serves this path itself, with other methods only.
    MethodNotAllowed,
    /// No route has this host and path.
    NoRoute,
    /// The request is to be redirected to the same host with TLS, and names none.
    NowhereToGo,
    /// The request has been here before.
    Loop,
    /// The client's connection is to another name, for which other rules about client certificates hold.
    Misdirected,
    /// The request wants another protocol, and the backends speak HTTP/2, which switches to none.
    NoUpgrade,
    /// A plugin failed closed.
    PluginFailed,
    /// The request's body cannot be shown to a plugin that fails closed.
    RequestBody(FailureReason),
    /// The response's body cannot be shown to a plugin that fails closed.
    ResponseBody(FailureReason),
    /// A plugin has cut a message before the first byte of the response.
    Cut(Body),
    /// No plugin picked a backend, or no connection could be made in the attempts allowed.
    NoBackend,
    /// Every backend has as many requests as it may have.
    Full,
    /// A backend took the request and sent no valid response.
    BadAnswer,
    /// A backend took the request and sent no response in time.
    NoAnswerInTime,
}

/// The answer to the client.
pub(super) fn reply(refused: Refused) -> Reply {
    let (status, text) = match refused {
        Refused::Request(refusal) => (
            StatusCode::from_u16(refusal.status()).expect("a refusal has a status of HTTP"),
            refusal.text(),
        ),
        Refused::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
        Refused::NoRoute => (StatusCode::NOT_FOUND, "no route for this host and path\n"),
        Refused::NowhereToGo => (
            StatusCode::BAD_REQUEST,
            "bad request: it names no host, so there is no URL with https to go to\n",
        ),
        Refused::Loop => (
            StatusCode::LOOP_DETECTED,
            "loop detected: a backend sends this request back here\n",
        ),
        Refused::Misdirected => (
            StatusCode::MISDIRECTED_REQUEST,
            "this connection was made for another name\n",
        ),
        Refused::NoUpgrade => (
            StatusCode::NOT_IMPLEMENTED,
            "not implemented: an upgrade to another protocol, where the backends speak HTTP/2\n",
        ),
        Refused::PluginFailed => plugin_failed(),
        Refused::RequestBody(reason) => request_body(reason),
        Refused::ResponseBody(reason) => response_body(reason),
        Refused::Cut(Body::Request) => (StatusCode::SERVICE_UNAVAILABLE, "a plugin has cut the request\n"),
        Refused::Cut(Body::Response) => (StatusCode::BAD_GATEWAY, "a plugin has cut the response\n"),
        Refused::NoBackend => (StatusCode::SERVICE_UNAVAILABLE, "no backend is available\n"),
        Refused::Full => (
            StatusCode::SERVICE_UNAVAILABLE,
            "every backend has as many requests as it may have\n",
        ),
        Refused::BadAnswer => (StatusCode::BAD_GATEWAY, "the backend gave no valid answer\n"),
        Refused::NoAnswerInTime => (
            StatusCode::GATEWAY_TIMEOUT,
            "the backend gave no answer in time\n",
        ),
    };
    let mut reply = Reply::text(status, text);
    if refused == Refused::MethodNotAllowed {
        // RFC 9110, section 15.5.6.
        reply.headers.push((ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    reply
}

/// Status and text if a plugin that fails closed cannot be shown the request's body.
fn request_body(reason: FailureReason) -> (StatusCode, &'static str) {
    match reason {
        FailureReason::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large\n"),
        FailureReason::UnitTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "a line or an event in the request's body is too long\n",
        ),
        FailureReason::BodyTimeout => (
            StatusCode::REQUEST_TIMEOUT,
            "the request's body did not come in time\n",
        ),
        FailureReason::BodyEncoding => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the request's body cannot be decoded\n",
        ),
        FailureReason::BodyBudget | FailureReason::TooManyStreams => (
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no room for the request's body\n",
        ),
        FailureReason::Trap
        | FailureReason::Deadline
        | FailureReason::Memory
        | FailureReason::IllegalOutput
        | FailureReason::Configure
        | FailureReason::BreakerOpen
        | FailureReason::InstanceLost
        | FailureReason::BodyPartial => plugin_failed(),
    }
}

/// Status and text if a plugin that fails closed cannot be shown the response's body.
fn response_body(reason: FailureReason) -> (StatusCode, &'static str) {
    match reason {
        FailureReason::BodyTimeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "the backend's response did not come in time\n",
        ),
        FailureReason::BodyBudget => (
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no room for the backend's response\n",
        ),
        FailureReason::BodyTooLarge
        | FailureReason::UnitTooLarge
        | FailureReason::TooManyStreams
        | FailureReason::BodyEncoding
        | FailureReason::BodyPartial => (
            StatusCode::BAD_GATEWAY,
            "the backend's response cannot be looked at\n",
        ),
        FailureReason::Trap
        | FailureReason::Deadline
        | FailureReason::Memory
        | FailureReason::IllegalOutput
        | FailureReason::Configure
        | FailureReason::BreakerOpen
        | FailureReason::InstanceLost => (StatusCode::BAD_GATEWAY, "a plugin failed\n"),
    }
}

fn plugin_failed() -> (StatusCode, &'static str) {
    (StatusCode::SERVICE_UNAVAILABLE, "a plugin failed\n")
}

/// The reason for Pace's own answer to a request whose last attempt failed like this.
pub(super) fn refused_after(failure: AttemptFailure) -> Refused {
    match failure {
        AttemptFailure::ConnectionRefused
        | AttemptFailure::ConnectionTimeout
        | AttemptFailure::ConnectionFailed
        | AttemptFailure::Tls => Refused::NoBackend,
        AttemptFailure::ResponseTimeout => Refused::NoAnswerInTime,
        AttemptFailure::Closed
        | AttemptFailure::Protocol
        | AttemptFailure::Status(_)
        | AttemptFailure::Other => Refused::BadAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_status() {
        for (refused, status) in [
            (Refused::MethodNotAllowed, 405),
            (Refused::NoRoute, 404),
            (Refused::NowhereToGo, 400),
            (Refused::Loop, 508),
            (Refused::Misdirected, 421),
            (Refused::NoUpgrade, 501),
            (Refused::PluginFailed, 503),
            (Refused::NoBackend, 503),
            (Refused::Full, 503),
            (Refused::BadAnswer, 502),
            (Refused::NoAnswerInTime, 504),
        ] {
            assert_eq!(reply(refused).status.as_u16(), status);
        }
        for refusal in Refusal::ALL {
            assert_eq!(reply(Refused::Request(refusal)).status.as_u16(), refusal.status());
        }
    }

    #[test]
    fn failed_connect_means_no_backend_and_broken_response_bad_answer() {
        for (failure, refused) in [
            (AttemptFailure::ConnectionRefused, Refused::NoBackend),
            (AttemptFailure::Closed, Refused::BadAnswer),
            (AttemptFailure::ResponseTimeout, Refused::NoAnswerInTime),
        ] {
            assert_eq!(refused_after(failure), refused);
        }
        for failure in AttemptFailure::ALL {
            assert_eq!(reply(refused_after(failure)).status, failure.answer());
        }
    }
}
