//! `[[listeners]]` and `[acme]` as they are written.

use serde::Deserialize;

use crate::address::ListenAddress;
use crate::scalar::tls::{Alpn, ClientCertificates, ForwardedCertificates, ServerName, Version};
use crate::shape::{Placed, Table};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    pub listen: Placed<ListenAddress>,
    pub redirect_to_https: Option<Placed<bool>>,
    pub certificates: Option<Placed<Vec<Table<Certificate>>>>,
    pub tls: Option<Table<Tls>>,
    pub routes: Option<Placed<Vec<Placed<String>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    pub cert: Placed<String>,
    pub key: Placed<String>,
    pub default: Option<Placed<bool>>,
    pub client_certificates: Option<Placed<ClientCertificates>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub min_version: Option<Version>,
    pub alpn: Option<Placed<Vec<Alpn>>>,
    pub client_ca: Option<Placed<String>>,
    pub client_certificates: Option<Placed<ClientCertificates>>,
    pub forward_client_certificates: Option<Placed<ForwardedCertificates>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acme {
    pub directory: Placed<String>,
    pub email: Option<String>,
    pub names: Placed<Vec<ServerName>>,
    pub state_dir: String,
    pub root_ca: Option<String>,
}
