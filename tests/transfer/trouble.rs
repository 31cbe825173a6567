//! Other registries that break off, lead away, or lie.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{is_whole, wharf};
use crate::api::http::Client;
use crate::api::{IMAGE, content, digest};
use crate::support::Registry;

/// A server that answers by a rule, and remembers the heads of requests.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

/// What a server sends: the head and the body, of which a part may be cut off.
type Rule = Box<dyn Fn(&str) -> Vec<u8> + Send>;

impl Server {
    fn start(rule: impl FnOnce(SocketAddr) -> Rule) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let rule = rule(address);
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                answer(stream, &rule, &seen);
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("not poisoned").clone()
    }
}

fn answer(mut stream: TcpStream, rule: &Rule, seen: &Mutex<Vec<String>>) {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
    if head.is_empty() {
        return;
    }
    seen.lock().expect("not poisoned").push(head.clone());
    // The client may have gone.
    let _ = stream.write_all(&rule(&head));
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// An image of one layer: the manifest and its blobs.
fn image(layer: &[u8]) -> (String, Vec<Vec<u8>>) {
    let config = json!({"of": digest(layer)}).to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": layer.len()}],
    });
    (manifest.to_string(), vec![config, layer.to_vec()])
}

/// What a registry with the image answers.
fn registry(head: &str, manifest: &str, blobs: &[Vec<u8>]) -> Vec<u8> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    if path.contains("/manifests/") {
        return response(
            "200 OK",
            &format!("Content-Type: {IMAGE}\r\n"),
            manifest.as_bytes(),
        );
    }
    let found = blobs.iter().find(|blob| path.ends_with(&digest(blob)));
    match found {
        Some(blob) => response("200 OK", "", blob),
        None => response("404 Not Found", "", b""),
    }
}

#[test]
fn a_download_that_breaks_goes_on_where_it_was() {
    let layer = content(900_000);
    let (manifest, blobs) = image(&layer);
    let name = digest(&layer);
    let server = Server::start(move |_| {
        let breaks = Mutex::new(VecDeque::from([300_000, 650_000]));
        Box::new(move |head| {
            if !head.contains(&name) {
                return registry(head, &manifest, &blobs);
            }
            let range = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("range: bytes=")?
                    .strip_suffix('-')
                    .map(str::to_owned)
            });
            let start: usize = range.map_or(0, |start| start.parse().expect("a number"));
            let mut answer = match start {
                0 => response("200 OK", "", &layer),
                _ => {
                    let range = format!("Content-Range: bytes {start}-899999/900000\r\n");
                    response("206 Partial Content", &range, &layer[start..])
                }
            };
            if let Some(end) = breaks.lock().expect("not poisoned").pop_front() {
                answer.truncate(answer.len() - (900_000 - end));
            }
            answer
        })
    });
    let own = Registry::wharf();
    let source = format!("docker://{}/app:v1", server.address);
    let told = wharf(&own, ["import", &source]).succeeds();
    assert!(told.contains("2 blobs with 878."), "{told}");
    is_whole(&Client::new(own.base()), "app", "v1");
    let heads = server.heads().join("\n").to_lowercase();
    assert!(heads.contains("range: bytes=300000-"), "{heads}");
    assert!(heads.contains("range: bytes=650000-"), "{heads}");
}

