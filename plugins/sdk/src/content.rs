//! The bytes for which a hook runs.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Serialize;

use crate::EditError;
use crate::bindings::imports::pace::plugin::{content as host, secrets};

/// The bytes for which a hook runs: a view that exists while it does.
///
/// In [`RequestBodyFilter`](crate::RequestBodyFilter) and [`ResponseBodyFilter`](crate::ResponseBodyFilter) it is the whole
/// body, decoded if it was encoded by `gzip`, `deflate`, `br` or `zstd`. The bytes stay in Pace, and a plugin pulls the parts that it
/// wants to see.
///
/// What follows from a change is Pace's to do: `content-length` is set, `content-encoding` and digests go, and a strong
/// `etag` becomes a weak one. A body that no plugin has changed is sent on as it came.
///
/// ```no_run
/// use pace_plugin::{Content, Json};
///
/// fn is_large_order(body: &Content) -> bool {
///     matches!(body.json("/items/0/count"), Ok(Json::Integer(count)) if count > 100)
/// }
/// ```
#[derive(Debug)]
pub struct Content {
    /// The field keeps other crates from making a view or sending it elsewhere.
    _private: PhantomData<*const ()>,
}

impl Content {
    pub(crate) const fn ambient() -> Self {
        Self {
            _private: PhantomData,
        }
    }

    /// The number of bytes.
    ///
    /// ```no_run
    /// # fn example(body: &pace_plugin::Content) -> bool {
    /// body.size() > 1_000_000
    /// # }
    /// ```
    pub fn size(&self) -> usize {
        host::size() as usize
    }

    /// The bytes of a range, as far as there are any. The plugin's memory has to hold them, so read large content in pieces.
    ///
    /// ```no_run
    /// # fn example(body: &pace_plugin::Content) -> bool {
    /// body.read(0..4) == b"%PDF"
    /// # }
    /// ```
    pub fn read(&self, range: Range<usize>) -> Vec<u8> {
        let (offset, length) = offset_and_length(&range);
        host::read(offset, length)
    }

    /// All bytes. They take as much of the plugin's memory.
    ///
    /// ```no_run
    /// # fn example(body: &pace_plugin::Content) -> String {
    /// String::from_utf8_lossy(&body.to_vec()).into_owned()
    /// # }
    /// ```
    pub fn to_vec(&self) -> Vec<u8> {
        host::read(0, u32::MAX)
    }

    /// The place of the first occurrence of a pattern, at `from` or behind it.
    ///
    /// ```no_run
    /// # fn example(body: &pace_plugin::Content) -> bool {
    /// body.find("</body>", 0).is_some()
    /// # }
    /// ```
    pub fn find(&self, pattern: impl AsRef<[u8]>, from: usize) -> Option<usize> {
        let found = host::find(pattern.as_ref(), offset(from))?;
        Some(found as usize)
    }

    /// The value at this place in the content, which is JSON. The place is a JSON Pointer (RFC 6901): an empty one is the
    /// whole, `/model` a member, `/messages/0/role` one further inside.
    ///
    /// # Errors
    ///
    /// See [`JsonError`].
    ///
    /// ```no_run
    /// # fn example(body: &pace_plugin::Content) -> Option<String> {
    /// body.json("/model").ok()?.text()
    /// # }
    /// ```
    pub fn json(&self, pointer: &str) -> Result<Json, JsonError> {
        Ok(match host::json(pointer)? {
            host::JsonValue::Absent => Json::Absent,
            host::JsonValue::Null => Json::Null,
            host::JsonValue::Boolean(value) => Json::Boolean(value),
            host::JsonValue::Integer(value) => Json::Integer(value),
            host::JsonValue::Number(value) => Json::Number(value),
            host::JsonValue::Text(value) => Json::Text(value),
            host::JsonValue::Array => Json::Array,
            host::JsonValue::Object => Json::Object,
        })
    }

    /// The number of elements of the array at this place, or of members of the object. `None` if there is something else.
    ///
    /// # Errors
    ///
    /// See [`JsonError`].
    ///
    /// ```no_run
    /// # fn example(body: &pace_plugin::Content) -> Result<bool, pace_plugin::JsonError> {
    /// Ok(body.json_length("/messages")?.is_some_and(|messages| messages > 100))
    /// # }
    /// ```
    pub fn json_length(&self, pointer: &str) -> Result<Option<usize>, JsonError> {
        let length = host::json_length(pointer)?;
        Ok(length.map(|length| length as usize))
    }

    /// The names of the members of the object at this place, in their order. `None` if there is something else.
    ///
    /// # Errors
    ///
    /// See [`JsonError`].
    ///
    /// ```no_run
    /// # fn example(body: &pace_plugin::Content) -> Result<bool, pace_plugin::JsonError> {
    /// Ok(body.json_keys("")?.is_some_and(|names| names.contains(&"admin".to_owned())))
    /// # }
    /// ```
    pub fn json_keys(&self, pointer: &str) -> Result<Option<Vec<String>>, JsonError> {
        Ok(host::json_keys(pointer)?)
    }

