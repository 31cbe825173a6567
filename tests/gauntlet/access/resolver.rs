//! A resolver whose names lead elsewhere each time they are asked for.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The address of this machine that is open in the test, and the one that is not.
const OPEN: [u8; 4] = [127, 0, 0, 2];
const CLOSED: [u8; 4] = [127, 0, 0, 1];

const ADDRESS: u16 = 1;
const ADDRESS_OF_VERSION_6: u16 = 28;

/// The resolver.
#[derive(Debug)]
pub(crate) struct Resolver {
    address: String,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    stopped: Arc<AtomicBool>,
}

impl Resolver {
    /// The names below `test` that it knows.
    pub(crate) const NAMES: [&'static str; 5] = ["rebind", "later", "both", "inside", "mapped"];

    pub(crate) fn start() -> Self {
        // A resolver is asked on port 53, and each run has an address of its own.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = format!("127.53.{high}.{}", low.max(1));
        let socket = UdpSocket::bind((address.as_str(), 53)).expect("port 53, which takes root");
        let patience = Some(Duration::from_millis(100));
        socket.set_read_timeout(patience).expect("a timeout is set");
        let resolver = Self {
            address,
            asked: Arc::default(),
            stopped: Arc::default(),
        };
        let (asked, stopped) = (Arc::clone(&resolver.asked), Arc::clone(&resolver.stopped));
        thread::spawn(move || {
            let mut query = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut query) else {
                    continue;
                };
                let mut asked = asked.lock().expect("not poisoned");
                if let Some(answer) = answer(&query[..length], &mut asked) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        resolver
    }

    /// What stands in `resolv.conf` to ask it.
    pub(crate) fn configuration(&self) -> String {
        format!(
            "nameserver {}\noptions timeout:1 attempts:1\n",
            self.address
        )
    }

    /// How often each name was asked for.
    pub(crate) fn asked(&self) -> BTreeMap<String, usize> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// The answer to a query of RFC 1035 with one question.
fn answer(query: &[u8], asked: &mut BTreeMap<String, usize>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    let name = labels.first()?.to_lowercase();
    let mut records: Vec<Vec<u8>> = Vec::new();
    if kind == ADDRESS && labels.len() == 2 {
        let count = asked.entry(name.clone()).or_default();
        let addresses: &[[u8; 4]] = match (name.as_str(), *count) {
            ("rebind", count) if count % 2 == 0 => &[OPEN],
            ("later", 0) => &[OPEN],
            ("both", _) => &[CLOSED, OPEN],
            ("mapped", _) => &[],
            _ => &[CLOSED],
        };
        *count += 1;
        records.extend(addresses.iter().map(|address| address.to_vec()));
    }
    if kind == ADDRESS_OF_VERSION_6 && name == "mapped" {
        records.push([&[0; 10][..], &[255, 255], &CLOSED].concat());
    }
    let mut answer = query[..2].to_vec();
    let count = u8::try_from(records.len()).expect("a few records");
    answer.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&query[12..at + 5]);
    for record in records {
        let length = u8::try_from(record.len()).expect("an address");
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        // Of the Internet, and good for no time.
        answer.extend([0, 1, 0, 0, 0, 0, 0, length]);
        answer.extend(record);
    }
    Some(answer)
}
