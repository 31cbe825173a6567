//! Deliveries: signatures, retries, dead letters, replay, formats.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wharf::events::sink;

use super::hook::{Delivery, Hook};
use super::{endpoint, push, registry};
use crate::access::{send_json, user};
use crate::api::http::Client;
use crate::support::{Registry, wait};

const PATIENCE: Duration = Duration::from_secs(20);

fn ask(client: &Client, method: &str, path: &str, body: &Value) -> crate::api::http::Answer {
    let headers = [("Content-Type", "application/json")];
    let path = format!("/admin/v1/endpoints{path}");
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    client.send(method, &path, &headers, body.as_bytes())
}

fn is_signed(delivery: &Delivery, secret: &str) -> bool {
    let secret = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_"));
    let at = delivery.headers["webhook-timestamp"].parse();
    let signature = sink::sign(
        &[secret.expect("base64")],
        delivery.id(),
        at.expect("a number"),
        delivery.body.as_bytes(),
    );
    let said = &delivery.headers["webhook-signature"];
    said.split(' ').any(|one| one == signature)
}

#[test]
fn a_push_is_delivered_and_signed() {
    let (registry, hook) = (registry(), Hook::willing());
    let client = Client::new(registry.base());
    let options = ["--type", "wharf.image.*", "--repository", "hooks/*"];
    let secret = endpoint(&registry, "first", hook.url(), &options);
    push(&client, "other/app", "v1", "not wanted");
    let digest = push(&client, "hooks/app", "v1", "wanted");
    let taken = hook.wait_for(1);
    let event = taken[0].json();
    assert_eq!(event["type"], "wharf.image.pushed");
    assert_eq!(event["data"]["image-digest"], digest.as_str());
    assert_eq!(event["id"], taken[0].id());
    assert_eq!(
        taken[0].headers["content-type"],
        "application/cloudevents+json"
    );
    assert!(is_signed(&taken[0], &secret));
    assert!(!is_signed(
        &taken[0],
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    ));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(hook.all().len(), 1);

    let metrics = String::from_utf8(client.get("/metrics").body).expect("text");
    let line = "wharf_event_deliveries_total{endpoint=\"first\",outcome=\"delivered\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn both_secrets_sign_while_one_takes_over() {
    let (registry, hook) = (registry(), Hook::willing());
    let client = Client::new(registry.base());
    let old = endpoint(&registry, "rotated", hook.url(), &["--type", "*.pushed"]);
    let answer = ask(
        &client,
        "POST",
        "/rotated/secret",
        &json!({"overlap": "1h"}),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let new = answer.json()["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    // A running server sees the change within two seconds, and knows of the end when it comes.
    let delivered = |tag: &str| {
        push(&client, "hooks/rotated", tag, tag);
        wait::until(tag, PATIENCE, || {
            let is_it = |one: &Delivery| one.json()["data"]["image-tag"] == tag;
            hook.taken().into_iter().find(is_it)
        })
    };
    std::thread::sleep(Duration::from_secs(2));
    let first = delivered("v1");
    assert!(is_signed(&first, &old) && is_signed(&first, &new));
    let answer = ask(
        &client,
        "POST",
        "/rotated/secret",
        &json!({"overlap": "4s"}),
    );
    let rotated = Instant::now();
    let last = answer.json()["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    std::thread::sleep(Duration::from_secs(2));
    let second = delivered("v2");
    assert!(is_signed(&second, &last) && is_signed(&second, &new));
    assert!(!is_signed(&second, &old));
    std::thread::sleep(Duration::from_secs(4).saturating_sub(rotated.elapsed()));
    let third = delivered("v3");
    assert!(is_signed(&third, &last) && !is_signed(&third, &new));
}

#[test]
fn what_fails_is_tried_again_under_the_same_id() {
    let registry = registry();
    let client = Client::new(registry.base());
    let hook = Hook::answering(|number| match number {
        0 => (500, ""),
        1 => (429, "Retry-After: 2\r\n"),
        2 => (302, "Location: http://127.0.0.1:1/\r\n"),
        _ => (200, ""),
    });
    endpoint(&registry, "retried", hook.url(), &["--type", "*.pushed"]);
    push(&client, "hooks/retried", "v1", "content");
    hook.wait_for(1);
    let all = hook.all();
    let statuses: Vec<u16> = all.iter().map(|delivery| delivery.status).collect();
    assert_eq!(statuses, [500, 429, 302, 200]);
    assert!(all.iter().all(|delivery| delivery.id() == all[0].id()));
    let at = |delivery: &Delivery| -> u64 {
        let at = delivery.headers["webhook-timestamp"].parse();
        at.expect("a number")
    };
    assert!(
        at(&all[2]) > at(&all[1]),
        "it was left alone for two seconds"
    );

    let told = wait::until("the log of deliveries", PATIENCE, || {
        let answer = ask(&client, "GET", "/retried/deliveries", &Value::Null).json();
        let attempts = answer["deliveries"].as_array().expect("a list").clone();
        (attempts.len() == 4).then_some(attempts)
    });
    assert_eq!(told[0]["delivered"], true);
    assert_eq!(told[0]["attempt"], 4);
    assert_eq!(told[3]["detail"], "it answers 500 Internal Server Error");
    let shown = registry
        .administer(["endpoint", "deliveries", "retried"])
        .succeeds();
    assert_eq!(shown.lines().count(), 4, "{shown}");
}

#[test]
fn an_endpoint_that_is_gone_is_disabled_and_goes_on_when_it_is_enabled() {
    let registry = registry();
    let client = Client::new(registry.base());
    let hook = Hook::answering(|number| if number == 0 { (410, "") } else { (200, "") });
    endpoint(&registry, "gone", hook.url(), &["--type", "*.pushed"]);
    push(&client, "hooks/gone", "v1", "content");
    let told = wait::until("it is disabled", PATIENCE, || {
        let answer = ask(&client, "GET", "/gone", &Value::Null).json();
        (answer["enabled"] == false).then_some(answer)
    });
    assert_eq!(told["disabled"]["reason"], "it answers 410 Gone");
    push(&client, "hooks/gone", "v2", "more");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(hook.all().len(), 1);
    registry
        .administer(["endpoint", "enable", "gone"])
        .succeeds();
    let taken = hook.wait_for(2);
    let tags: Vec<Value> = taken
        .iter()
        .map(|one| one.json()["data"]["image-tag"].clone())
        .collect();
    assert_eq!(tags, ["v1", "v2"]);
}

#[test]
fn an_endpoint_is_told_again_from_a_cursor() {
    let (registry, hook) = (registry(), Hook::willing());
    let client = Client::new(registry.base());
    for number in 0..5 {
        let content = format!("content {number}");
        push(&client, "hooks/replay", &format!("v{number}"), &content);
    }
    // From the beginning of the log, and not from now on.
    endpoint(
        &registry,
        "replayed",
        hook.url(),
        &["--after", "0", "--type", "*.pushed"],
    );
    let first: Vec<String> = hook
        .wait_for(5)
        .iter()
        .map(|one| one.id().to_owned())
        .collect();
    let answer = ask(&client, "POST", "/replayed/replay", &json!({"after": 4}));
    assert_eq!(answer.status, 202, "{answer:?}");
    let all = hook.wait_for(7);
    let again: Vec<&str> = all[5..].iter().map(Delivery::id).collect();
    assert_eq!(again, first[3..]);
}

#[test]
fn a_cursor_ahead_of_the_log_is_refused() {
    let (registry, hook) = (registry(), Hook::willing());
    let client = Client::new(registry.base());
    push(&client, "hooks/ahead", "v1", "content");
    endpoint(&registry, "ahead", hook.url(), &["--type", "*.pushed"]);
    let answer = ask(&client, "POST", "/ahead/replay", &json!({"after": 999_999}));
    assert_eq!(answer.status, 400, "{answer:?}");
    let message = answer.json()["errors"][0]["message"].to_string();
    assert!(message.contains("ends at 2"), "{message}");
    let refused = registry
        .administer(["endpoint", "replay", "ahead", "--after", "3"])
        .fails();
    assert!(refused.contains("ahead of the log"), "{refused}");
    let new = json!({"name": "new", "url": hook.url(), "after": 3});
    assert_eq!(ask(&client, "POST", "", &new).status, 400);
    // The end of the log is none ahead of it.
    let answer = ask(&client, "POST", "/ahead/replay", &json!({"after": 2}));
    assert_eq!(answer.status, 202, "{answer:?}");
    push(&client, "hooks/ahead", "v2", "more");
    assert_eq!(hook.wait_for(1)[0].json()["data"]["image-tag"], "v2");
}

#[test]
fn what_was_given_up_is_listed_and_sent_again() {
    let registry = Registry::wharf_with(&[
        ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]"),
        ("WHARF__EVENTS__GIVE_UP_AFTER", "1s"),
    ]);
    let client = Client::new(registry.base());
    let is_up = Arc::new(AtomicBool::new(false));
    let hook = Hook::answering({
        let is_up = Arc::clone(&is_up);
        move |_| match is_up.load(Ordering::SeqCst) {
            true => (200, ""),
            false => (503, "Retry-After: 0\r\n"),
        }
    });
    endpoint(&registry, "dead", hook.url(), &["--type", "*.pushed"]);
    for number in 0..4 {
        let content = format!("content {number}");
        push(&client, "hooks/dead", &format!("v{number}"), &content);
    }
    let letters = wait::until("dead letters", Duration::from_secs(60), || {
        let answer = ask(&client, "GET", "/dead/dead-letters", &Value::Null).json();
        let letters = answer["dead_letters"].as_array().expect("a list").clone();
        (letters.len() == 4).then_some(letters)
    });
    assert_eq!(letters[0]["event"]["data"]["image-tag"], "v0");
    assert_eq!(letters[0]["reason"], "it answers 503 Service Unavailable");
    let shown = registry
        .administer(["endpoint", "dead-letters", "dead"])
        .succeeds();
    assert_eq!(shown.lines().count(), 4, "{shown}");

    is_up.store(true, Ordering::SeqCst);
    let sequence = letters[0]["sequence"].clone();
    let answer = ask(
        &client,
        "DELETE",
        &format!("/dead/dead-letters?sequence={sequence}"),
        &Value::Null,
    );
    assert_eq!(answer.json()["count"], 1);
    let resent = registry
        .administer(["endpoint", "resend", "dead"])
        .succeeds();
    assert_eq!(resent.trim(), "3");
    let taken = hook.wait_for(3);
    let tags: Vec<Value> = taken
        .iter()
        .map(|one| one.json()["data"]["image-tag"].clone())
        .collect();
    assert_eq!(tags, ["v1", "v2", "v3"]);
    let id = letters[1]["event"]["id"].as_str().expect("an id");
    assert_eq!(taken[0].id(), id);
    wait::until("no dead letters are left", PATIENCE, || {
        let answer = ask(&client, "GET", "/dead", &Value::Null).json();
        (answer["dead_letters"] == 0).then_some(())
    });
    // What comes now is delivered as ever.
    push(&client, "hooks/dead", "v9", "afterwards");
    assert_eq!(hook.wait_for(4)[3].json()["data"]["image-tag"], "v9");
}

#[test]
fn an_endpoint_that_goes_takes_its_measures_with_it() {
    let (registry, hook) = (registry(), Hook::willing());
    let client = Client::new(registry.base());
    let measures = |endpoint: &str| {
        let metrics = String::from_utf8(client.get("/metrics").body).expect("text");
        let label = format!("endpoint=\"{endpoint}\"");
        let lines = metrics.lines().filter(|line| line.contains(&label));
        let names = lines.map(|line| line.split('{').next().unwrap_or_default().to_owned());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    for name in ["stays", "goes"] {
        endpoint(&registry, name, hook.url(), &["--type", "*.pushed"]);
    }
    push(&client, "hooks/measured", "v1", "content");
    hook.wait_for(2);
    let all = [
        "wharf_event_dead_letters",
        "wharf_event_deliveries_total",
        "wharf_event_delivery_seconds_bucket",
        "wharf_event_delivery_seconds_count",
        "wharf_event_delivery_seconds_sum",
        "wharf_event_queue_age_seconds",
        "wharf_event_queue_length",
    ];
    for name in ["stays", "goes"] {
        wait::until("all of them", PATIENCE, || {
            measures(name).iter().eq(all).then_some(())
        });
    }
    // Nobody delivers for one that is disabled, and nobody measures how long its events wait.
    registry
        .administer(["endpoint", "disable", "goes"])
        .succeeds();
    wait::until("one less", PATIENCE, || {
        (!measures("goes").contains("wharf_event_queue_age_seconds")).then_some(())
    });
    registry
        .administer(["endpoint", "remove", "goes"])
        .succeeds();
    wait::until("none of them", PATIENCE, || {
        measures("goes").is_empty().then_some(())
    });
    assert!(measures("stays").iter().eq(all));
}

#[test]
fn a_letter_that_finds_its_endpoint_gone_disables_it_and_waits() {
    let registry = Registry::wharf_with(&[
        ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]"),
        ("WHARF__EVENTS__GIVE_UP_AFTER", "1s"),
    ]);
    let client = Client::new(registry.base());
    let says = Arc::new(AtomicU16::new(503));
    let hook = Hook::answering({
        let says = Arc::clone(&says);
        move |_| (says.load(Ordering::SeqCst), "Retry-After: 0\r\n")
    });
    endpoint(&registry, "late", hook.url(), &["--type", "*.pushed"]);
    push(&client, "hooks/late", "v1", "content");
    let told = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        wait::until(what, Duration::from_secs(60), || {
            let answer = ask(&client, "GET", "/late", &Value::Null).json();
            is_so(&answer).then_some(answer)
        })
    };
    told("a dead letter", &|answer| answer["dead_letters"] == 1);
    says.store(410, Ordering::SeqCst);
    registry
        .administer(["endpoint", "resend", "late"])
        .succeeds();
    let answer = told("it is disabled", &|answer| answer["enabled"] == false);
    assert_eq!(answer["disabled"]["reason"], "it answers 410 Gone");
    assert_eq!(answer["dead_letters"], 1);
    says.store(200, Ordering::SeqCst);
    registry
        .administer(["endpoint", "enable", "late"])
        .succeeds();
    hook.wait_for(1);
    told("no dead letter is left", &|answer| {
        answer["dead_letters"] == 0
    });
}

#[test]
fn each_endpoint_has_its_own_format() {
    let registry = registry();
    let client = Client::new(registry.base());
    let (bridge, docker) = (Hook::willing(), Hook::willing());
    let options = ["--type", "*.pushed", "--format"];
    endpoint(
        &registry,
        "bridge",
        bridge.url(),
        &[options.as_slice(), &["eventbridge"]].concat(),
    );
    endpoint(&registry, "docker", docker.url(), &["--format", "docker"]);
    let digest = push(&client, "hooks/formats", "v1", "content");
    let event = bridge.wait_for(1)[0].json();
    assert_eq!(event["detail-type"], "ECR Image Action");
    assert_eq!(event["detail"]["image-digest"], digest.as_str());
    let taken = docker.wait_for(1);
    let media_type = &taken[0].headers["content-type"];
    assert_eq!(
        media_type,
        "application/vnd.docker.distribution.events.v1+json"
    );
    let event = &taken[0].json()["events"][0];
    assert_eq!(
        (&event["action"], &event["target"]["tag"]),
        (&json!("push"), &json!("v1"))
    );
}

#[test]
fn a_target_inside_is_refused_unless_it_is_allowed() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    for url in [
        "http://127.0.0.1:1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "nats://127.0.0.1:4222",
        "http://169.254.169.254/latest/",
        "http://localhost:1/",
        "http://localhost.:1/",
        "http://a.localhost/",
        "nats://LOCALHOST.",
        "ftp://a.example/",
        "http://user:password@a.example/",
        "no address",
    ] {
        let answer = ask(&client, "POST", "", &json!({"name": "inside", "url": url}));
        assert_eq!(answer.status, 400, "{url}: {answer:?}");
    }
    // One that was made while it was allowed is refused at each delivery, and not connected to.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it can be asked");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("http://localhost:{port}/");
    endpoint(&registry, "inside", &url, &[]);
    push(&client, "hooks/inside", "v1", "content");
    let told = wait::until("the refusal", PATIENCE, || {
        let answer = ask(&client, "GET", "/inside/deliveries", &Value::Null).json();
        answer["deliveries"][0]["detail"]
            .as_str()
            .map(ToOwned::to_owned)
    });
    assert!(told.contains("inside"), "{told}");
    assert!(listener.accept().is_err(), "nobody connected");
}

