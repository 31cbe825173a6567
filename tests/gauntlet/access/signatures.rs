//! Row 27: requests with an AWS-style key whose signature isn't that of this request, at this time.

use serde_json::{Value, json};
use time::Duration;

use super::people::{BEHIND_A_PROXY, House, elsewhere, raw};
use super::sigv4::{Key, Scope, Signed};
use super::{Form, row};
use crate::api::http::Answer;
use crate::support::Command;

/// Has boto3 make a request, and prints it instead of sending it.
const BOTO: &str = r#"
import json, sys, botocore.session, botocore.awsrequest
endpoint, key, secret = sys.argv[1:]
session = botocore.session.get_session()
session.set_credentials(key, secret)
client = session.create_client("ecr", region_name="eu-central-1", endpoint_url=endpoint)
def show(request, **_):
    text = lambda value: value.decode() if isinstance(value, bytes) else value
    print(json.dumps({"headers": {name: text(value) for name, value in request.headers.items()},
                      "body": text(request.body)}))
    sys.exit(0)
client.meta.events.register("before-send.ecr", show)
client.create_repository(repositoryName="made/by-boto")
"#;

#[test]
fn a_signature_holds_for_one_request_at_one_time() {
    let house = House::new(&[BEHIND_A_PROXY]);
    let door = Door {
        key: house.key("user/warden"),
        house,
    };
    let flips = door.flip_all_bits();
    door.replay();
    let games = door.play() + door.keys_that_count_no_more();
    // What was refused has left nothing behind, and the door still knows who knocks rightly.
    let listed = door
        .house
        .call(&door.key, "DescribeRepositories", &json!({}));
    let listed = listed.json();
    let names = listed["repositories"].as_array().expect("a list").iter();
    let names: Vec<_> = names.map(|one| one["repositoryName"].as_str()).collect();
    let wanted = ["made/again", "made/by-boto", "made/rightly"];
    assert_eq!(names, wanted.map(Some));
    row(
        27,
        "",
        &format!("{flips} flipped bits and {games} other forgeries, 0 let in"),
    );
}

struct Door {
    house: House,
    key: Key,
}

impl Door {
    fn host(&self) -> &str {
        self.house.client.address()
    }

    fn knock(&self, request: &Signed) -> Answer {
        let mut request = request.clone();
        let from = ("X-Forwarded-For".to_owned(), elsewhere());
        request.headers.push(from);
        raw(self.host(), &request.bytes())
    }

    fn refuses(&self, why: &str, request: &Signed) {
        let answer = self.knock(request);
        let status = answer.status;
        // Whoever is only told to wait was not judged.
        let is_refused = (400..500).contains(&status) && answer.header("retry-after").is_none();
        assert!(is_refused, "{why}: {request:?} {answer:?}");
    }

    fn takes(&self, why: &str, request: &Signed) -> Value {
        let answer = self.knock(request);
        assert_eq!(answer.status, 200, "{why}: {request:?} {answer:?}");
        answer.json()
    }

    /// A call that makes a repository, with a query, and what is in its signature.
    fn create(&self, scope: &Scope, name: &str) -> Signed {
        let body = json!({"repositoryName": name}).to_string();
        let mut request = Signed::unsigned(self.host(), "CreateRepository", &body);
        request.set("X-Amz-Date", &scope.moment);
        self.key.sign(scope, &mut request);
        request
    }

    fn now(&self, name: &str) -> Signed {
        self.create(&Scope::ecr(Duration::ZERO), name)
    }

