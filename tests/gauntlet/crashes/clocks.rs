//! Row 8: the clock jumps by a day and by ten years, forward and back, under a running server and
//! over a restart. Nothing is collected early, no token lives longer, and what happened keeps its
//! order.

use std::time::Duration;

use serde_json::{Value, json};

use super::clock::{Clock, DAY, DECADE};
use super::row;
use crate::access::{self, Login};
use crate::api::http::Client;
use crate::api::{self, IMAGE, begin, digest, push_blob, push_manifest};
use crate::support::{Registry, wait};

/// How the clock stands apart from the true one, one after the other.
const JUMPS: [i64; 8] = [DAY, 0, DECADE, 0, -DAY, 0, -DECADE, 0];

/// As long as many turns of the jobs that are set to run every 50 ms.
const MANY_TURNS: Duration = Duration::from_millis(500);

const REPOSITORY: &str = "gauntlet/clocks";

fn with<'a>(
    clock: &'a [(&'static str, String); 2],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let clock = clock.iter().map(|(name, value)| (*name, value.as_str()));
    clock.chain(more.iter().copied()).collect()
}

/// Something of each kind that has its time to live, made at one moment.
struct Made {
    loose: String,
    deleted: String,
    kept: String,
    location: String,
    bytes: Vec<u8>,
}

impl Made {
    fn new(client: &Client, number: usize) -> Self {
        let config = format!("config {number}").into_bytes();
        push_blob(client, REPOSITORY, &config);
        let kept = push_manifest(client, REPOSITORY, "latest", &api::image(&config));
        assert_eq!(kept.status, 201, "{kept:?}");
        let gone = format!("gone {number}").into_bytes();
        push_blob(client, REPOSITORY, &gone);
        let gone = api::image(&gone);
        let tag = format!("gone-{number}");
        assert_eq!(push_manifest(client, REPOSITORY, &tag, &gone).status, 201);
        let deleted = digest(gone.to_string().as_bytes());
        let path = format!("/v2/{REPOSITORY}/manifests/{deleted}");
        assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
        let location = begin(client, REPOSITORY);
        let bytes = format!("upload {number} {}", "x".repeat(5000)).into_bytes();
        let sent = client.send("PATCH", &location, &[], &bytes[..3000]);
        assert_eq!(sent.status, 202, "{sent:?}");
        Self {
            loose: push_blob(client, REPOSITORY, format!("loose {number}").as_bytes()),
            kept: digest(&config),
            deleted,
            location,
            bytes,
        }
    }

    fn is_there(&self, client: &Client, registry: &Registry, when: &str) {
        for blob in [&self.loose, &self.kept] {
            let answer = client.get(&format!("/v2/{REPOSITORY}/blobs/{blob}"));
            assert_eq!(answer.status, 200, "{when}: a blob is gone");
            assert_eq!(digest(&answer.body), *blob, "{when}");
        }
        let trash = registry
            .administer(["trash", "list", REPOSITORY])
            .succeeds();
        assert!(trash.contains(&self.deleted), "{when}: not in {trash}");
        let upload = client.get(&self.location);
        assert_eq!(upload.status, 204, "{when}: the upload is gone");
        assert_eq!(upload.header("range"), Some("0-2999"), "{when}");
    }

    fn can_go_on(&self, client: &Client, registry: &Registry) {
        let path = format!("{}?digest={}", self.location, digest(&self.bytes));
        let done = client.send("PUT", &path, &[], &self.bytes[3000..]);
        assert_eq!(done.status, 201, "{done:?}");
        let words = ["trash", "restore", REPOSITORY, &self.deleted];
        registry.administer(words).succeeds();
        let path = format!("/v2/{REPOSITORY}/manifests/{}", self.deleted);
        assert_eq!(client.get(&path).status, 200);
    }
}

