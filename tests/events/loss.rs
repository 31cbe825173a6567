//! Row 14 of what has to hold: a thousand pushes, a sink that fails, and a server that is killed
//! while pushes are under way.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::hook::Hook;
use super::{endpoint, events, manifest, page, registry};
use crate::api::http::Client;
use crate::support::wait;

const REPOSITORIES: usize = 8;
const PUSHES: usize = 1000;
/// After how many pushes the server is killed.
const KILLS: [usize; 3] = [250, 500, 750];
/// How long a push may wait for its server to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// What pushers and the one who kills have in common.
#[derive(Debug, Default)]
struct Progress {
    /// Where the server is at the moment, `HOST:PORT`; empty while there is none.
    address: Mutex<String>,
    /// How many pushes were acknowledged.
    acknowledged: AtomicUsize,
    /// How many pushes a kill cut, so that their pushers don't know what became of them.
    cut: AtomicUsize,
}

/// Pushes a manifest, and gives the status of the answer.
fn push(address: &str, name: &str, tag: &str) -> io::Result<String> {
    let document = manifest(&format!("{name} {tag}"));
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "PUT /v2/{name}/manifests/{tag} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: {}\r\nContent-Length: {}\r\n\r\n{document}",
        crate::api::IMAGE,
        document.len(),
    )?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).map(ToOwned::to_owned);
    status.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Pushes one tag after the other into a repository, each until it is acknowledged, whatever server
/// is there.
fn push_all(progress: &Progress, repository: usize) -> Vec<String> {
    let name = format!("loss/app-{repository}");
    let mut acknowledged = Vec::new();
    for number in 0..PUSHES / REPOSITORIES {
        let tag = format!("v{number:04}");
        wait::until(&tag, PATIENCE, || {
            let address = progress.address.lock().expect("not poisoned").clone();
            match push(&address, &name, &tag) {
                Ok(status) => {
                    assert_eq!(status, "201", "{name}:{tag}");
                    Some(())
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => None,
                Err(_) if address.is_empty() => None,
                Err(_) => {
                    progress.cut.fetch_add(1, Ordering::SeqCst);
                    None
                }
            }
        });
        acknowledged.push(format!("{name}:{tag}"));
        progress.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

/// The ids and subjects of all pushes in the log, in its order.
fn log(client: &Client) -> Vec<(String, String)> {
    let (mut log, mut after) = (Vec::new(), 0);
    loop {
        let answer = page(client, &format!("after={after}&type=*.pushed&limit=1000"));
        let found = events(&answer);
        if found.is_empty() {
            return log;
        }
        after = answer.json()["next"].as_i64().expect("a cursor");
        let text = |event: &Value, name: &str| event[name].as_str().expect("a text").to_owned();
        log.extend(
            found
                .iter()
                .map(|event| (text(event, "id"), text(event, "subject"))),
        );
    }
}

#[test]
fn a_thousand_pushes_arrive_in_order_through_failures_and_kills() {
    let mut registry = registry();
    // At the beginning and every so often it takes nothing.
    let hook = Hook::answering(|number| match number {
        0..4 => (503, ""),
        number if number % 150 == 0 => (500, ""),
        _ => (200, ""),
    });
    endpoint(&registry, "loss", hook.url(), &["--type", "*.pushed"]);

    let progress = Arc::new(Progress::default());
    registry
        .host()
        .clone_into(&mut progress.address.lock().expect("not poisoned"));
    let pushers: Vec<_> = (0..REPOSITORIES)
        .map(|repository| {
            let progress = Arc::clone(&progress);
            std::thread::spawn(move || push_all(&progress, repository))
        })
        .collect();
    for after in KILLS {
        wait::until("pushes", Duration::from_secs(120), || {
            (progress.acknowledged.load(Ordering::SeqCst) >= after).then_some(())
        });
        registry.kill();
        // Nobody shall push to whoever has that port next.
        progress.address.lock().expect("not poisoned").clear();
        registry.start_again();
        registry
            .host()
            .clone_into(&mut progress.address.lock().expect("not poisoned"));
    }
    let acknowledged: Vec<String> = pushers
        .into_iter()
        .flat_map(|pusher| pusher.join().expect("it pushed"))
        .collect();
    assert_eq!(acknowledged.len(), PUSHES);
    let cut = progress.cut.load(Ordering::SeqCst);
    assert!(cut > 0, "a push was under way at a kill");

    // The log has an event for each; what was cut and done again may have two.
    let log = log(&Client::new(registry.base()));
    let told: BTreeSet<&str> = log.iter().map(|(_, subject)| subject.as_str()).collect();
    assert!(acknowledged.iter().all(|push| told.contains(push.as_str())));

    let first = wait::until("every event", Duration::from_secs(120), || {
        let mut first: HashMap<String, (usize, String)> = HashMap::new();
        for (place, delivery) in hook.taken().iter().enumerate() {
            let event = delivery.json();
            let subject = event["subject"].as_str().expect("a text").to_owned();
            let known = first.entry(delivery.id().to_owned());
            let known = known.or_insert((place, subject.clone()));
            assert_eq!(known.1, subject, "an id names one event");
        }
        let is_complete = log.iter().all(|(id, _)| first.contains_key(id));
        is_complete.then_some(first)
    });
    assert_eq!(first.len(), log.len(), "an event has the same id each time");
    for repository in 0..REPOSITORIES {
        let prefix = format!("loss/app-{repository}:");
        let of_one = log
            .iter()
            .filter(|(_, subject)| subject.starts_with(&prefix));
        let places: Vec<usize> = of_one.map(|(id, _)| first[id].0).collect();
        assert!(places.is_sorted(), "{prefix}");
    }
    let (events, taken) = (log.len(), hook.taken().len());
    println!("{PUSHES} pushes, {cut} cut, {events} events, {taken} deliveries");
}
