//! What the rows about numbers ask with: a connection that is kept for many requests and may fail,
//! how long things took, and room for many connections.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::api::http::Answer;
use crate::api::{IMAGE, digest};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server, for one request after the other.
#[derive(Debug)]
pub(super) struct Line {
    reader: BufReader<TcpStream>,
    host: String,
}

impl Line {
    /// Connects to a host and a port.
    pub(super) fn to(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(stream);
        let host = host.to_owned();
        Ok(Self { reader, host })
    }

    /// Sends a request, and reads the answer.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut request = request.into_bytes();
        // One packet for what is small, as clients send it.
        let rest = match body.len() {
            0..=65_536 => {
                request.extend_from_slice(body);
                &[][..]
            }
            _ => body,
        };
        self.reader.get_mut().write_all(&request)?;
        // A server that refuses a body early closes before it has all of it; its answer counts.
        let _ = self.reader.get_mut().write_all(rest);
        self.answer(method)
    }

    /// Pushes a manifest under a tag or a digest.
    pub(super) fn put(&mut self, repository: &str, name: &str, text: &str) -> io::Result<Answer> {
        let path = format!("/v2/{repository}/manifests/{name}");
        let headers = [("Content-Type", IMAGE)];
        self.ask("PUT", &path, &headers, text.as_bytes())
    }

    /// Sends an operation of Amazon ECR.
    pub(super) fn operation(&mut self, name: &str, input: &[u8]) -> io::Result<Answer> {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{name}");
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target.as_str()),
        ];
        self.ask("POST", "/", &headers, input)
    }

    /// Reads the answer to a request that was sent.
    pub(super) fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in {line:?}")))?;
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            let values = headers.entry(name.to_lowercase()).or_default();
            values.push(value.trim().to_owned());
        }
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" && !matches!(status, 204 | 304) {
            let length = answer.header("content-length").expect("a length");
            answer.body = vec![0; length.parse().expect("a number")];
            self.reader.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }
}

/// Says that all is over when it goes, also where a check has failed: threads that wait for it would
/// keep a failure from being told.
pub(super) struct Ends<'a>(pub(super) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// How long many things took.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    /// Does something, and notes how long it took.
    pub(super) fn note<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.0.push(began.elapsed());
        result
    }

    /// How long all but a hundredth took at most.
    pub(super) fn p99(&mut self) -> Duration {
        self.0.sort();
        self.0[(self.0.len() - 1) * 99 / 100]
    }

    /// How long the longest took.
    pub(super) fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Milliseconds with one digit behind the point.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// A manifest whose blobs need not be there, and its digest.
pub(super) fn manifest(content: &str) -> (String, String) {
    let text = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(b"{}"),
            "size": 2,
        },
        "layers": [],
        "annotations": {"content": content},
    });
    let text = text.to_string();
    let digest = digest(text.as_bytes());
    (text, digest)
}

/// Lets this program have as many files open as it may.
///
/// # Panics
/// When that is not enough for `count` connections.
pub(super) fn make_room_for(count: u64) {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).expect("a soft limit may be as high as the hard one");
    });
    let room = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(room > count + 500, "only {room} files may be open here");
}
