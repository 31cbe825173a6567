//! What makes no sense although each value for itself is understood.

use super::{Config, Error};

/// Looks for contradictions.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    let Config {
        server,
        registry,
        aws,
        engine,
        lambda,
        ..
    } = config;
    let is_keyed = !aws.access_key_id.is_empty();
    let both = |one: &str, other: &str| one.is_empty() == other.is_empty();
    let is_url = |text: &str| {
        let host = text
            .strip_prefix("http://")
            .or(text.strip_prefix("https://"));
        host.is_some_and(|host| {
            !host.trim_end_matches('/').is_empty()
                && !host.trim_end_matches('/').contains(['/', '@'])
        })
    };
    let faults = [
        (
            !is_keyed && !server.listen.ip().to_canonical().is_loopback(),
            "server.listen can be reached from other machines: set aws.access_key_id and \
             aws.secret_access_key, or listen on 127.0.0.1",
        ),
        (
            !both(&aws.access_key_id, &aws.secret_access_key),
            "aws.access_key_id and aws.secret_access_key are given together",
        ),
        (
            !both(&registry.access_key_id, &registry.secret_access_key),
            "registry.access_key_id and registry.secret_access_key are given together",
        ),
        (
            !both(&registry.username, &registry.password),
            "registry.username and registry.password are given together",
        ),
        (
            !is_url(&registry.url),
            "registry.url reads http://HOST or https://HOST, without a path",
        ),
        (
            aws.account_id.len() != 12 || !aws.account_id.bytes().all(|byte| byte.is_ascii_digit()),
            "aws.account_id has twelve digits",
        ),
        (
            engine.network.len() < 2 || engine.holder.is_empty(),
            "engine.network has two characters at least, engine.holder one",
        ),
        (engine.pids_limit < 2, "engine.pids_limit is 2 at least"),
        (lambda.concurrency == 0, "lambda.concurrency is 1 at least"),
        (
            engine
                .capabilities
                .iter()
                .any(|name| !HARMLESS.contains(&name.as_str())),
            "engine.capabilities has CHOWN, DAC_OVERRIDE, FOWNER, KILL, NET_BIND_SERVICE, SETGID, \
             SETUID only",
        ),
    ];
    match faults.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, message)) => Err(Error::Whole((*message).to_owned())),
        None => Ok(()),
    }
}

/// Capabilities that don't lead out of a container.
const HARMLESS: [&str; 7] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
];
