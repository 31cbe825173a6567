//! Row 24: every route takes the actions that it is documented to take, and no others; and every kind
//! of credential opens what it is for.

use serde_json::{Value, json};

use super::people::{BEHIND_A_PROXY, House, basic, elsewhere};
use super::routes::{Route, administration, distribution, operations};
use super::sigv4::Key;
use super::{Form, row};
use crate::api::http::Answer;
use crate::support::wait;

#[test]
fn each_route_takes_its_actions_and_no_others() {
    let house = House::new(&[]);
    let image = house.image("team/app", "1", b"a private layer");
    let robot = house.robot("probe");
    let key = house.key("robot/probe");
    let mut routes = distribution("team/app", &image);
    routes.extend(administration(&house));
    let mut checked = 0;
    for route in &routes {
        let ask = || route.ask(&house, &[("Authorization", &robot)]);
        checked += exactly(&house, &route.actions, &format!("{route:?}"), || {
            let answer = ask();
            match answer.status {
                401 | 403 => Err(answer),
                _ => Ok(answer),
            }
        });
    }

    let operations = operations("team/app");
    assert_eq!(operations.len(), 62);
    for (operation, input) in &operations {
        let own = format!("ecr:{operation}");
        let mut actions = vec![own.as_str()];
        // These two decide about everything.
        if ["PutRegistryPolicy", "DeleteRegistryPolicy"].contains(operation) {
            actions.push("wharf:Administer");
        }
        checked += exactly(&house, &actions, operation, || {
            let answer = house.call(&key, operation, input);
            match answer.json()["__type"] == "AccessDeniedException" {
                true => Err(answer),
                false => Ok(answer),
            }
        });
    }
    row(
        24,
        "actions",
        &format!(
            "{} routes and 62 operations, {checked} answers as documented",
            routes.len()
        ),
    );
}

/// Asserts that a request goes through with these actions alone, and with all others but one of them
/// doesn't. Gives how often it asked.
fn exactly(
    house: &House,
    actions: &[&str],
    what: &str,
    ask: impl Fn() -> Result<Answer, Answer>,
) -> usize {
    let set = |statements: Value| {
        let policy = json!({"Version": "2012-10-17", "Statement": statements});
        let set = house.manage("PUT", "/policies/robot%2Fprobe", &policy);
        assert_eq!(set.status, 204, "{set:?}");
    };
    let allow = |actions: &[&str]| json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    for missing in actions {
        let deny = json!({"Effect": "Deny", "Action": missing, "Resource": "*"});
        set(json!([allow(&["ecr:*", "wharf:*"]), deny]));
        let refusal = ask().expect_err(&format!("without {missing}: {what}"));
        let told = String::from_utf8_lossy(&refusal.body);
        // A HEAD has no body to say it in.
        let is_told = told.is_empty() || told.contains(missing) || refusal.status == 400;
        assert!(is_told, "{what}: {told}");
    }
    set(json!([allow(actions)]));
    let outcome = ask();
    assert!(outcome.is_ok(), "with {actions:?}: {what}: {outcome:?}");
    set(json!([{"Effect": "Deny", "Action": "*", "Resource": "*"}]));
    assert!(ask().is_err(), "with nothing: {what}");
    actions.len() + 2
}

