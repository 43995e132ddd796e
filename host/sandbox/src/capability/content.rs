//! `content`: the bytes for which a hook runs.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, bail};

use super::super::bindings::pace::plugin::content::{
    self, DigestError, Form as WasmForm, JsonError as WasmJsonError, JsonValue,
};
use super::super::bindings::pace::plugin::http::EditError;
use super::super::bindings::pace::plugin::secrets::Hash as WasmHash;
use super::super::direct::{
    Caller, Interface, answer_bytes, answer_bytes_of, answer_list, bytes, called, copied, place, split, text,
};
use super::super::generation::Generation;
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::headers::answer_edit;
use super::metered::Metered;
use super::secrets::{hash, with_secret};
use pace_content::body::{self, Content, Form, NotKept};
use pace_content::hash::{Digest, Hash};
use pace_content::json::{JsonError, Value};

struct View<'a> {
    generation: &'a Generation,
    lending: &'a mut Lending,
}

struct Contents;

impl HasData for Contents {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    content::add_to_linker::<_, Contents>(linker, |guest| {
        let view = View {
            generation: &guest.generation,
            lending: &mut guest.lending,
        };
        Metered::new(&mut guest.meter, view)
    })
}

pub(super) fn add_directly(content: &mut Interface<'_>) -> Result<()> {
    content
        .func("size", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(split(&mut caller)?.1.lending.content()?.size())
        })?
        .func(
            "read",
            |mut caller: Caller<'_>, offset: u32, length: u32, out: u32| {
                called(&mut caller)?;
                answer_bytes_of(&mut caller, out, |guest| {
                    Ok(guest.lending.content()?.read(offset, length))
                })
            },
        )?
        .func(
            "find",
            |mut caller: Caller<'_>, at: u32, length: u32, offset: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let pattern = bytes(memory, &mut guest.meter, at, length)?;
                let found = guest.lending.content()?.find(pattern, offset);
                put_option(place::<4, 8>(memory, out)?, found);
                Ok(())
            },
        )?
        .func(
            "replace",
            |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let new = bytes(memory, &mut guest.meter, at, length)?.to_vec();
                let done = guest.lending.content_mut()?.replace(new);
                answer_edit(memory, out, done.map_err(edit_error))
            },
        )?
        .func(
            "splice",
            |mut caller: Caller<'_>, offset: u32, cut: u32, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let new = bytes(memory, &mut guest.meter, at, length)?;
                let done = guest.lending.content_mut()?.splice(offset, cut, new);
                answer_edit(memory, out, done.map_err(edit_error))
            },
        )?;
    add_json(content)?;
    add_digests(content)
}