    /// The bytes of the value at this place, as it is written: a text with its quotes. `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`JsonError`].
    ///
    /// ```no_run
    /// # fn example(body: &mut pace_plugin::Content) -> Result<(), Box<dyn std::error::Error>> {
    /// if let Some(place) = body.json_span("/password")? {
    ///     body.splice(place, "\"***\"")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn json_span(&self, pointer: &str) -> Result<Option<Range<usize>>, JsonError> {
        let span = host::json_span(pointer)?;
        Ok(span.map(|(offset, length)| offset as usize..offset as usize + length as usize))
    }

    /// Replace the value at this place, and leave everything else as it is written. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// See [`SetJsonError`].
    ///
    /// ```no_run
    /// # fn example(body: &mut pace_plugin::Content) -> Result<bool, pace_plugin::SetJsonError> {
    /// body.set_json("/model", &"large")
    /// # }
    /// ```
    pub fn set_json(&mut self, pointer: &str, value: &impl Serialize) -> Result<bool, SetJsonError> {
        let Some(place) = self.json_span(pointer).map_err(SetJsonError::Json)? else {
            return Ok(false);
        };
        let value = serde_json::to_vec(value).map_err(|_| SetJsonError::Value)?;
        self.splice(place, value).map_err(SetJsonError::Edit)?;
        Ok(true)
    }

    /// The digest of the whole.
    ///
    /// # Errors
    ///
    /// [`DigestError::NotAvailable`] if [`Form::Sent`] is not kept here.
    ///
    /// ```no_run
    /// # use pace_plugin::{Content, DigestError, Form, Hash};
    /// # fn example(body: &Content) -> Result<Vec<u8>, DigestError> {
    /// body.digest(Hash::Sha256, Form::Sent)
    /// # }
    /// ```
    pub fn digest(&self, hash: Hash, of: Form) -> Result<Vec<u8>, DigestError> {
        Ok(host::digest(hash.into(), of.into())?)
    }

    /// The HMAC (RFC 2104) of `before`, followed by the whole, by the secret that the operator has granted under this name.
    ///
    /// # Errors
    ///
    /// See [`DigestError`].
    ///
    /// ```no_run
    /// # use pace_plugin::{Content, DigestError, Form, Hash};
    /// # fn example(body: &Content) -> Result<Vec<u8>, DigestError> {
    /// body.hmac(Hash::Sha256, "partner", "v1:", Form::Shown)
    /// # }
    /// ```
    pub fn hmac(
        &self,
        hash: Hash,
        secret: &str,
        before: impl AsRef<[u8]>,
        of: Form,
    ) -> Result<Vec<u8>, DigestError> {
        Ok(host::hmac(hash.into(), secret, before.as_ref(), of.into())?)
    }

    /// Whether `candidate` is that HMAC. Takes as long whatever is wrong with it.
    ///
    /// # Errors
    ///
    /// See [`DigestError`].
    ///
    /// ```no_run
    /// # use pace_plugin::{Content, DigestError, Form, Hash};
    /// # fn example(body: &Content, signature: &[u8]) -> Result<bool, DigestError> {
    /// body.verify_hmac(Hash::Sha256, "webhook", "", Form::Sent, signature)
    /// # }
    /// ```
    pub fn verify_hmac(
        &self,
        hash: Hash,
        secret: &str,
        before: impl AsRef<[u8]>,
        of: Form,
        candidate: &[u8],
    ) -> Result<bool, DigestError> {
        Ok(host::verify_hmac(
            hash.into(),
            secret,
            before.as_ref(),
            of.into(),
            candidate,
        )?)
    }

    /// Replace everything.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the content is then unchanged.
    ///
    /// ```no_run
    /// # fn example(body: &mut pace_plugin::Content) -> Result<(), pace_plugin::EditError> {
    /// body.replace("{}")
    /// # }
    /// ```
    pub fn replace(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), EditError> {
        Ok(host::replace(bytes.as_ref())?)
    }

    /// Replace the bytes of a range by others, more or fewer. An empty range inserts them.
    ///
    /// # Errors
    ///
    /// [`EditError::InvalidValue`] if the range is not inside, otherwise see [`EditError`]; the content is then unchanged.
    ///
    /// ```no_run
    /// # fn example(body: &mut pace_plugin::Content) -> Result<(), pace_plugin::EditError> {
    /// if let Some(end) = body.find("</body>", 0) {
    ///     body.splice(end..end, "<script src=\"/stats.js\"></script>")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn splice(&mut self, range: Range<usize>, bytes: impl AsRef<[u8]>) -> Result<(), EditError> {
        let (offset, length) = offset_and_length(&range);
        Ok(host::splice(offset, length, bytes.as_ref())?)
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn offset_and_length(range: &Range<usize>) -> (u32, u32) {
    (offset(range.start), offset(range.end.saturating_sub(range.start)))
}

