//! Row 24: ways beside the documented ones. Paths that a router and a check could read differently,
//! headers that ask for another path or method, and sessions of a browser that another site uses.

use serde_json::json;

use super::people::{House, raw};
use super::row;

#[test]
fn no_byway_leads_around_the_doors() {
    let house = House::new(&[]);
    let image = house.image("team/app", "1", b"a private layer");
    let mine = house.user("mine", &["--allow", "write", "--on", "mine/*"]);
    house.image("mine/app", "1", b"a layer of mine");
    let layer = &image.layer;
    let mut tried = 0;

    let paths = [
        "/v2//team/app/manifests/1",
        "//v2/team/app/manifests/1",
        "/v2/./team/app/manifests/1",
        "/V2/team/app/manifests/1",
        "/v2/mine/../team/app/manifests/1",
        "/v2/mine/app/../../team/app/manifests/1",
        "/v2/mine%2F..%2Fteam/app/manifests/1",
        "/v2/mine/app%2F..%2F..%2Fteam%2Fapp/manifests/1",
        "/v2/mine/%2e%2e/team/app/manifests/1",
        "/v2/mine/%252e%252e/team/app/manifests/1",
        "/v2/team%2Fapp/manifests/1",
        "/v2/team/app%00/manifests/1",
        "/v2/team/app;x=mine/manifests/1",
        "/v2/team/app/manifests/1/",
        "/v2/team/app/manifests/1%20",
        "/v2/team/app/manifests/1?repository=mine/app",
        "/v2/team/app/manifests/1?ns=mine/app",
        "/v2/team/app/manifests/1#/mine/app",
        "/v2/mine/app/manifests/..%2f..%2f..%2fteam%2fapp%2fmanifests%2f1",
        "/v2/mine/app/blobs/../../../team/app/manifests/1",
        "/v2/TEAM/app/manifests/1",
        "/v2/te\u{131}m/app/manifests/1",
        "/v2/team/app/tags/list/",
        "/v2/team/app/_trash",
        "/v2/_admin",
        "/v2/_catalog/",
        "/admin/v1/users/",
        "/admin//v1/users",
        "//admin/v1/users",
        "/Admin/v1/users",
        "/admin/v1/%75sers",
        "/admin/v1/./users",
        "/v2/../admin/v1/users",
        "/v2/x/../../admin/v1/users",
        "/healthz/../admin/v1/users",
        "/token/../admin/v1/users",
        "/admin/v1/openapi.json/../users",
        "/admin/v1/users?x=openapi.json",
        "/admin",
        "/debug/pprof/",
        "/api/v2.0/users",
        "/v1/users",
        "/v1/_ping",
        "/.git/config",
        "/data/keys/secret.key",
        "/../keys/secret.key",
        "/..%2fkeys%2fsecret.key",
        "/server-status",
    ];
    let targets = [
        format!("http://{}/v2/team/app/manifests/1", house.client.address()),
        "http://mine/v2/team/app/manifests/1".to_owned(),
        format!("/v2/mine/app/blobs/uploads/../../../team/app/blobs/{layer}"),
        format!("/v2/team/app/blobs/{}", layer.to_uppercase()),
        format!("/v2/team/app/blobs/{}", layer.replace(':', "%3A")),
        format!("/v2/mine/app/blobs/{layer}%2f..%2f{layer}"),
    ];
    let methods = [
        "GET", "HEAD", "POST", "OPTIONS", "TRACE", "PROPFIND", "get", "PUT", "DELETE",
    ];
    for path in paths
        .iter()
        .copied()
        .chain(targets.iter().map(String::as_str))
    {
        for who in ["", &mine] {
            for method in methods {
                let mut request =
                    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
                if !who.is_empty() {
                    request += &format!("Authorization: {who}\r\n");
                }
                request += "Content-Length: 0\r\n\r\n";
                let answer = raw(house.client.address(), request.as_bytes());
                assert!(
                    (400..500).contains(&answer.status),
                    "{method} {path}: {answer:?}"
                );
                tried += 1;
            }
        }
    }

    let manifest = "/v2/team/app/manifests/1";
    for (name, value) in [
        ("X-Original-URL", manifest),
        ("X-Rewrite-URL", manifest),
        ("X-Forwarded-Uri", "/healthz"),
        ("X-Forwarded-Path", "/healthz"),
        ("X-Forwarded-Prefix", "/healthz"),
        ("X-Forwarded-User", "warden"),
        ("X-Remote-User", "warden"),
        ("Remote-User", "user/warden"),
        ("X-Wharf-Principal", "user/warden"),
        ("X-Amz-Security-Token", "x"),
        ("X-Client-Cert", "CN=warden"),
        ("X-SSL-Client-S-DN", "CN=warden"),
        ("X-HTTP-Method-Override", "GET"),
        ("X-HTTP-Method", "GET"),
        ("Proxy-Authorization", &house.admin),
        ("X-Authorization", &house.admin),
        ("Connection", "Authorization"),
        ("X-Real-IP", "127.0.0.1"),
        ("Host", "localhost"),
    ] {
        for path in [manifest, "/admin/v1/users", "/events?after=oldest", "/v2/"] {
            let answer = house.client.send("GET", path, &[(name, value)], b"");
            assert!(
                [400, 401].contains(&answer.status),
                "{name}: {path}: {answer:?}"
            );
            tried += 1;
        }
    }
    tried += sessions(&house);
    row(
        24,
        "byways",
        &format!("{tried} odd paths, headers and sessions, 0 led in"),
    );
}

