//! `[[listeners]]` and `[acme]`: the addresses where clients connect.

use super::address::ListenAddress;
use super::problem::Fault;
use super::raw;
use super::raw::listeners as written;
use super::resolve::{FirstSeen, Resolver};
use super::routes::index_of;
use super::shape::{Place, Placed, Table};
use super::types::listener::{
    Acme, Alpn, Certificate, ClientCertificates, ForwardedCertificates, Listener, Tls, TlsVersion,
};
use super::types::route::Route;

/// Resolves the listeners: those of the list, or the one of `[server] listen`, which listens at `default` if that is
/// not set.
pub(super) fn resolve(
    file: &raw::File,
    option: Option<&str>,
    default: ListenAddress,
    routes: &[Route],
    resolver: &mut Resolver<'_>,
) -> Vec<Listener> {
    let server = file.server.value.listen.as_ref();
    let Some(list) = &file.listeners else {
        let listen = match option {
            Some(text) => resolver.listen_option(text),
            None => Some(server.map_or(default, |listen| listen.value.clone())),
        };
        return listen.map(plain).into_iter().collect();
    };
    if option.is_some() {
        let fault = "it is for a file without [[listeners]]: this one says itself where to listen";
        resolver.report(&Place::Option("--listen"), Fault::Refused(fault.to_owned()));
    }
    if let Some(listen) = server {
        let fault = "it stands for one listener, and there is [[listeners]]: make it an entry there";
        resolver.report(&listen.place, Fault::Refused(fault.to_owned()));
    }
    if list.value.is_empty() {
        resolver.report(
            &list.place,
            Fault::Refused("it needs at least one entry".to_owned()),
        );
    }
    let mut seen = FirstSeen::default();
    let mut listeners = Vec::new();
    for entry in &list.value {
        let listen = &entry.value.listen;
        // Two listeners with port 0 are the same, too, though each would get a port of its own: listeners are
        // identified by their addresses.
        if let Some(first) = seen.earlier(listen.value.to_string(), &listen.place) {
            let line = resolver.document().line(first).unwrap_or_default();
            let fault = format!("{} is the address of the listener in line {line}", listen.value);
            resolver.report(&listen.place, Fault::Refused(fault));
        }
        listeners.push(listener(&entry.value, file.acme.is_some(), routes, resolver));
    }
    let is_encrypted = listeners.iter().any(|listener| listener.tls.is_some());
    for (entry, listener) in list.value.iter().zip(&listeners) {
        if listener.redirect_to_https
            && !is_encrypted
            && let Some(redirect) = &entry.value.redirect_to_https
        {
            let fault = "no listener has certificates, so there is nowhere to go to";
            resolver.report(&redirect.place, Fault::Refused(fault.to_owned()));
        }
    }
    listeners
}

/// A plain listener of which only the address is configured.
fn plain(listen: ListenAddress) -> Listener {
    Listener {
        listen,
        redirect_to_https: false,
        tls: None,
        routes: None,
    }
}

fn listener(
    entry: &written::Listener,
    has_acme: bool,
    routes: &[Route],
    resolver: &mut Resolver<'_>,
) -> Listener {
    let redirect = entry.redirect_to_https.as_ref().filter(|redirect| redirect.value);
    let tls = tls(entry, has_acme, resolver);
    if let (Some(redirect), Some(_)) = (redirect, &tls) {
        let fault = "what comes to this listener is encrypted already: it has certificates";
        resolver.report(&redirect.place, Fault::Refused(fault.to_owned()));
    }
    if let (Some(_), Some(list)) = (redirect, &entry.routes) {
        let fault = "the listener redirects everything, so no route is ever taken";
        resolver.report(&list.place, Fault::Refused(fault.to_owned()));
    }
    Listener {
        redirect_to_https: redirect.is_some(),
        tls,
        routes: entry
            .routes
            .as_ref()
            .map(|list| route_indices(list, routes, resolver)),
        ..plain(entry.listen.value.clone())
    }
}

