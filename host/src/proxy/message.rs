//! Pingora's messages as plugins see them.

use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::field;
use crate::hook::{EditError, Headers, RequestHead, ResponseHead};

/// Both kinds of message have the same methods and no trait for them.
macro_rules! impl_headers {
    ($message:ty) => {
        impl Headers for $message {
            fn header(&self, name: &str) -> Option<&[u8]> {
                self.headers.get(name).map(|value| value.as_bytes())
            }

            fn header_values(&self, name: &str) -> Vec<&[u8]> {
                self.headers
                    .get_all(name)
                    .iter()
                    .map(|value| value.as_bytes())
                    .collect()
            }

            fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
                for (name, value) in &self.headers {
                    each(name.as_str(), value.as_bytes());
                }
            }

            fn set_header(&mut self, name: &str, value: &[u8]) -> Result<(), EditError> {
                let parsed = field::editable_name(name)?;
                let value = field::value(&parsed, value)?;
                self.insert_header(spelled(name), value)
                    .map_err(|_| EditError::TooLarge)
            }

            fn append_header(&mut self, name: &str, value: &[u8]) -> Result<(), EditError> {
                let parsed = field::editable_name(name)?;
                field::may_append(&parsed, self.headers.contains_key(&parsed))?;
                let value = field::value(&parsed, value)?;
                self.append_header(spelled(name), value)
                    .map(|_| ())
                    .map_err(|_| EditError::TooLarge)
            }

            fn remove_header(&mut self, name: &str) -> Result<bool, EditError> {
                let name = field::removable_name(name)?;
                Ok(self.remove_header(&name).is_some())
            }
        }
    };
}

impl_headers!(RequestHeader);
impl_headers!(ResponseHeader);

/// A name as HTTP/1 will show it: in the case in which the plugin wrote it.
fn spelled(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

impl RequestHead for RequestHeader {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.headers
            .get(http::header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| self.uri.authority().map(http::uri::Authority::as_str))
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        field::check_target(value)?;
        self.set_raw_path(value.as_bytes())
            .map_err(|_| EditError::InvalidValue)
    }
}

impl ResponseHead for ResponseHeader {
    fn status(&self) -> u16 {
        self.status.as_u16()
    }

    fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        let status = field::changed_status(self.status, status)?;
        self.set_status(status).map_err(|_| EditError::InvalidValue)
    }
}
