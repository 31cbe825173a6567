//! Row 44: another registry that would have the login of its callers sent elsewhere.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::people::manifest;
use super::row;
use super::site::{self, Asked, Site, answer};
use crate::api::IMAGE;
use crate::support::image::digest;
use crate::support::{Command, Registry};

const PASSWORD: &str = "CANARY-of-the-upstream";
const TOKEN: &str = "CANARY-token-of-the-upstream";

/// How an upstream betrays its callers. It says where else to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trick {
    /// The challenge names a realm elsewhere.
    Realm(&'static str),
    /// The realm is its own, and redirects.
    RealmRedirects,
    /// It redirects what is asked with a login.
    ManifestRedirects,
    BlobRedirects,
    /// The next page is elsewhere.
    NextPage,
    /// What is pushed goes elsewhere.
    UploadElsewhere,
    /// The manifest says that its layer is elsewhere.
    LayerElsewhere,
}

const TRICKS: [Trick; 14] = [
    Trick::Realm("http://FOREIGN/token"),
    Trick::Realm("http://127.0.0.1:PORT/token"),
    Trick::Realm("//FOREIGN/token"),
    Trick::Realm("http://OWN@FOREIGN/token"),
    Trick::Realm("http://FOREIGN\\\\@OWN/token"),
    Trick::Realm("http://FOREIGN#@OWN/token"),
    Trick::Realm("http:/\\\\FOREIGN/token"),
    Trick::Realm("HTTP://FOREIGN/token"),
    Trick::RealmRedirects,
    Trick::ManifestRedirects,
    Trick::BlobRedirects,
    Trick::NextPage,
    Trick::UploadElsewhere,
    Trick::LayerElsewhere,
];

#[test]
fn a_login_goes_to_the_registry_that_was_named_and_nowhere_else() {
    let registry = Registry::wharf();
    let mut asked = 0;
    for trick in TRICKS {
        let foreign = Site::start("127.0.0.1:0", |asked| {
            // It would be glad to give a token, a blob, or take one.
            match asked.method.as_str() {
                "GET" => site::json(&json!({"token": TOKEN, "access_token": TOKEN})),
                _ => answer("201 Created", &[], ""),
            }
        });
        let away = format!("localhost:{}", foreign.port());
        let port = foreign.port();
        let own = Arc::new(Mutex::new(String::new()));
        let name = Arc::clone(&own);
        let upstream = Site::start("127.0.0.1:0", move |asked| {
            upstream(
                trick,
                &own.lock().expect("not poisoned"),
                &away,
                port,
                asked,
            )
        });
        *name.lock().expect("not poisoned") = upstream.address().to_string();

        let remote = format!("docker://{}", upstream.address());
        let images = format!("{remote}/team/app:1");
        for words in [
            vec!["import", &images],
            vec!["import", "--all", &remote],
            vec!["import", "--all-tags", &images[..images.len() - 2]],
        ] {
            transfer(&registry, &words);
        }
        let local = format!("own/app:{}", asked);
        let layout = transfer_in(&registry, &local);
        assert!(layout, "an image to export");
        transfer(
            &registry,
            &["export", &local, &format!("{remote}/team/out:1")],
        );

        // The login was asked for and shown, or the trick has not been tried at all.
        let shown = upstream.asked();
        let with = |site: &Site, what: &str| {
            site.asked()
                .iter()
                .filter(|asked| asked.head.contains(what))
                .count()
        };
        assert!(!shown.is_empty(), "{trick:?}");
        let encoded = super::people::basic("alice", PASSWORD);
        let encoded = encoded.trim_start_matches("Basic ");
        for secret in [PASSWORD, encoded, TOKEN, "alice"] {
            assert_eq!(
                with(&foreign, secret),
                0,
                "{trick:?}: {:?}",
                foreign.asked()
            );
            let bodies = foreign.asked();
            let leaked = bodies
                .iter()
                .any(|asked| String::from_utf8_lossy(&asked.body).contains(secret));
            assert!(!leaked, "{trick:?}");
        }
        let logins = foreign
            .asked()
            .iter()
            .filter(|asked| asked.head.to_lowercase().contains("\r\nauthorization:"))
            .count();
        assert_eq!(logins, 0, "{trick:?}: {:?}", foreign.asked());
        if matches!(trick, Trick::Realm(_) | Trick::LayerElsewhere) {
            assert_eq!(foreign.connections(), 0, "{trick:?}: {:?}", foreign.asked());
        }
        if !matches!(trick, Trick::Realm(_)) {
            assert!(
                with(&upstream, encoded) > 0,
                "{trick:?}: the login is shown: {shown:?}"
            );
        }
        asked += shown.len();
    }
    told_where_it_may_go(&registry);
    row(
        44,
        "",
        &format!(
            "{} tricks over {asked} requests, 0 logins elsewhere",
            TRICKS.len()
        ),
    );
}

