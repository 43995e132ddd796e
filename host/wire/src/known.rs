//! The names of fields that mean something to the proxy.

/// A field name that the proxy looks for. Names are recognised once, when a head is read, so that none is
/// compared later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Any other name.
    Other,
    /// `Client-Cert`
    ClientCert,
    /// `Client-Cert-Chain`
    ClientCertChain,
    /// `Connection`
    Connection,
    /// `Content-Encoding`
    ContentEncoding,
    /// `Content-Length`
    ContentLength,
    /// `Date`
    Date,
    /// `Expect`
    Expect,
    /// `Forwarded`
    Forwarded,
    /// `Host`
    Host,
    /// `HTTP2-Settings`
    Http2Settings,
    /// `Keep-Alive`
    KeepAlive,
    /// `Max-Forwards`
    MaxForwards,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Referer`
    Referer,
    /// `TE`
    Te,
    /// `traceparent`
    Traceparent,
    /// `tracestate`
    Tracestate,
    /// `Trailer`
    Trailer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `User-Agent`
    UserAgent,
    /// `Via`
    Via,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Port`
    XForwardedPort,
    /// `X-Forwarded-Prefix`
    XForwardedPrefix,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Real-IP`
    XRealIp,
}

/// The length of the longest name.
const LONGEST: usize = "proxy-authorization".len();

impl Known {
    /// Recognises a name, in any case.
    pub fn of(name: &[u8]) -> Known {
        let is = |spelled: &str, known| {
            if name.eq_ignore_ascii_case(spelled.as_bytes()) {
                known
            } else {
                Known::Other
            }
        };
        // The length tells most names apart, so that few are compared.
        match name.len() {
            2 => is("te", Known::Te),
            3 => is("via", Known::Via),
            4 => match name[0] | 0x20 {
                b'h' => is("host", Known::Host),
                _ => is("date", Known::Date),
            },
            6 => is("expect", Known::Expect),
            7 => match name[0] | 0x20 {
                b't' => is("trailer", Known::Trailer),
                b'r' => is("referer", Known::Referer),
                _ => is("upgrade", Known::Upgrade),
            },
            9 => match name[0] | 0x20 {
                b'f' => is("forwarded", Known::Forwarded),
                _ => is("x-real-ip", Known::XRealIp),
            },
            10 => match name[0] | 0x20 {
                b'u' => is("user-agent", Known::UserAgent),
                b'c' => is("connection", Known::Connection),
                b't' => is("tracestate", Known::Tracestate),
                _ => is("keep-alive", Known::KeepAlive),
            },
            11 => match name[0] | 0x20 {
                b'c' => is("client-cert", Known::ClientCert),
                _ => is("traceparent", Known::Traceparent),
            },
            12 => is("max-forwards", Known::MaxForwards),
            14 => match name[0] | 0x20 {
                b'c' => is("content-length", Known::ContentLength),
                _ => is("http2-settings", Known::Http2Settings),
            },
            15 => is("x-forwarded-for", Known::XForwardedFor),
            16 => match name[12] | 0x20 {
                b'd' => is("content-encoding", Known::ContentEncoding),
                b'h' => is("x-forwarded-host", Known::XForwardedHost),
                b'p' => is("x-forwarded-port", Known::XForwardedPort),
                _ => is("proxy-connection", Known::ProxyConnection),
            },
            17 => match name[0] | 0x20 {
                b'c' => is("client-cert-chain", Known::ClientCertChain),
                b't' => is("transfer-encoding", Known::TransferEncoding),
                _ => is("x-forwarded-proto", Known::XForwardedProto),
            },
            18 => match name[0] | 0x20 {
                b'p' => is("proxy-authenticate", Known::ProxyAuthenticate),
                _ => is("x-forwarded-prefix", Known::XForwardedPrefix),
            },
            19 => is("proxy-authorization", Known::ProxyAuthorization),
            _ => Known::Other,
        }
    }

    /// Recognises a name as servers see it that make one variable of `_` and `-`.
    pub fn in_any_spelling(name: &[u8]) -> Known {
        if !name.contains(&b'_') {
            return Known::of(name);
        }
        let mut spelled = [0; LONGEST];
        let Some(spelled) = spelled.get_mut(..name.len()) else {
            return Known::Other;
        };
        for (byte, of_name) in spelled.iter_mut().zip(name) {
            *byte = if *of_name == b'_' { b'-' } else { *of_name };
        }
        Known::of(spelled)
    }

    /// Whether the field is about one connection and ends at each hop (RFC 9110, section 7.6.1, and older
    /// practice).
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::Http2Settings
                | Known::KeepAlive
                | Known::ProxyAuthenticate
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::Te
                | Known::Trailer
                | Known::TransferEncoding
                | Known::Upgrade
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_recognised_in_any_case() {
        for (name, known) in [
            ("Client-Cert", Known::ClientCert),
            ("client-CERT-chain", Known::ClientCertChain),
            ("Connection", Known::Connection),
            ("Content-Encoding", Known::ContentEncoding),
            ("CONTENT-LENGTH", Known::ContentLength),
            ("date", Known::Date),
            ("Expect", Known::Expect),
            ("forwarded", Known::Forwarded),
            ("hOST", Known::Host),
            ("HTTP2-Settings", Known::Http2Settings),
            ("Keep-Alive", Known::KeepAlive),
            ("max-forwards", Known::MaxForwards),
            ("Proxy-Authenticate", Known::ProxyAuthenticate),
            ("Proxy-Authorization", Known::ProxyAuthorization),
            ("Proxy-Connection", Known::ProxyConnection),
            ("TE", Known::Te),
            ("referer", Known::Referer),
            ("User-Agent", Known::UserAgent),
            ("Traceparent", Known::Traceparent),
            ("tracestate", Known::Tracestate),
            ("Trailer", Known::Trailer),
            ("Transfer-encoding", Known::TransferEncoding),
            ("upgrade", Known::Upgrade),
            ("Via", Known::Via),
            ("X-Forwarded-For", Known::XForwardedFor),
            ("X-Forwarded-Host", Known::XForwardedHost),
            ("X-Forwarded-Port", Known::XForwardedPort),
            ("X-Forwarded-Prefix", Known::XForwardedPrefix),
            ("X-Forwarded-Proto", Known::XForwardedProto),
            ("X-Real-IP", Known::XRealIp),
        ] {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn underscores_are_hyphens_in_any_spelling() {
        for (name, known) in [
            ("Client_Cert", Known::ClientCert),
            ("client_cert-chain", Known::ClientCertChain),
            ("Client-Cert", Known::ClientCert),
            ("proxy_authorization", Known::ProxyAuthorization),
            ("client_certs", Known::Other),
            ("a_name_that_is_longer_than_any", Known::Other),
            ("_", Known::Other),
        ] {
            assert_eq!(Known::in_any_spelling(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn similar_names_are_other() {
        for name in [
            "",
            "t",
            "hosts",
            "hose",
            "content_length",
            "x-forwarded-fox",
            "transfer-encodinG ",
        ] {
            assert_eq!(Known::of(name.as_bytes()), Known::Other, "{name}");
        }
    }
}
