//! Heads of responses that come as a stream of HTTP/2 (RFC 9113, section 8.3.2).

use http::{StatusCode, Version};

use super::{MAX_FIELDS, RequestFacts, ResponseHead};
use crate::broken::Broken;
use crate::fields::{TooLarge, is_value};
use crate::framing::{Framing, remove_framing};
use crate::known::Known;

impl ResponseHead {
    /// Takes a head whose fields have been decompressed. `is_complete`: its frame ends the stream.
    ///
    /// A body without a length is [`Framing::Chunked`], as it is sent to clients that speak HTTP/1.1.
    pub fn read_stream<'a>(
        &mut self,
        status: StatusCode,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
        is_complete: bool,
        request: RequestFacts,
    ) -> Result<(), Broken> {
        self.clear();
        self.version = Version::HTTP_2;
        self.status = status;
        for (count, (name, value)) in fields.enumerate() {
            if count == MAX_FIELDS {
                return Err(Broken::HeadTooLarge);
            }
            if !is_value(value) {
                return Err(Broken::FieldLine);
            }
            match Known::of(name.as_bytes()) {
                Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Upgrade => return Err(Broken::ConnectionField),
                _ => self
                    .fields
                    .append(name, value)
                    .map_err(|TooLarge| Broken::HeadTooLarge)?,
            }
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            // Section 8.6: a stream switches to nothing.
            return Err(Broken::UnaskedUpgrade);
        }
        if status.is_informational() {
            remove_framing(&mut self.fields);
            return Ok(());
        }
        let framing = Framing::of_response(&mut self.fields, Version::HTTP_2, status.as_u16(), request.head)?;
        self.framing = match framing {
            Framing::Length(_) if is_complete => return Err(Broken::ContentMissing),
            Framing::UntilClose | Framing::Chunked if is_complete => Framing::None,
            Framing::UntilClose => Framing::Chunked,
            framing => framing,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_for(
        request: RequestFacts,
        status: u16,
        fields: &[(&str, &str)],
        is_complete: bool,
    ) -> Result<ResponseHead, Broken> {
        let mut head = ResponseHead::new();
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let status = StatusCode::from_u16(status).expect("it is a status");
        head.read_stream(status, fields, is_complete, request)
            .map(|()| head)
    }

    fn read(status: u16, fields: &[(&str, &str)], is_complete: bool) -> Result<ResponseHead, Broken> {
        read_for(RequestFacts::default(), status, fields, is_complete)
    }

    #[test]
    fn head_keeps_each_field() {
        let fields = [("x-a", "b"), ("set-cookie", "a"), ("set-cookie", "b")];
        let head = read(200, &fields, false);
        let head = head.expect("it is valid");
        assert_eq!((head.version, head.reason()), (Version::HTTP_2, &b"OK"[..]));
        assert_eq!(head.fields.get("x-a"), Some(&b"b"[..]));
        assert_eq!(head.fields.get_all("set-cookie").count(), 2);
    }

    #[test]
    fn body_is_framed_by_its_length_or_by_its_end() {
        let length = [("content-length", "3")];
        let framing =
            |status, fields: &[_], is_complete| read(status, fields, is_complete).map(|head| head.framing);
        assert_eq!(framing(200, &[], false), Ok(Framing::Chunked));
        assert_eq!(framing(200, &[], true), Ok(Framing::None));
        assert_eq!(framing(200, &length, false), Ok(Framing::Length(3)));
        assert_eq!(framing(200, &length, true), Err(Broken::ContentMissing));
        assert_eq!(framing(200, &[("content-length", "0")], false), Ok(Framing::None));
        assert_eq!(
            framing(200, &[("content-length", "x")], false),
            Err(Broken::ContentLength)
        );
        assert_eq!(framing(304, &length, true), Ok(Framing::None));
        let head = RequestFacts {
            head: true,
            ..RequestFacts::default()
        };
        let answer = read_for(head, 200, &length, true).expect("it is valid");
        assert_eq!((answer.framing, answer.fields.len()), (Framing::None, 1));
        let without = read(204, &length, true).expect("the length is dropped");
        assert_eq!((without.framing, without.fields.len()), (Framing::None, 0));
    }

    /// RFC 9113, section 8.2.1.
    #[test]
    fn value_with_space_around_it_is_broken() {
        for value in [" b", "b\t"] {
            assert_eq!(
                read(200, &[("x-a", value)], true).err(),
                Some(Broken::FieldLine),
                "{value:?}"
            );
        }
    }

    #[test]
    fn interim_head_has_no_framing_and_101_is_broken() {
        let head = read(103, &[("link", "x"), ("content-length", "3")], false).expect("it is valid");
        assert!(head.is_interim());
        assert_eq!((head.framing, head.fields.len()), (Framing::None, 1));
        assert_eq!(read(101, &[], false).err(), Some(Broken::UnaskedUpgrade));
    }

    #[test]
    fn fields_about_a_connection_and_too_many_fields_are_broken() {
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            assert_eq!(
                read(200, &[(name, "x")], true).err(),
                Some(Broken::ConnectionField),
                "{name}"
            );
        }
        let many = [("x", "y"); MAX_FIELDS + 1];
        assert_eq!(read(200, &many, true).err(), Some(Broken::HeadTooLarge));
        assert!(read(200, &many[1..], true).is_ok());
    }
}
