//! `[server]`, `[[listeners]]`, `[acme]` and `[admin]`.

use pace_wire::path::EncodedSlashes;
use pace_wire::request::{Rules, Underscores};

use super::masked::{self, source};
use super::tree::{Node, Table};
use super::{millis, path, seconds_or_zero};
use crate::types::listener::{
    Acme, Alpn, Certificate, ClientCertificates, ForwardedCertificates, Listener, Tls, TlsVersion,
};
use crate::types::{Admin, ClientLimits, Config, ConnectionLimits, Server};

pub(super) fn server(server: &Server) -> Table {
    let Server {
        workers,
        shutdown_delay,
        grace_period,
        trusted_proxies,
        proxy_protocol,
        rules: Rules {
            encoded_slashes,
            underscores,
            max_fields,
        },
        via,
        request_id,
        client:
            ClientLimits {
                head,
                body,
                body_rate,
                send,
                keepalive,
                requests,
                upgraded,
                head_bytes,
            },
        connections:
            ConnectionLimits {
                max,
                max_per_client,
                tcp_keepalive,
            },
        cache_dir,
        state,
        bodies,
    } = server;
    Table::new()
        .with("workers", *workers)
        .with("shutdown_delay_ms", millis(*shutdown_delay))
        .with("grace_period_seconds", grace_period.as_secs())
        .with(
            "trusted_proxies",
            Node::list(trusted_proxies.iter().map(ToString::to_string)),
        )
        .with("proxy_protocol", *proxy_protocol)
        .with(
            "encoded_slashes",
            match encoded_slashes {
                EncodedSlashes::Refuse => "refuse",
                EncodedSlashes::Keep => "keep",
                EncodedSlashes::Decode => "decode",
            },
        )
        .with(
            "underscores",
            match underscores {
                Underscores::Drop => "drop",
                Underscores::Pass => "pass",
                Underscores::Refuse => "refuse",
            },
        )
        .with("via", via.as_deref().unwrap_or_default())
        .with("request_id", request_id.as_ref().map_or("", |name| name.as_str()))
        .with("max_head_kb", head_bytes / 1024)
        .with("max_fields", *max_fields)
        .with("head_timeout_ms", millis(*head))
        .with("body_timeout_ms", millis(*body))
        .with("body_bytes_per_second", *body_rate)
        .with("send_timeout_ms", millis(*send))
        .with("keepalive_timeout_ms", millis(*keepalive))
        .with("keepalive_requests", requests.map_or(0, |most| most.get()))
        .with("upgrade_timeout_ms", millis(*upgraded))
        .with("tcp_keepalive_seconds", seconds_or_zero(*tcp_keepalive))
        .with("max_connections", max.map_or(0, |most| most.get()))
        .with(
            "max_connections_per_client",
            max_per_client.map_or(0, |most| most.get()),
        )
        .with("cache_dir", cache_dir.as_deref().map(path).unwrap_or_default())
        .with("state_mb", state >> 20)
        .with("body_mb", bodies >> 20)
}

pub(super) fn listener(config: &Config, listener: &Listener) -> Table {
    let Listener {
        listen,
        redirect_to_https,
        tls,
        routes,
    } = listener;
    let name = |route: &usize| config.routes[*route].name.as_str();
    let routes = routes.as_ref().map(|routes| Node::list(routes.iter().map(name)));
    let shown = Table::new()
        .with("listen", listen.to_string())
        .with("redirect_to_https", *redirect_to_https)
        .with_some("routes", routes);
    let Some(tls) = tls else { return shown };
    let Tls {
        certificates,
        min_version,
        alpn,
        client_ca,
        client_certificates,
        forward_client_certificates,
    } = tls;
    let alpn = alpn.iter().map(|protocol| match protocol {
        Alpn::Http2 => "h2",
        Alpn::Http11 => "http/1.1",
    });
    shown
        .with("certificates", Node::list(certificates.iter().map(certificate)))
        .with(
            "tls",
            Table::new()
                .with(
                    "min_version",
                    match min_version {
                        TlsVersion::Tls12 => "1.2",
                        TlsVersion::Tls13 => "1.3",
                    },
                )
                .with("alpn", Node::list(alpn))
                .with_some("client_ca", client_ca.as_deref().map(path))
                .with("client_certificates", asked(*client_certificates))
                .with(
                    "forward_client_certificates",
                    match forward_client_certificates {
                        ForwardedCertificates::None => "none",
                        ForwardedCertificates::Certificate => "certificate",
                        ForwardedCertificates::Chain => "chain",
                    },
                ),
        )
}

fn certificate(certificate: &Certificate) -> Table {
    let Certificate {
        cert,
        key,
        default,
        client_certificates,
    } = certificate;
    Table::new()
        .with("cert", path(cert))
        .with("key", path(key))
        .with("default", *default)
        .with_some("client_certificates", client_certificates.map(asked))
}

fn asked(choice: ClientCertificates) -> &'static str {
    match choice {
        ClientCertificates::None => "none",
        ClientCertificates::Optional => "optional",
        ClientCertificates::Required => "required",
    }
}

pub(super) fn acme(acme: &Acme) -> Table {
    let Acme {
        directory,
        email,
        names,
        state_dir,
        root_ca,
    } = acme;
    Table::new()
        .with("directory", masked::text(directory))
        .with_some("email", email.as_deref())
        .with("names", Node::list(names.iter().map(String::as_str)))
        .with("state_dir", path(state_dir))
        .with_some("root_ca", root_ca.as_deref().map(path))
}

pub(super) fn admin(admin: &Admin) -> Table {
    let Admin {
        listen,
        mode,
        identity,
        debug_header,
        token,
    } = admin;
    let (cert, key) = identity
        .as_ref()
        .map(|(cert, key)| (path(cert), path(key)))
        .unzip();
    Table::new()
        .with("listen", listen.to_string())
        .with_some("mode", listen.is_local().then(|| format!("{mode:04o}")))
        .with_some("cert", cert)
        .with_some("key", key)
        .with(
            "debug_header",
            debug_header.as_ref().map_or("", |name| name.as_str()),
        )
        .with_some("token", token.as_ref().map(source))
}