/// Adds the questions about JSON. Their answers are a `result` with a `json-error` behind its case.
fn add_json(content: &mut Interface<'_>) -> Result<()> {
    content
        .func(
            "json",
            |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                place::<8, 24>(memory, out)?;
                let pointer = text(memory, &mut guest.meter, at, length)?;
                let value = guest.lending.content_mut()?.json(pointer);
                let value = match value {
                    Ok(Value::Text(text)) => {
                        let text = copied(text.as_bytes());
                        let answer = place::<8, 24>(memory, out)?;
                        (answer[0], answer[8]) = (0, TEXT);
                        return answer_bytes(&mut caller, out + 16, &text);
                    }
                    Ok(value) => Ok(flat(&value)),
                    Err(error) => Err(error),
                };
                let answer = place::<8, 24>(memory, out)?;
                answer[0] = u8::from(value.is_err());
                match value {
                    Ok((case, payload)) => {
                        answer[8] = case;
                        answer[16..16 + payload.len()].copy_from_slice(&payload);
                    }
                    Err(error) => answer[8] = WasmJsonError::from(error) as u8,
                }
                Ok(())
            },
        )?
        .func(
            "json-length",
            |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                place::<4, 12>(memory, out)?;
                let pointer = text(memory, &mut guest.meter, at, length)?;
                let count = guest.lending.content_mut()?.json_length(pointer);
                let [case, _, _, _, answer @ ..] = place::<4, 12>(memory, out)?;
                *case = u8::from(count.is_err());
                match count {
                    Ok(count) => put_option(answer, count),
                    Err(error) => answer[0] = WasmJsonError::from(error) as u8,
                }
                Ok(())
            },
        )?
        .func(
            "json-keys",
            |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                place::<4, 16>(memory, out)?;
                let pointer = text(memory, &mut guest.meter, at, length)?;
                let keys = guest.lending.content_mut()?.json_keys(pointer);
                let keys = keys.map(|keys| {
                    keys.map(|keys| -> Vec<_> { keys.iter().map(|key| [copied(key.as_bytes())]).collect() })
                });
                let answer = place::<4, 16>(memory, out)?;
                answer[0] = u8::from(keys.is_err());
                match keys {
                    Ok(keys) => {
                        answer[4] = u8::from(keys.is_some());
                        if let Some(keys) = keys {
                            answer_list(&mut caller, out + 8, &keys)?;
                        }
                    }
                    Err(error) => answer[4] = WasmJsonError::from(error) as u8,
                }
                Ok(())
            },
        )?
        .func(
            "json-span",
            |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                place::<4, 16>(memory, out)?;
                let pointer = text(memory, &mut guest.meter, at, length)?;
                let span = guest.lending.content_mut()?.json_span(pointer);
                let [case, _, _, _, some, _, _, _, offset @ .., a, b, c, d] = place::<4, 16>(memory, out)?;
                *case = u8::from(span.is_err());
                match span {
                    Ok(None) => *some = 0,
                    Ok(Some(span)) => {
                        *some = 1;
                        offset.copy_from_slice(&span.start.to_le_bytes());
                        [*a, *b, *c, *d] = (span.end - span.start).to_le_bytes();
                    }
                    Err(error) => *some = WasmJsonError::from(error) as u8,
                }
                Ok(())
            },
        )?;
    Ok(())
}

/// Adds digests and HMACs. Their answers are a `result` with a `digest-error` behind its case.
fn add_digests(content: &mut Interface<'_>) -> Result<()> {
    fn answer(
        caller: &mut Caller<'_>,
        out: u32,
        digest: std::result::Result<Digest, DigestError>,
    ) -> Result<()> {
        let (memory, _) = split(caller)?;
        let answer = place::<4, 12>(memory, out)?;
        answer[0] = u8::from(digest.is_err());
        match digest {
            Ok(digest) => answer_bytes(caller, out + 4, digest.as_ref()),
            Err(error) => {
                put_digest_error(&mut answer[4..6], error);
                Ok(())
            }
        }
    }
    content
        .func(
            "digest",
            |mut caller: Caller<'_>, function: u32, of: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                place::<4, 12>(memory, out)?;
                let (function, of) = (hash(function)?, form(of)?);
                let digest = guest.lending.content()?.digest(function, of);
                answer(&mut caller, out, digest.map_err(not_kept))
            },
        )?
        .func(
            "hmac",
            |mut caller: Caller<'_>,
             function: u32,
             name: u32,
             name_length: u32,
             before: u32,
             before_length: u32,
             of: u32,
             out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                place::<4, 12>(memory, out)?;
                let (function, of) = (hash(function)?, form(of)?);
                let name = text(memory, &mut guest.meter, name, name_length)?;
                let before = bytes(memory, &mut guest.meter, before, before_length)?;
                let content = guest.lending.content()?;
                let digest = hmac(&guest.generation, content, function, name, before, of);
                answer(&mut caller, out, digest)
            },
        )?
        .func(
            "verify-hmac",
            |mut caller: Caller<'_>,
             function: u32,
             name: u32,
             name_length: u32,
             before: u32,
             before_length: u32,
             of: u32,
             candidate: u32,
             candidate_length: u32,
             out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                place::<1, 3>(memory, out)?;
                let (function, of) = (hash(function)?, form(of)?);
                let name = text(memory, &mut guest.meter, name, name_length)?;
                let before = bytes(memory, &mut guest.meter, before, before_length)?;
                let candidate = bytes(memory, &mut guest.meter, candidate, candidate_length)?;
                let content = guest.lending.content()?;
                let verified = verify_hmac(&guest.generation, content, function, name, before, of, candidate);
                let [case, answer @ ..] = place::<1, 3>(memory, out)?;
                *case = u8::from(verified.is_err());
                match verified {
                    Ok(verified) => answer[0] = u8::from(verified),
                    Err(error) => put_digest_error(answer, error),
                }
                Ok(())
            },
        )?;
    Ok(())
}