#[test]
fn a_clock_that_jumps_collects_nothing_early() {
    let clock = Clock::new();
    let quick = [
        ("WHARF__GC__RUN_EVERY", "50ms"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "50ms"),
    ];
    let variables = clock.variables();
    let mut registry = Registry::wharf_with(&with(&variables, &quick));
    registry.administer(["gc", "run"]).succeeds();
    let mut made = vec![Made::new(&Client::new(registry.base()), 0)];
    let mut jumps = 0;
    for is_restarted in [false, true] {
        for apart in JUMPS {
            if is_restarted {
                registry.stop();
            }
            clock.set(apart);
            if is_restarted {
                registry.start_again();
            }
            jumps += 1;
            let client = Client::new(registry.base());
            std::thread::sleep(MANY_TURNS);
            let when = format!("{apart} s apart, restarted: {is_restarted}");
            // A day without a run is nothing to be told from a clock that is wrong by a day.
            for _ in 0..if apart.abs() < DECADE { 0 } else { 2 } {
                let refused = registry.administer(["gc", "run"]).fails();
                assert!(refused.contains("--trust-clock"), "{when}: {refused}");
            }
            for made in &made {
                made.is_there(&client, &registry, &when);
            }
            assert_eq!(client.get("/readyz").status, 200, "{when}");
            made.push(Made::new(&client, made.len()));
        }
    }
    let client = Client::new(registry.base());
    for made in &made {
        made.can_go_on(&client, &registry);
    }
    // What kept it all was the clock that jumped: who trusts it collects.
    let last = Made::new(&client, made.len());
    for _ in 0..2 {
        clock.jump(30 * DAY);
        let words = ["gc", "run", "--trust-clock"];
        registry.administer(words).succeeds();
    }
    let path = format!("/v2/{REPOSITORY}/blobs/{}", last.loose);
    assert_eq!(client.get(&path).status, 404, "it is collected in its time");
    let figure = format!(
        "{jumps} jumps by a day and by ten years, half over a restart, {} blobs, images, deleted \
         images and open uploads each; none went, and all could be used afterwards",
        made.len()
    );
    row(8, "collection", &figure);
}

#[test]
fn the_trash_is_kept_for_its_time_when_the_clock_jumps() {
    let clock = Clock::new();
    // Blobs go soon, and what was deleted stays for longer.
    let quick = [
        ("WHARF__GC__RUN_EVERY", "50ms"),
        ("WHARF__GC__GRACE", "200ms"),
        ("WHARF__GC__KEEP_CONDEMNED", "200ms"),
        ("WHARF__GC__KEEP_DELETED", "1h"),
    ];
    let variables = clock.variables();
    let registry = Registry::wharf_with(&with(&variables, &quick));
    let client = Client::new(registry.base());
    let made = Made::new(&client, 0);
    let path = format!("/v2/{REPOSITORY}/blobs/{}", made.loose);
    wait::until("a collection", Duration::from_secs(20), || {
        (client.get(&path).status == 404).then_some(())
    });
    clock.jump(DAY);
    std::thread::sleep(3 * MANY_TURNS);
    let words = ["trash", "restore", REPOSITORY, &made.deleted];
    registry.administer(words).succeeds();
    let blob = client.get(&format!("/v2/{REPOSITORY}/blobs/{}", digest(b"gone 0")));
    assert_eq!(blob.body, b"gone 0", "its blobs are there too");
    let figure = "a day too many: what was deleted a second ago was restored whole, 30 turns later";
    row(8, "trash", figure);
}

