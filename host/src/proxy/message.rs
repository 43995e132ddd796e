//! Pingora's messages as plugins see them.

use http::header::{HOST, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::field::{self, FieldName};
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

            fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
                self.insert_header(name.spelled().clone(), value)
                    .map_err(|_| EditError::TooLarge)
            }

            fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
                if !name.is_appendable(|| self.headers.contains_key(name.name())) {
                    return Err(EditError::InvalidValue);
                }
                self.append_header(name.spelled().clone(), value)
                    .map(|_| ())
                    .map_err(|_| EditError::TooLarge)
            }

            fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
                if !name.is_removable() {
                    return Err(EditError::Forbidden);
                }
                Ok(self.remove_header(name.name()).is_some())
            }
        }
    };
}

impl_headers!(RequestHeader);
impl_headers!(ResponseHeader);

impl RequestHead for RequestHeader {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.headers
            .get(HOST)
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
