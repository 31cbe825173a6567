//! The token endpoint in every form that clients use, and a push that outlives its token.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Login, robot, send_as, send_with, token, user};
use crate::api::digest;
use crate::api::http::Client;
use crate::support::docker::docker;
use crate::support::{Registry, folder, image};

fn form(client: &Client, fields: &[(&str, &str)]) -> crate::api::http::Answer {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    client.send("POST", "/token", &headers, pairs.join("&").as_bytes())
}

#[test]
fn a_challenge_leads_to_the_token_that_it_asks_for() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "push", "*");
    let answer = client.get("/v2/a/b/tags/list");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "UNAUTHORIZED")
    );
    let base = registry.base();
    let want =
        format!("Bearer realm=\"{base}/token\",service=\"wharf\",scope=\"repository:a/b:pull\"");
    assert_eq!(answer.header("www-authenticate"), Some(want.as_str()));
    let answer = client.send("POST", "/v2/a/b/blobs/uploads/", &[], b"");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("scope=\"repository:a/b:pull,push\""),
        "{challenge}"
    );
    let answer = client.get("/v2/");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(!challenge.contains("scope"), "{challenge}");

    let path = "/token?service=wharf&client_id=test&scope=repository:a/b:pull,push";
    let answer = send_as(&client, &alice, "GET", path, b"");
    let body = answer.json();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    assert!(body["issued_at"].as_str().expect("a time").ends_with('Z'));
    assert!(body.get("refresh_token").is_none());
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // Without a scope it is a login check, and good for /v2/ alone.
    let bare = send_as(&client, &alice, "GET", "/token?service=wharf", b"").json();
    let bare = bare["token"].as_str().expect("a token");
    assert_eq!(send_with(&client, bare, "GET", "/v2/", b"").status, 200);
    let answer = send_with(&client, bare, "GET", "/v2/a/b/tags/list", b"");
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
}

#[test]
fn what_is_not_granted_is_left_out_in_silence() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let ci = robot(&registry, "ci", "pull", &["--on", "team/*"]);
    let ask = |scope: &str| {
        let path = format!("/token?scope={scope}");
        let answer = send_as(&client, &ci, "GET", &path, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["scope"].as_str().expect("a scope").to_owned()
    };
    assert_eq!(ask("repository:team/a:pull,push"), "repository:team/a:pull");
    assert_eq!(ask("repository:other:pull"), "repository:other:");
    assert_eq!(
        ask("repository(plugin):team/a:pull"),
        "repository:team/a:pull"
    );
    assert_eq!(
        ask("repository:team/a:pull&scope=repository:team/b:pull,push&scope=aws:x:*"),
        "repository:team/a:pull repository:team/b:pull"
    );
    // The scopes of one repository are united.
    assert_eq!(
        ask("repository:team/a:push+repository:team/a:pull"),
        "repository:team/a:pull"
    );
    for (scope, want) in [("nonsense", 400), ("repository:host:5000/a:pull", 200)] {
        let path = format!("/token?scope={scope}");
        assert_eq!(
            send_as(&client, &ci, "GET", &path, b"").status,
            want,
            "{scope}"
        );
    }
    let wrong = Login {
        password: "wrong".into(),
        ..ci
    };
    assert_eq!(send_as(&client, &wrong, "GET", "/token", b"").status, 401);
}

