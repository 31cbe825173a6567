//! `[server]`: the listener and its limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::units::{Size, Span};

/// The listener and its limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Whether anyone who reaches the address may push and pull, on another address than loopback.
    pub allow_anonymous: bool,
    /// How callers reach the server, `https://registry.example`, where that can't be told from their
    /// requests; empty: it is told from them.
    pub external_url: String,
    /// The networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests in flight may take when the server is told to stop.
    pub shutdown_grace: Span,
    /// How long the head of a request may take.
    pub header_timeout: Span,
    /// How long a connection may be idle between requests, or not take a byte of an answer. Go's
    /// clients keep idle connections for 90 seconds; a server that ends them earlier makes requests
    /// fail that are just being sent.
    pub idle_timeout: Span,
    /// How many connections are served at once; more of them wait.
    pub max_connections: usize,
    /// How many bytes the head of a request may have.
    pub max_header_bytes: Size,
    /// How many headers a request may have.
    pub max_headers: usize,
    /// How many bytes of a body must arrive in a second, over 30 seconds.
    pub min_bytes_per_second: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            allow_anonymous: false,
            external_url: String::new(),
            trusted_proxies: Vec::new(),
            shutdown_grace: Span::new(Duration::from_secs(30)),
            header_timeout: Span::new(Duration::from_secs(10)),
            idle_timeout: Span::new(Duration::from_secs(120)),
            max_connections: 20_000,
            max_header_bytes: Size::new(64 << 10),
            max_headers: 200,
            min_bytes_per_second: 128,
        }
    }
}
