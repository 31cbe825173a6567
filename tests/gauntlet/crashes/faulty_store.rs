//! A way to a store of buckets on which requests of one kind meet one fault, once or until that ends.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a late store is silent: longer than the server is told to wait.
const LATE: Duration = Duration::from_millis(1500);

/// What a request asks the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Begin,
    Part,
    Complete,
    Abort,
    Multiparts,
    List,
    DeleteMany,
    Put,
    Get,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Begin,
        Self::Part,
        Self::Complete,
        Self::Abort,
        Self::Multiparts,
        Self::List,
        Self::DeleteMany,
        Self::Put,
        Self::Get,
    ];

    fn of(method: &str, target: &str) -> Option<Self> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let has = |name: &str| {
            let mut names = query.split('&').map(|pair| pair.split('=').next());
            names.any(|found| found == Some(name))
        };
        Some(match method {
            "POST" if has("uploads") => Self::Begin,
            "POST" if has("uploadId") => Self::Complete,
            "POST" if has("delete") => Self::DeleteMany,
            "PUT" if has("partNumber") => Self::Part,
            "PUT" => Self::Put,
            "DELETE" if has("uploadId") => Self::Abort,
            "GET" if has("uploads") => Self::Multiparts,
            "GET" if has("list-type") => Self::List,
            "GET" => Self::Get,
            _ => return None,
        })
    }
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status, and not done.
    Status(u16),
    /// It is answered with 200 and an error in the body, as S3 does with completions, and not done.
    ErrorWith200,
    /// It is done when nobody waits any more.
    Late,
    /// The store gets half of it.
    HalfRequest,
    /// It is not done, and the connection is reset.
    ResetBefore,
    /// It is done, and the connection is reset.
    ResetAfter,
    /// It is done, and the connection ends without an answer.
    LostReply,
    /// It is done, and the connection ends in the head of the answer.
    CutHead,
    /// It is done, and the connection ends in the body of the answer.
    CutBody,
    /// It is done, and the answer has fewer bytes than it should, and says so.
    ShortBody,
    /// It is done, and the answer has more bytes than it should, and says so.
    LongBody,
}

impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::Status(500),
        Self::Status(503),
        Self::ErrorWith200,
        Self::Late,
        Self::HalfRequest,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::LostReply,
        Self::CutHead,
        Self::CutBody,
        Self::ShortBody,
        Self::LongBody,
    ];
}

#[derive(Debug, Default)]
struct Plan {
    injected: Option<(Kind, Fault)>,
    /// How many more requests meet it.
    times: usize,
    hits: usize,
    is_over: bool,
}

/// A way to the store.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    port: u16,
    plan: Arc<Mutex<Plan>>,
}

impl FaultyStore {
    /// A way to the store at `host`, without a fault at first.
    pub(crate) fn start(host: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::new(Mutex::new(Plan::default()));
        let (host, shared) = (host.to_owned(), Arc::clone(&plan));
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.lock().expect("not poisoned").is_over {
                    return;
                }
                let Ok(client) = client else { continue };
                let (host, plan) = (host.clone(), Arc::clone(&shared));
                // A request whose client or store leaves is over.
                thread::spawn(move || drop(pass(&client, &host, &plan)));
            }
        });
        Self { port, plan }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets the next requests of a kind meet a fault, so many of them.
    pub(crate) fn inject(&self, kind: Kind, fault: Fault, times: usize) {
        let mut plan = self.plan.lock().expect("not poisoned");
        (plan.injected, plan.times) = (Some((kind, fault)), times);
    }

    /// Ends the fault.
    pub(crate) fn heal(&self) {
        self.plan.lock().expect("not poisoned").injected = None;
    }

    /// How many requests met a fault.
    pub(crate) fn hits(&self) -> usize {
        self.plan.lock().expect("not poisoned").hits
    }
}