#[test]
fn what_happened_keeps_its_order_when_the_clock_jumps() {
    let clock = Clock::new();
    let variables = clock.variables();
    let mut registry = Registry::wharf_with(&with(&variables, &[]));
    let mut pushed = Vec::new();
    for is_restarted in [false, true] {
        for apart in JUMPS {
            if is_restarted {
                registry.stop();
            }
            clock.set(apart);
            if is_restarted {
                registry.start_again();
            }
            let client = Client::new(registry.base());
            let mut manifest = api::image(b"{}");
            manifest["annotations"] = json!({"number": pushed.len().to_string()});
            let put = push_manifest(&client, REPOSITORY, "latest", &manifest);
            assert_eq!(put.status, 201, "{put:?}");
            pushed.push(digest(manifest.to_string().as_bytes()));
        }
    }
    let client = Client::new(registry.base());
    let events = client.get("/events?after=oldest&limit=1000").json();
    let events = events["events"].as_array().expect("events");
    let of = |name: &str| -> Vec<&Value> { events.iter().map(|event| &event[name]).collect() };
    let pushes: Vec<&str> = events
        .iter()
        .filter_map(|event| event["data"]["image-digest"].as_str())
        .collect();
    assert_eq!(pushes, pushed, "each push is told, in its order");
    let text = |value: &&Value| value.as_str().expect("a text").to_owned();
    let (sequences, ids) = (of("sequence"), of("id"));
    let sequences: Vec<String> = sequences.iter().map(text).collect();
    let ids: Vec<String> = ids.iter().map(text).collect();
    assert!(
        sequences.is_sorted_by(|one, two| one < two),
        "{sequences:?}"
    );
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "no id stands twice");
    let words = ["tag", "history", REPOSITORY, "latest"];
    let history = registry.administer(words).succeeds();
    let named: Vec<_> = history
        .lines()
        .map(|line| line.split('\t').nth(2))
        .collect();
    let newest_first: Vec<_> = pushed.iter().rev().map(|one| Some(one.as_str())).collect();
    assert_eq!(named, newest_first, "{history}");
    let words = ["tag", "rollback", REPOSITORY, "latest"];
    registry.administer(words).succeeds();
    let named = client.get(&format!("/v2/{REPOSITORY}/manifests/latest"));
    assert_eq!(
        digest(&named.body),
        pushed[pushed.len() - 2],
        "what it named before"
    );
    let figure = format!(
        "{} moves of a tag with a jump before each: events, history and rollback in their order",
        pushed.len()
    );
    row(8, "order", &figure);
}

/// What a login was given, each good for a time.
struct Given {
    access: String,
    refresh: String,
    session: String,
    /// What the clock showed.
    at: i64,
}

