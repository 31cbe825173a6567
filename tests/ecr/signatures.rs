//! Who is let in at this door, and what is refused before any operation.

use serde_json::json;

use super::{Account, aws, key};
use crate::access;
use crate::api::http::Client;
use crate::support::{Registry, wait};

#[test]
fn only_who_signs_is_let_in() {
    let account = Account::new();
    let registry = &account.registry;
    let wrong = (account.key.0.clone(), "wrong".to_owned());
    assert!(
        aws(registry, &wrong, ["describe-registry"])
            .fails()
            .contains("InvalidSignatureException")
    );
    let unknown = ("WKIAUNKNOWN".to_owned(), "wrong".to_owned());
    assert!(
        aws(registry, &unknown, ["describe-registry"])
            .fails()
            .contains("UnrecognizedClientException")
    );
    let client = Client::new(registry.base());
    let target = (
        "X-Amz-Target",
        "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry",
    );
    let admin = access::user(registry, "someone", "admin", "*").basic();
    for headers in [
        vec![target],
        vec![target, ("Authorization", admin.as_str())],
        vec![target, ("Authorization", "AWS4-HMAC-SHA256 nonsense")],
    ] {
        let answer = client.send("POST", "/", &headers, b"{}");
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json()["__type"],
            "MissingAuthenticationTokenException"
        );
        assert_eq!(
            answer.header("x-amzn-errortype"),
            Some("MissingAuthenticationTokenException")
        );
    }
}

#[test]
fn what_was_given_for_a_key_ends_with_the_key() {
    let account = Account::new();
    let registry = &account.registry;
    let client = Client::new(registry.base());
    let words = ["key", "add", "user/admin", "--expires-in", "1h"];
    let short = super::key_by(registry, &words);
    let password = |key| aws(registry, key, ["get-login-password"]).succeeds();
    let login = |password| access::Login {
        name: "AWS".into(),
        password,
    };
    let (long, short_login) = (login(password(&account.key)), login(password(&short)));
    let asked = "/token?offline_token=true&scope=repository:a:pull";
    let answer = access::send_as(&client, &short_login, "GET", asked, b"").json();
    let token = answer["token"].as_str().expect("a token").to_owned();
    let refresh = answer["refresh_token"].as_str().expect("a token");
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let statuses = || {
        [
            access::send_as(&client, &short_login, "GET", "/v2/", b"").status,
            access::send_with(&client, &token, "GET", "/v2/", b"").status,
            client
                .send("POST", "/token", &headers, form.as_bytes())
                .status,
        ]
    };
    assert_eq!(statuses(), [200; 3]);
    // It doesn't outlive the key either.
    let claims = access::claims(&short_login.password);
    let lifetime = claims["exp"].as_i64().zip(claims["iat"].as_i64());
    let lifetime = lifetime.map(|(end, begin)| end - begin);
    assert!(lifetime.is_some_and(|seconds| seconds <= 3600), "{claims}");

    registry.administer(["key", "remove", &short.0]).succeeds();
    let soon = std::time::Duration::from_secs(5);
    wait::until("the end of what the key gave", soon, || {
        (statuses() == [401; 3]).then_some(())
    });
    assert_eq!(
        access::send_as(&client, &long, "GET", "/v2/", b"").status,
        200,
        "its owner's other key stays"
    );
}

