//! Responses that Pace or a plugin makes, checked before they are sent.

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;

use super::EditError;
use crate::field::{self, FieldName};
use pace_config::Limits;

/// A complete response made by Pace or a plugin instead of a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The status, 200 to 599.
    pub status: StatusCode,
    /// Headers in order; a name may repeat. Names are spelled as HTTP/1 shows them; none frames the message.
    pub headers: Vec<(Bytes, HeaderValue)>,
    /// The body; may be empty.
    pub body: Bytes,
}

impl Reply {
    /// Checks a plugin's result. The error says what is wrong with it.
    pub fn parse(
        status: u16,
        headers: impl ExactSizeIterator<Item = (String, Vec<u8>)>,
        body: Vec<u8>,
        limits: &Limits,
    ) -> Result<Reply, String> {
        if !(200..=599).contains(&status) {
            return Err(format!(
                "it responded with status {status}: 200 to 599 are allowed"
            ));
        }
        Reply::check_sizes(headers.len(), body.len(), limits)?;
        let mut header_bytes = 0;
        let headers = headers
            .inspect(|(name, value)| header_bytes += name.len() + value.len())
            .map(|(name, value)| match field(&name, &value) {
                Ok((name, value)) => Ok((name.spelled().clone(), value)),
                Err(error) => Err(format!(
                    "it responded with the header {name:?}: {}",
                    field::explain(error)
                )),
            })
            .collect::<Result<_, _>>()?;
        if header_bytes > limits.header_bytes {
            return Err(format!(
                "it responded with {header_bytes} bytes of headers: {} are allowed",
                limits.header_bytes
            ));
        }
        let status = StatusCode::from_u16(status).expect("200 to 599 are statuses");
        Ok(Reply {
            status,
            headers,
            body: body.into(),
        })
    }

    /// Checks the number of headers and the size of the body, before their content is known. The error says
    /// which is too large.
    pub fn check_sizes(headers: usize, body: usize, limits: &Limits) -> Result<(), String> {
        if body > limits.body_bytes {
            return Err(format!(
                "it responded with a body of {body} bytes: {} are allowed",
                limits.body_bytes
            ));
        }
        if headers > limits.headers {
            return Err(format!(
                "it responded with {headers} headers: {} are allowed",
                limits.headers
            ));
        }
        Ok(())
    }

    /// A short text for a person.
    pub fn text(status: StatusCode, body: &'static str) -> Reply {
        Reply {
            status,
            headers: vec![(
                CONTENT_TYPE_NAME,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            )],
            body: Bytes::from_static(body.as_bytes()),
        }
    }
}

fn field(name: &str, value: &[u8]) -> Result<(FieldName, HeaderValue), EditError> {
    let (name, value) = (FieldName::parse(name)?, field::value(value)?);
    if name.accepts(&value) {
        Ok((name, value))
    } else {
        Err(EditError::InvalidValue)
    }
}

/// The usual spelling of `Content-Type`.
pub const CONTENT_TYPE_NAME: Bytes = Bytes::from_static(b"Content-Type");
