//! A small HTTP server that a test answers for, and that remembers who came: an issuer, a webhook's
//! target, an upstream, or a place where nobody should come at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// The path with the query.
    pub(crate) target: String,
    /// The whole head, as it came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
}

/// An answer with a body.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// An answer of JSON.
pub(crate) fn json(body: &serde_json::Value) -> String {
    let json = [("Content-Type", "application/json")];
    answer("200 OK", &json, &body.to_string())
}

impl Site {
    /// A place that nobody should find.
    pub(crate) fn trap() -> Self {
        Self::start("127.0.0.1:0", |_| answer("200 OK", &[], "{}"))
    }

    /// A server on an address, with what it answers.
    pub(crate) fn start(
        address: &str,
        answers: impl Fn(&Asked) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free address");
        let site = Self {
            address: listener.local_addr().expect("an address"),
            connections: Arc::default(),
            asked: Arc::default(),
            stopped: Arc::default(),
        };
        let (connections, asked) = (Arc::clone(&site.connections), Arc::clone(&site.asked));
        let (stopped, answers) = (Arc::clone(&site.stopped), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                connections.fetch_add(1, Ordering::Relaxed);
                let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                thread::spawn(move || {
                    // Whoever leaves in the middle has asked for nothing.
                    let Some(request) = read(&stream) else { return };
                    asked.lock().expect("not poisoned").push(request.clone());
                    let _ = (&stream).write_all(answers(&request).as_bytes());
                });
            }
        });
        site
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections came, whatever was sent over them.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// All that was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience).ok()?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.split("\r\ncontent-length:").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut words = head.split(' ').map(str::to_owned);
    Some(Asked {
        method: words.next()?,
        target: words.next()?,
        head,
        body,
    })
}