/// The case `text` of a `json-value`.
const TEXT: u8 = 5;

/// The case of a `json-value`, and the bytes of its payload in memory, except for those of a text.
fn flat(value: &Value<'_>) -> (u8, smallvec::SmallVec<[u8; 8]>) {
    let nothing = smallvec::SmallVec::new();
    match value {
        Value::Absent => (0, nothing),
        Value::Null => (1, nothing),
        Value::Boolean(value) => (2, [u8::from(*value)].as_slice().into()),
        Value::Integer(value) => (3, value.to_le_bytes().as_slice().into()),
        Value::Number(value) => (4, value.to_le_bytes().as_slice().into()),
        Value::Text(_) => (TEXT, nothing),
        Value::Array => (6, nothing),
        Value::Object => (7, nothing),
    }
}

/// Writes an `option<u32>`.
fn put_option(answer: &mut [u8; 8], value: Option<u32>) {
    answer[0] = u8::from(value.is_some());
    if let Some(value) = value {
        answer[4..].copy_from_slice(&value.to_le_bytes());
    }
}

/// Writes a `digest-error`.
fn put_digest_error(answer: &mut [u8], error: DigestError) {
    match error {
        DigestError::Secret(error) => {
            answer[0] = 0;
            answer[1] = error as u8;
        }
        DigestError::NotAvailable => answer[0] = 1,
    }
}

fn hmac(
    generation: &Generation,
    content: &Content,
    hash: Hash,
    secret: &str,
    before: &[u8],
    of: Form,
) -> std::result::Result<Digest, DigestError> {
    let digest = with_secret(generation, secret, |secret| {
        content.hmac(hash, secret, before, of)
    });
    digest.map_err(DigestError::Secret)?.map_err(not_kept)
}

fn verify_hmac(
    generation: &Generation,
    content: &Content,
    hash: Hash,
    secret: &str,
    before: &[u8],
    of: Form,
    candidate: &[u8],
) -> std::result::Result<bool, DigestError> {
    let verified = with_secret(generation, secret, |secret| {
        content.verify_hmac(hash, secret, before, of, candidate)
    });
    verified.map_err(DigestError::Secret)?.map_err(not_kept)
}

/// The form with this case.
fn form(case: u32) -> Result<Form> {
    Ok(match case {
        0 => Form::Sent,
        1 => Form::Shown,
        case => bail!("there is no form with the case {case}"),
    })
}

fn not_kept(NotKept: NotKept) -> DigestError {
    DigestError::NotAvailable
}

/// An error of an edit in the words of all of them.
pub(super) fn edit_error(error: body::EditError) -> pace_hook::EditError {
    match error {
        body::EditError::TooLarge => pace_hook::EditError::TooLarge,
        body::EditError::InvalidValue => pace_hook::EditError::InvalidValue,
        body::EditError::ReadOnly => pace_hook::EditError::ReadOnly,
        body::EditError::NotAvailable => pace_hook::EditError::NotAvailable,
    }
}

type Answer<T, E> = Result<std::result::Result<T, E>>;

impl content::Host for Metered<'_, View<'_>> {
    fn size(&mut self) -> Result<u32> {
        Ok(self.view()?.lending.content()?.size())
    }

    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>> {
        Ok(self.view()?.lending.content()?.read(offset, length).to_vec())
    }

    fn find(&mut self, pattern: Vec<u8>, offset: u32) -> Result<Option<u32>> {
        let view = self.given(pattern.len())?;
        Ok(view.lending.content()?.find(&pattern, offset))
    }

    fn json(&mut self, pointer: String) -> Answer<JsonValue, WasmJsonError> {
        let view = self.given(pointer.len())?;
        let value = view.lending.content_mut()?.json(&pointer);
        Ok(value.map(Into::into).map_err(Into::into))
    }

