//! What is kept of functions and of asynchronous invocations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::registry::Pinned;

/// How far a function, or its last change, is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Progress {
    Pending,
    Done,
    Failed(String),
}

/// A function. It has one version, `$LATEST`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) role: String,
    pub(crate) description: String,
    /// The image as the caller named it, and what it named then.
    pub(crate) image: String,
    pub(crate) pinned: Option<Pinned>,
    pub(crate) timeout_seconds: u64,
    pub(crate) memory_mib: u64,
    pub(crate) environment: BTreeMap<String, String>,
    /// `ImageConfig`, as it was given.
    pub(crate) image_config: Value,
    pub(crate) architectures: Value,
    pub(crate) tags: BTreeMap<String, String>,
    /// Whether it can be invoked.
    pub(crate) state: Progress,
    /// How its last change went.
    pub(crate) update: Progress,
    /// Another one after each change; instances belong to one.
    pub(crate) revision: String,
    pub(crate) modified_at: f64,
    pub(crate) reserved: Option<usize>,
    pub(crate) url: Option<Url>,
    pub(crate) statements: BTreeMap<String, Value>,
    /// What it is being changed to, so that a restart goes on with it.
    #[serde(default)]
    pub(crate) next: Option<Box<Function>>,
    /// The digest whose instance didn't start after a push.
    pub(crate) refused: Option<Pinned>,
}

impl Function {
    /// Whether a push shall change it.
    pub(crate) fn follows(&self) -> bool {
        self.tags
            .get("wharf:redeploy-on-push")
            .is_some_and(|value| value != "false")
    }
}

/// A function's URL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Url {
    pub(crate) id: String,
    pub(crate) auth_type: String,
    pub(crate) invoke_mode: String,
    pub(crate) cors: Value,
    pub(crate) created_at: f64,
}

/// An invocation that nobody waits for, kept until it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) id: String,
    pub(crate) function: String,
    /// In base64.
    pub(crate) payload: String,
    pub(crate) attempts: u32,
    pub(crate) created_at: f64,
}
