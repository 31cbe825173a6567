//! Who comes to a private registry: people and robots with their ways to show who they are.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::sigv4::Key;
use crate::api::IMAGE;
use crate::api::http::{Answer, Client, read_answer};
use crate::support::Registry;
use crate::support::image::digest;

/// The action names that a pull needs, and those that a push adds.
pub(crate) const PULL: [&str; 3] = [
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchCheckLayerAvailability",
];
pub(crate) const PUSH: [&str; 5] = [
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
    "ecr:CreateRepository",
];

/// A registry that asks who calls, and an administrator of it.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) registry: Registry,
    pub(crate) client: Client,
    /// What the administrator shows as `Authorization`.
    pub(crate) admin: String,
}

/// An image that was pushed.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) layer: String,
    pub(crate) manifest: String,
}

impl House {
    /// A registry with its administrator `warden`, and variables that configure it.
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        let registry = Registry::private_with(variables);
        let client = Client::new(registry.base());
        let mut house = Self {
            registry,
            client,
            admin: String::new(),
        };
        house.admin = house.user("warden", &["--allow", "admin"]);
        house
    }

    /// A user that the command line makes, and what it shows as `Authorization`.
    pub(crate) fn user(&self, name: &str, options: &[&str]) -> String {
        let password = format!("the-password-of-{name}");
        let words = ["user", "add", name, "--password-stdin"];
        let command = self.registry.administer([&words, options].concat());
        command.stdin(&password).succeeds();
        let shown = basic(name, &password);
        self.wait_for(&shown);
        shown
    }

    /// A robot that the API makes, and what it shows as `Authorization`.
    pub(crate) fn robot(&self, name: &str) -> String {
        let made = self.manage("POST", "/robots", &json!({"name": name}));
        assert_eq!(made.status, 201, "{made:?}");
        let secret = made.json()["secret"].as_str().expect("a secret").to_owned();
        basic(&format!("robot/{name}"), &secret)
    }

    /// An AWS-style key of a principal.
    pub(crate) fn key(&self, principal: &str) -> Key {
        let made = self.manage("POST", "/keys", &json!({"principal": principal}));
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        Key {
            id: text("access_key_id"),
            secret: text("secret_access_key"),
        }
    }

    /// Says what a principal may do, and where.
    pub(crate) fn allow(&self, principal: &str, actions: &[&str], resource: &str) {
        let statement = json!({"Effect": "Allow", "Action": actions, "Resource": resource});
        let policy = json!({"Version": "2012-10-17", "Statement": statement});
        let target = principal.replace('/', "%2F");
        let set = self.manage("PUT", &format!("/policies/{target}"), &policy);
        assert_eq!(set.status, 204, "{set:?}");
    }

    /// A request of the administrator to the API of administration.
    pub(crate) fn manage(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [
            ("Authorization", self.admin.as_str()),
            ("Content-Type", "application/json"),
        ];
        let path = format!("/admin/v1{path}");
        let body = body.to_string();
        self.client.send(method, &path, &headers, body.as_bytes())
    }

    /// A request of somebody who shows `authorization`; nothing, where that is empty.
    pub(crate) fn ask(&self, authorization: &str, method: &str, path: &str) -> Answer {
        let shown = [("Authorization", authorization)];
        let shown = &shown[usize::from(authorization.is_empty())..];
        self.client.send(method, path, shown, b"")
    }

    /// A token for scopes, as `Authorization`.
    pub(crate) fn token(&self, authorization: &str, scopes: &str) -> String {
        let scopes = scopes.replace(' ', "%20");
        let path = format!("/token?service=wharf&scope={scopes}");
        let answer = self.ask(authorization, "GET", &path);
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        format!("Bearer {}", answer["token"].as_str().expect("a token"))
    }

    /// Pushes a blob, and gives its digest.
    pub(crate) fn blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let headers = [("Authorization", self.admin.as_str())];
        let answer = self.client.send("POST", &path, &headers, bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
        digest
    }

    /// Pushes an image with one layer.
    pub(crate) fn image(&self, repository: &str, tag: &str, layer: &[u8]) -> Image {
        let config = self.blob(repository, b"{}");
        let digest_of_layer = self.blob(repository, layer);
        let manifest = manifest(&config, &digest_of_layer, layer.len());
        let headers = [
            ("Authorization", self.admin.as_str()),
            ("Content-Type", IMAGE),
        ];
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self
            .client
            .send("PUT", &path, &headers, manifest.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        Image {
            layer: digest_of_layer,
            manifest: digest(manifest.as_bytes()),
        }
    }

    /// A call of Amazon ECR's API, signed with a key.
    pub(crate) fn call(&self, key: &Key, operation: &str, body: &Value) -> Answer {
        let mut signed = key.call(self.client.address(), operation, &body.to_string());
        signed.set("X-Forwarded-For", &elsewhere());
        raw(self.client.address(), &signed.bytes())
    }

    /// What the command line made counts a moment later.
    fn wait_for(&self, shown: &str) {
        crate::support::wait::until("the new user", Duration::from_secs(10), || {
            (self.ask(shown, "GET", "/token").status == 200).then_some(())
        });
    }
}

/// A manifest of an image with one layer.
pub(crate) fn manifest(config: &str, layer: &str, length: usize) -> String {
    json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": length}],
    })
    .to_string()
}

/// A name and a password, as `Authorization`.
pub(crate) fn basic(name: &str, password: &str) -> String {
    let shown = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("Basic {shown}")
}

/// Lets a test be many callers, as [`elsewhere`] says: wrong passwords make their address wait.
pub(crate) const BEHIND_A_PROXY: (&str, &str) =
    ("WHARF__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");

/// The address of a caller that was never there before, as a proxy tells it.
pub(crate) fn elsewhere() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::from_bits(0xc612_0000 + number).to_string()
}

/// Sends bytes as they are, and reads the answer. They have to say `Connection: close`.
pub(crate) fn raw(address: &str, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a timeout is set");
    // A server that refuses early closes before it has all.
    let _ = stream.write_all(bytes);
    let method = bytes.split(|byte| *byte == b' ').next();
    let method = String::from_utf8_lossy(method.expect("a method"));
    read_answer(stream, &method)
}