#[test]
fn what_shows_nobody_or_the_wrong_one_opens_no_route() {
    let house = House::new(&[BEHIND_A_PROXY]);
    let image = house.image("team/app", "1", b"a private layer");
    house.image("other/app", "1", b"another layer");
    let mut routes = distribution("team/app", &image);
    routes.extend(administration(&house));

    let bad = Bad::new(&house);
    let mut refused = 0;
    // In the short form each route meets a third of them, and each of them a third of the routes.
    let step = Form::pick(3, 1);
    for (number, route) in routes.iter().enumerate() {
        for (what, shown, wanted) in bad.shown().iter().skip(number % step).step_by(step) {
            let from = elsewhere();
            let mut headers = shown.clone();
            headers.push(("X-Forwarded-For".to_owned(), from));
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            let answer = route.ask(&house, &headers);
            let is_wanted = wanted.contains(&answer.status);
            assert!(is_wanted, "{what}: {route:?}: {answer:?}");
            refused += 1;
        }
    }
    for (number, (operation, input)) in operations("team/app").into_iter().enumerate() {
        for (what, shown, _) in bad.shown().iter().skip(number % step).step_by(step) {
            let mut headers = shown.clone();
            headers.push(("X-Forwarded-For".to_owned(), elsewhere()));
            headers.push((
                "Content-Type".to_owned(),
                "application/x-amz-json-1.1".to_owned(),
            ));
            let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
            headers.push(("X-Amz-Target".to_owned(), target));
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            let answer = house
                .client
                .send("POST", "/", &headers, input.to_string().as_bytes());
            assert!(
                [400, 401, 403].contains(&answer.status),
                "{what}: {operation}: {answer:?}"
            );
            let kind = answer.json()["__type"].as_str().expect("a type").to_owned();
            assert!(
                ANONYMOUS.contains(&kind.as_str()),
                "{what}: {operation}: {answer:?}"
            );
            refused += 1;
        }
        for key in &bad.keys {
            let answer = house.call(key, operation, &input);
            assert_eq!(answer.status, 403, "{operation}: {answer:?}");
            refused += 1;
        }
    }
    let opened = good_ones(&house, &routes);
    row(
        24,
        "credentials",
        &format!("{refused} bad credentials refused, {opened} good ones taken"),
    );
}

/// What ECR's door says to those who show no key.
const ANONYMOUS: [&str; 3] = [
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "UnrecognizedClientException",
];

/// Headers that somebody shows, what they are, and the statuses that may answer them.
type Shown = (&'static str, Vec<(String, String)>, &'static [u16]);

/// Credentials that open nothing in `team/app`, nor in the administration.
struct Bad {
    shown: Vec<Shown>,
    keys: Vec<Key>,
}

