//! What makes no sense although each value for itself is understood.

use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use wharf_storage::s3::LEAST_PART_BYTES;

use super::{Config, Fault, S3, Size};
use crate::lifecycle::Policy;

/// A head with a bearer token and some cookies fits in this.
const LEAST_HEADER_BYTES: Size = Size::new(8 << 10);

/// docker treats a token that lives for less as if it lived for this long.
const LEAST_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Longer parts take long to send again.
const MOST_PART_BYTES: u64 = 512 << 20;

/// Signed addresses live for a week at most.
const MOST_REDIRECT_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

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
    faults.extend(bucket(&config.s3));
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
        config
            .database
            .postgres()
            .and_then(Result::err)
            .map(|error| Fault::Whole(format!("database.url: {error}"))),
        whole(
            is_set(&tls.client_ca) && !tls.is_on(),
            "tls.client_ca needs tls.certificate",
        ),
    ]
    .into_iter()
    .flatten()
}

fn bucket(s3: &S3) -> impl Iterator<Item = Fault> {
    let whole = |is_wrong: bool, message: &str| is_wrong.then(|| Fault::Whole(message.to_owned()));
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_bucket = |byte: u8| is_lower(byte) || b".-".contains(&byte);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_folder = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain);
    let least = |key, is_enough: bool, least: &str| {
        let least = least.to_owned();
        (!is_enough).then_some(Fault::TooSmall { key, least })
    };
    let lifetime = s3.redirect_lifetime.duration();
    [
        whole(
            s3.is_on() && !(3..=63).contains(&s3.bucket.len()) || !s3.bucket.bytes().all(is_bucket),
            "s3.bucket has 3 to 63 lower-case letters, digits, dots and hyphens",
        ),
        whole(
            !s3.endpoint.is_empty() && !is_url(&s3.endpoint),
            "s3.endpoint reads https://HOST or http://HOST, without a path",
        ),
        whole(
            !s3.prefix.is_empty() && !s3.prefix.split('/').all(is_folder),
            "s3.prefix reads as some/folder does, without a slash at its ends",
        ),
        whole(
            s3.access_key_id.is_empty() != s3.secret_access_key.is_empty(),
            "s3.access_key_id and s3.secret_access_key are given together",
        ),
        whole(
            s3.secret_access_key.is_placeholder(),
            "s3.secret_access_key stands for a secret that is not printed: put the secret there",
        ),
        least(
            "s3.part_size",
            s3.part_size.bytes() >= LEAST_PART_BYTES,
            "5MiB",
        ),
        whole(
            s3.part_size.bytes() > MOST_PART_BYTES,
            "s3.part_size is 512MiB at most",
        ),
        least("s3.timeout", !s3.timeout.duration().is_zero(), "1ms"),
        least("s3.redirect_lifetime", lifetime.as_secs() > 0, "1s"),
        whole(
            lifetime > MOST_REDIRECT_LIFETIME,
            "s3.redirect_lifetime is 168h at most: stores take no longer one",
        ),
    ]
    .into_iter()
    .flatten()
}

fn is_url(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    let host = host.map(|host| host.trim_end_matches('/'));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '"', ' ', '?', '#', '@']))
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
        one("database.connections", config.database.connections as u64),
        some_time(
            "database.statement_timeout",
            config.database.statement_timeout,
        ),
        some_time("uploads.expire_after", uploads.expire_after),
        one("uploads.open_per_principal", uploads.open_per_principal),
        some_time("uploads.sweep_every", uploads.sweep_every),
        some_time("lifecycle.run_every", config.lifecycle.run_every),
        some_time("gc.grace", config.gc.grace),
        some_time("events.keep", config.events.keep),
        some_time("events.give_up_after", config.events.give_up_after),
        some_time("auth.refresh_every", config.auth.refresh_every),
    ]
    .into_iter()
    .flatten()
}