impl Given {
    fn to(login: &Login, client: &Client, clock: &Clock) -> Self {
        let path = "/token?service=wharf&offline_token=true&scope=repository:a:pull";
        let answer = access::send_as(client, login, "GET", path, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().expect("a token").to_owned();
        let body = json!({"username": login.name, "password": login.password}).to_string();
        let headers = [
            ("Content-Type", "application/json"),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let session = client.send("POST", "/session", &headers, body.as_bytes());
        let cookie = session.header("set-cookie");
        let cookie = cookie.unwrap_or_else(|| panic!("a cookie, not {session:?}"));
        Self {
            access: text("token"),
            refresh: text("refresh_token"),
            session: cookie.split(';').next().expect("a value").to_owned(),
            at: clock.now(),
        }
    }

    /// Which of them are believed.
    fn believed(&self, client: &Client) -> [bool; 3] {
        let form = format!("grant_type=refresh_token&refresh_token={}", self.refresh);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let refreshed = client.send("POST", "/token", &headers, form.as_bytes());
        let session = client.send("GET", "/session", &[("Cookie", &self.session)], b"");
        let access = access::send_with(client, &self.access, "GET", "/v2/", b"");
        [access.status, refreshed.status, session.status].map(|status| status == 200)
    }
}

/// How long each of them is good, in seconds, as the configuration has it by default.
const LIVES: [i64; 3] = [5 * 60, 720 * 60 * 60, 12 * 60 * 60];

#[test]
fn no_token_outlives_its_time_when_the_clock_jumps() {
    let clock = Clock::new();
    let variables = clock.variables();
    let refresh = [
        ("WHARF__AUTH__REFRESH_EVERY", "20ms"),
        ("WHARF__AUTH__ENABLED", "true"),
    ];
    let mut registry = Registry::wharf_with(&with(&variables, &refresh));
    let login = access::user(&registry, "alice", "admin", "*");
    let made_at = clock.now();
    let mut given: Vec<Given> = Vec::new();
    let (mut asked, mut refused) = (0, 0);
    for is_restarted in [false, true] {
        for apart in [
            0,
            4 * 60,
            6 * 60,
            0,
            13 * 3600,
            DAY,
            0,
            DECADE,
            0,
            -DAY,
            0,
            -DECADE,
            0,
        ] {
            if is_restarted {
                registry.stop();
            }
            clock.set(apart);
            if is_restarted {
                registry.start_again();
            }
            let client = Client::new(registry.base());
            // Whoever shows a password is let in, however the clock stands.
            given.push(Given::to(&login, &client, &clock));
            for given in &given {
                let age = clock.now() - given.at;
                let believed = given.believed(&client);
                for (kind, (believed, life)) in believed.into_iter().zip(LIVES).enumerate() {
                    asked += 1;
                    refused += usize::from(!believed);
                    assert!(
                        !believed || age < life,
                        "kind {kind} is believed {age} s after it was given"
                    );
                    assert!(
                        !believed || age >= -60,
                        "kind {kind} is believed {} s before it was given",
                        -age
                    );
                    // What was given by a clock that stood before its owner was made isn't.
                    assert!(
                        believed || given.at < made_at || !(0..life - 5).contains(&age),
                        "kind {kind} is not believed after {age} s of {life}"
                    );
                }
            }
        }
    }
    let figure = format!(
        "{asked} tokens, refresh tokens and sessions shown over 26 jumps, {refused} of them refused: \
         all that were beyond their life, or from a time that had not come"
    );
    row(8, "tokens", &figure);
}

#[test]
fn a_lockout_ends_although_the_clock_goes_back() {
    let clock = Clock::new();
    let variables = clock.variables();
    let registry = Registry::wharf_with(&with(&variables, &[("WHARF__AUTH__ENABLED", "true")]));
    let login = access::user(&registry, "alice", "pull", "*");
    let client = Client::new(registry.base());
    let wrong = Login {
        password: "wrong".to_owned(),
        ..login.clone()
    };
    wait::until("a lockout", Duration::from_secs(20), || {
        let answer = access::send_as(&client, &wrong, "GET", "/v2/", b"");
        (answer.status == 429).then_some(())
    });
    clock.jump(-DECADE);
    wait::until("the end of the lockout", Duration::from_secs(20), || {
        let answer = access::send_as(&client, &login, "GET", "/v2/", b"");
        (answer.status == 200).then_some(())
    });
    row(
        8,
        "lockout",
        "a lockout of seconds ends although the clock went back by ten years",
    );
}

#[test]
fn images_that_a_policy_expires_by_a_wrong_clock_can_be_restored() {
    let clock = Clock::new();
    let variables = clock.variables();
    let quick = [
        ("WHARF__GC__RUN_EVERY", "50ms"),
        ("WHARF__LIFECYCLE__RUN_EVERY", "50ms"),
    ];
    let registry = Registry::wharf_with(&with(&variables, &quick));
    let client = Client::new(registry.base());
    let made = Made::new(&client, 0);
    let policy = json!({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any",
        "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
        "action": {"type": "expire"}}]});
    let input = json!({"repositoryName": REPOSITORY, "lifecyclePolicyText": policy.to_string()});
    let headers = [
        (
            "X-Amz-Target",
            "AmazonEC2ContainerRegistry_V20150921.PutLifecyclePolicy",
        ),
        ("Content-Type", "application/x-amz-json-1.1"),
    ];
    let put = client.send("POST", "/", &headers, input.to_string().as_bytes());
    assert_eq!(put.status, 200, "{put:?}");
    let image = api::image(b"config 0").to_string();
    clock.jump(DECADE);
    std::thread::sleep(MANY_TURNS);
    clock.jump(-DECADE);
    std::thread::sleep(MANY_TURNS);
    let named = digest(image.as_bytes());
    let path = format!("/v2/{REPOSITORY}/manifests/{named}");
    let accept = [("Accept", IMAGE)];
    let expired = client.send("GET", &path, &accept, b"").status == 404;
    if expired {
        let words = ["trash", "restore", REPOSITORY, &named];
        registry.administer(words).succeeds();
    }
    assert_eq!(client.get(&path).body, image.as_bytes());
    let blob = client.get(&format!("/v2/{REPOSITORY}/blobs/{}", made.kept));
    assert_eq!(blob.body, b"config 0");
    let what = if expired {
        "expired it, and it was restored whole"
    } else {
        "left it"
    };
    row(
        8,
        "lifecycle",
        &format!("a policy of 7 days and ten years too many: the run {what}"),
    );
}
