//! Row 26: tokens that were made up, in the registry's own name and in that of an issuer it trusts.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jwt::{Signer, claims, malleated, url, with_secret};
use super::people::{BEHIND_A_PROXY, House, basic, elsewhere};
use super::site::{self, Site};
use super::{Form, row};
use crate::api::http::Answer;
use crate::support::wait;

#[test]
fn a_token_that_the_registry_did_not_sign_so_is_no_login() {
    let house = House::new(&[BEHIND_A_PROXY]);
    house.image("team/app", "1", b"a private layer");
    let signer = Signer::ed25519();
    let Signer::Ed25519(_, pem) = &signer else { unreachable!("it was made so") };
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
        house.client.send("GET", "/v2/team/app/manifests/1", &headers, b"")
    };
    // The signer's key is the registry's: what it signs is taken, as long as nothing else is wrong.
    assert_eq!(ask(&signer.token(&header, &claims.to_string())).status, 200);

    let forged = Forged { signer: &signer, header: &header, claims: &claims, kid: &kid };
    let mut tokens = forged.headers(&format!("http://{}/keys", trap.address()));
    tokens.extend(forged.claims(&own_claims()));
    tokens.extend(forged.bytes(&real));
    let refresh = house.ask(&house.admin, "GET", "/token?offline_token=true").json();
    let refresh = refresh["refresh_token"].as_str().expect("a token").to_owned();
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
    for (what, token) in tokens.iter().step_by(Form::pick(5, 1)) {
        for (way, answer) in other_ways(&house, token) {
            match answer.status {
                400 | 401 | 403 | 413 | 431 => refused += 1,
                status => taken.push(format!("{what} as {way}: {status}")),
            }
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert_eq!(trap.connections(), 0, "a key was fetched from where a token said");
    row(26, "own tokens", &format!("{} forgeries, {refused} times refused, no key fetched", tokens.len()));
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
        ("a refresh token", send("POST", "/token", &[form], &format!("grant_type=refresh_token&service=wharf&refresh_token={token}"))),
        ("a token to exchange", send("POST", "/token", &[form], &format!("grant_type={exchange}&service=wharf&subject_token={token}&subject_token_type=urn:ietf:params:oauth:token-type:jwt"))),
        ("a cookie", send("GET", "/admin/v1/users", &[("Cookie", &cookie)], "")),
    ];
    for name in names {
        let shown = basic(name, token);
        answers.push(("a password", send("GET", "/v2/team/app/manifests/1", &[("Authorization", &shown)], "")));
    }
    answers
}

/// Forgeries of one token.
struct Forged<'a> {
    signer: &'a Signer,
    header: &'a Value,
    claims: &'a Value,
    kid: &'a str,
}

