//! Gives heads as the wire has them the views that plugins see.

use std::str;

use http::header::HeaderValue;
use http::{StatusCode, Version};
use pace_wire::fields::{Fields, TooLarge};
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use crate::field::{self, FieldName};
use crate::{EditError, Headers};

/// Implements [`Headers`]; both kinds of message have the same fields.
macro_rules! impl_headers {
    ($message:ty) => {
        impl Headers for $message {
            fn header(&self, name: &str) -> Option<&[u8]> {
                self.fields.get(name)
            }

            fn header_values(&self, name: &str) -> Vec<&[u8]> {
                self.fields.get_all(name).collect()
            }

            fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
                for_each(&self.fields, each);
            }

            fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
                let set = self.fields.set(spelled(name), value.as_bytes());
                set.map_err(|TooLarge| EditError::TooLarge)
            }

            fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
                if !name.is_appendable(|| self.fields.get(name.name().as_str()).is_some()) {
                    return Err(EditError::InvalidValue);
                }
                let appended = self.fields.append(spelled(name), value.as_bytes());
                appended.map_err(|TooLarge| EditError::TooLarge)
            }

            fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
                if !name.is_removable() {
                    return Err(EditError::Forbidden);
                }
                Ok(self.fields.remove(name.name().as_str()))
            }
        }
    };
}

impl_headers!(RequestHead);
impl_headers!(ResponseHead);

fn spelled(name: &FieldName) -> &str {
    str::from_utf8(name.spelled()).unwrap_or_else(|_| name.name().as_str())
}

/// Calls `each` with every field; names are in lower case, as the contract has them.
fn for_each(fields: &Fields, each: &mut dyn FnMut(&str, &[u8])) {
    let mut lower = String::with_capacity(64);
    for field in fields.iter() {
        if field.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower.clear();
            lower.push_str(field.name);
            lower.make_ascii_lowercase();
            each(&lower, field.value);
        } else {
            each(field.name, field.value);
        }
    }
}

impl crate::RequestHead for RequestHead {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> Option<&str> {
        RequestHead::authority(self)
    }

    fn path(&self) -> &str {
        self.target.path()
    }

    fn query(&self) -> Option<&str> {
        self.target.query()
    }

    fn version(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        }
    }

    fn routed_path(&self) -> &str {
        RequestHead::routed_path(self)
    }

    fn original_target(&self) -> &str {
        // What was read as a target is ASCII.
        str::from_utf8(self.sent_target()).unwrap_or_default()
    }

    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        field::check_target(value)?;
        self.change_target(value);
        Ok(())
    }
}

impl crate::ResponseHead for ResponseHead {
    fn status(&self) -> u16 {
        ResponseHead::status(self).as_u16()
    }

    fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        let status: StatusCode = field::changed_status(ResponseHead::status(self), status)?;
        ResponseHead::set_status(self, status);
        Ok(())
    }
}
