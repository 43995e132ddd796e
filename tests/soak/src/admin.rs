//! The proxy's admin API.

use anyhow::{Context, Result, ensure};
use pace_kit::{Client, Request};
use serde_json::Value;
use std::net::SocketAddr;

/// A plugin, as `GET /plugins` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginStatus {
    pub(crate) generation: u64,
    pub(crate) sha256: String,
    /// Why the last file was refused.
    pub(crate) refused: Option<String>,
}

/// A client of the admin listener.
pub(crate) struct Admin(Client);

impl Admin {
    pub(crate) fn new(address: SocketAddr) -> Admin {
        Admin(Client::new(address))
    }

    /// The status of a plugin.
    pub(crate) fn plugin(&mut self, name: &str) -> Result<PluginStatus> {
        let (status, body) = self.ask("GET", "/plugins")?;
        ensure!(status == 200, "GET /plugins: status {status}");
        let list: Value = serde_json::from_slice(&body)?;
        plugin(&list, name).with_context(|| format!("GET /plugins says nothing of {name}"))
    }

    /// Reads a plugin's file again.
    pub(crate) fn reload(&mut self, plugin: &str) -> Result<()> {
        self.change(&format!("/plugins/{plugin}/reload"))
    }

    /// Requests a reload of a plugin's file, which must be refused, and returns the refusal.
    pub(crate) fn reload_in_vain(&mut self, plugin: &str) -> Result<String> {
        let path = format!("/plugins/{plugin}/reload");
        let (status, body) = self.ask("POST", &path)?;
        let said = String::from_utf8_lossy(&body).trim().to_owned();
        ensure!(status == 409, "POST {path}: status {status}: {said}");
        Ok(said)
    }

    /// Returns to the previous generation of a plugin.
    pub(crate) fn roll_back(&mut self, plugin: &str) -> Result<()> {
        self.change(&format!("/plugins/{plugin}/rollback"))
    }

    fn change(&mut self, path: &str) -> Result<()> {
        let (status, body) = self.ask("POST", path)?;
        ensure!(
            status == 200,
            "POST {path}: status {status}: {}",
            String::from_utf8_lossy(&body).trim()
        );
        Ok(())
    }

    fn ask(&mut self, method: &str, path: &str) -> Result<(u16, Vec<u8>)> {
        // Requests may be seconds apart, and the proxy may close an idle connection between them.
        let request = Request::new(method, path).header("connection", "close");
        let response = self.0.try_send(&request);
        let response = response.with_context(|| format!("admin API: {method} {path}"))?;
        Ok((response.status, response.body))
    }
}

fn plugin(list: &Value, name: &str) -> Option<PluginStatus> {
    let plugin = list.as_array()?.iter().find(|plugin| plugin["name"] == name)?;
    Some(PluginStatus {
        generation: plugin["generation"].as_u64()?,
        sha256: plugin["sha256"].as_str()?.to_owned(),
        refused: plugin["refused"]["reason"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plugin_is_found_by_its_name() {
        let list = json!([
            {"name": "a", "generation": 1, "sha256": "00", "refused": null},
            {"name": "b", "generation": 7, "sha256": "01", "refused": {"reason": "not WebAssembly"}},
        ]);
        let found = PluginStatus {
            generation: 7,
            sha256: "01".into(),
            refused: Some("not WebAssembly".into()),
        };
        assert_eq!(plugin(&list, "b"), Some(found));
        assert_eq!(plugin(&list, "a").and_then(|plugin| plugin.refused), None);
        assert_eq!(plugin(&list, "c"), None);
    }
}