impl Forged<'_> {
    /// Heads that name another algorithm, or another key, or where to find one.
    fn headers(&self, elsewhere: &str) -> Vec<(String, String)> {
        let claims = self.claims.to_string();
        let with = |name: &str, value: Value| {
            let mut header = self.header.clone();
            header[name] = value;
            header
        };
        let without = |name: &str| {
            let mut header = self.header.clone();
            header.as_object_mut().expect("an object").remove(name);
            header
        };
        let unsigned = |header: &Value| {
            format!("{}.{}.", url(header.to_string().as_bytes()), url(claims.as_bytes()))
        };
        let mut tokens = Vec::new();
        for name in ["none", "None", "NONE", "nOnE", "none ", "", "null"] {
            let header = with("alg", json!(name));
            tokens.push((format!("{name:?} without a signature"), unsigned(&header)));
            tokens.push((format!("{name:?} without a dot"), unsigned(&header).trim_end_matches('.').to_owned()));
            tokens.push((format!("{name:?} with one"), self.signer.token(&header, &claims)));
        }
        for algorithm in ["HS256", "HS384", "HS512"] {
            for secret in self.signer.spellings(self.kid) {
                let token = with_secret(&with("alg", json!(algorithm)), &claims, &secret);
                tokens.push((format!("{algorithm} with the public key"), token));
            }
        }
        let other = Signer::ed25519();
        let curve = Signer::p256();
        for stranger in [&other, &curve] {
            let name = stranger.algorithm();
            let mut header = with("alg", json!(name));
            tokens.push((format!("another key, {name}"), stranger.token(&header, &claims)));
            for (member, value) in [
                ("jwk", stranger.jwk(self.kid)),
                ("jku", json!(elsewhere)),
                ("x5u", json!(elsewhere)),
                ("x5c", json!([url(stranger.public())])),
                ("kid", json!(elsewhere)),
                ("kid", json!("../../../../dev/null")),
                ("kid", json!("/proc/self/environ")),
                ("kid", json!("x' UNION SELECT 'x' --")),
                ("kid", json!("")),
                ("kid", json!(null)),
                ("kid", json!(["a"])),
            ] {
                header[member] = value;
                tokens.push((format!("{member}, {name}"), stranger.token(&header, &claims)));
                header = with("alg", json!(name));
            }
        }
        // Rightly signed, with a head that it can't mean.
        for (member, value) in [
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
            ("alg", json!("RS256")),
            ("alg", json!(["EdDSA"])),
            ("alg", json!(null)),
            ("kid", json!("no such key")),
            ("kid", json!(7)),
        ] {
            let token = self.signer.token(&with(member, value.clone()), &claims);
            tokens.push((format!("{member} {value}"), token));
        }
        tokens.push(("no alg".to_owned(), self.signer.token(&without("alg"), &claims)));
        let mut critical = with("crit", json!(["exp2"]));
        critical["exp2"] = json!(1);
        tokens.push(("what is critical".to_owned(), self.signer.token(&critical, &claims)));
        let mut zero = unsigned(&with("alg", json!("ES256")));
        zero += &url(&[0; 64]);
        tokens.push(("a signature of nothing".to_owned(), zero));
        tokens
    }

    /// Rightly signed claims that are wrong.
    fn claims(&self, wrong: &[(&str, Option<Value>)]) -> Vec<(String, String)> {
        let mut tokens = Vec::new();
        for (name, value) in wrong {
            let mut claims = self.claims.clone();
            match value {
                Some(value) => claims[name] = value.clone(),
                None => drop(claims.as_object_mut().expect("an object").remove(*name)),
            }
            let token = self.signer.token(self.header, &claims.to_string());
            tokens.push((format!("{name} {value:?}"), token));
        }
        let text = self.claims.to_string();
        let end = json!(1).to_string();
        for odd in [
            text.replacen('{', &format!("{{\"exp\":{end},"), 1),
            format!("{},\"exp\":{end}}}", text.trim_end_matches('}')),
            format!("[{text}]"),
            format!("{text}{text}"),
            "null".to_owned(),
            String::new(),
            "[".repeat(10_000),
        ] {
            let token = self.signer.token(self.header, &odd);
            tokens.push((format!("claims {odd:.40}"), token));
        }
        for length in [20_000, 1 << 20] {
            let mut claims = self.claims.clone();
            claims["exp"] = json!(1);
            claims["padding"] = json!("x".repeat(length));
            let token = self.signer.token(self.header, &claims.to_string());
            tokens.push((format!("{length} letters, ended"), token));
        }
        tokens
    }

    /// The real token with its bits flipped, cut, or put together anew.
    fn bytes(&self, real: &str) -> Vec<(String, String)> {
        let mut tokens = Vec::new();
        let parts: Vec<_> = real.split('.').collect();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(parts[2]).expect("base64");
        for bit in (0..signature.len() * 8).step_by(Form::pick(7, 1)) {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let token = format!("{}.{}.{}", parts[0], parts[1], url(&flipped));
            tokens.push((format!("bit {bit} of the signature"), token));
        }
        for length in (0..real.len()).step_by(Form::pick(23, 1)) {
            tokens.push((format!("cut at {length}"), real[..length].to_owned()));
        }
        let twin = match self.signer {
            Signer::Ed25519(..) => malleated(&signature),
            Signer::P256(_) => signature.iter().rev().copied().collect(),
        };
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = real.chars().last().and_then(|last| letters.find(last)).expect("a letter");
        let unused = letters.as_bytes()[last ^ 1] as char;
        let swapped = format!("{}.{}", parts[1], parts[0]);
        for (what, token) in [
            ("the same signature by another number", format!("{}.{}.{}", parts[0], parts[1], url(&twin))),
            ("bits that mean nothing", format!("{}{unused}", &real[..real.len() - 1])),
            ("padding", format!("{real}==")),
            ("a fourth part", format!("{real}.{}", parts[2])),
            ("five parts", format!("{real}.{}.{}", parts[2], parts[2])),
            ("no signature", format!("{}.{}.", parts[0], parts[1])),
            ("the head for the claims", format!("{swapped}.{}", parts[2])),
            ("a signature that is too long", format!("{real}AAAA")),
            ("other claims", format!("{}.{}.{}", parts[0], url(self.claims.to_string().replacen("\"sub\":\"", "\"sub\":\"x", 1).as_bytes()), parts[2])),
        ] {
            tokens.push((what.to_owned(), token));
        }
        tokens
    }
}

