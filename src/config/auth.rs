//! `[auth]`: whether callers have to say who they are, and how long that holds.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::Span;

/// Whether callers have to say who they are, and how long that holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Whether the policies decide; else everybody may do everything.
    pub enabled: bool,
    /// The registry's own name in challenges and tokens.
    pub service: String,
    /// The file with the server's key, 32 bytes in base64; empty: `keys/secret.key` in the data
    /// folder, made at the first start. Servers that share a database share it.
    pub secret_key_file: PathBuf,
    /// How long a token for pushing and pulling lives.
    pub token_lifetime: Span,
    /// How long a refresh token lives.
    pub refresh_lifetime: Span,
    /// How long the password of `aws ecr get-login-password` lives.
    pub login_lifetime: Span,
    /// How long a browser's session lives.
    pub session_lifetime: Span,
    /// How often the server looks whether users, keys or policies have changed elsewhere; 4s at most.
    pub refresh_every: Span,
    /// How many requests a principal may make in a second; 0: any number.
    pub requests_per_principal: u32,
    /// How many requests an address may make in a second; 0: any number.
    pub requests_per_address: u32,
}

impl Default for Auth {
    fn default() -> Self {
        let hours = |hours: u64| Span::new(Duration::from_secs(hours * 3600));
        Self {
            enabled: false,
            service: "wharf".into(),
            secret_key_file: PathBuf::new(),
            token_lifetime: Span::new(Duration::from_secs(300)),
            refresh_lifetime: hours(30 * 24),
            login_lifetime: hours(12),
            session_lifetime: hours(12),
            refresh_every: Span::new(Duration::from_secs(1)),
            requests_per_principal: 0,
            requests_per_address: 0,
        }
    }
}
