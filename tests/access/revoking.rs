//! What is taken away is gone within five seconds, and what has ended ends.

use std::time::{Duration, Instant};

use super::{robot, send_as, send_with, token, user};
use crate::api::http::Client;
use crate::clients::docker::{build, forget};
use crate::support::docker::docker;
use crate::support::{Registry, folder, wait};

/// What the requirements allow.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_revoked_principal_is_refused_with_its_password_and_its_tokens() {
    // With the refresh that the server has by default.
    let registry = Registry::wharf_with(&[("WHARF__AUTH__ENABLED", "true")]);
    let client = Client::new(registry.base());
    for (name, end) in [
        ("removed", &["user", "remove", "removed"][..]),
        ("disabled", &["user", "disable", "disabled"]),
        ("changed", &["user", "password", "changed"]),
    ] {
        let login = user(&registry, name, "pull", "*");
        let token = token(&client, &login, "repository:a:pull");
        assert_eq!(send_with(&client, &token, "GET", "/v2/", b"").status, 200);
        registry.administer(end.iter().copied()).succeeds();
        let revoked = Instant::now();
        wait::until(name, SOON, || {
            let by_token = send_with(&client, &token, "GET", "/v2/", b"").status;
            let by_password = send_as(&client, &login, "GET", "/v2/", b"").status;
            ((by_token, by_password) == (401, 401)).then_some(())
        });
        assert!(revoked.elapsed() < SOON, "{name}");
    }
}

#[test]
fn a_policy_that_is_taken_away_counts_no_more_although_the_token_lives() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let login = user(&registry, "alice", "pull", "*");
    let token = token(&client, &login, "repository:a:pull");
    let status = || send_with(&client, &token, "GET", "/v2/a/tags/list", b"").status;
    assert_eq!(status(), 404);
    registry
        .administer(["policy", "remove", "user/alice"])
        .succeeds();
    wait::until("the refusal", SOON, || (status() == 403).then_some(()));
}

#[test]
fn docker_is_refused_with_a_robot_that_has_ended_or_was_revoked() {
    let (registry, docker, folder) = (Registry::private(), docker(), folder());
    let alice = user(&registry, "alice", "push", "*");
    let name = registry.image("team/ended:1");
    build(docker, &name);
    let as_docker = |who: &str, words: &[&str]| {
        docker
            .command([])
            .env("DOCKER_CONFIG", folder.path().join(who))
            .args(words)
    };
    let login = |login: &super::Login, who: &str| {
        as_docker(
            who,
            &[
                "login",
                "-u",
                &login.name,
                "--password-stdin",
                registry.host(),
            ],
        )
        .stdin(&login.password)
    };
    login(&alice, "alice").succeeds();
    as_docker("alice", &["push", &name]).succeeds();
    forget(docker, &name);

    let short = robot(&registry, "short", "pull", &["--expires-in", "3s"]);
    login(&short, "short").succeeds();
    wait::until("the robot's end", Duration::from_secs(10), || {
        (as_docker("short", &["pull", &name]).run().code != Some(0)).then_some(())
    });
    assert!(login(&short, "late").fails().contains("unauthorized"));

    let ci = robot(&registry, "ci", "pull", &[]);
    login(&ci, "ci").succeeds();
    as_docker("ci", &["pull", &name]).succeeds();
    forget(docker, &name);
    registry.administer(["robot", "remove", "ci"]).succeeds();
    wait::until("the revocation", SOON, || {
        let pulled = as_docker("ci", &["pull", &name]).run();
        (pulled.code != Some(0)).then_some(())
    });
    assert!(login(&ci, "late").fails().contains("unauthorized"));
}

#[test]
fn a_secret_that_was_rotated_counts_no_more() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let old = robot(&registry, "ci", "pull", &[]);
    let told = registry.administer(["robot", "rotate", "ci"]).succeeds();
    let new = super::Login {
        name: old.name.clone(),
        password: super::behind(&told, "secret: ").to_owned(),
    };
    wait::until("the new secret", SOON, || {
        (send_as(&client, &new, "GET", "/v2/", b"").status == 200).then_some(())
    });
    assert_eq!(send_as(&client, &old, "GET", "/v2/", b"").status, 401);
}

#[test]
fn who_guesses_waits_and_the_owner_elsewhere_does_not() {
    let registry =
        Registry::private_with(&[("WHARF__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")]);
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "pull", "*");
    let wrong = super::Login {
        password: "wrong".into(),
        ..alice.clone()
    };
    let from = |login: &super::Login, address: &str| {
        let headers = [
            ("Authorization", login.basic()),
            ("X-Forwarded-For", address.to_owned()),
        ];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        client.send("GET", "/v2/", &headers, b"")
    };
    let mut answers = (0..20).map(|_| from(&wrong, "192.0.2.1"));
    let locked = answers.find(|answer| answer.status == 429).expect("a wait");
    let seconds: u64 = locked
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("a time");
    assert!((1..=900).contains(&seconds));
    assert_eq!(locked.code(), "TOOMANYREQUESTS");
    assert_eq!(
        from(&alice, "192.0.2.1").status,
        429,
        "not even the right one, for now"
    );
    assert_eq!(
        from(&alice, "192.0.2.2").status,
        200,
        "its owner is elsewhere"
    );
}

#[test]
fn every_way_to_a_token_is_limited_alike() {
    let registry = Registry::private_with(&[("WHARF__AUTH__REQUESTS_PER_ADDRESS", "5")]);
    let client = Client::new(registry.base());
    let told = registry.administer(["user", "add", "alice"]).succeeds();
    let password = super::behind(&told, "password: ");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let ask = |form: &str| client.send("POST", "/token", &headers, form.as_bytes());
    let login =
        format!("grant_type=password&username=alice&access_type=offline&password={password}");
    let refresh = wait::until("a refresh token", Duration::from_secs(20), || {
        let answer = ask(&login).json();
        answer["refresh_token"].as_str().map(ToOwned::to_owned)
    });
    let exchange = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
    for form in [
        format!("grant_type=refresh_token&refresh_token={refresh}"),
        format!("{exchange}&subject_token=a.b.c"),
    ] {
        let mut answers = (0..80).map(|_| ask(&form));
        // Failures are counted too, and told in other words.
        let limited = answers.find(|answer| {
            let message = answer.json()["errors"][0]["message"].to_string();
            message.contains("too many requests")
        });
        let limited = limited.unwrap_or_else(|| panic!("no limit: {form}"));
        assert_eq!(limited.status, 429);
        assert!(limited.header("retry-after").is_some());
    }
}

#[test]
fn who_tries_many_refresh_tokens_waits() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let mut answers = (0..70).map(|number| {
        let form = format!("grant_type=refresh_token&refresh_token=a.{number}.c");
        client.send("POST", "/token", &headers, form.as_bytes())
    });
    let locked = answers.find(|answer| answer.status == 429);
    let locked = locked.expect("a wait");
    assert!(locked.header("retry-after").is_some());
}

#[test]
fn who_asks_too_often_waits() {
    let registry = Registry::private_with(&[("WHARF__AUTH__REQUESTS_PER_PRINCIPAL", "1")]);
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "pull", "*");
    let mut answers = (0..30).map(|_| send_as(&client, &alice, "GET", "/v2/", b""));
    let limited = answers
        .find(|answer| answer.status == 429)
        .expect("a limit");
    assert!(limited.header("retry-after").is_some());
}
