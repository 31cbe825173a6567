//! Row 26: tokens that were made up, in the registry's own name and in that of an issuer it trusts.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::forgeries::{Forged, own_claims, times};
use super::jwt::{Signer, claims, url, with_secret};
use super::people::{BEHIND_A_PROXY, House, basic, elsewhere};
use super::row;
use super::site::{self, Site};
use crate::api::http::Answer;
use crate::support::wait;

#[test]
fn a_token_that_the_registry_did_not_sign_so_is_no_login() {
    let house = House::new(&[BEHIND_A_PROXY]);
    house.image("team/app", "1", b"a private layer");
    let signer = Signer::ed25519();
    let Signer::Ed25519(_, pem) = &signer else {
        unreachable!("it was made so")
    };
    let given = house.manage("POST", "/signing-keys", &json!({"pem": pem}));
    assert!(given.status < 300, "{given:?}");
    let trap = Site::trap();

    let real = house.token(&house.admin, "repository:team/app:pull,push");
    let real = real.trim_start_matches("Bearer ").to_owned();
    let header: Value = {
        let part = real.split('.').next().expect("a header");
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
    };
    let kid = header["kid"].as_str().expect("a key's name").to_owned();
    let claims = claims(&real);
    let ask = |token: &str| {
        let from = elsewhere();
        let shown = format!("Bearer {token}");
        let headers = [("Authorization", &*shown), ("X-Forwarded-For", &from)];
        house
            .client
            .send("GET", "/v2/team/app/manifests/1", &headers, b"")
    };
    // The signer's key is the registry's: what it signs is taken, as long as nothing else is wrong.
    assert_eq!(ask(&signer.token(&header, &claims.to_string())).status, 200);

    let forged = Forged {
        signer: &signer,
        header: &header,
        claims: &claims,
        kid: &kid,
    };
    let mut tokens = forged.headers(&format!("http://{}/keys", trap.address()));
    tokens.extend(forged.claims(&own_claims()));
    tokens.extend(forged.bytes(&real));
    let refresh = house
        .ask(&house.admin, "GET", "/token?offline_token=true")
        .json();
    let refresh = refresh["refresh_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    tokens.push(("a refresh token".to_owned(), refresh));
    let mut refused = 0;
    let mut taken = Vec::new();
    for (what, token) in &tokens {
        let answer = ask(token);
        match answer.status {
            401 => refused += 1,
            // What is longer than a head may be.
            431 if token.len() > 60_000 => refused += 1,
            status => taken.push(format!("{what}: {status}")),
        }
    }
    // A sample of them by all other ways to show one.
    let has_its_place = |what: &str| {
        ["a refresh token", "\"refresh\"", "\"session\""]
            .iter()
            .any(|part| what.contains(part))
    };
    for (what, token) in tokens.iter().step_by(5) {
        // What the registry's key has signed for one of these ways is good there.
        if has_its_place(what) {
            continue;
        }
        for (way, answer) in other_ways(&house, token) {
            match answer.status {
                400 | 401 | 403 | 413 | 431 => refused += 1,
                status => taken.push(format!("{what} as {way}: {status}")),
            }
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert_eq!(
        trap.connections(),
        0,
        "a key was fetched from where a token said"
    );
    row(
        26,
        "own tokens",
        &format!(
            "{} forgeries, {refused} times refused, no key fetched",
            tokens.len()
        ),
    );
}

/// Where else a token may be shown.
fn other_ways(house: &House, token: &str) -> Vec<(&'static str, Answer)> {
    let from = elsewhere();
    let send = |method: &str, path: &str, more: &[(&str, &str)], body: &str| {
        let headers = [&[("X-Forwarded-For", &*from)], more].concat();
        house.client.send(method, path, &headers, body.as_bytes())
    };
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let cookie = format!("wharf_session={token}");
    let names = ["token", "AWS", "oidc", "<token>", "warden"];
    let mut answers = vec![
        (
            "a refresh token",
            send(
                "POST",
                "/token",
                &[form],
                &format!("grant_type=refresh_token&service=wharf&refresh_token={token}"),
            ),
        ),
        (
            "a token to exchange",
            send(
                "POST",
                "/token",
                &[form],
                &format!(
                    "grant_type={exchange}&service=wharf&subject_token={token}&subject_token_type=urn:ietf:params:oauth:token-type:jwt"
                ),
            ),
        ),
        (
            "a cookie",
            send("GET", "/admin/v1/users", &[("Cookie", &cookie)], ""),
        ),
    ];
    for name in names {
        let shown = basic(name, token);
        answers.push((
            "a password",
            send(
                "GET",
                "/v2/team/app/manifests/1",
                &[("Authorization", &shown)],
                "",
            ),
        ));
    }
    answers
}

#[test]
fn a_token_that_a_trusted_issuer_did_not_sign_so_is_no_login() {
    let signer = Signer::p256();
    let (kid, weak) = ("the-key", "a secret that the issuer lists");
    let mut encrypting = Signer::p256();
    let mut keys = vec![signer.jwk(kid)];
    keys.push(json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": url(weak.as_bytes())}));
    let mut other = encrypting.jwk("encrypting");
    other["use"] = json!("enc");
    keys.push(other);
    let issuer = Site::start("127.0.0.1:0", move |asked| {
        let host = asked
            .head
            .split("ost: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let base = format!("http://{}", host.unwrap_or_default());
        match asked.target.as_str() {
            "/keys" => site::json(&json!({"keys": keys})),
            _ => site::json(&json!({"issuer": base, "jwks_uri": format!("{base}/keys")})),
        }
    });
    let trap = Site::trap();
    let house = House::new(&[
        BEHIND_A_PROXY,
        ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]"),
    ]);
    let base = format!("http://{}", issuer.address());
    let rule = json!({"issuer": base, "audience": "registry.example",
                      "claims": {"repository": "example-org/*", "ref": "refs/heads/main"}});
    let set = house.manage("PUT", "/trusts/forge", &rule);
    assert_eq!(set.status, 204, "{set:?}");
    house.allow("federated/forge", &["ecr:*"], "*");
    let now = time::UtcDateTime::now().unix_timestamp();
    let header = json!({"typ": "JWT", "alg": "ES256", "kid": kid});
    let claims = json!({
        "iss": base, "aud": "registry.example", "sub": "repo:example-org/app",
        "iat": now, "nbf": now - 5, "exp": now + 600,
        "repository": "example-org/app", "ref": "refs/heads/main",
    });
    let ask = |token: &str| {
        let from = elsewhere();
        let shown = basic("oidc/forge", token);
        let headers = [("Authorization", &*shown), ("X-Forwarded-For", &from)];
        house.client.send("GET", "/v2/", &headers, b"")
    };
    let real = signer.token(&header, &claims.to_string());
    wait::until("the trust", std::time::Duration::from_secs(5), || {
        (ask(&real).status == 200).then_some(())
    });
    // Several audiences are usual elsewhere, and one of them is ours.
    let mut several = claims.clone();
    several["aud"] = json!(["other", "registry.example"]);
    assert_eq!(
        ask(&signer.token(&header, &several.to_string())).status,
        200
    );

    let forged = Forged {
        signer: &signer,
        header: &header,
        claims: &claims,
        kid,
    };
    let mut tokens = forged.headers(&format!("http://{}/keys", trap.address()));
    tokens.retain(|(what, _)| what != "alg \"ES256\"");
    let mut wrong = times();
    wrong.extend([
        ("aud", Some(json!(["other"]))),
        ("aud", Some(json!([]))),
        ("aud", Some(json!("registry.example.evil"))),
        ("aud", Some(json!(null))),
        ("aud", None),
        ("iss", Some(json!(format!("{base}/")))),
        ("iss", Some(json!(base.to_uppercase()))),
        ("iss", Some(json!([base]))),
        ("iss", None),
        ("repository", Some(json!("example-organization/app"))),
        ("repository", Some(json!(["evil/app"]))),
        ("repository", Some(json!({"example-org/": 1}))),
        ("repository", None),
        ("ref", Some(json!("refs/heads/main2"))),
        ("ref", Some(json!(true))),
        ("ref", None),
        ("sub", None),
    ]);
    tokens.extend(forged.claims(&wrong));
    tokens.extend(forged.bytes(&real));
    let shared = json!({"typ": "JWT", "alg": "HS256", "kid": "shared"});
    tokens.push((
        "a shared secret".to_owned(),
        with_secret(&shared, &claims.to_string(), weak.as_bytes()),
    ));
    let header = json!({"typ": "JWT", "alg": "ES256", "kid": "encrypting"});
    tokens.push((
        "a key for encryption".to_owned(),
        encrypting.token(&header, &claims.to_string()),
    ));
    encrypting = Signer::p256();
    tokens.push((
        "a key of nobody".to_owned(),
        encrypting.token(&header, &claims.to_string()),
    ));
    let mut taken = Vec::new();
    for (what, token) in &tokens {
        match ask(token).status {
            401 => {}
            431 if token.len() > 40_000 => {}
            status => taken.push(format!("{what}: {status}")),
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert_eq!(
        trap.connections(),
        0,
        "a key was fetched from where a token said"
    );
    let fetched = issuer.asked().len();
    assert!(fetched < 30, "{fetched} requests to the issuer");
    row(
        26,
        "an issuer's",
        &format!(
            "{} forgeries, 0 taken, {fetched} requests to the issuer",
            tokens.len()
        ),
    );
}
