//! Who calls: the address it calls from, what it shows, and what it is asked to show.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use wharf_auth::action::Action;
use wharf_auth::authority::{Credential, Refusal};
use wharf_auth::identity::{Caller, Context, Principal};
use wharf_auth::scope::{Permission, Scope};
use wharf_auth::token::TokenError;
use wharf_storage::oci::RepositoryName;

use super::State;
use super::access::{Need, request_id};
use super::error::{Code, Error};
use super::listener::Peer;
use super::observe::Told;
use crate::audit::Outcome;

/// The cookie of a browser's session.
pub(super) const SESSION_COOKIE: &str = "wharf_session";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request wants, for the challenge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) need: Need,
    pub(super) repository: Option<&'a RepositoryName>,
}

/// What a request shows, in its own text.
enum Shown {
    Nothing,
    Basic { username: String, password: String },
    Bearer(String),
    Session(String),
    Certificate(Arc<str>),
    Malformed,
}

/// Who makes a request.
pub(super) async fn identify(
    state: &State,
    parts: &Parts,
    wanted: Wanted<'_>,
) -> Result<Caller, Error> {
    let context = context(state, parts);
    let shown = shown(parts, wanted.need);
    let refusal = |what: &str, why: &str| {
        let note = state.audit.failed_login(what, &context, request_id(parts));
        state.audit.record(note.about(why).ended(Outcome::Denied));
    };
    if matches!(shown, Shown::Session(_)) && !is_from_our_own_page(parts) {
        let message = "a session is taken from this site's own pages only";
        refusal("session", message);
        return Err(Error::new(StatusCode::FORBIDDEN, Code::Denied, message));
    }
    let credential = match &shown {
        Shown::Nothing => Credential::None,
        Shown::Basic { username, password } => Credential::Basic { username, password },
        Shown::Bearer(token) => Credential::Bearer(token),
        Shown::Session(token) => Credential::Session(token),
        Shown::Certificate(name) => Credential::Certificate(name),
        Shown::Malformed if state.authority.is_open() => Credential::None,
        Shown::Malformed => {
            refusal("unknown", "the Authorization header can not be read");
            return Err(challenge(state, parts, wanted, Some("invalid_request")));
        }
    };
    let outcome = state.authority.identify(credential, context.clone()).await;
    let outcome = outcome.inspect(|caller| known(parts, caller));
    outcome.map_err(|error| {
        let what = match &shown {
            Shown::Basic { username, .. } => username,
            Shown::Bearer(_) => "token",
            Shown::Session(_) => "session",
            Shown::Certificate(name) => name,
            Shown::Nothing | Shown::Malformed => "nothing",
        };
        // A token that has ended is what every long push comes with, and then with another one.
        let is_over = matches!(error, Refusal::Token(TokenError::Expired));
        if !is_over || matches!(shown, Shown::Basic { .. }) {
            refusal(what, &error.to_string());
        }
        refused(state, parts, wanted, &error)
    })
}

/// Tells the line of a request who makes it, where that is somebody.
pub(super) fn known(parts: &Parts, caller: &Caller) {
    if caller.principal != Principal::Anonymous {
        Told::tell(parts, &caller.principal);
    }
}

/// The answer to a caller that is not believed, or has to wait.
pub(super) fn refused(
    state: &State,
    parts: &Parts,
    wanted: Wanted<'_>,
    refusal: &Refusal,
) -> Error {
    match refusal {
        Refusal::LockedOut { after } | Refusal::TooManyCalls { after } => {
            wait(*after, refusal.to_string())
        }
        Refusal::WrongPassword
        | Refusal::Token(_)
        | Refusal::Revoked
        | Refusal::NoCertificate
        | Refusal::Federation(_)
        | Refusal::UnknownKey
        | Refusal::Signature(_) => {
            let error = challenge(state, parts, wanted, Some("invalid_token"));
            error.with_message(format!("authentication required: {refusal}"))
        }
    }
}

fn wait(after: Duration, message: String) -> Error {
    let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
    Error::new(
        StatusCode::TOO_MANY_REQUESTS,
        Code::TooManyRequests,
        message,
    )
    .with_header(header::RETRY_AFTER, seconds.into())
}

/// 401, with what to show and where to get it.
pub(super) fn challenge(
    state: &State,
    parts: &Parts,
    wanted: Wanted<'_>,
    error: Option<&'static str>,
) -> Error {
    let service = &state.authority.settings().service;
    let text = if parts.uri.path().starts_with("/v2") {
        let realm = format!("{}/token", base(state, parts));
        let mut text = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
        if let Some(scope) = scope(wanted) {
            text.push_str(&format!(",scope=\"{scope}\""));
        }
        if let Some(error) = error {
            text.push_str(&format!(",error=\"{error}\""));
        }
        text
    } else {
        format!("Basic realm=\"{service}\", charset=\"UTF-8\"")
    };
    let value = HeaderValue::try_from(text).expect("names and hosts are plain ASCII");
    let message = "authentication required";
    Error::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
        .with_header(header::WWW_AUTHENTICATE, value)
}

/// What a token would have to be asked for.
fn scope(wanted: Wanted<'_>) -> Option<Scope> {
    match (wanted.need, wanted.repository) {
        (Need::Repository(actions), Some(name)) => {
            let mut permissions = BTreeSet::new();
            for permission in [Permission::Pull, Permission::Push, Permission::Delete] {
                let gives = |action: &Action| permission.actions().contains(action);
                if actions.iter().any(gives) {
                    permissions.insert(permission);
                }
            }
            // Clients that push look at what is there first, with the same token.
            if permissions.contains(&Permission::Push) {
                permissions.insert(Permission::Pull);
            }
            Some(Scope::Repository {
                name: name.clone(),
                permissions,
            })
        }
        (Need::Catalog, _) => Some(Scope::Catalog),
        _ => None,
    }
}