    /// Flips bits in each part of requests that boto3 and the signer here have signed.
    fn flip_all_bits(&self) -> usize {
        let boto = self.boto();
        let own = self.now("made/flipped");
        let step = Form::pick(11, 1);
        let mut flipped = 0;
        for signed in [&boto, &own] {
            let lengths = PARTS.map(|part| part.of(&mut signed.clone()).len() * 8);
            for (part, bits) in PARTS.iter().zip(lengths) {
                for bit in (0..bits).step_by(step) {
                    let mut request = signed.clone();
                    let text = part.of(&mut request);
                    let mut bytes = text.clone().into_bytes();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    // A line that ends early is another request, and what is no text can't be sent
                    // by this client.
                    let Ok(changed) = String::from_utf8(bytes) else {
                        continue;
                    };
                    if changed.contains(['\r', '\n', '\0']) {
                        continue;
                    }
                    *text = changed;
                    self.refuses(&format!("bit {bit} of {part:?}"), &request);
                    flipped += 1;
                }
            }
        }
        // The same without a flip goes through, so it was the flip.
        self.takes("boto3's own", &boto);
        self.takes("as it was signed", &self.now("made/rightly"));
        flipped
    }

    fn boto(&self) -> Signed {
        let Key { id, secret } = &self.key;
        let printed = Command::tool("python-aws")
            .args(["-c", BOTO, self.house.registry.base(), id, secret])
            .succeeds();
        let made: Value = serde_json::from_str(&printed).expect("JSON");
        let mut request = Signed {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: vec![("Host".to_owned(), self.host().to_owned())],
            body: made["body"].as_str().expect("a body").to_owned(),
        };
        for (name, value) in made["headers"].as_object().expect("headers") {
            if name != "Content-Length" {
                request.set(name, value.as_str().expect("a text"));
            }
        }
        request
    }

    /// Outside the quarter of an hour that AWS gives.
    fn replay(&self) {
        for minutes in [-24 * 60, -60, -16, 16, 60, 24 * 60, 365 * 24 * 60] {
            let scope = Scope::ecr(Duration::minutes(minutes));
            self.refuses("another time", &self.create(&scope, "made/late"));
        }
        let scope = Scope::ecr(Duration::minutes(2));
        self.takes("two minutes ago", &self.create(&scope, "made/again"));
    }

    /// Headers that are not signed, stand twice, or say what is signed.
    fn play(&self) -> usize {
        let mut games = Vec::new();
        let scope = Scope::ecr(Duration::ZERO);
        let fresh = || {
            let mut request = self.now("made/forged");
            request.headers.retain(|(name, _)| name != "Authorization");
            request
        };
        let authorized = |mut request: Signed, names: &str| {
            let signature = self.key.signature(&scope, &request, names);
            let (date, id) = (&scope.moment[..8], &self.key.id);
            let value = format!(
                "AWS4-HMAC-SHA256 Credential={id}/{date}/us-east-1/ecr/aws4_request, \
                 SignedHeaders={names}, Signature={signature}"
            );
            request.set("Authorization", &value);
            request
        };
        // A part that is not signed could be changed by whoever sees the request pass.
        for names in [
            "content-type;x-amz-date;x-amz-target",
            "content-type;host;x-amz-target",
            "content-type;host;x-amz-date",
            "x-amz-date",
            "",
        ] {
            games.push(("a header is not signed", authorized(fresh(), names)));
        }
        for names in [
            "host;content-type;x-amz-date;x-amz-target",
            "content-type;host;host;x-amz-date;x-amz-target",
            "Content-Type;Host;X-Amz-Date;X-Amz-Target",
            "content-type;host;x-amz-absent;x-amz-date;x-amz-target",
        ] {
            games.push(("an odd list", authorized(fresh(), names)));
        }
        let twice = |name: &str, value: &str| {
            let mut request = self.now("made/forged");
            request.headers.push((name.to_owned(), value.to_owned()));
            request
        };
        let target = "AmazonEC2ContainerRegistry_V20150921.DeleteRegistryPolicy";
        games.push(("a second target", twice("X-Amz-Target", target)));
        games.push(("a second host", twice("Host", "elsewhere")));
        games.push(("a second date", twice("X-Amz-Date", &scope.moment)));
        games.push(("a second signature", twice("Authorization", "Basic YTpi")));
        games.push(("a security token", twice("X-Amz-Security-Token", "x")));
        games.push((
            "an unsigned x-amz",
            twice("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"),
        ));
        for said in [
            "UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "",
        ] {
            let mut request = fresh();
            request.set("X-Amz-Content-Sha256", said);
            let names = request.names();
            let mut request = authorized(request, &names);
            request.body = request.body.replace("forged", "swapped");
            games.push(("a body that is not signed", request));
        }
        let mut request = fresh();
        request.set(
            "X-Amz-Content-Sha256",
            crate::support::image::digest(request.body.as_bytes()).trim_start_matches("sha256:"),
        );
        let names = request.names();
        let mut request = authorized(request, &names);
        request.body = request.body.replace("forged", "swapped");
        games.push(("a body of another digest", request));
        for (service, region, date) in [
            ("s3", "us-east-1", 0),
            ("ecr", "us-east-1", 24 * 60),
            ("sts", "us-east-1", 0),
            ("ecr-public", "us-east-1", 0),
            ("ecr", "", 0),
        ] {
            let other = Scope {
                service: service.to_owned(),
                region: region.to_owned(),
                moment: Scope::ecr(Duration::minutes(date)).moment,
            };
            let mut request = self.create(&other, "made/forged");
            if date != 0 {
                request.set("X-Amz-Date", &scope.moment);
            }
            games.push(("another scope", request));
        }
        let mut request = self.now("made/forged");
        request.query = "X-Amz-Date=20150830T123600Z".to_owned();
        games.push(("a query of its own", request));
        let mut request = self.now("made/forged");
        request.set(
            "Authorization",
            &request
                .value("Authorization")
                .replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        );
        games.push(("another algorithm", request));
        let mut request = self.now("made/forged");
        request.set(
            "Authorization",
            &request
                .value("Authorization")
                .replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        );
        games.push(("another algorithm", request));
        games.push(("no signature", fresh()));
        let let_in = games
            .iter()
            .filter(|(_, request)| self.knock(request).status == 200);
        let let_in: Vec<_> = let_in.collect();
        assert!(let_in.is_empty(), "{let_in:#?}");
        for (why, request) in &games {
            self.refuses(why, request);
        }
        games.len()
    }