fn route_indices(
    list: &Placed<Vec<Placed<String>>>,
    routes: &[Route],
    resolver: &mut Resolver<'_>,
) -> Vec<usize> {
    if list.value.is_empty() {
        let fault = "it needs at least one name; leave it out for all routes";
        resolver.report(&list.place, Fault::Refused(fault.to_owned()));
    }
    let mut indices: Vec<usize> = list
        .value
        .iter()
        .filter_map(|name| {
            let names = routes.iter().map(|route| route.name.as_str());
            index_of("route", &name.value, names, &name.place, resolver)
        })
        .collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

fn tls(entry: &written::Listener, has_acme: bool, resolver: &mut Resolver<'_>) -> Option<Tls> {
    let (place, has_files) = match (&entry.certificates, &entry.tls) {
        (None, None) => return None,
        (Some(list), _) => (&list.place, !list.value.is_empty()),
        (None, Some(table)) => (&table.place, false),
    };
    if !has_files && !has_acme {
        let fault =
            "TLS needs a certificate: write `certificates = [{ cert = \"...\", key = \"...\" }]`, or [acme]";
        resolver.report(place, Fault::Refused(fault.to_owned()));
    }
    let certificates = certificates(entry.certificates.as_ref(), resolver);
    let none = Table::default();
    let said = &entry.tls.as_ref().unwrap_or(&none).value;
    let client_certificates = said
        .client_certificates
        .as_ref()
        .map_or(ClientCertificates::None, |choice| choice.value.0);
    let asked_by_name = certificates
        .iter()
        .any(|certificate| asks(certificate.client_certificates.unwrap_or_default()));
    let is_asked = asks(client_certificates) || asked_by_name;
    match (&said.client_ca, is_asked) {
        (None, true) => {
            let place = said
                .client_certificates
                .as_ref()
                .map_or(place, |said| &said.place);
            let fault = "certificates of clients need an authority that vouches for them: write `client_ca`";
            resolver.report(place, Fault::Refused(fault.to_owned()));
        }
        (Some(authorities), false) => {
            let fault = "no client is asked for a certificate: write `client_certificates = \"optional\"` or \"required\"";
            resolver.report(&authorities.place, Fault::Refused(fault.to_owned()));
        }
        _ => {}
    }
    if let Some(forward) = &said.forward_client_certificates
        && forward.value.0 != ForwardedCertificates::None
        && !is_asked
    {
        let fault = "no client is asked for a certificate, so there is none to forward: write `client_certificates = \"optional\"` or \"required\"";
        resolver.report(&forward.place, Fault::Refused(fault.to_owned()));
    }
    if let Some(alpn) = said.alpn.as_ref().filter(|alpn| alpn.value.is_empty()) {
        let fault = "it needs \"h2\", \"http/1.1\" or both";
        resolver.report(&alpn.place, Fault::Refused(fault.to_owned()));
    }
    Some(Tls {
        certificates,
        min_version: said.min_version.map_or(TlsVersion::Tls12, |version| version.0),
        alpn: match &said.alpn {
            Some(list) => list.value.iter().map(|protocol| protocol.0).collect(),
            None => vec![Alpn::Http2, Alpn::Http11],
        },
        client_ca: said.client_ca.as_ref().map(|path| resolver.file(&path.value)),
        client_certificates,
        forward_client_certificates: said
            .forward_client_certificates
            .as_ref()
            .map_or(ForwardedCertificates::None, |choice| choice.value.0),
    })
}

fn asks(choice: ClientCertificates) -> bool {
    choice != ClientCertificates::None
}

fn certificates(
    list: Option<&Placed<Vec<Table<written::Certificate>>>>,
    resolver: &mut Resolver<'_>,
) -> Vec<Certificate> {
    let entries = list.map_or(&[][..], |list| &list.value);
    let mut defaults = entries
        .iter()
        .filter_map(|entry| entry.value.default.as_ref())
        .filter(|default| default.value);
    if let (Some(_), Some(second)) = (defaults.next(), defaults.next()) {
        let fault = "another certificate of this listener is the default already";
        resolver.report(&second.place, Fault::Refused(fault.to_owned()));
    }
    let certificate = |entry: &Table<written::Certificate>| Certificate {
        cert: resolver.file(&entry.value.cert.value),
        key: resolver.file(&entry.value.key.value),
        default: entry.value.default.as_ref().is_some_and(|default| default.value),
        client_certificates: entry
            .value
            .client_certificates
            .as_ref()
            .map(|choice| choice.value.0),
    };
    entries.iter().map(certificate).collect()
}

/// Resolves `[acme]`. `listeners` are those that use the certificate.
pub(super) fn acme(
    table: &Table<written::Acme>,
    listeners: &[Listener],
    resolver: &mut Resolver<'_>,
) -> Acme {
    let said = &table.value;
    if !said.directory.value.starts_with("https://") {
        let fault = format!("{:?} must begin with https://", said.directory.value);
        resolver.report(&said.directory.place, Fault::Refused(fault));
    }
    if said.names.value.is_empty() {
        let fault = "it needs at least one name";
        resolver.report(&said.names.place, Fault::Refused(fault.to_owned()));
    }
    if !listeners.iter().any(|listener| listener.tls.is_some()) {
        let fault = "no listener has TLS, so nobody would get the certificate: give one `tls = {}`";
        resolver.report(&table.place, Fault::Refused(fault.to_owned()));
    }
    Acme {
        directory: said.directory.value.clone(),
        email: said.email.clone(),
        names: said.names.value.iter().map(|name| name.0.clone()).collect(),
        state_dir: resolver.file(&said.state_dir),
        root_ca: said.root_ca.as_deref().map(|path| resolver.file(path)),
    }
}