/// What may not stand in the registry's own tokens, though they are signed by its key.
fn own_claims() -> Vec<(&'static str, Option<Value>)> {
    let mut wrong = times();
    wrong.extend([
        ("aud", Some(json!(["other"]))),
        ("aud", Some(json!([]))),
        ("aud", Some(json!({"wharf": true}))),
        ("aud", Some(json!("wharf2"))),
        ("aud", Some(json!(null))),
        ("aud", None),
        ("iss", Some(json!("other"))),
        ("iss", Some(json!(["wharf"]))),
        ("iss", None),
        ("sub", Some(json!("user/nobody"))),
        ("sub", Some(json!(["user/warden"]))),
        ("sub", Some(json!(7))),
        ("sub", Some(json!(""))),
        ("sub", None),
        ("kind", Some(json!("refresh"))),
        ("kind", Some(json!("session"))),
        ("kind", Some(json!(null))),
        ("kind", None),
        ("access", Some(json!("repository:team/app:pull"))),
        ("access", Some(json!({"type": "repository"}))),
    ]);
    wrong
}

/// Times that no token has.
fn times() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("exp", Some(json!("9999999999"))),
        ("exp", Some(json!(true))),
        ("exp", Some(json!(null))),
        ("exp", Some(json!([9_999_999_999_u64]))),
        ("exp", Some(json!({"$gt": 0}))),
        ("exp", Some(json!(-1))),
        ("exp", Some(json!(0))),
        ("exp", Some(json!(1_700_000_000))),
        ("exp", None),
        ("nbf", Some(json!("0"))),
        ("nbf", Some(json!([0]))),
        ("nbf", Some(json!(9_999_999_999_u64))),
    ]
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
        let host = asked.head.split("ost: ").nth(1).and_then(|rest| rest.lines().next());
        let base = format!("http://{}", host.unwrap_or_default());
        match asked.target.as_str() {
            "/keys" => site::json(&json!({"keys": keys})),
            _ => site::json(&json!({"issuer": base, "jwks_uri": format!("{base}/keys")})),
        }
    });
    let trap = Site::trap();
    let house = House::new(&[BEHIND_A_PROXY, ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]")]);
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
    assert_eq!(ask(&signer.token(&header, &several.to_string())).status, 200);

    let forged = Forged { signer: &signer, header: &header, claims: &claims, kid };
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
    tokens.push(("a shared secret".to_owned(), with_secret(&shared, &claims.to_string(), weak.as_bytes())));
    let header = json!({"typ": "JWT", "alg": "ES256", "kid": "encrypting"});
    tokens.push(("a key for encryption".to_owned(), encrypting.token(&header, &claims.to_string())));
    encrypting = Signer::p256();
    tokens.push(("a key of nobody".to_owned(), encrypting.token(&header, &claims.to_string())));
    let mut taken = Vec::new();
    for (what, token) in &tokens {
        match ask(token).status {
            401 => {}
            431 if token.len() > 40_000 => {}
            status => taken.push(format!("{what}: {status}")),
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert_eq!(trap.connections(), 0, "a key was fetched from where a token said");
    let fetched = issuer.asked().len();
    assert!(fetched < 30, "{fetched} requests to the issuer");
    row(26, "an issuer's", &format!("{} forgeries, 0 taken, {fetched} requests to the issuer", tokens.len()));
}