#[test]
fn endpoints_are_administrators_business() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let admin = user(&registry, "boss", "admin", "*");
    let pusher = user(&registry, "pusher", "push", "*");
    let new = json!({"name": "a", "url": "https://hooks.example/secret-path"});
    let refused = send_json(&client, &pusher, "POST", "/admin/v1/endpoints", &new);
    assert_eq!(refused.status, 403);
    let made = send_json(&client, &admin, "POST", "/admin/v1/endpoints", &new);
    assert_eq!(made.status, 201);
    let secret = made.json()["secret"].as_str().expect("a secret").to_owned();
    let again = send_json(&client, &admin, "POST", "/admin/v1/endpoints", &new);
    assert_eq!(again.status, 409);
    let shown = send_json(&client, &admin, "GET", "/admin/v1/endpoints", &Value::Null);
    let shown = String::from_utf8(shown.body).expect("text");
    assert!(shown.contains("hooks.example") && !shown.contains(&secret));
    for change in [
        json!({"format": "morse"}),
        json!({"url": "nats://a.example"}),
        json!({"types": vec!["*"; 101]}),
        json!({"unknown": 1}),
    ] {
        let answer = send_json(&client, &admin, "PATCH", "/admin/v1/endpoints/a", &change);
        assert_eq!(answer.status, 400, "{change}");
    }
    let change = json!({"types": ["wharf.tag.*"], "enabled": false});
    let answer = send_json(&client, &admin, "PATCH", "/admin/v1/endpoints/a", &change);
    assert_eq!(answer.status, 204);
    let listed = registry.administer(["endpoint", "list"]).succeeds();
    assert!(
        listed.contains("disabled: an administrator did it"),
        "{listed}"
    );
    let nobody = send_json(
        &client,
        &admin,
        "GET",
        "/admin/v1/endpoints/b",
        &Value::Null,
    );
    assert_eq!(nobody.status, 404);
    registry.administer(["endpoint", "remove", "a"]).succeeds();
    assert!(
        registry
            .administer(["endpoint", "list"])
            .succeeds()
            .is_empty()
    );
}
