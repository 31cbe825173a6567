//! `[tls]`: certificates.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Certificates. Files that change are read again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The file with the server's certificate and its chain, PEM; empty: plain HTTP.
    pub certificate: PathBuf,
    /// The file with its private key, PEM.
    pub key: PathBuf,
    /// The file with the authorities whose clients are known by their certificates, PEM; empty:
    /// none is asked for.
    pub client_ca: PathBuf,
}

impl Tls {
    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}
