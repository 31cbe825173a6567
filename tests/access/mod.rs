//! Who may do what, asked of a running server. What each route asks for is asked by the unit tests
//! of `http/access`; forged tokens and signatures by those of `wharf-auth`.
//!
//! | module | what it asks |
//! |---|---|
//! | `logins` | the clients log in, and get what they may |
//! | `tokens` | the token endpoint, and pushes that outlive a token |
//! | `revoking` | what is taken away is gone, and what has ended ends |
//! | `isolation` | what outsiders learn, and other principals' uploads |
//! | `federation` | tokens of other issuers |
//! | `transport` | TLS, certificates of clients, proxies |
//! | `administration` | `/admin/v1`, the command line, the audit log |
//! | `keys` | the server's key, and the keys that sign tokens |
//! | `secrets` | what must not be in a log |

mod administration;
mod federation;
mod isolation;
mod keys;
mod logins;
mod revoking;
mod secrets;
mod tokens;
mod transport;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::api::http::{Answer, Client};
use crate::support::Registry;

/// Somebody with a name and a password.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl Login {
    /// The header that shows it.
    pub(crate) fn basic(&self) -> String {
        let text = format!("{}:{}", self.name, self.password);
        format!("Basic {}", BASE64_STANDARD.encode(text))
    }
}

/// What follows a word in a text, up to the end of its line.
fn behind<'a>(text: &'a str, word: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(word));
    found.unwrap_or_else(|| panic!("no {word:?} in {text}"))
}

/// Makes a user who may do this, there.
pub(crate) fn user(registry: &Registry, name: &str, allow: &str, on: &str) -> Login {
    let words = ["user", "add", name, "--allow", allow, "--on", on];
    let told = registry.administer(words).succeeds();
    let login = Login {
        name: name.to_owned(),
        password: behind(&told, "password: ").to_owned(),
    };
    wait_until_known(registry, &login);
    login
}

/// Makes a robot who may do this, there.
pub(crate) fn robot(registry: &Registry, name: &str, allow: &str, options: &[&str]) -> Login {
    let words = ["robot", "add", name, "--allow", allow];
    let told = registry.administer(words).args(options).succeeds();
    let login = Login {
        name: format!("robot/{name}"),
        password: behind(&told, "secret: ").to_owned(),
    };
    wait_until_known(registry, &login);
    login
}

fn wait_until_known(registry: &Registry, login: &Login) {
    let client = Client::new(registry.base());
    crate::support::wait::until("a new login", std::time::Duration::from_secs(5), || {
        // The policy is written after the principal, and seen with it or later.
        let headers = [("Authorization", login.basic())];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let known = client.send("GET", "/v2/", &headers, b"").status == 200;
        known.then_some(())
    });
    // Both changes were made before the command ended, so a refresh later both are seen.
    std::thread::sleep(std::time::Duration::from_millis(50));
}

/// Sends a request as somebody.
pub(crate) fn send_as(
    client: &Client,
    login: &Login,
    method: &str,
    path: &str,
    body: &[u8],
) -> Answer {
    client.send(method, path, &[("Authorization", &login.basic())], body)
}

/// Sends JSON as somebody.
pub(crate) fn send_json(
    client: &Client,
    login: &Login,
    method: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let basic = login.basic();
    let headers = [
        ("Authorization", basic.as_str()),
        ("Content-Type", "application/json"),
    ];
    client.send(method, path, &headers, body.to_string().as_bytes())
}

/// Sends a request with a token.
pub(crate) fn send_with(
    client: &Client,
    token: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> Answer {
    let bearer = format!("Bearer {token}");
    client.send(method, path, &[("Authorization", &bearer)], body)
}

/// A token for somebody.
pub(crate) fn token(client: &Client, login: &Login, scope: &str) -> String {
    let path = format!("/token?service=wharf&scope={scope}");
    let answer = send_as(client, login, "GET", &path, b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["token"].as_str().expect("a token").to_owned()
}

/// The claims of a token.
pub(crate) fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).expect("a body");
    let body = BASE64_URL_SAFE_NO_PAD.decode(body).expect("base64");
    serde_json::from_slice(&body).expect("JSON")
}

/// Pushes a blob and an image of it as somebody, tagged v1.
pub(crate) fn push_image(client: &Client, login: &Login, repository: &str) -> String {
    let blob = repository.as_bytes();
    let digest = crate::api::digest(blob);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    assert_eq!(send_as(client, login, "POST", &path, blob).status, 201);
    let manifest = crate::api::image(blob);
    let basic = login.basic();
    let headers = [
        ("Authorization", basic.as_str()),
        ("Content-Type", crate::api::IMAGE),
    ];
    let path = format!("/v2/{repository}/manifests/v1");
    let answer = client.send("PUT", &path, &headers, manifest.to_string().as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    digest
}
