//! A way to a server over TCP whose connections are cut: all of them at once, or one right behind
//! something that it carried, so that its answer is lost.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A way to a server.
#[derive(Debug)]
pub(crate) struct Cutter {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: String,
    /// What an answer gets lost behind, and every how many times.
    behind: (&'static [u8], usize),
    carried: AtomicUsize,
    cuts: AtomicUsize,
    lost: AtomicUsize,
    is_armed: AtomicBool,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Cutter {
    /// A way to the server at `to`, on which every so many times the connection is cut behind a word,
    /// once it is armed.
    pub(crate) fn start(to: &str, word: &'static str, every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            to: to.to_owned(),
            behind: (word.as_bytes(), every),
            carried: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            is_armed: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let Ok(server) = TcpStream::connect(&serving.to) else {
                    continue;
                };
                serving.carry(client, server);
            }
        });
        Self { port, shared }
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on answers get lost.
    pub(crate) fn arm(&self) {
        self.shared.is_armed.store(true, Ordering::Relaxed);
    }

    /// Cuts all connections.
    pub(crate) fn cut_all(&self) {
        let mut open = self.shared.open.lock().expect("not poisoned");
        for stream in open.drain(..) {
            self.shared.cuts.fetch_add(1, Ordering::Relaxed);
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// How many connections were cut together with others.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.cut_all();
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let copy = |stream: &TcpStream| stream.try_clone().expect("a copy of a socket");
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        self.open.lock().expect("not poisoned").push(copy(&client));
        let ways = [
            (copy(&client), copy(&server), true),
            (server, client, false),
        ];
        for (from, to, is_request) in ways {
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.copy(&from, &to, is_request);
                for stream in [from, to] {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
    }

    /// Copies until an end comes, or the answer to what was carried shall be lost.
    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream, is_request: bool) {
        let mut chunk = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let bytes = &chunk[..length];
            if is_request && self.loses_answer(bytes) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                // Nothing of the answer comes through any more, and the server has it all.
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.write_all(bytes);
                return;
            }
            if to.write_all(bytes).is_err() {
                return;
            }
        }
    }

    fn loses_answer(&self, bytes: &[u8]) -> bool {
        let (word, every) = self.behind;
        if !self.is_armed.load(Ordering::Relaxed)
            || !bytes.windows(word.len()).any(|window| window == word)
        {
            return false;
        }
        (self.carried.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every)
    }
}
