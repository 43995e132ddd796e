//! The report of `pace check`.

use std::fmt::Write;
use std::time::SystemTime;

use pace_base::plural::Plural;
use pace_config::listener::{ClientCertificates, Listener};
use pace_config::{Admin, AdminAddress, Backend, Config, Pool, Protocol};
use pace_proxy::certificates::Frontends;
use pace_proxy::reload::PluginStatus;

use crate::routes;

/// The listeners, routes and pools, under a line with their numbers.
pub(crate) fn configuration(config: &Config, frontends: &Frontends) -> String {
    let mut report = format!(
        "ok: {}, {}, {}, {}\n",
        Plural(config.listeners.len(), "listener"),
        Plural(config.routes.len(), "route"),
        Plural(config.pools.len(), "pool"),
        Plural(config.plugins.len(), "plugin"),
    );
    for listener in &config.listeners {
        write_listener(&mut report, config, frontends, listener);
    }
    if let Some(admin) = &config.admin {
        write_admin(&mut report, admin, frontends);
    }
    report += &routes::list(config);
    for pool in &config.pools {
        write_pool(&mut report, pool);
    }
    report
}

/// The plugins.
pub(crate) fn plugins(plugins: &[PluginStatus]) -> String {
    let mut report = String::new();
    for plugin in plugins {
        let _ = write!(
            report,
            "  plugin {} ({})\n    sha256:  {}\n    hooks:   {}\n    imports: {}\n    runs:    {}\n",
            plugin.name,
            plugin.file,
            plugin.sha256,
            plugin.hooks.join(", "),
            plugin.imports.join(", "),
            plugin.runs,
        );
    }
    report
}

fn write_listener(report: &mut String, config: &Config, frontends: &Frontends, listener: &Listener) {
    let kind = match (&listener.tls, listener.redirect_to_https) {
        (Some(_), _) => " (TLS)",
        (None, true) => " (redirects to https)",
        (None, false) => "",
    };
    let _ = writeln!(report, "  listener {}{kind}", listener.listen);
    if let Some(tls) = &listener.tls {
        let ordered = config.acme.iter().flat_map(|acme| &acme.names);
        let ordered: Vec<_> = ordered.map(String::as_str).collect();
        if !ordered.is_empty() {
            let _ = writeln!(report, "    ordered: a certificate for {}", ordered.join(", "));
        }
        let asked = match tls.client_certificates {
            ClientCertificates::None => None,
            ClientCertificates::Optional => Some("optional"),
            ClientCertificates::Required => Some("required"),
        };
        if let Some(asked) = asked {
            let _ = writeln!(report, "    certificates of clients: {asked}");
        }
    }
    write_certificates(report, frontends, &listener.listen.to_string());
    if let Some(routes) = &listener.routes {
        let names: Vec<_> = routes
            .iter()
            .map(|index| config.routes[*index].name.as_str())
            .collect();
        let _ = writeln!(report, "    routes: {}", names.join(", "));
    }
}

/// The admin listener, which no route is served on.
fn write_admin(report: &mut String, admin: &Admin, frontends: &Frontends) {
    let kind = match (&admin.listen, &admin.identity) {
        (AdminAddress::Unix(_), _) => format!(" (mode {:04o})", admin.mode),
        (AdminAddress::Tcp(_), Some(_)) => " (TLS)".to_owned(),
        (AdminAddress::Tcp(_), None) => String::new(),
    };
    let _ = writeln!(report, "  admin {}{kind}", admin.listen);
    if admin.identity.is_some() {
        write_certificates(report, frontends, &admin.listen.to_string());
    }
}

/// The certificates of a listener.
fn write_certificates(report: &mut String, frontends: &Frontends, address: &str) {
    for (_, pair) in frontends.pairs().filter(|(of, _)| of == address) {
        let certificate = pair.certificate();
        let names: Vec<_> = certificate.names().iter().map(ToString::to_string).collect();
        let days = certificate.days_left(SystemTime::now());
        let _ = writeln!(
            report,
            "    certificate: {}; {} left",
            names.join(", "),
            match days {
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            }
        );
    }
}

fn write_pool(report: &mut String, pool: &Pool) {
    let protocol = match pool.settings.protocol {
        Protocol::Auto => "",
        Protocol::Http1 => " (HTTP/1.1)",
        Protocol::Http2 => " (HTTP/2)",
    };
    let _ = writeln!(report, "  pool {}{protocol}", pool.name);
    for backend in &pool.backends {
        let _ = writeln!(report, "    backend {}{}", backend.label, remarks(pool, backend));
    }
}

/// The properties of a backend that are not every backend's.
fn remarks(pool: &Pool, backend: &Backend) -> String {
    let mut remarks = Vec::new();
    if backend.is_encrypted {
        remarks.push(match pool.settings.tls.verify {
            true => "TLS".to_owned(),
            false => "TLS, not verified".to_owned(),
        });
    }
    if backend.weight != 1 {
        remarks.push(format!("weight {}", backend.weight));
    }
    if backend.is_backup {
        remarks.push("backup".to_owned());
    }
    match remarks.is_empty() {
        true => String::new(),
        false => format!(" ({})", remarks.join(", ")),
    }
}
