//! Row 25: somebody who knows the digest of what they may not see, and asks for it in every way.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::people::{House, Image, PULL, PUSH, manifest};
use super::sigv4::Key;
use super::{Form, row};
use crate::api::IMAGE;
use crate::api::http::Answer;
use crate::support::image::digest;

#[test]
fn a_private_digest_answers_like_one_that_never_was() {
    let mut asked = 0;
    for missing in ["accept", "reject"] {
        let street = Street::new(missing);
        asked += street.over_v2() + street.over_ecr();
        street.nothing_was_opened();
        if missing == "accept" {
            let (private, absent) = street.timing();
            row(
                25,
                "timing",
                &format!("HEAD of a private digest {private:?}, of none {absent:?} (medians)"),
            );
        }
    }
    row(
        25,
        "",
        &format!("{asked} questions, each answered as for a digest that never was"),
    );
}

/// A registry with a private image, and a stranger with a repository of their own.
struct Street {
    house: House,
    stranger: String,
    key: Key,
    private: Image,
    mine: Image,
    /// Digests that never were.
    never: Image,
}

impl Street {
    fn new(missing_content: &str) -> Self {
        let house = House::new(&[("WHARF__REGISTRY__MISSING_CONTENT", missing_content)]);
        let stranger = house.user("stranger", &[]);
        let mut actions = [PULL.as_slice(), &PUSH].concat();
        actions.extend([
            "ecr:ListImages",
            "ecr:ListImageReferrers",
            "ecr:BatchDeleteImage",
        ]);
        actions.push("ecr:GetAuthorizationToken");
        house.allow("user/stranger", &actions, "repository/mine/*");
        let private = house.image("team/app", "1", b"a private layer");
        let referrer = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/x.secret",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [], "subject": {"mediaType": IMAGE, "digest": private.manifest, "size": 3},
        });
        let headers = [("Authorization", &*house.admin), ("Content-Type", IMAGE)];
        let put = house.client.send(
            "PUT",
            "/v2/team/app/manifests/referrer",
            &headers,
            referrer.to_string().as_bytes(),
        );
        assert_eq!(put.status, 201, "{put:?}");
        let mine = house.image("mine/app", "1", b"a layer of the stranger");
        let key = house.key("user/stranger");
        let never = Image {
            layer: digest(b"no such layer"),
            manifest: digest(b"no such manifest"),
        };
        Self {
            house,
            stranger,
            key,
            private,
            mine,
            never,
        }
    }

    /// Asserts that two answers are the same to the letter, but for the digest that was asked for.
    fn same(&self, what: &str, private: &Answer, never: &Answer) {
        assert_eq!(self.told(private), self.told(never), "{what}");
    }

    fn told(&self, answer: &Answer) -> String {
        let mut text = format!("{}\n", answer.status);
        for (name, values) in &answer.headers {
            if !["date", "x-request-id"].contains(&name.as_str()) {
                text += &format!("{name}: {values:?}\n");
            }
        }
        text += &String::from_utf8_lossy(&answer.body);
        for (one, other) in [
            (&self.private.layer, &self.never.layer),
            (&self.private.manifest, &self.never.manifest),
        ] {
            text = text.replace(one, other);
        }
        without_ids(&text)
    }

    fn over_v2(&self) -> usize {
        let everywhere: &[&str] = &["pull,push,delete"];
        let token = self.house.token(
            &self.stranger,
            &format!(
                "repository:mine/app:{0} repository:team/app:{0} repository:mine/never:{0}",
                everywhere[0]
            ),
        );
        let mut asked = 0;
        for who in ["", &self.stranger, &token] {
            for repository in ["mine/app", "mine/never", "team/app", "team/never"] {
                for (method, path, headers) in ways() {
                    let ask = |image: &Image, repository: &str| {
                        let path = path
                            .replace("LAYER", &image.layer)
                            .replace("MANIFEST", &image.manifest);
                        let path = path.replace("REPOSITORY", repository);
                        let mut headers = headers.to_vec();
                        if !who.is_empty() {
                            headers.push(("Authorization", who));
                        }
                        let body = match (method, path.contains("/manifests/")) {
                            ("PUT", true) => manifest(&digest(b"{}"), &image.layer, 99),
                            _ => String::new(),
                        };
                        self.house
                            .client
                            .send(method, &path, &headers, body.as_bytes())
                    };
                    let private = ask(&self.private, repository);
                    let what = format!("{method} {path} in {repository} by {who:.9}");
                    self.same(&what, &private, &ask(&self.never, repository));
                    if repository.starts_with("team") {
                        assert!(
                            [401, 403, 404].contains(&private.status),
                            "{what}: {private:?}"
                        );
                    }
                    asked += 1;
                }
            }
        }
        // The comparison sees what may be seen: what the stranger has is told of.
        let seen = ["HEAD", "GET"].map(|method| {
            let path = |image: &Image| format!("/v2/mine/app/blobs/{}", image.layer);
            let ask = |image| self.told(&self.house.ask(&token, method, &path(image)));
            ask(&self.mine) != ask(&self.never)
        });
        assert_eq!(seen, [true, true]);
        // Whether the repository itself is there can't be seen either.
        for who in ["", &self.stranger] {
            for (method, path, _) in ways() {
                let ask = |repository: &str| {
                    let path = path
                        .replace("REPOSITORY", repository)
                        .replace("LAYER", &self.private.layer);
                    self.house.ask(
                        who,
                        method,
                        &path.replace("MANIFEST", &self.private.manifest),
                    )
                };
                let (there, absent) = (self.told(&ask("team/app")), self.told(&ask("team/eve")));
                assert_eq!(
                    there,
                    absent.replace("team/eve", "team/app"),
                    "{method} {path}"
                );
                asked += 1;
            }
        }
        asked
    }

    fn over_ecr(&self) -> usize {
        let mut asked = 0;
        for repository in ["mine/app", "team/app"] {
            let calls = |image: &Image| -> Vec<(&str, Value)> {
                let Image {
                    layer,
                    manifest: named,
                } = image;
                let image_id = json!({"imageDigest": named});
                let mut calls = vec![
                    (
                        "BatchCheckLayerAvailability",
                        json!({"layerDigests": [layer, named]}),
                    ),
                    ("GetDownloadUrlForLayer", json!({"layerDigest": layer})),
                    ("BatchGetImage", json!({"imageIds": [image_id]})),
                    ("BatchDeleteImage", json!({"imageIds": [image_id]})),
                    ("DescribeImages", json!({"imageIds": [image_id]})),
                    ("ListImageReferrers", json!({"subjectId": image_id})),
                    (
                        "PutImage",
                        json!({"imageManifest": manifest(&digest(b"{}"), layer, 15)}),
                    ),
                ];
                for (_, body) in &mut calls {
                    body["repositoryName"] = json!(repository);
                }
                calls
            };
            for ((operation, body), (_, never)) in
                calls(&self.private).iter().zip(calls(&self.never))
            {
                let private = self.house.call(&self.key, operation, body);
                let never = self.house.call(&self.key, operation, &never);
                self.same(&format!("{operation} in {repository}"), &private, &never);
                asked += 1;
            }
        }
        // An address that was given out for one layer opens no other.
        let body = json!({"repositoryName": "mine/app", "layerDigest": self.mine.layer});
        let given = self
            .house
            .call(&self.key, "GetDownloadUrlForLayer", &body)
            .json();
        let given = given["downloadUrl"]
            .as_str()
            .expect("an address")
            .to_owned();
        let path = given
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'));
        let path = format!("/{}", path.expect("a path").1);
        assert_eq!(
            self.house.client.get(&path).body,
            b"a layer of the stranger"
        );
        for (what, path) in [
            (
                "another digest",
                path.replace(&self.mine.layer, &self.private.layer),
            ),
            ("another repository", path.replace("mine", "team")),
            (
                "both",
                path.replace(&self.mine.layer, &self.private.layer)
                    .replace("mine", "team"),
            ),
        ] {
            let answer = self.house.client.get(&path);
            assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
            asked += 1;
        }
        asked
    }

    /// A stranger who has a manifest that names a private layer, or says it is its subject, has
    /// nothing of it.
    fn nothing_was_opened(&self) {
        let ask = |path: &str| self.house.ask(&self.stranger, "GET", path);
        let pulled = ask(&format!("/v2/mine/app/blobs/{}", self.private.layer));
        assert_eq!(pulled.status, 404, "{pulled:?}");
        let subject = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/x.mine",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [], "subject": {"mediaType": IMAGE, "digest": self.private.manifest, "size": 3},
        });
        let headers = [("Authorization", &*self.stranger), ("Content-Type", IMAGE)];
        let put = self.house.client.send(
            "PUT",
            "/v2/mine/app/manifests/guess",
            &headers,
            subject.to_string().as_bytes(),
        );
        assert_eq!(put.status, 201, "{put:?}");
        let of = |who: &str, repository: &str| {
            let path = format!("/v2/{repository}/referrers/{}", self.private.manifest);
            let list = self.house.ask(who, "GET", &path).json();
            let list = list["manifests"].as_array().expect("a list").iter();
            list.map(|one| one["artifactType"].as_str().expect("a type").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&self.stranger, "mine/app"), ["application/x.mine"]);
        assert_eq!(of(&self.house.admin, "team/app"), ["application/x.secret"]);
    }

    /// In turn, so that what else the machine does is shared by both.
    fn timing(&self) -> (Duration, Duration) {
        let ask = |layer: &str| {
            let path = format!("/v2/mine/app/blobs/{layer}");
            let begun = Instant::now();
            assert_eq!(self.house.ask(&self.stranger, "HEAD", &path).status, 404);
            begun.elapsed()
        };
        let count = Form::pick(100, 1000);
        let pairs = (0..count).map(|_| (ask(&self.private.layer), ask(&self.never.layer)));
        let (mut private, mut never): (Vec<_>, Vec<_>) = pairs.unzip();
        private.sort();
        never.sort();
        (private[count / 2], never[count / 2])
    }
}