impl Bad {
    fn new(house: &House) -> Self {
        const NOBODY: &[u16] = &[401];
        const SOMEBODY: &[u16] = &[401, 403];
        let manage = |method: &str, path: &str, body: Value| {
            let answer = house.manage(method, path, &body);
            assert!(answer.status < 300, "{answer:?}");
            answer
        };
        let without = house.user("without", &[]);
        let disabled = house.user("disabled", &["--allow", "admin"]);
        let of_disabled = house.token(&disabled, SCOPE);
        let key_of_disabled = house.key("user/disabled");
        manage("PATCH", "/users/disabled", json!({"disabled": true}));
        let removed = house.user("removed", &["--allow", "admin"]);
        let of_removed = house.token(&removed, SCOPE);
        let key_of_removed = house.key("user/removed");
        manage("DELETE", "/users/removed", Value::Null);
        let short = [
            "robot",
            "add",
            "short",
            "--expires-in",
            "2s",
            "--allow",
            "admin",
        ];
        let told = house.registry.administer(short).succeeds();
        let secret = told.split_whitespace().last().expect("a secret");
        let secret = secret.rsplit('=').next().expect("a secret");
        let expired = basic("robot/short", secret);
        let of_expired = wait::until("the robot", std::time::Duration::from_secs(2), || {
            let answer = house.ask(
                &expired,
                "GET",
                "/token?scope=repository:team/app:pull,push",
            );
            (answer.status == 200).then(|| answer.json()["token"].as_str().map(str::to_owned))?
        });
        let of_expired = format!("Bearer {of_expired}");
        wait::until(
            "the end of the robot",
            std::time::Duration::from_secs(5),
            || (house.ask(&expired, "GET", "/v2/").status == 401).then_some(()),
        );
        let elsewhere = house.token(&house.admin, "repository:other/app:pull,push,delete");
        let login = house.ask(&house.admin, "GET", "/token").json();
        let login = format!("Bearer {}", login["token"].as_str().expect("a token"));
        let refresh = house
            .ask(
                &house.admin,
                "GET",
                "/token?offline_token=true&service=wharf",
            )
            .json();
        let refresh = refresh["refresh_token"]
            .as_str()
            .expect("a refresh token")
            .to_owned();
        let authorization = |value: &str| vec![("Authorization".to_owned(), value.to_owned())];
        let twice = |one: &str, two: &str| [authorization(one), authorization(two)].concat();
        let cookie = |value: &str| vec![("Cookie".to_owned(), value.to_owned())];
        let admin = &house.admin;
        let shown = vec![
            ("nothing", Vec::new(), NOBODY),
            ("an empty login", authorization("Basic Og=="), NOBODY),
            (
                "a wrong password",
                authorization(&basic("warden", "wrong")),
                NOBODY,
            ),
            (
                "a user that is not there",
                authorization(&basic("nobody", "wrong")),
                NOBODY,
            ),
            (
                "an empty password",
                authorization(&basic("warden", "")),
                NOBODY,
            ),
            (
                "the reserved names",
                authorization(&basic("AWS", "password")),
                NOBODY,
            ),
            ("what is no base64", authorization("Basic !!!"), NOBODY),
            (
                "another scheme",
                authorization("Digest username=warden"),
                NOBODY,
            ),
            ("a token of nothing", authorization("Bearer x.y.z"), NOBODY),
            (
                "a password as a token",
                authorization(&format!("Bearer {}", &admin[6..])),
                NOBODY,
            ),
            (
                "a refresh token",
                authorization(&format!("Bearer {refresh}")),
                NOBODY,
            ),
            ("a cookie of nothing", cookie("wharf_session=x"), SOMEBODY),
            (
                "a token as a cookie",
                cookie(&format!("wharf_session={}", &login[7..])),
                SOMEBODY,
            ),
            ("two logins", twice("Basic Og==", admin), NOBODY),
            (
                "two logins, the good one first",
                twice(admin, "Basic Og=="),
                NOBODY,
            ),
            ("a disabled user", authorization(&disabled), NOBODY),
            (
                "a token of a disabled user",
                authorization(&of_disabled),
                NOBODY,
            ),
            ("a removed user", authorization(&removed), NOBODY),
            (
                "a token of a removed user",
                authorization(&of_removed),
                NOBODY,
            ),
            ("an expired robot", authorization(&expired), NOBODY),
            (
                "a token of an expired robot",
                authorization(&of_expired),
                NOBODY,
            ),
            ("a user without rights", authorization(&without), SOMEBODY),
            (
                "a token of a user without rights",
                authorization(&house.token(&without, SCOPE)),
                SOMEBODY,
            ),
            (
                "an administrator's token for another repository",
                authorization(&elsewhere),
                SOMEBODY,
            ),
            (
                "an administrator's token for nothing",
                authorization(&login),
                SOMEBODY,
            ),
        ];
        Self {
            shown,
            keys: vec![key_of_disabled, key_of_removed],
        }
    }

    fn shown(&self) -> &[Shown] {
        &self.shown
    }
}

const SCOPE: &str = "repository:team/app:pull,push,delete registry:catalog:*";

/// All ways to show an administrator open all of it; a token opens what its scope names.
fn good_ones(house: &House, routes: &[Route]) -> usize {
    let key = house.key("user/warden");
    let token = house.call(&key, "GetAuthorizationToken", &json!({})).json();
    let token = &token["authorizationData"][0]["authorizationToken"];
    let aws = format!("Basic {}", token.as_str().expect("a token"));
    let mut opened = 0;
    for route in routes {
        for shown in [&house.admin, &aws] {
            let answer = route.ask(house, &[("Authorization", shown)]);
            assert!(
                ![401, 403].contains(&answer.status),
                "{route:?}: {answer:?}"
            );
            opened += 1;
        }
    }
    let pull = house.token(&house.admin, "repository:team/app:pull");
    for route in routes
        .iter()
        .filter(|route| route.path.starts_with("/v2/team/app/"))
    {
        let answer = route.ask(house, &[("Authorization", &pull)]);
        let is_pull = ["GET", "HEAD"].contains(&route.method.as_str());
        let is_taken = ![401, 403].contains(&answer.status);
        assert_eq!(
            is_taken, is_pull,
            "with a token to pull: {route:?}: {answer:?}"
        );
        opened += 1;
    }
    opened
}
