//! Messages and backends that plugins look at: with values that are long, empty and not UTF-8.

use std::time::Duration;

use http::header::HeaderValue;

use pace_hook::field::FieldName;
use pace_hook::{
    Attempt, AttemptFailure, Candidates, ClientCertificate, EditError, Headers, Health, RequestHead,
    ResponseHead,
};

/// A request and a response.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    fields: Vec<(String, Vec<u8>)>,
    target: String,
    status: u16,
    /// The header `orders`, which is found by its name and in no list.
    orders: Vec<u8>,
}

impl Head {
    pub(crate) fn new(orders: Vec<u8>) -> Head {
        let fields = [
            ("a", &b"one"[..]),
            ("b", b""),
            ("a", b"\xff\xfe"),
            ("c", &[b'c'; 300]),
            ("b", b"two"),
        ];
        Head {
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .into(),
            target: "/a?b".to_owned(),
            status: 200,
            orders,
        }
    }

    fn remove(&mut self, name: &FieldName) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(of, _)| of != name.name().as_str());
        self.fields.len() < before
    }
}

impl Headers for Head {
    fn header(&self, name: &str) -> Option<&[u8]> {
        if name == "orders" {
            return Some(&self.orders);
        }
        self.header_values(name).first().copied()
    }
    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let fields = self.fields.iter().filter(|(of, _)| of == name);
        fields.map(|(_, value)| value.as_slice()).collect()
    }
    fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.fields.iter().for_each(|(name, value)| each(name, value));
    }
    fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.remove(name);
        self.append_header(name, value)
    }
    fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        let name = name.name().as_str().to_owned();
        self.fields.push((name, value.as_bytes().to_vec()));
        Ok(())
    }
    fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
        Ok(self.remove(name))
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }
    fn authority(&self) -> Option<&str> {
        Some("example.com")
    }
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
    fn query(&self) -> Option<&str> {
        Some(self.target.split_once('?')?.1)
    }
    fn version(&self) -> &'static str {
        "1.1"
    }
    fn routed_path(&self) -> &str {
        "/routed"
    }
    fn original_target(&self) -> &str {
        "/%6f%72iginal?x"
    }
    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        if !value.starts_with('/') {
            return Err(EditError::InvalidValue);
        }
        value.clone_into(&mut self.target);
        Ok(())
    }
}

impl ResponseHead for Head {
    fn status(&self) -> u16 {
        self.status
    }
    fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        if !(200..=599).contains(&status) {
            return Err(EditError::InvalidValue);
        }
        self.status = status;
        Ok(())
    }
}

/// An attempt with its head, and the edits of everything else in their order.
#[derive(Debug, PartialEq)]
pub(super) struct Trial {
    head: Head,
    edits: Vec<String>,
}

impl Trial {
    pub(super) fn new() -> Trial {
        Trial {
            head: Head::new(Vec::new()),
            edits: Vec::new(),
        }
    }

    fn edit(&mut self, edit: String, is_legal: bool, error: EditError) -> Result<(), EditError> {
        if !is_legal {
            return Err(error);
        }
        self.edits.push(edit);
        Ok(())
    }
}

impl Headers for Trial {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }
    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        self.head.header_values(name)
    }
    fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.head.for_each_header(each);
    }
    fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.head.set_header(name, value)
    }
    fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.head.append_header(name, value)
    }
    fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
        self.head.remove_header(name)
    }
}

impl Attempt for Trial {
    fn pool(&self) -> &str {
        "web"
    }
    fn use_pool(&mut self, name: &str) -> Result<(), EditError> {
        self.edit(format!("pool {name}"), name == "web", EditError::NotGranted)
    }
    fn limit_time(&mut self, limit: Duration) {
        self.edits.push(format!("time {limit:?}"));
    }
    fn set_secret_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.head.set_header(name, value)
    }
    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        self.edit(
            format!("target {value}"),
            value.starts_with('/'),
            EditError::InvalidValue,
        )
    }
    fn set_authority(&mut self, value: &str) -> Result<(), EditError> {
        self.edit(
            format!("authority {value}"),
            !value.contains('/'),
            EditError::InvalidValue,
        )
    }
    fn backend(&self) -> Option<&str> {
        Some("127.0.0.1:8000")
    }
    fn failure(&self) -> Option<AttemptFailure> {
        Some(AttemptFailure::Status(503))
    }
    fn can_retry(&self) -> bool {
        true
    }
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(123_456_789_012)
    }
}

/// A certificate whose texts are long, empty, missing and not ASCII.
pub(super) fn certificate() -> ClientCertificate {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    ClientCertificate {
        subject: "CN=é,O=".to_owned() + &"o".repeat(300),
        common_name: Some("é".to_owned()),
        issuer: String::new(),
        serial_number: "-01".to_owned(),
        not_before: -1,
        not_after: i64::MAX - 1,
        dns_names: texts(&["a.example", "", &"a".repeat(200)]),
        uris: Vec::new(),
        email_addresses: texts(&["a@example"]),
        ip_addresses: texts(&["192.0.2.1", "2001:db8::1"]),
        fingerprint: "0f".repeat(32),
        der: (0..=255).cycle().take(700).collect(),
    }
}

/// Three backends of which no two are alike.
pub(super) struct Pool;

impl Candidates for Pool {
    fn count(&self) -> u32 {
        3
    }
    fn version(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }
    fn pool(&self) -> &str {
        "pool"
    }
    fn last_failure(&self) -> Option<AttemptFailure> {
        Some(AttemptFailure::Status(599))
    }
    fn last_failed(&self) -> Option<u32> {
        Some(2)
    }
    fn tried(&self, index: u32) -> bool {
        index == 1
    }
    fn address(&self, index: u32) -> &str {
        ["127.0.0.1:8000", "", "[::1]:8002"][index as usize]
    }
    fn weight(&self, index: u32) -> u32 {
        [1, 65_535, 0][index as usize]
    }
    fn health(&self, index: u32) -> Health {
        [Health::Healthy, Health::Ejected, Health::Draining][index as usize]
    }
    fn in_flight(&self, index: u32) -> u32 {
        index * 7
    }
    fn latency(&self, index: u32) -> Option<u64> {
        [None, Some(0), Some(u64::MAX - 1)][index as usize]
    }
}