/// What another site can have a browser send with the cookie of an administrator.
fn sessions(house: &House) -> usize {
    let login = json!({"username": "warden", "password": "the-password-of-warden"}).to_string();
    let json = ("Content-Type", "application/json");
    let begun = house
        .client
        .send("POST", "/session", &[json], login.as_bytes());
    assert_eq!(begun.status, 200, "{begun:?}");
    let set = begun.header("set-cookie").expect("a cookie").to_owned();
    for flag in ["HttpOnly", "SameSite=", "Path=/"] {
        assert!(set.contains(flag), "{flag}: {set}");
    }
    let cookie = set.split(';').next().expect("a cookie");
    let user = json!({"name": "forged", "password": "a-long-password-of-forged"}).to_string();
    let forge = |headers: &[(&str, &str)]| {
        let headers = [&[("Cookie", cookie)], headers].concat();
        house
            .client
            .send("POST", "/admin/v1/users", &headers, user.as_bytes())
    };
    let own = format!("http://{}", house.client.address());
    let plain = ("Content-Type", "text/plain");
    let foreign: [&[(&str, &str)]; 8] = [
        &[json],
        &[json, ("Origin", "https://evil.example")],
        &[json, ("Origin", "null")],
        &[json, ("Origin", &format!("{own}.evil.example"))],
        &[json, ("Sec-Fetch-Site", "cross-site")],
        &[json, ("Sec-Fetch-Site", "same-site"), ("Origin", &own)],
        &[plain, ("Origin", "https://evil.example")],
        &[json, ("Origin", "https://evil.example"), ("Referer", &own)],
    ];
    for headers in foreign {
        let answer = forge(headers);
        assert!(
            [403, 415].contains(&answer.status),
            "{headers:?}: {answer:?}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    // A session is for administration, and not for images.
    for path in [
        "/v2/team/app/manifests/1",
        "/v2/_catalog",
        "/v2/team/app/tags/list",
    ] {
        let answer = house.client.send("GET", path, &[("Cookie", cookie)], b"");
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
    }
    // And what its own page asks for is done, so it was not the cookie that was wrong.
    let answer = forge(&[json, ("Origin", &own)]);
    assert_eq!(answer.status, 201, "{answer:?}");
    let ended = house.client.send(
        "DELETE",
        "/session",
        &[("Cookie", cookie), ("Origin", &own)],
        b"",
    );
    assert_eq!(ended.status, 204, "{ended:?}");
    let after = house
        .client
        .send("GET", "/admin/v1/users", &[("Cookie", cookie)], b"");
    assert_eq!(after.status, 401, "{after:?}");
    foreign.len() + 4
}
