//! `[outbound]`: requests of the server's own.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Requests of the server's own, to issuers of tokens and to webhooks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// The networks inside that may be asked, such as `10.1.0.0/16`.
    pub allow: Vec<IpNet>,
}