/// What is known of a call besides who makes it. Headers of proxies count only from those that are
/// trusted.
pub(super) fn context(state: &State, parts: &Parts) -> Context {
    let Some(peer) = parts.extensions.get::<Peer>() else {
        return Context::default();
    };
    let mut context = Context {
        address: peer.address.ip().to_canonical(),
        secure: peer.is_secure,
        claims: Arc::default(),
        certificate: peer.certificate.clone(),
    };
    if !state.is_trusted(context.address) {
        return context;
    }
    if let Some(scheme) = last(&parts.headers, &FORWARDED_PROTO) {
        context.secure = scheme.eq_ignore_ascii_case("https");
    }
    // Each proxy adds whom it heard from; the first from the right that is no proxy called.
    let heard: Vec<IpAddr> = addresses(&parts.headers);
    let client = heard
        .iter()
        .rev()
        .find(|address| !state.is_trusted(**address));
    if let Some(address) = client.or(heard.first()) {
        context.address = *address;
    }
    context
}

/// The addresses of `X-Forwarded-For`, up to the last one that is one.
pub(crate) fn addresses(headers: &HeaderMap) -> Vec<IpAddr> {
    let texts: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut addresses: Vec<IpAddr> = texts
        .iter()
        .rev()
        .map_while(|text| {
            let text = text.trim_start_matches('[');
            let text = text.split(']').next().unwrap_or(text);
            let address: Option<IpAddr> = text.parse().ok();
            address.or_else(|| text.rsplit_once(':')?.0.parse().ok())
        })
        .map(|address| address.to_canonical())
        .collect();
    addresses.reverse();
    addresses
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// The address of this server as the caller knows it, `https://host:port`.
pub(super) fn base(state: &State, parts: &Parts) -> String {
    if let Some(url) = &state.settings.external_url {
        return url.trim_end_matches('/').to_owned();
    }
    let peer: Option<&Peer> = parts.extensions.get();
    let is_proxy = peer.is_some_and(|peer| state.is_trusted(peer.address.ip()));
    let forwarded = is_proxy
        .then(|| last(&parts.headers, &FORWARDED_HOST))
        .flatten();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    let host = [forwarded, authority, host]
        .into_iter()
        .flatten()
        .find(|host| is_host(host));
    let scheme = match context(state, parts).secure {
        true => "https",
        false => "http",
    };
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}

/// Whether a text is a host with or without a port, and nothing else.
pub(crate) fn is_host(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(known)
}

fn shown(parts: &Parts, need: Need) -> Shown {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        return authorization(value).unwrap_or(Shown::Malformed);
    }
    // A session is for the pages of administrators, not for the API of images.
    if matches!(need, Need::Registry(_) | Need::Queried(_) | Need::Login)
        && let Some(token) = cookie(&parts.headers, SESSION_COOKIE)
    {
        return Shown::Session(token.to_owned());
    }
    let peer: Option<&Peer> = parts.extensions.get();
    match peer.and_then(|peer| peer.certificate.clone()) {
        Some(name) => Shown::Certificate(name),
        None => Shown::Nothing,
    }
}

fn authorization(value: &HeaderValue) -> Option<Shown> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Shown::Bearer(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let (username, password) = basic(rest)?;
    // Clients without a login send an empty one.
    match username.is_empty() && password.is_empty() {
        true => Some(Shown::Nothing),
        false => Some(Shown::Basic { username, password }),
    }
}

pub(crate) fn basic(text: &str) -> Option<(String, String)> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether a request that a cookie speaks for comes from a page of this server: another site's page
/// can make a browser send it, but not say so. What only reads gives the other page nothing.
pub(super) fn is_from_our_own_page(parts: &Parts) -> bool {
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return true;
    }
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if let Some(site) = text(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    match (origin, text(header::HOST)) {
        (Some((_, origin)), Some(host)) => origin == host,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let value = |value: &&'static str| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        HeaderMap::from_iter(values.iter().map(value))
    }

    #[test]
    fn addresses_are_read_from_the_right_up_to_the_first_that_is_none() {
        for (values, want) in [
            (&["1.2.3.4"][..], "1.2.3.4"),
            (&["1.2.3.4, 5.6.7.8"], "1.2.3.4 5.6.7.8"),
            (&["1.2.3.4", "5.6.7.8:80"], "1.2.3.4 5.6.7.8"),
            (&["[2001:db8::1]:80"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:1.2.3.4"], "1.2.3.4"),
            (&["1.2.3.4, unknown, 5.6.7.8"], "5.6.7.8"),
            (&["<script>"], ""),
        ] {
            let found = addresses(&headers("x-forwarded-for", values));
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), want, "{values:?}");
        }
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        for host in ["a.example", "127.0.0.1:5000", "[::1]:80", "registry"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a b", "a\"b", "a/b", "a\\", "evil@a", &"a".repeat(300)] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn credentials_are_read_or_malformed() {
        let read = |text: &'static str| authorization(&HeaderValue::from_static(text));
        assert!(matches!(read("Bearer abc"), Some(Shown::Bearer(token)) if token == "abc"));
        assert!(matches!(
            read("basic YWxpY2U6YTpi"),
            Some(Shown::Basic { username, password }) if username == "alice" && password == "a:b"
        ));
        assert!(matches!(read("Basic Og=="), Some(Shown::Nothing)));
        for text in ["Basic", "Basic !!", "Basic YWxpY2U=", "Digest x", ""] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let found = headers("cookie", &["a=b; wharf_session=x.y.z", "c=d"]);
        assert_eq!(cookie(&found, SESSION_COOKIE), Some("x.y.z"));
        assert_eq!(cookie(&found, "session"), None);
    }
}
