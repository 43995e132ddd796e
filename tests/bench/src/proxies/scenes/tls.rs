//! Measures TLS and HTTP/2 with clients: requests, handshakes and uploads.
//!
//! All proxies have the same certificates, and the load offers them one version, one cipher suite and one key exchange.
//! Bare Pingora is built without TLS here, so nginx is the one that the others are compared with.

use super::Stage;
use super::traffic::{self, Row};
use crate::proxies::backend::Backends;
use crate::proxies::generator::{NAME, Tls};
use crate::proxies::http::{FEWEST_HEADERS, SMALL_BODY, Shape, Traffic, response};
use crate::proxies::result::Scene;
use crate::proxies::subject::{Setting, Subject, TlsFiles};
use anyhow::{Context, Result};
use pace_kit::{Authority, KeyKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::path::Path;

/// A kind of traffic.
struct Kind {
    key: &'static str,
    name: &'static str,
    certificate: KeyKind,
    /// Whether sessions are resumed.
    resumes: bool,
    /// The body of the request, in bytes.
    request: usize,
    traffic: Traffic,
}

const GET: Kind = Kind {
    key: "get-100",
    name: "GET, 100 bytes",
    certificate: KeyKind::Ecdsa,
    resumes: false,
    request: 0,
    traffic: Traffic::Requests,
};

const HANDSHAKE: Kind = Kind {
    key: "handshake-ecdsa",
    name: "a full handshake, ECDSA P-256",
    traffic: Traffic::Handshakes,
    ..GET
};

const KINDS: [Kind; 6] = [
    GET,
    HANDSHAKE,
    Kind {
        key: "handshake-rsa",
        name: "a full handshake, RSA 2,048 bits",
        certificate: KeyKind::Rsa,
        ..HANDSHAKE
    },
    Kind {
        key: "handshake-resumed",
        name: "a resumed handshake",
        resumes: true,
        ..HANDSHAKE
    },
    Kind {
        key: "h2-get-100",
        name: "HTTP/2, GET, 100 bytes, 100 streams",
        traffic: Traffic::Streams {
            connections: 1,
            streams: 100,
        },
        ..GET
    },
    Kind {
        key: "h2-post-64k",
        name: "HTTP/2, POST, 64 KiB, 8 connections with 4 streams",
        request: 64 << 10,
        traffic: Traffic::Streams {
            connections: 8,
            streams: 4,
        },
        ..GET
    },
];

/// A certificate in files, and as the load expects it.
struct Issued {
    files: TlsFiles,
    certificate: CertificateDer<'static>,
}

pub(super) fn play(stage: &Stage<'_>, subjects: &[Subject]) -> Result<Scene> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::new("bench");
    let ecdsa = issue(&authority, KeyKind::Ecdsa, "ecdsa", directory.path())?;
    let rsa = issue(&authority, KeyKind::Rsa, "rsa", directory.path())?;
    let mut backends = Backends::new()?;
    let addresses = backends.add(2, response(FEWEST_HEADERS, SMALL_BODY))?;
    let row = |kind: &Kind| {
        let issued = match kind.certificate {
            KeyKind::Ecdsa => &ecdsa,
            KeyKind::Rsa => &rsa,
        };
        let setting = Setting {
            tls: Some(issued.files.clone()),
            ..Setting::plain(&addresses)
        };
        Row::new((kind.key, kind.name), subjects, &setting, &kind.shape(issued))
    };
    let rows = KINDS.iter().map(row).collect();
    traffic::measure(stage, subjects, rows, &mut backends)
}

impl Kind {
    fn shape(&self, issued: &Issued) -> Shape {
        Shape {
            body: self.request,
            traffic: self.traffic,
            tls: Some(Tls {
                certificate: issued.certificate.clone(),
                resumes: self.resumes,
            }),
            ..Shape::SMALL
        }
    }
}

/// Issues a certificate, and writes it to files as all proxies want it.
fn issue(authority: &Authority, kind: KeyKind, name: &str, directory: &Path) -> Result<Issued> {
    let issued = authority.issue_with(kind, &[NAME]);
    issued.write(directory, name);
    let files = TlsFiles {
        cert: directory.join(format!("{name}.pem")),
        key: directory.join(format!("{name}.key")),
        both: directory.join(format!("{name}.both.pem")),
    };
    fs::write(&files.both, format!("{}{}", issued.cert, issued.key))
        .with_context(|| format!("cannot write {}", files.both.display()))?;
    Ok(Issued {
        files,
        certificate: CertificateDer::from_pem_slice(issued.cert.as_bytes())?,
    })
}
