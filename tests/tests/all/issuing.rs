//! Certificates in files, as configurations name them, and curl as a client that speaks TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use pace_tests::Authority;

/// A day, the unit of certificates' lives.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Writes a certificate for `name`, which is valid from yesterday on for a year, into a file that ends in `.pem`, and its key
/// into the one beside it that ends in `.key`.
pub(crate) fn issue(authority: &Authority, file: &Path, name: &str) {
    issue_until(authority, file, name, SystemTime::now() + 365 * DAY);
}

/// Writes a certificate as [`issue`] does, with another end.
pub(crate) fn issue_until(authority: &Authority, file: &Path, name: &str, end: SystemTime) {
    let stem = file.file_stem().expect("it has a name").to_string_lossy();
    let directory = file.parent().expect("it is in a directory");
    authority.issue_until(&[name], end).write(directory, &stem);
}

/// Makes the files that a configuration in `directory` names as `tls/NAME.pem`: certificates for NAME, and as
/// `tls/clients.pem` the authority's own, by which clients are verified.
pub(crate) fn issue_all(authority: &Authority, config: &str, directory: &Path) {
    fs::create_dir_all(directory.join("tls")).expect("it can be made");
    for name in config
        .split('"')
        .filter_map(|word| word.strip_prefix("tls/")?.strip_suffix(".pem"))
    {
        issue(authority, &directory.join(format!("tls/{name}.pem")), name);
    }
    fs::write(directory.join("tls/clients.pem"), authority.pem()).expect("it can be written");
}

/// The output of curl for a URL whose host is this machine, with these further arguments. Empty if there is no
/// connection.
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
