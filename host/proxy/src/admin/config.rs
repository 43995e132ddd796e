//! The configuration, as the admin API shows it.

use http::{Response, StatusCode};
use pace_config::Config;
use pace_wire::request::RequestHead;

use super::{JSON, json, response};

/// The media type of TOML (RFC 6838 lists it since 2024).
const TOML: &str = "application/toml";

/// The configuration with its defaults and without secrets: in the form of the file, or as JSON for whoever asks for that.
pub(super) fn show(config: &Config, request: &RequestHead) -> Response<Vec<u8>> {
    let effective = config.effective();
    match wants_json(request) {
        false => response(StatusCode::OK, TOML, effective.to_toml().into()),
        true => json(&effective),
    }
}

/// Whether the request names JSON as what it accepts, and TOML not.
fn wants_json(request: &RequestHead) -> bool {
    let accepts = |kind: &str| {
        let mut values = request.fields.get_all("accept");
        values.any(|value| {
            let value = String::from_utf8_lossy(value).to_ascii_lowercase();
            value
                .split(',')
                .any(|range| range.split(';').next().is_some_and(|range| range.trim() == kind))
        })
    };
    accepts(JSON) && !accepts(TOML)
}