#[test]
fn a_key_may_what_its_owner_may_and_ends_with_it() {
    let account = Account::new();
    let registry = &account.registry;
    access::robot(registry, "reader", "pull", &["--on", "team/*"]);
    account.ask(["create-repository", "--repository-name", "team/app"]);
    account.ask(["create-repository", "--repository-name", "other/app"]);
    let reader = key(registry, "robot/reader");
    let as_reader = |words: &[&str]| aws(registry, &reader, words.iter().copied());
    as_reader(&["list-images", "--repository-name", "team/app"]).succeeds();
    let denied = as_reader(&["list-images", "--repository-name", "other/app"]).fails();
    assert!(
        denied.contains("AccessDeniedException") && denied.contains("ecr:ListImages"),
        "{denied}"
    );
    let denied = as_reader(&["delete-repository", "--repository-name", "team/app"]).fails();
    assert!(denied.contains("AccessDeniedException"), "{denied}");
    for (action, resource) in [
        ("ecr:ListImages", "other/app"),
        ("ecr:DeleteRepository", "team/app"),
    ] {
        let of_reader = [
            "audit",
            "--principal",
            "robot/reader",
            "--outcome",
            "denied",
        ];
        let words = of_reader.into_iter().chain(["--action", action]);
        crate::support::wait::until("the record", std::time::Duration::from_secs(10), || {
            let told = registry.administer(words.clone()).succeeds();
            told.contains(&format!("\t{action}\t{resource}\t"))
                .then_some(())
        });
    }
    // A list shows what the caller may see.
    let listed = as_reader(&["describe-repositories"]).succeeds();
    assert!(
        listed.contains("team/app") && !listed.contains("other/app"),
        "{listed}"
    );
    registry
        .administer(["robot", "remove", "reader"])
        .succeeds();
    crate::support::wait::until("the key's end", std::time::Duration::from_secs(5), || {
        let asked = as_reader(&["describe-repositories"]).run();
        asked
            .stderr
            .contains("UnrecognizedClientException")
            .then_some(())
    });
}

#[test]
fn who_may_all_of_ecr_can_not_make_itself_administrator() {
    let account = Account::new();
    let registry = &account.registry;
    access::robot(registry, "terraform", "pull", &[]);
    let policy = json!({"Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}});
    let set = ["policy", "set", "robot/terraform"];
    registry
        .administer(set)
        .stdin(&policy.to_string())
        .succeeds();
    let terraform = key(registry, "robot/terraform");
    let ask = |words: &[&str]| aws(registry, &terraform, words.iter().copied());
    crate::support::wait::until("the policy", std::time::Duration::from_secs(5), || {
        let made = ask(&["create-repository", "--repository-name", "team/app"]).run();
        (made.code == Some(0)).then_some(())
    });
    let grab = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "*", "Resource": "*"}]})
    .to_string();
    for words in [
        &["put-registry-policy", "--policy-text", &grab][..],
        &["delete-registry-policy"],
    ] {
        let denied = ask(words).fails();
        assert!(denied.contains("AccessDeniedException"), "{denied}");
        assert!(denied.contains("wharf:Administer"), "{denied}");
    }
}

#[test]
fn requests_that_are_none_get_the_protocols_errors() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let send = |operation: &str, body: &[u8]| {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let answer = client.send("POST", "/", &[("X-Amz-Target", &target)], body);
        assert_eq!(
            answer.header("content-type"),
            Some("application/x-amz-json-1.1")
        );
        let kind = answer.json()["__type"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (answer.status, kind)
    };
    let refused = |kind: &str| (400, kind.to_owned());
    assert_eq!(send("Nothing", b"{}"), refused("UnknownOperationException"));
    assert_eq!(send("ListImages", b"{"), refused("SerializationException"));
    assert_eq!(
        send("ListImages", b"{}"),
        refused("InvalidParameterException")
    );
    assert_eq!(
        send("ListImages", &vec![b'['; 4 << 20]),
        refused("SerializationException")
    );
    assert_eq!(
        send("DescribeRepositories", br#"{"maxResults": 1e999}"#),
        refused("SerializationException")
    );
    assert_eq!(
        send("DescribeRepositories", br#"{"nextToken": "!"}"#),
        refused("InvalidParameterException")
    );
    assert_eq!(
        send("DescribeRepositories", b""),
        (200, String::new()),
        "an open server asks nobody"
    );
    assert_eq!(
        client.send("POST", "/", &[], b"{}").json()["__type"],
        "UnknownOperationException"
    );
    let other = json!({"repositoryName": "team/app", "registryId": "123456789012"}).to_string();
    assert_eq!(
        send("CreateRepository", other.as_bytes()),
        refused("InvalidParameterException")
    );
}
