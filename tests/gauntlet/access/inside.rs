//! Row 28: addresses that lead the server itself inside: of webhooks, of other subjects' streams, and of
//! issuers of tokens, written in every way, behind redirects, and under names that change.

use std::collections::BTreeMap;
use std::process;
use std::time::Duration;

use serde_json::{Value, json};

use super::first_start::Run;
use super::jwt::Signer;
use super::people::{BEHIND_A_PROXY, House, basic, elsewhere};
use super::resolver::Resolver;
use super::row;
use super::site::{self, Site, answer};
use crate::api::http::Client;
use crate::support::{Command, folder, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// Hosts that are this machine, its network, or nobody's. Names among them may be taken when an
/// endpoint is made, and are looked up when it is asked.
const INSIDE: [&str; 60] = [
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "00000177.0.0.1",
    "127.0.0.1.",
    "0.0.0.0",
    "0",
    "0x0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::80ff:fffe]",
    "[::ffff:0:127.0.0.1]",
    "[fe80::1]",
    "[fd00::1]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "169.254.169.254",
    "2852039166",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.0.8",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "ip6-localhost",
    "ip6-loopback",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "\u{ff11}27.0.0.1",
    "user:password@127.0.0.1",
];

#[test]
fn the_server_is_led_nowhere_inside_however_the_way_is_written() {
    let trap = Site::trap();
    let port = trap.port();
    let more: Vec<_> = ["127.0.0.2", "[::1]"]
        .map(|host| Site::start(&format!("{host}:{port}"), |_| answer("200 OK", &[], "{}")))
        .into();
    let house = House::new(&[BEHIND_A_PROXY]);
    let signer = Signer::p256();
    let (mut refused, mut named) = (0, Vec::new());
    for (number, host) in INSIDE.iter().enumerate() {
        for scheme in ["http", "https", "nats"] {
            let url = format!("{scheme}://{host}:{port}/hook");
            let name = format!("{scheme}{number}");
            let made = house.manage("POST", "/endpoints", &json!({"name": name, "url": url}));
            match made.status {
                400 => refused += 1,
                201 => named.push(name),
                _ => panic!("{url}: {made:?}"),
            }
        }
        // The same as an issuer of tokens, and as where its keys are.
        for (way, rule) in [
            ("issuer", json!({"issuer": format!("http://{host}:{port}")})),
            (
                "keys",
                json!({"issuer": "http://issuer.example", "jwks_uri": format!("http://{host}:{port}/keys")}),
            ),
            (
                "secure",
                json!({"issuer": format!("https://{host}:{port}")}),
            ),
        ] {
            let mut rule = rule;
            rule["audience"] = json!("here");
            rule["claims"] = json!({"sub": "somebody"});
            let name = format!("{way}{number}");
            let set = house.manage("PUT", &format!("/trusts/{name}"), &rule);
            refused += usize::from(set.status == 400);
            if set.status == 204 {
                let claims = json!({"iss": rule["issuer"], "aud": "here", "sub": "somebody", "exp": 9_999_999_999_u64});
                let token = signer.token(&json!({"alg": "ES256", "kid": "a"}), &claims.to_string());
                let shown = basic(&format!("oidc/{name}"), &token);
                let headers = [
                    ("Authorization", &*shown),
                    ("X-Forwarded-For", &elsewhere()),
                ];
                let answer = house.client.send("GET", "/v2/", &headers, b"");
                assert!([401, 503].contains(&answer.status), "{rule}: {answer:?}");
                refused += 1;
            }
        }
    }
    for url in [
        "file:///etc/passwd",
        "gopher://127.0.0.1:1/",
        "ftp://127.0.0.1/",
        "unix:/run/docker.sock",
        "//127.0.0.1/",
        "http:/127.0.0.1",
        "http:\\\\127.0.0.1\\",
        "http://",
        "127.0.0.1",
        "tls://127.0.0.1:1",
        "tls://localhost:1",
    ] {
        let made = house.manage("POST", "/endpoints", &json!({"name": "odd", "url": url}));
        assert_eq!(made.status, 400, "{url}: {made:?}");
        refused += 1;
    }
    // An endpoint doesn't get there by being changed either.
    let outside = json!({"name": "outside", "url": "https://hook.example/"});
    assert_eq!(house.manage("POST", "/endpoints", &outside).status, 201);
    let moved = house.manage(
        "PATCH",
        "/endpoints/outside",
        &json!({"url": format!("http://127.1:{port}/")}),
    );
    assert_eq!(moved.status, 400, "{moved:?}");
    assert_eq!(
        house
            .manage("DELETE", "/endpoints/outside", &Value::Null)
            .status,
        204
    );

    house.image("team/app", "1", b"so that something happens");
    for name in &named {
        let tried = wait::until("an attempt", PATIENCE, || {
            let path = format!("/endpoints/{name}/deliveries");
            let tried = house.manage("GET", &path, &Value::Null).json();
            tried
                .as_array()
                .or(tried["deliveries"].as_array())?
                .first()
                .cloned()
        });
        assert_eq!(tried["delivered"], false, "{name}: {tried}");
        refused += 1;
    }
    let connections = trap.connections() + more.iter().map(Site::connections).sum::<usize>();
    assert_eq!(connections, 0, "{:?}", trap.asked());
    row(
        28,
        "written",
        &format!(
            "{refused} addresses inside refused, {} of them at the connection; 0 connections",
            named.len()
        ),
    );
}

#[test]
fn what_is_opened_leads_no_further_in() {
    let trap = Site::trap();
    let away = format!("http://{}", trap.address());
    let target = away.clone();
    let hook = Site::start("127.0.0.2:0", move |asked| {
        let status = match asked.target.as_str() {
            "/301" => "301 Moved Permanently",
            "/302" => "302 Found",
            "/303" => "303 See Other",
            "/308" => "308 Permanent Redirect",
            "/keys" => return site::json(&json!({"keys": []})),
            "/leads-in/.well-known/openid-configuration" => {
                let host = asked
                    .head
                    .split("ost: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next());
                let issuer = format!("http://{}/leads-in", host.unwrap_or_default());
                return site::json(
                    &json!({"issuer": issuer, "jwks_uri": format!("{target}/keys")}),
                );
            }
            _ => "307 Temporary Redirect",
        };
        answer(
            status,
            &[
                ("Location", &target),
                ("Refresh", "0"),
                ("Alt-Svc", "h2=\":1\""),
            ],
            "",
        )
    });
    let allow = ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.2/32\"]");
    let house = House::new(&[BEHIND_A_PROXY, allow]);
    let made = house.manage(
        "POST",
        "/endpoints",
        &json!({"name": "inside", "url": away}),
    );
    assert_eq!(made.status, 400, "only what is named is opened: {made:?}");
    let base = format!("http://{}", hook.address());
    let statuses = ["301", "302", "303", "307", "308"];
    for status in statuses {
        let url = format!("{base}/{status}");
        let made = house.manage(
            "POST",
            "/endpoints",
            &json!({"name": format!("to{status}"), "url": url}),
        );
        assert_eq!(made.status, 201, "{made:?}");
    }
    house.image("team/app", "1", b"so that something happens");
    let came = |path: &str| hook.asked().iter().any(|asked| asked.target == path);
    wait::until("the hooks", PATIENCE, || {
        statuses
            .iter()
            .all(|status| came(&format!("/{status}")))
            .then_some(())
    });
    let signer = Signer::p256();
    for path in ["/leads-in", "/redirects"] {
        let issuer = format!("{base}{path}");
        let rule = json!({"issuer": issuer, "audience": "here", "claims": {"sub": "somebody"}});
        let name = path.trim_start_matches('/');
        assert_eq!(
            house
                .manage("PUT", &format!("/trusts/{name}"), &rule)
                .status,
            204
        );
        let claims =
            json!({"iss": issuer, "aud": "here", "sub": "somebody", "exp": 9_999_999_999_u64});
        let token = signer.token(&json!({"alg": "ES256", "kid": "a"}), &claims.to_string());
        let shown = basic(&format!("oidc/{name}"), &token);
        let answer = wait::until("the issuer is asked", PATIENCE, || {
            let headers = [
                ("Authorization", &*shown),
                ("X-Forwarded-For", &elsewhere()),
            ];
            let answer = house.client.send("GET", "/v2/", &headers, b"");
            came(&format!("{path}/.well-known/openid-configuration")).then_some(answer)
        });
        assert!([401, 503].contains(&answer.status), "{answer:?}");
    }
    assert_eq!(trap.connections(), 0, "{:?}", trap.asked());
    let asked = hook.asked().len();
    row(
        28,
        "redirects",
        &format!("{asked} requests to a range that is open, 0 led on to one that is not"),
    );
}

#[test]
fn a_name_that_changes_where_it_leads_does_not_lead_in() {
    let resolver = Resolver::start();
    let hook = Site::start("127.0.0.2:0", |_| answer("204 No Content", &[], ""));
    let port = hook.port();
    let trap = Site::start(&format!("127.0.0.1:{port}"), |_| answer("200 OK", &[], ""));
    let folder = folder();
    let file = folder.path().join("resolv.conf");
    std::fs::write(&file, resolver.configuration()).expect("a file");
    let data = folder.path().join("data");
    let wharf = env!("CARGO_BIN_EXE_wharf");
    Command::program(wharf)
        .args([
            "user",
            "add",
            "warden",
            "--password-stdin",
            "--allow",
            "admin",
            "--data",
        ])
        .arg(&data)
        .stdin("the-password-of-warden")
        .succeeds();
    // The resolver's file is another one for this server alone.
    let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
    let mut command = process::Command::new("unshare");
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(&file);
    command
        .args([wharf, "serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data);
    command.env("WHARF__AUTH__ENABLED", "true");
    command.env("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.2/32\"]");
    let run = Run::of(&command);
    let client = Client::new(&run.base);
    let admin = basic("warden", "the-password-of-warden");
    let headers = [
        ("Authorization", &*admin),
        ("Content-Type", "application/json"),
    ];
    for name in Resolver::NAMES {
        let body =
            json!({"name": name, "url": format!("http://{name}.test:{port}/{name}")}).to_string();
        let made = client.send("POST", "/admin/v1/endpoints", &headers, body.as_bytes());
        assert_eq!(made.status, 201, "{name}: {made:?}");
    }
    let mut pushes = 0;
    wait::until("all names are looked up", Duration::from_secs(60), || {
        pushes += 1;
        let path = format!(
            "/v2/team/app{pushes}/blobs/uploads/?digest={}",
            crate::support::image::digest(b"x")
        );
        assert_eq!(client.send("POST", &path, &headers, b"x").status, 201);
        let asked: BTreeMap<_, _> = resolver.asked();
        let has = |name: &&str| asked.get(*name).is_some_and(|count| *count >= 2);
        Resolver::NAMES.iter().all(has).then_some(())
    });
    // What led to the range that is open has arrived, so names as such are no hindrance.
    wait::until("a delivery", PATIENCE, || {
        hook.asked()
            .iter()
            .any(|asked| asked.target == "/rebind")
            .then_some(())
    });
    assert_eq!(trap.connections(), 0, "{:?}", trap.asked());
    let lookups: usize = resolver.asked().values().sum();
    row(
        28,
        "names",
        &format!(
            "{} names looked up {lookups} times, 0 connections inside",
            Resolver::NAMES.len()
        ),
    );
}
