//! What makes no sense although each value for itself is understood.

use std::net::SocketAddr;

use tracing_subscriber::EnvFilter;

use super::{Config, Fault, Size};

/// A head with a bearer token and some cookies fits in this.
const LEAST_HEADER_BYTES: Size = Size::new(8 << 10);

/// What clients and a proxy before the server send fits in this.
const LEAST_HEADERS: usize = 20;

/// All that is wrong with the whole.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let listen = config.server.listen;
    if !config.server.allow_anonymous && is_reachable_from_elsewhere(listen) {
        faults.push(Fault::Exposed { listen });
    }
    faults.extend(limits(config));
    if let Err(error) = config.log.level.parse::<EnvFilter>() {
        faults.push(Fault::Level(error.to_string()));
    }
    faults
}

fn is_reachable_from_elsewhere(address: SocketAddr) -> bool {
    // ::ffff:127.0.0.1 is loopback too.
    !address.ip().to_canonical().is_loopback()
}

fn limits(config: &Config) -> impl Iterator<Item = Fault> {
    let Config {
        server,
        registry,
        uploads,
        ..
    } = config;
    let least = |key, is_enough: bool, least: String| {
        (!is_enough).then_some(Fault::TooSmall { key, least })
    };
    let one = |key, number: u64| least(key, number > 0, "1".to_owned());
    let some_time = |key, span: super::Span| {
        let is_enough = !span.duration().is_zero();
        least(key, is_enough, "1ms".to_owned())
    };
    [
        some_time("server.header_timeout", server.header_timeout),
        some_time("server.idle_timeout", server.idle_timeout),
        one("server.max_connections", server.max_connections as u64),
        least(
            "server.max_header_bytes",
            server.max_header_bytes.bytes() >= LEAST_HEADER_BYTES.bytes(),
            LEAST_HEADER_BYTES.to_string(),
        ),
        least(
            "server.max_headers",
            server.max_headers >= LEAST_HEADERS,
            LEAST_HEADERS.to_string(),
        ),
        least(
            "registry.manifest_limit",
            registry.manifest_limit.bytes() > 0,
            "1B".to_owned(),
        ),
        one("registry.page_limit", registry.page_limit),
        some_time("uploads.expire_after", uploads.expire_after),
        one("uploads.open_per_principal", uploads.open_per_principal),
        some_time("uploads.sweep_every", uploads.sweep_every),
    ]
    .into_iter()
    .flatten()
}
