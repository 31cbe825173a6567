//! `/admin/v1`, the command line, and what the audit log has of both.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{self, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Login, behind, send_as, send_json, user};
use crate::api::http::Client;
use crate::support::{Process, Registry, folder, wait};

/// Starts a server on a folder, and gives the lines that it prints behind its address.
fn start(data: &Path) -> (Process, String, impl Iterator<Item = String>) {
    let mut command = process::Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data).env("WHARF__AUTH__ENABLED", "true");
    command.stdout(Stdio::piped());
    let mut server = Process::start(&command);
    let stdout = server.child().stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout)
        .lines()
        .map(|line| line.expect("a line"));
    let base = lines.next().expect("an address");
    (server, base, lines)
}

/// What a server prints behind its address until it ends.
fn told_at_start(data: &Path) -> String {
    let (mut server, _, lines) = start(data);
    server.signal("TERM");
    assert!(server.wait(Duration::from_secs(20)).success());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_administrator_is_made_while_nobody_could_be_one() {
    let folder = folder();
    let data = folder.path().join("data");
    let wharf = |words: &[&str]| {
        crate::support::Command::program(env!("CARGO_BIN_EXE_wharf"))
            .args(words)
            .arg("--data")
            .arg(&data)
    };
    // Who was added first is none.
    wharf(&["user", "add", "bob", "--allow", "pull"]).succeeds();
    wharf(&["user", "add", "admin", "--allow", "pull"]).succeeds();
    let told = told_at_start(&data);
    assert!(told.contains("User: admin-2, password: "), "{told}");
    assert_eq!(told_at_start(&data), "", "there is one now");
    wharf(&["user", "disable", "admin-2"]).succeeds();
    assert!(told_at_start(&data).contains("User: admin-3"));
    // Another one may take its place, also one who may only under a condition.
    let policy = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}}"#;
    wharf(&["policy", "set", "user/bob"])
        .stdin(policy)
        .succeeds();
    wharf(&["user", "remove", "admin-3"]).succeeds();
    assert_eq!(told_at_start(&data), "");
}

#[test]
fn an_administrator_is_made_once_with_a_password_of_its_own() {
    let folder = folder();
    let start = || start(folder.path());
    let (mut server, base, mut lines) = start();
    let told = lines.next().expect("a password");
    let password = told.rsplit(' ').next().expect("a word").to_owned();
    assert!(told.contains("User: admin"), "{told}");
    assert!(password.len() >= 40, "{told}");
    let admin = Login {
        name: "admin".into(),
        password,
    };
    let client = Client::new(&base);
    assert_eq!(
        send_as(&client, &admin, "GET", "/admin/v1/users", b"").status,
        200
    );
    for guess in ["admin", "password", "wharf", ""] {
        let guess = Login {
            password: guess.into(),
            ..admin.clone()
        };
        assert_eq!(send_as(&client, &guess, "GET", "/v2/", b"").status, 401);
    }
    server.signal("TERM");
    assert!(server.wait(Duration::from_secs(20)).success());
    assert_eq!(lines.find(|line| line.contains("password:")), None);

    let (mut server, base, mut lines) = start();
    let client = Client::new(&base);
    assert_eq!(
        send_as(&client, &admin, "GET", "/admin/v1/users", b"").status,
        200
    );
    server.signal("TERM");
    assert!(server.wait(Duration::from_secs(20)).success());
    assert_eq!(lines.next(), None, "it is told once");
}