impl Drop for FaultyStore {
    fn drop(&mut self) {
        self.plan.lock().expect("not poisoned").is_over = true;
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Passes the one request of a connection.
fn pass(mut client: &TcpStream, host: &str, plan: &Mutex<Plan>) -> io::Result<()> {
    let head_length = peek_head(client)?;
    let mut head = vec![0; head_length - 1];
    client.read_exact(&mut head)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split(' ');
    let kind = Kind::of(words.next().unwrap_or(""), words.next().unwrap_or(""));
    let fault = kind.and_then(|kind| fault(plan, kind));
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    // What is left unread when a connection is closed resets it.
    let length = length.unwrap_or(0);
    let mut rest = vec![0; length];
    if !matches!(fault, Some(Fault::ResetBefore | Fault::ResetAfter)) {
        client.read_exact(&mut [0])?;
        client.read_exact(&mut rest)?;
    } else if length > 0 {
        client.read_exact(&mut [0])?;
        client.read_exact(&mut rest[..length - 1])?;
        client.peek(&mut rest[length - 1..])?;
    }
    let mut request = forwarded(&text).into_bytes();
    request.extend_from_slice(&rest);
    match fault {
        Some(Fault::Status(status)) => return answer(client, status, "Injected"),
        Some(Fault::ErrorWith200) => return answer(client, 200, "InternalError"),
        Some(Fault::ResetBefore) => return Ok(()),
        Some(Fault::Late) => thread::sleep(LATE),
        _ => {}
    }
    let mut store = TcpStream::connect(host)?;
    if fault == Some(Fault::HalfRequest) {
        let half = request.len() - length.div_ceil(2).max(2);
        store.write_all(&request[..half])?;
        return store.shutdown(Shutdown::Both);
    }
    store.write_all(&request)?;
    let mut reply = Vec::new();
    store.read_to_end(&mut reply)?;
    let body = reply.windows(4).position(|four| four == b"\r\n\r\n");
    let body = body.map_or(reply.len(), |position| position + 4);
    match fault {
        Some(Fault::LostReply | Fault::ResetAfter) => return Ok(()),
        Some(Fault::CutHead) => reply.truncate(body / 2),
        Some(Fault::CutBody) => reply.truncate(body + (reply.len() - body) * 2 / 3),
        Some(Fault::ShortBody) => {
            let shorter = reply[body..].len() * 2 / 3;
            reply = relong(&reply[..body], &reply[body..body + shorter]);
        }
        Some(Fault::LongBody) => {
            let longer = [&reply[body..], b"and more"].concat();
            reply = relong(&reply[..body], &longer);
        }
        _ => {}
    }
    client.write_all(&reply)?;
    client.shutdown(Shutdown::Both)
}

/// The fault that a request of this kind meets.
fn fault(plan: &Mutex<Plan>, kind: Kind) -> Option<Fault> {
    let mut plan = plan.lock().expect("not poisoned");
    let (struck, fault) = plan.injected?;
    if struck != kind || plan.times == 0 {
        return None;
    }
    plan.times -= 1;
    plan.hits += 1;
    Some(fault)
}

/// Looks at the head of a request without taking it, and gives its length.
fn peek_head(client: &TcpStream) -> io::Result<usize> {
    let mut seen = vec![0; 64 << 10];
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    loop {
        let length = client.peek(&mut seen)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let end = seen[..length]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            return Ok(end + 4);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The head as the store gets it: its connection ends with the answer.
fn forwarded(head: &str) -> String {
    let lines = head.trim_end().split("\r\n");
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: Vec<_> = kept.collect();
    format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))
}

/// An answer with another body, whose length it says.
fn relong(head: &[u8], body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head).into_owned();
    let lines = text.trim_end().split("\r\n");
    let is_kept = |line: &&str| {
        let lower = line.to_ascii_lowercase();
        !lower.starts_with("content-length:") && !lower.starts_with("transfer-encoding:")
    };
    let kept: Vec<_> = lines.filter(is_kept).collect();
    let head = format!(
        "{}\r\nContent-Length: {}\r\n\r\n",
        kept.join("\r\n"),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn answer(mut client: &TcpStream, status: u16, code: &str) -> io::Result<()> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>injected</Message></Error>"
    );
    let head = format!(
        "HTTP/1.1 {status} Injected\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    client.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    client.shutdown(Shutdown::Both)
}
