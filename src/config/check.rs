//! What makes no sense although each value for itself is understood.

use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{Config, Fault, Size};
use crate::lifecycle::Policy;

/// A head with a bearer token and some cookies fits in this.
const LEAST_HEADER_BYTES: Size = Size::new(8 << 10);

/// docker treats a token that lives for less as if it lived for this long.
const LEAST_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// What is revoked counts no more within five seconds on every server.
const MOST_REFRESH: Duration = Duration::from_secs(4);

/// Tokens tell their times in seconds.
const LEAST_LIFETIME: Duration = Duration::from_secs(1);

/// What clients and a proxy before the server send fits in this.
const LEAST_HEADERS: usize = 20;

/// All that is wrong with the whole.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let listen = config.server.listen;
    let is_open = !config.auth.enabled && !config.server.allow_anonymous;
    if is_open && is_reachable_from_elsewhere(listen) {
        faults.push(Fault::Exposed { listen });
    }
    faults.extend(limits(config));
    faults.extend(contradictions(config));
    if let Err(error) = config.log.level.parse::<EnvFilter>() {
        faults.push(Fault::Level(error.to_string()));
    }
    faults
}

fn is_reachable_from_elsewhere(address: SocketAddr) -> bool {
    // ::ffff:127.0.0.1 is loopback too.
    !address.ip().to_canonical().is_loopback()
}

fn contradictions(config: &Config) -> impl Iterator<Item = Fault> {
    let Config {
        server,
        auth,
        tls,
        ecr,
        lifecycle,
        ..
    } = config;
    let whole = |is_wrong: bool, message: &str| is_wrong.then(|| Fault::Whole(message.to_owned()));
    let is_url = |text: &str| {
        let host = text
            .strip_prefix("https://")
            .or(text.strip_prefix("http://"));
        let host = host.map(|host| host.trim_end_matches('/'));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '"', ' ', '?', '#', '@']))
    };
    let is_service = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let is_set = |path: &std::path::Path| !path.as_os_str().is_empty();
    [
        whole(
            !server.external_url.is_empty() && !is_url(&server.external_url),
            "server.external_url reads https://HOST or http://HOST, without a path",
        ),
        whole(
            auth.service.is_empty() || !auth.service.bytes().all(is_service),
            "auth.service has letters, digits, and . - _ : only",
        ),
        whole(
            auth.token_lifetime.duration() < LEAST_TOKEN_LIFETIME,
            "auth.token_lifetime is 1m at least: clients take shorter ones for that",
        ),
        whole(
            tls.is_on() != is_set(&tls.key),
            "tls.certificate and tls.key are given together",
        ),
        whole(
            ecr.account_id.len() != 12 || !ecr.account_id.bytes().all(|byte| byte.is_ascii_digit()),
            "ecr.account_id has twelve digits",
        ),
        whole(
            ecr.region.is_empty() || !ecr.region.bytes().all(is_service),
            "ecr.region reads as us-east-1 does",
        ),
        (!lifecycle.default_policy.is_empty())
            .then(|| Policy::parse(&lifecycle.default_policy).err())
            .flatten()
            .map(|error| Fault::Whole(format!("lifecycle.default_policy: {error}"))),
        whole(
            is_set(&tls.client_ca) && !tls.is_on(),
            "tls.client_ca needs tls.certificate",
        ),
    ]
    .into_iter()
    .flatten()
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
    let lifetime = |key, span: super::Span| {
        let is_enough = span.duration() >= LEAST_LIFETIME;
        least(key, is_enough, "1s".to_owned())
    };
    let auth = &config.auth;
    let is_soon = auth.refresh_every.duration() <= MOST_REFRESH;
    let too_late = Fault::TooLong {
        key: "auth.refresh_every",
        most: super::Span::new(MOST_REFRESH).to_string(),
        why: "so that what is revoked counts no more within five seconds",
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
        some_time("lifecycle.run_every", config.lifecycle.run_every),
        some_time("gc.grace", config.gc.grace),
        some_time("events.keep", config.events.keep),
        some_time("events.give_up_after", config.events.give_up_after),
        some_time("auth.refresh_every", auth.refresh_every),
        (!is_soon).then_some(too_late),
        lifetime("auth.refresh_lifetime", auth.refresh_lifetime),
        lifetime("auth.login_lifetime", auth.login_lifetime),
        lifetime("auth.session_lifetime", auth.session_lifetime),
        some_time("audit.keep", config.audit.keep),
    ]
    .into_iter()
    .flatten()
}