#[test]
fn administration_works_over_http_as_on_the_command_line() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let admin = user(&registry, "root-of-all", "admin", "*");
    let call = |method: &str, path: &str, body: serde_json::Value| {
        let answer = send_json(&client, &admin, method, &format!("/admin/v1/{path}"), &body);
        let body = match answer.body.is_empty() {
            true => json!(null),
            false => answer.json(),
        };
        (answer.status, body)
    };
    let new = json!({"name": "bob", "password": "correct horse", "description": "Bob"});
    assert_eq!(call("POST", "users", new.clone()).0, 201);
    assert_eq!(call("POST", "users", new).0, 409);
    assert_eq!(
        call(
            "POST",
            "users",
            json!({"name": "b b", "password": "correct horse"})
        )
        .0,
        400
    );
    assert_eq!(
        call(
            "POST",
            "users",
            json!({"name": "carl", "password": "short"})
        )
        .0,
        400
    );
    assert_eq!(
        call("POST", "users", json!({"name": "carl", "admin": true})).0,
        400
    );
    let bob = Login {
        name: "bob".into(),
        password: "correct horse".into(),
    };
    assert_eq!(
        send_as(&client, &bob, "GET", "/v2/", b"").status,
        200,
        "it counts at once"
    );
    assert_eq!(
        send_as(&client, &bob, "GET", "/admin/v1/users", b"").status,
        403
    );

    let policy = json!({"Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}});
    assert_eq!(call("PUT", "policies/user/bob", policy.clone()).0, 204);
    assert_eq!(
        call("GET", "policies/user/bob", json!({})).1["document"],
        policy
    );
    assert_eq!(
        call("PUT", "policies/user/bob", json!({"Statement": 7})).0,
        400
    );
    assert_eq!(call("PUT", "policies/nothing", policy).0, 400);
    let question = json!({"principal": "bob", "action": "PutImage", "repository": "a"});
    let (_, answer) = call("POST", "can", question);
    assert_eq!(
        (&answer["allowed"], &answer["rules"][0]["matches"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(call("DELETE", "policies/user/bob", json!({})).0, 204);
    assert_eq!(call("DELETE", "policies/user/bob", json!({})).0, 404);

    let (status, robot) = call(
        "POST",
        "robots",
        json!({"name": "ci", "expires_in": "90days"}),
    );
    assert_eq!((status, &robot["username"]), (201, &json!("robot/ci")));
    let (_, rotated) = call("POST", "robots/ci/secret", json!({}));
    assert_ne!(robot["secret"], rotated["secret"]);
    assert_eq!(call("PATCH", "robots/ci", json!({"disabled": true})).0, 204);
    assert_eq!(
        call("GET", "robots", json!({})).1["robots"][0]["disabled"],
        true
    );
    let robot = call("GET", "robots/ci", json!({}));
    assert_eq!((robot.0, &robot.1["name"]), (200, &json!("ci")));
    assert_eq!(call("GET", "robots/bob", json!({})).0, 404);
    let user = call("GET", "users/bob", json!({}));
    assert_eq!((user.0, &user.1["description"]), (200, &json!("Bob")));
    assert_eq!(call("GET", "users/ci", json!({})).0, 404);
    let (status, key) = call("POST", "keys", json!({"principal": "robot/ci"}));
    assert_eq!(status, 201);
    let id = key["access_key_id"].as_str().expect("an id");
    assert_eq!(
        call("POST", "keys", json!({"principal": "robot/nobody"})).0,
        404
    );
    assert_eq!(call("DELETE", &format!("keys/{id}"), json!({})).0, 204);
    let trust = json!({"issuer": "https://a.example", "audience": "a", "claims": {"sub": "x"}});
    assert_eq!(call("PUT", "trusts/a", trust.clone()).0, 204);
    assert_eq!(call("GET", "trusts", json!({})).1["trusts"]["a"], trust);
    assert_eq!(call("GET", "trusts/a", json!({})), (200, trust));
    assert_eq!(call("DELETE", "trusts/a", json!({})).0, 204);
    assert_eq!(call("GET", "trusts/a", json!({})).0, 404);
    assert_eq!(call("DELETE", "robots/ci", json!({})).0, 204);
    assert_eq!(
        call("PATCH", "users/bob", json!({"password": "another horse"})).0,
        204
    );
    assert_eq!(send_as(&client, &bob, "GET", "/v2/", b"").status, 401);
    assert_eq!(call("PATCH", "users/bob", json!({})).0, 204);
    assert_eq!(call("DELETE", "users/bob", json!({})).0, 204);
    for (method, path, body, want) in [
        ("DELETE", "users/bob", json!({}), 404),
        ("PATCH", "users/bob", json!({}), 404),
        ("PATCH", "robots/bob", json!({"disabled": true}), 404),
        ("DELETE", "users/%ff", json!({}), 400),
        ("GET", "policies/%ff", json!({}), 400),
    ] {
        let (status, answer) = call(method, path, body);
        assert_eq!(status, want, "{method} {path}");
        assert!(answer["errors"][0]["code"].is_string(), "{answer}");
    }
    for lifetime in ["0s", "11years", "9999999999y"] {
        let new = json!({"name": "slip", "expires_in": lifetime});
        assert_eq!(call("POST", "robots", new).0, 400, "{lifetime}");
        let new = json!({"principal": "user/root-of-all", "expires_in": lifetime});
        assert_eq!(call("POST", "keys", new).0, 400, "{lifetime}");
    }

    // Both see what the other made.
    let listed = registry.administer(["user", "list"]).succeeds();
    assert!(
        listed.contains("root-of-all") && !listed.contains("bob"),
        "{listed}"
    );
}

#[test]
fn the_answer_to_who_can_tells_each_rule() {
    let registry = Registry::private();
    user(&registry, "alice", "push", "team/*");
    let said = registry
        .administer(["can", "alice", "PutImage", "team/app"])
        .succeeds();
    assert!(
        said.starts_with("allowed: user/alice ecr:PutImage on repository/team/app"),
        "{said}"
    );
    assert!(said.contains("user/alice: Statement[0] allows"), "{said}");
    let output = registry
        .administer(["can", "alice", "PutImage", "other"])
        .run();
    assert_eq!(output.code, Some(1));
    let said = output.stdout;
    assert!(said.starts_with("denied: user/alice"), "{said}");
    assert!(said.contains("is about other repositories"), "{said}");
    let said = registry
        .administer(["can", "alice", "Fly", "other"])
        .fails();
    assert!(said.contains("Fly is no action"), "{said}");
}

#[test]
fn who_is_not_let_in_can_do_nothing() {
    let registry = Registry::private();
    user(&registry, "alice", "push", "*");
    registry.administer(["user", "disable", "alice"]).succeeds();
    registry
        .administer(["robot", "add", "short", "--allow", "push"])
        .args(["--expires-in", "1ms"])
        .succeeds();
    let policy =
        r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}"#;
    registry
        .administer(["policy", "set", "registry"])
        .stdin(policy)
        .succeeds();
    let admin = user(&registry, "root-of-all", "admin", "*");
    let client = Client::new(registry.base());
    for (who, why, word) in [
        ("user/alice", "is disabled", "disabled"),
        ("robot/short", "has expired", "expired"),
        ("user/nobody", "is not known here", "unknown"),
        ("federated/nothing/a", "is not known here", "unknown"),
    ] {
        let output = registry.administer(["can", who, "PutImage", "a"]).run();
        let said = output.stdout;
        assert_eq!(output.code, Some(1), "{said}");
        assert!(said.starts_with(&format!("denied: {who}")), "{said}");
        assert!(said.contains(&format!("{who} {why}")), "{said}");
        let question = json!({"principal": who, "action": "PutImage", "repository": "a"});
        let answer = send_json(&client, &admin, "POST", "/admin/v1/can", &question).json();
        assert_eq!(
            (&answer["allowed"], &answer["principal"]),
            (&json!(false), &json!(word))
        );
    }
    let said = registry
        .administer(["can", "certificate/node", "PutImage", "a"])
        .succeeds();
    assert!(said.starts_with("allowed"), "{said}");
}

#[test]
fn what_was_done_stands_in_the_audit_log() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let admin = user(&registry, "root-of-all", "admin", "*");
    let alice = user(&registry, "alice", "push", "team/*");
    super::push_image(&client, &alice, "team/app");
    send_as(&client, &alice, "DELETE", "/v2/team/app/manifests/v1", b"");
    send_json(
        &client,
        &admin,
        "POST",
        "/admin/v1/robots",
        &json!({"name": "ci"}),
    );
    let wrong = Login {
        password: "wrong".into(),
        ..alice
    };
    send_as(&client, &wrong, "GET", "/token", b"");
    let find = |query: &str| {
        let path = format!("/admin/v1/audit?{query}");
        let found = send_as(&client, &admin, "GET", &path, b"").json()["records"].clone();
        found.as_array().cloned().expect("records")
    };
    for (query, outcome) in [
        (
            "principal=user/alice&action=ecr:PutImage&resource=team/app",
            "allowed",
        ),
        (
            "principal=user/alice&action=ecr:BatchDeleteImage&outcome=denied",
            "denied",
        ),
        (
            "principal=user/root-of-all&action=wharf:Administer",
            "allowed",
        ),
        ("action=login&outcome=denied&resource=alice", "denied"),
    ] {
        let found = wait::until(query, Duration::from_secs(5), || {
            find(query).first().cloned()
        });
        assert_eq!(found["outcome"], outcome, "{query}");
        assert_eq!(found["address"], "127.0.0.1", "{query}");
        assert!(!found["request_id"].as_str().unwrap_or_default().is_empty());
    }
    assert_eq!(
        find("principal=user/alice&action=ecr:BatchGetImage").len(),
        0,
        "reads are left out"
    );
    // Records tell what was pushed and asked for, by its tag and its digest.
    let digest = crate::api::digest(crate::api::image(b"team/app").to_string().as_bytes());
    let pushed = find("principal=user/alice&action=ecr:PutImage");
    assert_eq!(pushed[0]["detail"], format!("v1 {digest}"));
    let blob = crate::api::digest(b"team/app");
    let uploaded = find("principal=user/alice&action=ecr:InitiateLayerUpload");
    assert_eq!(uploaded[0]["detail"], blob, "an upload in one request");

    // Whatever is not believed is there too.
    let forged = "Bearer a.b.c";
    client.send("GET", "/v2/", &[("Authorization", forged)], b"");
    let garbage = ("Authorization", "Digest x");
    client.send("GET", "/v2/", &[garbage], b"");
    let cookie = ("Cookie", "wharf_session=a.b.c");
    client.send("GET", "/admin/v1/users", &[cookie], b"");
    let other_site = [cookie, ("Sec-Fetch-Site", "cross-site")];
    client.send("DELETE", "/admin/v1/users/alice", &other_site, b"");
    let target = (
        "X-Amz-Target",
        "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry",
    );
    let signature = format!(
        "AWS4-HMAC-SHA256 Credential=WKIAUNKNOWN/20260101/us-east-1/ecr/aws4_request, \
         SignedHeaders=host, Signature={}",
        "0".repeat(64)
    );
    let signed = [target, ("Authorization", signature.as_str())];
    client.send("POST", "/", &signed, b"{}");
    client.get("/layers/sha256:00?repository=a&expires=1&signature=x");
    for (query, why) in [
        ("action=login&resource=token", "not one of this registry's"),
        ("action=login&resource=unknown", "can not be read"),
        ("action=login&resource=session&limit=2", "own pages only"),
        ("action=login&resource=session&limit=2", "not one of this"),
        (
            "action=login&resource=WKIAUNKNOWN",
            "unknown or has expired",
        ),
        ("resource=/layers/sha256:00", ""),
    ] {
        wait::until(query, Duration::from_secs(5), || {
            let found = find(query);
            let mut found = found.iter();
            let is_it = |record: &&Value| {
                record["outcome"] == "denied"
                    && record["detail"]
                        .as_str()
                        .is_some_and(|detail| detail.contains(why))
            };
            found.find(is_it).cloned()
        });
    }

    let first = find("limit=1");
    assert_eq!(first.len(), 1);
    let before = first[0]["id"].as_i64().expect("a place");
    let second = find(&format!("limit=1&before={before}"));
    assert!(second[0]["id"].as_i64() < Some(before));
    let printed = |words: &[&str]| {
        let audit = registry.administer(["audit", "--principal", "user/alice"]);
        audit.args(words).succeeds()
    };
    let all = printed(&[]);
    assert!(all.contains("ecr:PutImage\tteam/app\tv1 sha256:"), "{all}");
    assert!(printed(&["--since", "1h"]) == all && printed(&["--since", "0s"]).is_empty());
    let first = all.lines().next().expect("a record");
    let number = first.split('\t').next().expect("a number");
    let rest = printed(&["--before", number]);
    assert_eq!(
        Some(rest.as_str()),
        all.split_once('\n').map(|(_, rest)| rest)
    );
    assert_eq!(
        find("principal=user/alice&since=1h").len(),
        all.lines().count()
    );
    assert_eq!(find("since=0s").len(), 0);
    for query in [
        "outcome=good",
        "since=2020",
        "since=",
        "before=x",
        "limit=x",
    ] {
        let path = format!("/admin/v1/audit?{query}");
        let answer = send_as(&client, &admin, "GET", &path, b"");
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[test]
fn a_page_logs_in_and_out() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "admin", "*");
    let body = json!({"username": alice.name, "password": alice.password}).to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = client.send("POST", "/session", &headers, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict;"), "{cookie}");
    let session = cookie.split(';').next().expect("a value").to_owned();
    let answer = client.send("GET", "/session", &[("Cookie", &session)], b"");
    assert_eq!(answer.json()["principal"], "user/alice");
    assert_eq!(
        client
            .send("GET", "/admin/v1/users", &[("Cookie", &session)], b"")
            .status,
        200
    );
    let form = [("Content-Type", "text/plain")];
    assert_eq!(
        client
            .send("POST", "/session", &form, body.as_bytes())
            .status,
        415
    );
    let wrong = json!({"username": "alice", "password": "wrong"}).to_string();
    assert_eq!(
        client
            .send("POST", "/session", &headers, wrong.as_bytes())
            .status,
        401
    );
    // Another site's page can't log her out, and where she does the session is over, not only its
    // cookie.
    let leave = |origin: &str| {
        let headers = [("Cookie", session.as_str()), ("Origin", origin)];
        client.send("DELETE", "/session", &headers, b"")
    };
    let status = |session: &str| {
        let headers = [("Cookie", session)];
        client.send("GET", "/session", &headers, b"").status
    };
    assert_eq!(leave("https://evil.example").status, 403);
    assert_eq!(status(&session), 200);
    let answer = leave(registry.base());
    assert_eq!(answer.status, 204);
    let gone = answer.header("set-cookie").expect("a cookie");
    assert!(gone.contains("Max-Age=0"), "{gone}");
    assert_eq!(status(&session), 401);
    assert_eq!(
        leave(registry.base()).status,
        204,
        "there is nothing to leave"
    );
    let answer = client.send("POST", "/session", &headers, body.as_bytes());
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    let session = cookie.split(';').next().expect("a value").to_owned();
    assert_eq!(status(&session), 200);
    // A page that was forgotten ends with its owner's password.
    registry
        .administer(["user", "password", "alice"])
        .succeeds();
    wait::until("the end of the session", Duration::from_secs(5), || {
        let answer = client.send("GET", "/session", &[("Cookie", &session)], b"");
        (answer.status == 401).then_some(())
    });
}

#[test]
fn commands_say_what_is_wrong() {
    let registry = Registry::private();
    for (words, stdin, want) in [
        (&["user", "add", "a b"][..], "", "a name has 1 to 128"),
        (&["user", "add", "AWS"], "", "is none of AWS"),
        (&["user", "add", "admin"], "", "user/admin exists already"),
        (
            &["user", "add", "x", "--password-stdin"],
            "short\n",
            "8 characters",
        ),
        (&["user", "remove", "nobody"], "", "there is no user/nobody"),
        (
            &["robot", "rotate", "nobody"],
            "",
            "there is no robot/nobody",
        ),
        (
            &["key", "add", "user/nobody"],
            "",
            "there is no user/nobody",
        ),
        (&["key", "add", "nobody"], "", "a principal reads"),
        (
            &["robot", "add", "x", "--expires-in", "99999999999y"],
            "",
            "at most ten years",
        ),
        (
            &["robot", "add", "x", "--expires-in", "0s"],
            "",
            "longer than 0s",
        ),
        (
            &["key", "add", "user/admin", "--expires-in", "9000y"],
            "",
            "at most ten years",
        ),
        (
            &[
                "robot",
                "add",
                "x",
                "--allow",
                "pull",
                "--on",
                "Bad Pattern!",
            ],
            "",
            "no repository has such a name",
        ),
        (&["key", "remove", "X"], "", "there is no access key X"),
        (&["policy", "set", "registry"], "{", "it is no JSON"),
        (&["policy", "set", "nowhere"], "{}", "not to nowhere"),
        (
            &["policy", "get", "registry"],
            "",
            "there is no policy of registry",
        ),
        (&["trust", "set", "a"], "{}", "the trust is not valid"),
    ] {
        let said = registry
            .administer(words.iter().copied())
            .stdin(stdin)
            .fails();
        assert!(said.contains(want), "{words:?}: {said}");
    }
    let told = registry.administer(["key", "add", "user/admin"]).succeeds();
    assert!(behind(&told, "AWS_ACCESS_KEY_ID=").starts_with("WKIA"));
    assert_eq!(behind(&told, "AWS_SECRET_ACCESS_KEY=").len(), 43);
}