/// A value of JSON, as far as it is not made of others.
///
/// ```
/// use pace_plugin::Json;
///
/// assert_eq!(Json::Text("a".to_owned()).text().as_deref(), Some("a"));
/// assert_eq!(Json::Object.kind(), "object");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// There is no such value.
    Absent,
    /// `null`, which is a value.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number that is written without a fraction and an exponent and fits.
    Integer(i64),
    /// Any other number, as near as 64 bits come to it.
    Number(f64),
    /// A text.
    Text(String),
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Json {
    /// The text, if it is one.
    ///
    /// ```
    /// assert_eq!(pace_plugin::Json::Integer(1).text(), None);
    /// ```
    pub fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    ///
    /// ```
    /// assert_eq!(pace_plugin::Json::Integer(1).integer(), Some(1));
    /// ```
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// Whether it is `true`.
    ///
    /// ```
    /// assert!(pace_plugin::Json::Boolean(true).is_true());
    /// ```
    pub fn is_true(&self) -> bool {
        *self == Self::Boolean(true)
    }

    /// The name of its kind, as JSON Schema has it; `absent` if there is no value.
    ///
    /// ```
    /// assert_eq!(pace_plugin::Json::Text(String::new()).kind(), "string");
    /// ```
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// The reason why a question about JSON has no answer.
///
/// ```
/// assert!(pace_plugin::JsonError::Malformed.to_string().contains("not JSON"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The content is not one value of JSON in UTF-8. Empty content is not, either.
    Malformed,
    /// Values are nested in more than 128 others.
    TooDeep,
    /// An object on the way has this member more than once: one reader takes the first and another the last.
    Ambiguous,
    /// The place is not a JSON Pointer.
    InvalidPointer,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not JSON",
            Self::TooDeep => "its values are nested too deep",
            Self::Ambiguous => "a member is there more than once",
            Self::InvalidPointer => "the place is not a JSON Pointer: it is empty or begins with `/`",
        })
    }
}

impl std::error::Error for JsonError {}

impl From<host::JsonError> for JsonError {
    fn from(error: host::JsonError) -> Self {
        match error {
            host::JsonError::Malformed => Self::Malformed,
            host::JsonError::TooDeep => Self::TooDeep,
            host::JsonError::Ambiguous => Self::Ambiguous,
            host::JsonError::InvalidPointer => Self::InvalidPointer,
        }
    }
}

/// The reason why [`Content::set_json`] has changed nothing.
///
/// ```
/// use pace_plugin::{EditError, SetJsonError};
///
/// assert_eq!(SetJsonError::Edit(EditError::ReadOnly).to_string(), EditError::ReadOnly.to_string());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetJsonError {
    /// The place has no answer.
    Json(JsonError),
    /// The value cannot be written as JSON.
    Value,
    /// The content was not changed.
    Edit(EditError),
}

impl fmt::Display for SetJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Value => f.write_str("the value cannot be written as JSON"),
            Self::Edit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetJsonError {}

/// A hash function. SHA-1 is for signatures that others have specified.
///
/// ```
/// assert_ne!(pace_plugin::Hash::Sha256, pace_plugin::Hash::Sha1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, with 20 bytes.
    Sha1,
    /// SHA-256, with 32 bytes.
    Sha256,
    /// SHA-384, with 48 bytes.
    Sha384,
    /// SHA-512, with 64 bytes.
    Sha512,
}

impl From<Hash> for secrets::Hash {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Sha1 => Self::Sha1,
            Hash::Sha256 => Self::Sha256,
            Hash::Sha384 => Self::Sha384,
            Hash::Sha512 => Self::Sha512,
        }
    }
}

/// A form of a body.
///
/// ```
/// assert_ne!(pace_plugin::Form::Sent, pace_plugin::Form::Shown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The body as its sender has sent it: encoded, and before any plugin has changed it. Signatures are made over this one.
    Sent,
    /// The body as plugins see it now.
    Shown,
}

impl From<Form> for host::Form {
    fn from(form: Form) -> Self {
        match form {
            Form::Sent => Self::Sent,
            Form::Shown => Self::Shown,
        }
    }
}

/// The reason why a digest could not be made.
///
/// ```
/// assert!(pace_plugin::DigestError::NotGranted.to_string().contains("secrets"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestError {
    /// The plugin's `secrets` have no such name.
    NotGranted,
    /// The secret could not be read where it is kept.
    SecretNotAvailable,
    /// [`Form::Sent`] was asked for where it is not kept.
    NotAvailable,
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => {
                "the operator has not granted this secret: have it named in `secrets` of the plugin"
            }
            Self::SecretNotAvailable => "the secret could not be read: look where the operator keeps it",
            Self::NotAvailable => "the form in which it was sent is not kept here: take `Form::Shown`",
        })
    }
}

impl std::error::Error for DigestError {}

impl From<host::DigestError> for DigestError {
    fn from(error: host::DigestError) -> Self {
        match error {
            host::DigestError::Secret(secrets::SecretError::NotGranted) => Self::NotGranted,
            host::DigestError::Secret(secrets::SecretError::NotAvailable) => Self::SecretNotAvailable,
            host::DigestError::NotAvailable => Self::NotAvailable,
        }
    }
}