type Way = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// How one asks for a digest over `/v2`.
fn ways() -> Vec<Way> {
    let manifest_type: &[_] = &[("Content-Type", IMAGE)];
    vec![
        ("HEAD", "/v2/REPOSITORY/blobs/LAYER", &[]),
        ("GET", "/v2/REPOSITORY/blobs/LAYER", &[]),
        (
            "GET",
            "/v2/REPOSITORY/blobs/LAYER",
            &[("Range", "bytes=0-3")],
        ),
        ("GET", "/v2/REPOSITORY/blobs/MANIFEST", &[]),
        (
            "GET",
            "/v2/REPOSITORY/blobs/LAYER?ns=team/app",
            &[("OCI-Namespace", "team/app")],
        ),
        ("DELETE", "/v2/REPOSITORY/blobs/LAYER", &[]),
        (
            "POST",
            "/v2/REPOSITORY/blobs/uploads/?mount=LAYER&from=team/app",
            &[],
        ),
        (
            "POST",
            "/v2/REPOSITORY/blobs/uploads/?mount=LAYER&from=team%2Fapp",
            &[],
        ),
        ("POST", "/v2/REPOSITORY/blobs/uploads/?mount=LAYER", &[]),
        (
            "POST",
            "/v2/REPOSITORY/blobs/uploads/?mount=LAYER&from=REPOSITORY",
            &[],
        ),
        (
            "POST",
            "/v2/REPOSITORY/blobs/uploads/?mount=LAYER&from=mine/app&from=team/app",
            &[],
        ),
        ("POST", "/v2/REPOSITORY/blobs/uploads/?digest=LAYER", &[]),
        ("HEAD", "/v2/REPOSITORY/manifests/MANIFEST", &[]),
        ("GET", "/v2/REPOSITORY/manifests/MANIFEST", &[]),
        (
            "GET",
            "/v2/REPOSITORY/manifests/MANIFEST",
            &[("If-None-Match", "*")],
        ),
        ("GET", "/v2/REPOSITORY/manifests/LAYER", &[]),
        ("DELETE", "/v2/REPOSITORY/manifests/MANIFEST", &[]),
        ("GET", "/v2/REPOSITORY/referrers/MANIFEST", &[]),
        ("PUT", "/v2/REPOSITORY/manifests/guess", manifest_type),
        ("PUT", "/v2/REPOSITORY/manifests/MANIFEST", manifest_type),
    ]
}

/// A text with the ids of uploads and requests, and digests of what was pushed just now, left out.
fn without_ids(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    let mut out = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\n']) {
        if is_part(letter) {
            word.push(letter);
            continue;
        }
        out += if word.len() >= 32 { "ID" } else { &word };
        word.clear();
        out.push(letter);
    }
    out
}
