//! The server that webhooks are delivered to, which answers as a test says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::wait;

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    /// What it was answered with.
    pub(super) status: u16,
}

impl Delivery {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(super) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// How a request is answered: its number from 0 to a status and further headers.
type Answers = Box<dyn Fn(usize) -> (u16, &'static str) + Send + Sync>;

/// A server on a free port. Its threads end with the test.
#[derive(Clone)]
pub(super) struct Hook {
    url: String,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Hook {
    /// One that takes everything.
    pub(super) fn willing() -> Self {
        Self::answering(|_| (204, ""))
    }

    pub(super) fn answering(
        answers: impl Fn(usize) -> (u16, &'static str) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let hook = Self {
            url,
            deliveries: Arc::clone(&deliveries),
        };
        let answers: Arc<Answers> = Arc::new(Box::new(answers));
        let count = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (deliveries, count) = (Arc::clone(&deliveries), Arc::clone(&count));
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || serve(stream, &answers, &count, &deliveries));
            }
        });
        hook
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// All that came so far.
    pub(super) fn all(&self) -> Vec<Delivery> {
        self.deliveries.lock().expect("not poisoned").clone()
    }

    /// What was taken so far.
    pub(super) fn taken(&self) -> Vec<Delivery> {
        let mut all = self.all();
        all.retain(|delivery| delivery.status < 300);
        all
    }

    /// Waits until so many were taken, and gives them.
    pub(super) fn wait_for(&self, count: usize) -> Vec<Delivery> {
        wait::until("deliveries", Duration::from_secs(30), || {
            let taken = self.taken();
            (taken.len() >= count).then_some(taken)
        })
    }
}

/// Answers the requests of a connection, one after the other.
fn serve(
    stream: TcpStream,
    answers: &Answers,
    count: &AtomicUsize,
    deliveries: &Mutex<Vec<Delivery>>,
) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        assert!(line.starts_with("POST /hook HTTP/1.1"), "{line}");
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length: usize = headers["content-length"].parse().expect("a number");
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let (status, further) = answers(count.fetch_add(1, Ordering::SeqCst));
        deliveries.lock().expect("not poisoned").push(Delivery {
            headers,
            body: String::from_utf8(body).expect("text"),
            status,
        });
        let answer = format!("HTTP/1.1 {status} Said\r\n{further}Content-Length: 0\r\n\r\n");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
