//! `pace ctl`: asks the admin listener of a serving Pace.

mod address;
mod client;
mod connections;
mod table;
mod top;

use std::fmt::Write;

use pace_author::CommandError;
use pace_config::Config;
use serde_json::Value;

use self::address::Address;
use self::client::{Client, Failed, Trust};
use self::table::{Table, field};
use crate::cli::{CtlArgs, CtlCommand};

/// The variable of the environment that has the token.
const TOKEN: &str = "PACE_ADMIN_TOKEN";

/// Runs a command.
pub(crate) fn run(args: &CtlArgs) -> Result<(), CommandError> {
    let client = client(args)?;
    let said = match &args.command {
        CtlCommand::Status => status(&client)?,
        CtlCommand::Plugins => plugins(&client)?,
        CtlCommand::Pools => pools(&client)?,
        CtlCommand::Connections => connections::show(&client)?,
        CtlCommand::Config { json: false } => client.text("/config", "application/toml")?,
        CtlCommand::Config { json: true } => client.text("/config", "application/json")?,
        CtlCommand::Drain(backend) => client.post(&backend.path("drain"))?,
        CtlCommand::Enable(backend) => client.post(&backend.path("enable"))?,
        CtlCommand::Reload { plugin: None } => client.post("/reload")?,
        CtlCommand::Reload { plugin: Some(plugin) } => client.post(&format!("/plugins/{plugin}/reload"))?,
        CtlCommand::Rollback { plugin } => client.post(&format!("/plugins/{plugin}/rollback"))?,
        CtlCommand::Top(top) => return top::run(&client, top),
    };
    pace_author::print(&said)?;
    Ok(())
}

/// The client that the options describe; what they do not say is in the configuration, if one is named.
fn client(args: &CtlArgs) -> Result<Client, CommandError> {
    let admin = match &args.config {
        None => None,
        Some(path) => {
            let config = Config::load(path, &pace_config::Overrides::default())?;
            Some(config.admin.ok_or_else(|| Failed::NoAdmin(path.clone()))?)
        }
    };
    let cert = admin
        .as_ref()
        .and_then(|admin| Some(admin.identity.as_ref()?.0.as_path()));
    let of_config = admin.as_ref().map(|admin| admin.listen.to_string());
    let written = args.admin.clone().or(of_config);
    let written = written.unwrap_or_else(|| "127.0.0.1:9090".to_owned());
    let trust = match (&args.ca, cert) {
        (Some(ca), _) => Trust::Authorities(ca),
        (None, Some(cert)) => Trust::Certificate(cert),
        (None, None) => Trust::System,
    };
    let address = Address::parse(&written, cert.is_some()).map_err(Failed::Address)?;
    let token = match std::env::var(TOKEN) {
        Ok(token) => Some(token),
        Err(_) => admin
            .as_ref()
            .and_then(|admin| admin.token.as_ref())
            .map(|token| token.expose().to_owned()),
    };
    Ok(Client::new(address, token, trust)?)
}

fn status(client: &Client) -> Result<String, Failed> {
    let health = client.health()?;
    let metrics = client.metrics()?;
    let plugins = client.json("/plugins")?;
    let pools = client.json("/pools")?;
    let mut said = format!(
        "pace {} on {}: {health}\n",
        metrics.label("pace_build_info", "version"),
        client.address()
    );
    let _ = writeln!(
        said,
        "  connections: {}, requests in flight: {}, requests so far: {}",
        metrics.sum("pace_connections_open", &[]),
        metrics.sum("pace_requests_in_flight", &[]),
        metrics.sum("http_requests_duration_seconds_count", &[]),
    );
    for pool in list(&pools) {
        let backends = list(&pool["backends"]);
        let healthy = backends
            .iter()
            .filter(|backend| backend["health"] == "healthy")
            .count();
        let _ = writeln!(
            said,
            "  pool {}: {healthy} of {} backends healthy",
            field(pool, "name"),
            backends.len()
        );
    }
    for plugin in list(&plugins) {
        let _ = write!(
            said,
            "  plugin {}: generation {}",
            field(plugin, "name"),
            field(plugin, "generation")
        );
        if plugin["breaker"]["state"] != "closed" {
            let _ = write!(said, ", breaker {}", field(&plugin["breaker"], "state"));
        }
        if let Some(reason) = plugin["refused"]["reason"].as_str() {
            let _ = write!(said, ", last file refused: {reason}");
        }
        said.push('\n');
    }
    Ok(said)
}

fn plugins(client: &Client) -> Result<String, Failed> {
    let plugins = client.json("/plugins")?;
    let mut table = Table::new(&[
        "PLUGIN",
        "GENERATION",
        "CALLS",
        "FAILURES",
        "BREAKER",
        "FILE",
        "REFUSED",
    ]);
    for plugin in list(&plugins) {
        table.row([
            field(plugin, "name"),
            field(plugin, "generation"),
            field(plugin, "calls"),
            field(plugin, "failures"),
            field(&plugin["breaker"], "state"),
            field(plugin, "file"),
            field(&plugin["refused"], "reason"),
        ]);
    }
    Ok(table.to_string())
}

fn pools(client: &Client) -> Result<String, Failed> {
    let pools = client.json("/pools")?;
    let mut table = Table::new(&[
        "POOL",
        "BACKEND",
        "HEALTH",
        "WEIGHT",
        "SHARE",
        "IN FLIGHT",
        "LATENCY",
    ]);
    for pool in list(&pools) {
        for backend in list(&pool["backends"]) {
            table.row([
                field(pool, "name"),
                field(backend, "backend"),
                field(backend, "health"),
                field(backend, "weight"),
                field(backend, "share"),
                field(backend, "in_flight"),
                match backend["latency_ms"].as_f64() {
                    Some(latency) => format!("{latency:.1} ms"),
                    None => "-".to_owned(),
                },
            ]);
        }
    }
    Ok(table.to_string())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