/// Where the caller allows another realm the login does arrive there, so it would have been seen.
fn told_where_it_may_go(registry: &Registry) {
    let foreign = Site::trap();
    let away = format!("localhost:{}", foreign.port());
    let (own, port) = (away.clone(), foreign.port());
    let trick = Trick::Realm("http://FOREIGN/token");
    let upstream = Site::start("127.0.0.1:0", move |asked| {
        upstream(trick, &own, &own, port, asked)
    });
    let images = format!("docker://{}/team/app:1", upstream.address());
    transfer(registry, &["import", "--trust-realm", &away, &images]);
    let shown = super::people::basic("alice", PASSWORD);
    let came = foreign.asked();
    assert!(
        came.iter().any(|asked| asked.head.contains(&shown)),
        "{came:?}"
    );
}

/// A transfer with a login, whatever becomes of it.
fn transfer(registry: &Registry, words: &[&str]) -> String {
    let command: Command = registry.administer(words.iter().copied());
    let output = command
        .env("WHARF_REGISTRY_USER", "alice")
        .env("WHARF_REGISTRY_PASSWORD", PASSWORD)
        .limit(std::time::Duration::from_secs(60))
        .run();
    let told = output.stdout + &output.stderr;
    assert!(!told.contains(PASSWORD) && !told.contains(TOKEN), "{told}");
    told
}

/// Pushes an image here, to have one to export.
fn transfer_in(registry: &Registry, name: &str) -> bool {
    let client = crate::api::http::Client::new(registry.base());
    let (repository, tag) = name.split_once(':').expect("a tag");
    for bytes in [b"{}".as_slice(), b"layer"] {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(bytes));
        client.send("POST", &path, &[], bytes);
    }
    let text = manifest(&digest(b"{}"), &digest(b"layer"), 5);
    let path = format!("/v2/{repository}/manifests/{tag}");
    let put = client.send("PUT", &path, &[("Content-Type", IMAGE)], text.as_bytes());
    put.status == 201
}

/// What the upstream answers: a registry with one image, and one trick.
fn upstream(trick: Trick, own: &str, away: &str, port: u16, asked: &Asked) -> String {
    let path = asked.target.split('?').next().unwrap_or_default();
    let has = |scheme: &str| {
        asked
            .head
            .to_lowercase()
            .contains(&format!("authorization: {scheme} "))
    };
    let redirect = || {
        answer(
            "307 Temporary Redirect",
            &[("Location", &format!("http://{away}{path}"))],
            "",
        )
    };
    if path == "/token" {
        return match trick {
            Trick::RealmRedirects => redirect(),
            _ => site::json(&json!({"token": TOKEN, "access_token": TOKEN})),
        };
    }
    if !has("bearer") && !has("basic") || !has("bearer") && trick == Trick::RealmRedirects {
        let realm = match trick {
            Trick::Realm(realm) => realm
                .replace("FOREIGN", away)
                .replace("OWN", own)
                .replace("PORT", &port.to_string()),
            _ => format!("http://{own}/token"),
        };
        let challenge =
            format!("Bearer realm=\"{realm}\",service=\"up\",scope=\"repository:team/app:pull\"");
        return answer("401 Unauthorized", &[("WWW-Authenticate", &challenge)], "");
    }
    let mut text = manifest(&digest(b"{}"), &digest(b"layer"), 5);
    if trick == Trick::LayerElsewhere {
        let urls = format!("\"urls\":[\"http://{away}/layer\"],\"size\":5");
        text = text
            .replace("\"size\":5", &urls)
            .replace("image.layer.v1.tar", "image.layer.nondistributable.v1.tar");
    }
    match (asked.method.as_str(), path) {
        ("GET", "/v2/_catalog" | "/v2/team/app/tags/list") => {
            let body = json!({"repositories": ["team/app"], "name": "team/app", "tags": ["1"]});
            let next = format!("<http://{away}{path}?n=1&last=1>; rel=\"next\"");
            let headers: &[_] = match trick {
                Trick::NextPage => &[("Content-Type", "application/json"), ("Link", &*next)],
                _ => &[("Content-Type", "application/json")],
            };
            answer("200 OK", headers, &body.to_string())
        }
        ("GET" | "HEAD", _) if path.contains("/team/app/manifests/") => match trick {
            Trick::ManifestRedirects => redirect(),
            _ => answer(
                "200 OK",
                &[("Content-Type", IMAGE)],
                if asked.method == "HEAD" { "" } else { &text },
            ),
        },
        ("GET", _) if path.contains("/team/app/blobs/") => match trick {
            Trick::BlobRedirects => redirect(),
            Trick::LayerElsewhere if path.ends_with(&digest(b"layer")) => {
                answer("404 Not Found", &[], "{}")
            }
            _ if path.ends_with(&digest(b"layer")) => answer("200 OK", &[], "layer"),
            _ => answer("200 OK", &[], "{}"),
        },
        ("POST", _) => {
            let host = if trick == Trick::UploadElsewhere {
                away
            } else {
                own
            };
            let place = format!("http://{host}{path}1");
            answer(
                "202 Accepted",
                &[("Location", &place), ("Range", "0-0")],
                "",
            )
        }
        ("PUT" | "PATCH", _) => answer("201 Created", &[], ""),
        ("GET", "/v2/") => answer("200 OK", &[], "{}"),
        _ => answer("404 Not Found", &[], "{}"),
    }
}
