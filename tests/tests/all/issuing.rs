//! An authority that issues certificates to tests, and curl where a client has to speak TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A day, which is what the lives of certificates are counted in.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new([]).expect("no name is wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("it can sign itself");
        Authority {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate, as PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes a certificate for `name`, which is valid from yesterday on for a year, into `file`, and its key into the file of
    /// that name which ends in `.key`.
    pub(crate) fn issue(&self, file: &Path, name: &str) {
        self.issue_until(file, name, SystemTime::now() + 365 * DAY);
    }

    /// Makes what a configuration in `directory` names as `tls/NAME.pem`: certificates for NAME, and in `tls/clients.pem` its
    /// own, with which it vouches for clients.
    pub(crate) fn issue_all(&self, config: &str, directory: &Path) {
        fs::create_dir_all(directory.join("tls")).expect("it can be made");
        for name in config
            .split('"')
            .filter_map(|word| word.strip_prefix("tls/")?.strip_suffix(".pem"))
        {
            self.issue(&directory.join(format!("tls/{name}.pem")), name);
        }
        fs::write(directory.join("tls/clients.pem"), &self.pem).expect("it can be written");
    }

    /// Writes one that ends at another time.
    pub(crate) fn issue_until(&self, file: &Path, name: &str, end: SystemTime) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new([name.to_owned()]).expect("it is a name");
        params.use_authority_key_identifier_extension = true;
        params.not_before = (SystemTime::now().min(end) - DAY).into();
        params.not_after = end.into();
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let written = fs::write(file.with_extension("key"), key.serialize_pem())
            .and_then(|()| fs::write(file, certificate.pem()));
        written.expect("a temporary file can be written");
    }
}

/// What curl prints for a URL whose host is this machine, with these arguments besides. Empty if there is no connection.
pub(crate) fn curl(host: &str, address: SocketAddr, path: &str, arguments: &[&str]) -> String {
    let port = address.port();
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--resolve"])
        .arg(format!("{host}:{port}:{}", address.ip()))
        .args(arguments)
        .arg(format!("https://{host}:{port}{path}"))
        .output()
        .expect("this test needs curl: apt-get install curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
