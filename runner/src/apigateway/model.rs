//! What is kept of an API. Its parts are as callers gave them, with their ids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An HTTP API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Api {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) cors: Value,
    pub(super) tags: Value,
    pub(super) created_at: f64,
    pub(super) integrations: BTreeMap<String, Value>,
    pub(super) routes: BTreeMap<String, Value>,
    pub(super) stages: BTreeMap<String, Value>,
    pub(super) deployments: BTreeMap<String, Value>,
}

impl Api {
    /// The parts of a kind, as the path names it.
    pub(super) fn parts(&self, kind: &str) -> Option<&BTreeMap<String, Value>> {
        match kind {
            "integrations" => Some(&self.integrations),
            "routes" => Some(&self.routes),
            "stages" => Some(&self.stages),
            "deployments" => Some(&self.deployments),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn parts_mut(&mut self, kind: &str) -> Option<&mut BTreeMap<String, Value>> {
        match kind {
            "integrations" => Some(&mut self.integrations),
            "routes" => Some(&mut self.routes),
            "stages" => Some(&mut self.stages),
            "deployments" => Some(&mut self.deployments),
            _ => None,
        }
    }
}