#[test]
fn no_credential_goes_to_a_realm_on_another_host() {
    let foreign = Server::start(|_| Box::new(|_| response("200 OK", "", br#"{"token": "t"}"#)));
    let realm = foreign.address;
    let server = Server::start(move |_| {
        Box::new(move |head| {
            if head.to_lowercase().contains("authorization: bearer t") {
                return response("404 Not Found", "", b"");
            }
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"http://{realm}/token\",service=\"s\"\r\n"
            );
            response("401 Unauthorized", &challenge, b"")
        })
    });
    let own = Registry::wharf();
    let source = format!("docker://{}/app:v1", server.address);
    let import = |words: &[&str]| {
        let words = ["import", "--user", "alice", &source]
            .into_iter()
            .chain(words.iter().copied());
        wharf(&own, words).stdin("secret").fails()
    };
    let refused = import(&[]);
    assert!(refused.contains("--trust-realm"), "{refused}");
    assert_eq!(foreign.heads(), [""; 0], "nobody asked there");
    let asked = server.heads().join("\n").to_lowercase();
    assert!(!asked.contains("authorization"), "{asked}");

    // Where it is allowed, it is asked, and the token goes to the registry alone.
    let trusted = import(&["--trust-realm", &realm.to_string()]);
    assert!(trusted.contains("404"), "{trusted}");
    let asked = foreign.heads().join("\n");
    assert!(asked.contains("GET /token?service=s "), "{asked}");
    assert!(
        asked.to_lowercase().contains("authorization: basic "),
        "{asked}"
    );
}

#[test]
fn no_credential_follows_a_redirect_to_another_host() {
    let layer = content(5000);
    let (manifest, blobs) = image(&layer);
    let others = blobs.clone();
    let bucket = Server::start(move |_| Box::new(move |head| registry(head, "", &others)));
    let elsewhere = bucket.address;
    let server = Server::start(move |_| {
        Box::new(move |head| {
            if !head.to_lowercase().contains("authorization: basic ") {
                return response(
                    "401 Unauthorized",
                    "WWW-Authenticate: Basic realm=\"r\"\r\n",
                    b"",
                );
            }
            let path = head.split(' ').nth(1).unwrap_or_default();
            match path.contains("/blobs/") {
                true => response(
                    "307 Temporary Redirect",
                    &format!("Location: http://{elsewhere}{path}\r\n"),
                    b"",
                ),
                false => registry(head, &manifest, &[]),
            }
        })
    });
    let own = Registry::wharf();
    let source = format!("docker://{}/app:v1", server.address);
    wharf(&own, ["import", "--user", "alice", &source])
        .stdin("secret")
        .succeeds();
    is_whole(&Client::new(own.base()), "app", "v1");
    let asked = bucket.heads().join("\n").to_lowercase();
    assert!(asked.contains(&digest(&layer)), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");
}

#[test]
fn a_registry_that_lies_about_content_is_not_believed() {
    let layer = content(5000);
    let (manifest, mut blobs) = image(&layer);
    blobs[1][17] ^= 1;
    let wrong = blobs[1].clone();
    let name = digest(&layer);
    let server = Server::start(move |_| {
        Box::new(move |head| match head.contains(&name) {
            true => response("200 OK", "", &wrong),
            false => registry(head, &manifest, &blobs),
        })
    });
    let own = Registry::wharf();
    let source = format!("docker://{}/app", server.address);
    let failed = wharf(&own, ["import", &format!("{source}:v1")]).fails();
    assert!(failed.contains("the content has digest"), "{failed}");
    let other = digest(b"another manifest");
    let failed = wharf(&own, ["import", &format!("{source}@{other}")]).fails();
    assert!(failed.contains("the content has digest"), "{failed}");
    assert_eq!(
        Client::new(own.base()).get("/v2/app/manifests/v1").status,
        404
    );
}

#[test]
fn what_makes_no_sense_is_told() {
    let own = Registry::wharf();
    for (words, told) in [
        (&["import", "team/app"][..], "no place to import from"),
        (&["import", "oci:/none/at/all", "x"], "none/at/all"),
        (&["import", "docker://127.0.0.1:1"], "--all takes all"),
        (&["import", "https://h/app"], "not a place"),
        (&["export", "oci:/tmp/none"], "nothing is named"),
        (&["export", "a", "b"], "no place to export to"),
        (
            &["export", "docker://h/a", "oci:/tmp/none"],
            "no repository of this registry",
        ),
        (&["adopt", "/none/at/all"], "docker/registry/v2"),
    ] {
        let failed = wharf(&own, words.iter().copied()).fails();
        assert!(failed.contains(told), "{words:?}: {failed}");
    }
}