    /// Keys that were removed, made up, or belong to nobody who is let in.
    fn keys_that_count_no_more(&self) -> usize {
        let forged = |key: &Key| {
            let body = json!({"repositoryName": "made/forged"}).to_string();
            key.call(self.host(), "CreateRepository", &body)
        };
        let made_up = [("", ""), ("AKIAIOSFODNN7EXAMPLE", ""), (&*self.key.id, "")];
        for (id, secret) in made_up {
            let key = Key {
                id: id.to_owned(),
                secret: secret.to_owned(),
            };
            self.refuses("a key of nobody", &forged(&key));
        }
        let removed = self.house.key("user/warden");
        let path = format!("/keys/{}", removed.id);
        assert_eq!(self.house.manage("DELETE", &path, &Value::Null).status, 204);
        self.refuses("a removed key", &forged(&removed));
        self.house.user("gone", &["--allow", "admin"]);
        let gone = self.house.key("user/gone");
        self.house.call(&gone, "DescribeRegistry", &json!({}));
        let path = "/users/gone";
        let disabled = self.house.manage("PATCH", path, &json!({"disabled": true}));
        assert_eq!(disabled.status, 204, "{disabled:?}");
        self.refuses("a key of a disabled user", &forged(&gone));
        made_up.len() + 2
    }
}

/// A part of a request that a signature is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Method,
    Path,
    Header(&'static str),
    Body,
}

const PARTS: [Part; 8] = [
    Part::Method,
    Part::Path,
    Part::Header("Host"),
    Part::Header("Content-Type"),
    Part::Header("X-Amz-Target"),
    Part::Header("X-Amz-Date"),
    Part::Header("Authorization"),
    Part::Body,
];

impl Part {
    fn of<'a>(&self, request: &'a mut Signed) -> &'a mut String {
        match self {
            Self::Method => &mut request.method,
            Self::Path => &mut request.path,
            Self::Body => &mut request.body,
            Self::Header(name) => {
                let mut headers = request.headers.iter_mut();
                let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
                &mut found.expect("a signed header").1
            }
        }
    }
}