    fn json_length(&mut self, pointer: String) -> Answer<Option<u32>, WasmJsonError> {
        let view = self.given(pointer.len())?;
        let count = view.lending.content_mut()?.json_length(&pointer);
        Ok(count.map_err(Into::into))
    }

    fn json_keys(&mut self, pointer: String) -> Answer<Option<Vec<String>>, WasmJsonError> {
        let view = self.given(pointer.len())?;
        let keys = view.lending.content_mut()?.json_keys(&pointer);
        let owned = |keys: Vec<std::borrow::Cow<'_, str>>| keys.into_iter().map(Into::into).collect();
        Ok(keys.map(|keys| keys.map(owned)).map_err(Into::into))
    }

    fn json_span(&mut self, pointer: String) -> Answer<Option<(u32, u32)>, WasmJsonError> {
        let view = self.given(pointer.len())?;
        let span = view.lending.content_mut()?.json_span(&pointer);
        let placed = |span: std::ops::Range<u32>| (span.start, span.end - span.start);
        Ok(span.map(|span| span.map(placed)).map_err(Into::into))
    }

    fn digest(&mut self, hash: WasmHash, of: WasmForm) -> Answer<Vec<u8>, DigestError> {
        let digest = self.view()?.lending.content()?.digest(hash.into(), of.into());
        Ok(digest.map(|digest| digest.as_ref().to_vec()).map_err(not_kept))
    }

    fn hmac(
        &mut self,
        hash: WasmHash,
        secret: String,
        before: Vec<u8>,
        of: WasmForm,
    ) -> Answer<Vec<u8>, DigestError> {
        let view = self.given(secret.len() + before.len())?;
        let content = view.lending.content()?;
        let digest = hmac(view.generation, content, hash.into(), &secret, &before, of.into());
        Ok(digest.map(|digest| digest.as_ref().to_vec()))
    }

    fn verify_hmac(
        &mut self,
        hash: WasmHash,
        secret: String,
        before: Vec<u8>,
        of: WasmForm,
        candidate: Vec<u8>,
    ) -> Answer<bool, DigestError> {
        let view = self.given(secret.len() + before.len() + candidate.len())?;
        let content = view.lending.content()?;
        Ok(verify_hmac(
            view.generation,
            content,
            hash.into(),
            &secret,
            &before,
            of.into(),
            &candidate,
        ))
    }

    fn replace(&mut self, bytes: Vec<u8>) -> Answer<(), EditError> {
        let view = self.given(bytes.len())?;
        let done = view.lending.content_mut()?.replace(bytes);
        Ok(done.map_err(|error| edit_error(error).into()))
    }

    fn splice(&mut self, offset: u32, length: u32, bytes: Vec<u8>) -> Answer<(), EditError> {
        let view = self.given(bytes.len())?;
        let done = view.lending.content_mut()?.splice(offset, length, &bytes);
        Ok(done.map_err(|error| edit_error(error).into()))
    }
}

impl From<WasmForm> for Form {
    fn from(form: WasmForm) -> Form {
        match form {
            WasmForm::Sent => Form::Sent,
            WasmForm::Shown => Form::Shown,
        }
    }
}

impl From<JsonError> for WasmJsonError {
    fn from(error: JsonError) -> WasmJsonError {
        match error {
            JsonError::Malformed => WasmJsonError::Malformed,
            JsonError::TooDeep => WasmJsonError::TooDeep,
            JsonError::Ambiguous => WasmJsonError::Ambiguous,
            JsonError::InvalidPointer => WasmJsonError::InvalidPointer,
        }
    }
}

impl From<Value<'_>> for JsonValue {
    fn from(value: Value<'_>) -> JsonValue {
        match value {
            Value::Absent => JsonValue::Absent,
            Value::Null => JsonValue::Null,
            Value::Boolean(value) => JsonValue::Boolean(value),
            Value::Integer(value) => JsonValue::Integer(value),
            Value::Number(value) => JsonValue::Number(value),
            Value::Text(text) => JsonValue::Text(text.into_owned()),
            Value::Array => JsonValue::Array,
            Value::Object => JsonValue::Object,
        }
    }
}