#[test]
fn a_form_gets_tokens_too_and_refreshes_them() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "push", "*");
    let answer = form(
        &client,
        &[
            ("grant_type", "password"),
            ("service", "wharf"),
            ("client_id", "containerd-client"),
            ("access_type", "offline"),
            ("username", &alice.name),
            ("password", &alice.password),
            ("scope", "repository:a:pull repository:b:pull,push"),
        ],
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["scope"], "repository:a:pull repository:b:pull,push");
    let refresh = body["refresh_token"].as_str().expect("a token").to_owned();

    let answer = form(
        &client,
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", &refresh),
            ("scope", "repository:a:pull"),
        ],
    );
    let renewed = answer.json()["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(send_with(&client, &renewed, "GET", "/v2/", b"").status, 200);
    // A token that is good for a part doesn't become one that is good for all.
    let ask = "/token?offline_token=true&scope=repository:b:push";
    let answer = send_with(&client, &renewed, "GET", ask, b"").json();
    assert_eq!(answer.get("refresh_token"), None);
    assert_eq!(answer["scope"], "repository:b:");
    // One kind of token is none of another.
    assert_eq!(send_with(&client, &refresh, "GET", "/v2/", b"").status, 401);
    let misused = [
        ("grant_type", "refresh_token"),
        ("refresh_token", renewed.as_str()),
    ];
    assert_eq!(form(&client, &misused).status, 401);

    for (fields, want) in [
        (
            &[
                ("grant_type", "password"),
                ("username", "alice"),
                ("password", "wrong"),
            ][..],
            401,
        ),
        (
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", "nonsense"),
            ],
            401,
        ),
        (&[("grant_type", "magic")], 400),
        (&[], 400),
    ] {
        assert_eq!(form(&client, fields).status, want, "{fields:?}");
    }
    let wrong_type = client.send("POST", "/token", &[], b"{}");
    assert_eq!(wrong_type.status, 400, "{wrong_type:?}");
}

#[test]
fn keys_that_verify_tokens_are_public_and_rotate() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "pull", "*");
    let before = token(&client, &alice, "repository:a:pull");
    let keys = || client.get("/.well-known/jwks.json").json()["keys"].clone();
    let first = keys();
    assert_eq!(first.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&first[0]["kty"], &first[0]["crv"]),
        (&json!("OKP"), &json!("Ed25519"))
    );
    assert!(first[0].get("d").is_none());
    registry.administer(["key", "rotate-signing"]).succeeds();
    crate::support::wait::until("the new key", std::time::Duration::from_secs(5), || {
        (keys().as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let after = token(&client, &alice, "repository:a:pull");
    for token in [before, after] {
        assert_eq!(send_with(&client, &token, "GET", "/v2/", b"").status, 200);
    }
}

#[test]
fn a_push_goes_on_when_its_token_has_ended() {
    let registry = Registry::private_with(&[("WHARF__AUTH__TOKEN_LIFETIME", "1m")]);
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "push", "*");
    let scope = "repository:a:pull,push";
    let first = token(&client, &alice, scope);
    let answer = send_with(&client, &first, "POST", "/v2/a/blobs/uploads/", b"");
    assert_eq!(answer.status, 202);
    let location = answer.header("location").expect("a location").to_owned();
    assert_eq!(
        send_with(&client, &first, "PATCH", &location, b"first ").status,
        202
    );
    crate::support::wait::until(
        "the end of a token",
        std::time::Duration::from_secs(90),
        || (send_with(&client, &first, "GET", "/v2/", b"").status == 401).then_some(()),
    );
    let answer = send_with(&client, &first, "PATCH", &location, b"second");
    assert_eq!(answer.status, 401, "{answer:?}");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("repository:a:pull,push"), "{challenge}");

    let second = token(&client, &alice, scope);
    let answer = send_with(&client, &second, "GET", &location, b"");
    assert_eq!(
        answer.header("range"),
        Some("0-5"),
        "nothing of the upload is lost"
    );
    assert_eq!(
        send_with(&client, &second, "PATCH", &location, b"second").status,
        202
    );
    let finish = format!("{location}?digest={}", digest(b"first second"));
    assert_eq!(send_with(&client, &second, "PUT", &finish, b"").status, 201);
}

