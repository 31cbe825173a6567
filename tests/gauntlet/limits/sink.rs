//! A receiver of webhooks that fails in every way that a receiver can, and notes what it was told
//! in the order in which it came.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::Value;

/// What a delivery is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// 204.
    Take,
    /// Another status.
    Refuse(u16),
    /// Nothing at all, until the other side leaves.
    Stall,
    /// The connection ends.
    HangUp,
}

/// An event that came.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) repository: String,
    pub(super) digest: String,
    /// Its place in the log.
    pub(super) sequence: u64,
    pub(super) fate: Fate,
}

type Fates = dyn Fn(usize) -> Fate + Send + Sync;

/// A receiver on a free port. Its threads end with the test.
pub(super) struct Sink {
    url: String,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Sink {
    /// One that does with each delivery, by its number from 0, what `fates` says.
    pub(super) fn start(fates: impl Fn(usize) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/sink", listener.local_addr().expect("an address"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Self {
            url,
            told: Arc::clone(&told),
        };
        let fates: Arc<Fates> = Arc::new(fates);
        let number = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (fates, told) = (Arc::clone(&fates), Arc::clone(&told));
                let number = Arc::clone(&number);
                // A sender that is killed leaves in the middle.
                thread::spawn(move || serve(&stream, &*fates, &number, &told));
            }
        });
        sink
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// All that came, in that order.
    pub(super) fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().expect("not poisoned")
    }

    /// How many deliveries were taken.
    pub(super) fn taken(&self) -> usize {
        let told = self.told();
        told.iter().filter(|one| one.fate == Fate::Take).count()
    }
}

/// Answers the deliveries of a connection; none, when it ends.
fn serve(
    stream: &TcpStream,
    fates: &Fates,
    number: &AtomicUsize,
    told: &Mutex<Vec<Told>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("webhook-id") => {
                    value.clone_into(&mut id);
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok()?;
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        if id.is_empty() {
            // Somebody else's request, who took the port for another one.
            return None;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let event: Value = serde_json::from_slice(&body).expect("an event is JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(id, text(&event["id"]), "the id of the head is the event's");
        let fate = fates(number.fetch_add(1, Ordering::SeqCst));
        told.lock().expect("not poisoned").push(Told {
            id,
            repository: text(&event["data"]["repository-name"]),
            digest: text(&event["data"]["image-digest"]),
            sequence: text(&event["sequence"]).parse().expect("a number"),
            fate,
        });
        let mut writer = stream;
        let status = match fate {
            Fate::Take => 204,
            Fate::Refuse(status) => status,
            Fate::Stall => {
                // The next byte is the end.
                let _ = reader.read(&mut [0]);
                return None;
            }
            Fate::HangUp => return None,
        };
        let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n");
        writer.write_all(answer.as_bytes()).ok()?;
    }
}
