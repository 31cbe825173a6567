//! What a registry says that it wants, and whether that may be done.

use std::net::IpAddr;

use reqwest::Url;

/// A `WWW-Authenticate` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// The name and the password, with each request.
    Basic,
    /// A token that somebody gives.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, parameters) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        for (name, value) in Parameters(parameters) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer {
            realm: realm?,
            service,
            scope,
        })
    }
}

/// `name="value"` or `name=value`, separated by commas outside of quotes.
struct Parameters<'a>(&'a str);

impl Iterator for Parameters<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once('=')?;
        let name = name.trim_matches([' ', ',', '\t']).to_owned();
        let rest = rest.trim_start();
        let mut value = String::new();
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            self.0 = &rest[end..];
            return Some((name, rest[..end].trim().to_owned()));
        };
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &quoted[at + 1..];
                    return Some((name, value));
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        self.0 = "";
        Some((name, value))
    }
}

/// Whether two addresses lead to the same server.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether a registry may send its callers there for tokens: to itself, to https on its own host, or to
/// a host that was allowed.
pub(super) fn may_name(registry: &Url, realm: &Url, trusted: &[String]) -> bool {
    if !realm.username().is_empty() || realm.password().is_some() {
        return false;
    }
    if same_origin(registry, realm) {
        return true;
    }
    let is_https = realm.scheme() == "https";
    if is_https && registry.host() == realm.host() {
        return true;
    }
    let Some(host) = realm.host_str() else {
        return false;
    };
    let with_port = realm
        .port_or_known_default()
        .map(|port| format!("{host}:{port}"));
    let is_trusted = trusted
        .iter()
        .any(|trusted| trusted == host || Some(trusted) == with_port.as_ref());
    is_trusted && (is_https || is_loopback(host))
}

/// Whether a host is this machine by its text.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("an address")
    }

    #[test]
    fn a_challenge_is_read_with_commas_in_its_scope() {
        let text =
            r#"Bearer realm="https://h/token",service="r", scope="repository:a/b:pull,push""#;
        let read = Challenge::Bearer {
            realm: "https://h/token".into(),
            service: Some("r".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        assert_eq!(Challenge::parse(text), Some(read));
        let text = r#"bearer error=x, realm="a\"b""#;
        let read = Challenge::parse(text);
        assert!(matches!(read, Some(Challenge::Bearer { realm, .. }) if realm == "a\"b"));
        assert_eq!(
            Challenge::parse("Basic realm=\"r\""),
            Some(Challenge::Basic)
        );
        for text in ["", "Bearer", "Negotiate", "Bearer service=\"r\""] {
            assert_eq!(Challenge::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_realm_on_another_host_is_foreign() {
        let registry = url("https://registry.example/");
        for realm in [
            "https://registry.example/token",
            "https://registry.example:5001/token",
        ] {
            assert!(may_name(&registry, &url(realm), &[]), "{realm}");
        }
        for realm in [
            "https://auth.example/token",
            "https://registry.example.evil.example/token",
            "http://registry.example/token",
            "http://registry.example:443/token",
            "https://user@registry.example/token",
            "http://169.254.169.254/latest",
            "http://127.0.0.1/token",
        ] {
            assert!(!may_name(&registry, &url(realm), &[]), "{realm}");
        }
        let trusted = ["auth.example".to_owned(), "127.0.0.1:9".to_owned()];
        for (realm, may) in [
            ("https://auth.example/token", true),
            ("https://auth.example:8443/token", true),
            ("http://auth.example/token", false),
            ("https://other.example/token", false),
            ("http://127.0.0.1:9/token", true),
            ("http://127.0.0.1:10/token", false),
        ] {
            assert_eq!(may_name(&registry, &url(realm), &trusted), may, "{realm}");
        }
    }

    #[test]
    fn on_plain_http_another_port_is_another_server() {
        let registry = url("http://127.0.0.1:5000/");
        assert!(may_name(
            &registry,
            &url("http://127.0.0.1:5000/token"),
            &[]
        ));
        assert!(!may_name(
            &registry,
            &url("http://127.0.0.1:5001/token"),
            &[]
        ));
    }
}