/// Passes connections on to a server, and lets what goes there through at a rate.
fn slow_way_to(host: &str, bytes_per_second: usize) -> String {
    const PIECES_PER_SECOND: usize = 20;
    let (host, piece) = (host.to_owned(), bytes_per_second / PIECES_PER_SECOND);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a client");
            let server = TcpStream::connect(&host).expect("the server listens");
            let (mut answers, mut back) = (
                server.try_clone().expect("a socket"),
                client.try_clone().expect("a socket"),
            );
            std::thread::spawn(move || {
                // Either side may leave when it likes.
                let _ = io::copy(&mut answers, &mut back);
                let _ = back.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || {
                let (mut client, mut server) = (client, server);
                let mut bytes = vec![0; piece];
                while let Ok(length @ 1..) = client.read(&mut bytes) {
                    if server.write_all(&bytes[..length]).is_err() {
                        break;
                    }
                    if length > piece / 2 {
                        let pause = Duration::from_secs(1) / PIECES_PER_SECOND as u32;
                        std::thread::sleep(pause * length as u32 / piece as u32);
                    }
                }
                let _ = server.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

#[test]
fn docker_pushes_for_longer_than_its_token_lives() {
    let lifetime = Duration::from_secs(60);
    let registry = Registry::private_with(&[("WHARF__AUTH__TOKEN_LIFETIME", "1m")]);
    let (docker, folder) = (docker(), folder());
    let alice = user(&registry, "alice", "push", "*");
    // A layer of 7.5 MB at 100 kB/s is on its way for longer than a minute.
    let host = slow_way_to(registry.host(), 100_000);
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).expect("a folder");
    std::fs::write(tree.join("thing"), image::random_bytes(7_500_000)).expect("a file");
    let file = folder.path().join("tree.tar");
    image::tar(&tree, &file);
    let name = format!("{host}/team/slow:1");
    docker.command(["import"]).arg(&file).arg(&name).succeeds();
    let as_alice = |words: &[&str]| {
        docker
            .command([])
            .env("DOCKER_CONFIG", folder.path().join("alice"))
            .args(words)
            .limit(Duration::from_secs(400))
    };
    as_alice(&["login", "-u", &alice.name, "--password-stdin", &host])
        .stdin(&alice.password)
        .succeeds();
    let began = Instant::now();
    as_alice(&["push", &name]).succeeds();
    assert!(began.elapsed() > lifetime, "{:?}", began.elapsed());
    let client = Client::new(registry.base());
    let pushed = send_as(&client, &alice, "GET", "/v2/team/slow/manifests/1", b"");
    assert_eq!(pushed.status, 200);
    crate::clients::docker::forget(docker, &name);
}

#[test]
fn anonymous_callers_pull_where_a_policy_says_so() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "push", "*");
    for repository in ["public/app", "private/app"] {
        super::push_image(&client, &alice, repository);
    }
    let policy = json!({"Statement": {
        "Effect": "Allow", "Principal": "*", "Resource": "repository/public/*",
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:DescribeRepositories"],
    }});
    registry
        .administer(["policy", "set", "registry"])
        .stdin(&policy.to_string())
        .succeeds();
    crate::support::wait::until("the policy", std::time::Duration::from_secs(5), || {
        (client.get("/v2/public/app/manifests/v1").status == 200).then_some(())
    });
    assert_eq!(client.get("/v2/private/app/manifests/v1").status, 401);
    assert_eq!(
        client
            .send("PUT", "/v2/public/app/manifests/v1", &[], b"{}")
            .status,
        401
    );
    // docker asks /v2/ first, and takes the challenge for the way to a token.
    assert_eq!(client.get("/v2/").status, 401);
    let granted = client
        .get("/token?scope=repository:public/app:pull,push")
        .json();
    assert_eq!(granted["scope"], "repository:public/app:pull");
    let token = granted["token"].as_str().expect("a token");
    assert_eq!(
        send_with(&client, token, "GET", "/v2/public/app/manifests/v1", b"").status,
        200
    );
    assert_eq!(send_with(&client, token, "GET", "/v2/", b"").status, 200);
    // The list of all is behind a token too, which anybody can have.
    let answer = client.get("/v2/_catalog");
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.ends_with("scope=\"registry:catalog:*\""),
        "{challenge}"
    );
    let answer = send_with(&client, token, "GET", "/v2/_catalog", b"");
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.ends_with("scope=\"registry:catalog:*\",error=\"insufficient_scope\""),
        "{challenge}"
    );
    let granted = client.get("/token?scope=registry:catalog:*").json();
    let token = granted["token"].as_str().expect("a token");
    assert_eq!(
        send_with(&client, token, "GET", "/v2/_catalog", b"").json()["repositories"],
        json!(["public/app"])
    );
}
