//! What went wrong, in our words, and what the client sees of it.

use http::StatusCode;
use pingora::{Error, ErrorSource, ErrorType};

use crate::hook::{AttemptFailure, Reply};

/// Why Pace itself answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request is not one that HTTP allows.
    BadRequest,
    /// Pace serves this path itself, and not with this method.
    MethodNotAllowed,
    /// No route has this host and path.
    NoRoute,
    /// A plugin failed and the route does not go on without it.
    PluginFailed,
    /// No plugin picked a backend, or no connection could be made in the attempts allowed.
    NoBackend,
    /// A backend took the request and gave no proper answer.
    BadAnswer,
    /// A backend took the request and gave no answer in time.
    NoAnswerInTime,
    /// Pace is at fault.
    Internal,
    /// Nobody is there to answer: the client has gone.
    ClientGone,
}

/// What the client sees of a [`Refusal`]; `None` where nobody would.
pub(super) fn reply(refusal: Refusal) -> Option<Reply> {
    let (status, text) = match refusal {
        Refusal::BadRequest => (StatusCode::BAD_REQUEST, "bad request\n"),
        Refusal::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
        Refusal::NoRoute => (StatusCode::NOT_FOUND, "no route for this host and path\n"),
        Refusal::PluginFailed => (StatusCode::SERVICE_UNAVAILABLE, "a plugin failed\n"),
        Refusal::NoBackend => (StatusCode::SERVICE_UNAVAILABLE, "no backend is available\n"),
        Refusal::BadAnswer => (StatusCode::BAD_GATEWAY, "the backend gave no valid answer\n"),
        Refusal::NoAnswerInTime => (
            StatusCode::GATEWAY_TIMEOUT,
            "the backend gave no answer in time\n",
        ),
        Refusal::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n"),
        Refusal::ClientGone => return None,
    };
    Some(Reply::text(status, text))
}

/// What a Pingora error means for the request.
pub(super) fn refusal(error: &Error) -> Refusal {
    use ErrorType as E;
    match error.esource() {
        ErrorSource::Upstream => {}
        ErrorSource::Downstream => {
            return match error.etype() {
                E::ReadError | E::WriteError | E::WriteTimedout | E::ConnectionClosed => Refusal::ClientGone,
                _ => Refusal::BadRequest,
            };
        }
        ErrorSource::Internal | ErrorSource::Unset => return Refusal::Internal,
    }
    refusal_after(attempt_failure(error.etype()))
}

/// What it means for the request that its last attempt ended so.
pub(super) fn refusal_after(failure: AttemptFailure) -> Refusal {
    match failure {
        AttemptFailure::ConnectionRefused
        | AttemptFailure::ConnectionTimeout
        | AttemptFailure::ConnectionFailed
        | AttemptFailure::Tls => Refusal::NoBackend,
        AttemptFailure::ResponseTimeout => Refusal::NoAnswerInTime,
        AttemptFailure::Closed
        | AttemptFailure::Protocol
        | AttemptFailure::Status(_)
        | AttemptFailure::Other => Refusal::BadAnswer,
    }
}

/// A backend has answered 101 to a request that asked for no upgrade (RFC 9110, section 15.2.2).
pub(super) fn unasked_upgrade() -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, "an upgrade that nobody asked for").into_up()
}

/// How an attempt ended, in the words of the contract.
pub(super) fn attempt_failure(kind: &ErrorType) -> AttemptFailure {
    use ErrorType as E;
    match kind {
        E::ConnectRefused => AttemptFailure::ConnectionRefused,
        E::ConnectTimedout => AttemptFailure::ConnectionTimeout,
        E::ConnectNoRoute
        | E::ConnectError
        | E::BindError
        | E::AcceptError
        | E::SocketError
        | E::ConnectProxyFailure => AttemptFailure::ConnectionFailed,
        E::TLSWantX509Lookup
        | E::TLSHandshakeFailure
        | E::TLSHandshakeTimedout
        | E::InvalidCert
        | E::HandshakeError => AttemptFailure::Tls,
        E::ReadError | E::WriteError | E::ConnectionClosed => AttemptFailure::Closed,
        E::ReadTimedout | E::WriteTimedout => AttemptFailure::ResponseTimeout,
        E::InvalidHTTPHeader | E::H1Error | E::H2Error | E::H2Downgrade | E::InvalidH2 => {
            AttemptFailure::Protocol
        }
        E::HTTPStatus(_)
        | E::FileOpenError
        | E::FileCreateError
        | E::FileReadError
        | E::FileWriteError
        | E::InternalError
        | E::UnknownError
        | E::Custom(_)
        | E::CustomCode(_, _) => AttemptFailure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_but_one_has_an_answer() {
        for (refusal, status) in [
            (Refusal::BadRequest, 400),
            (Refusal::MethodNotAllowed, 405),
            (Refusal::NoRoute, 404),
            (Refusal::PluginFailed, 503),
            (Refusal::NoBackend, 503),
            (Refusal::BadAnswer, 502),
            (Refusal::NoAnswerInTime, 504),
            (Refusal::Internal, 500),
        ] {
            assert_eq!(reply(refusal).map(|reply| reply.status.as_u16()), Some(status));
        }
        assert_eq!(reply(Refusal::ClientGone), None);
    }

    #[test]
    fn connecting_in_vain_is_503_and_a_broken_answer_502() {
        let upstream = |kind| *Error::new_up(kind);
        assert_eq!(refusal(&upstream(ErrorType::ConnectRefused)), Refusal::NoBackend);
        assert_eq!(
            refusal(&upstream(ErrorType::ConnectionClosed)),
            Refusal::BadAnswer
        );
        assert_eq!(
            refusal(&upstream(ErrorType::ReadTimedout)),
            Refusal::NoAnswerInTime
        );
    }
}
