//! A store of buckets, SeaweedFS, for the tests of a binary, and a way to it that can fail.
//!
//! It needs the standard library alone, so that the unit tests of the storage take it in too.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The name of the store's key.
pub(crate) const ACCESS_KEY_ID: &str = "wharf";

/// Its secret.
pub(crate) const SECRET_ACCESS_KEY: &str = "only-on-loopback-1f0c";

/// How long the store may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The arguments are the store, its folder and its flags. When the tests are over, however they
/// end, its standard input does, and the store and its folder go.
const KEEPER: &str = r#"
weed=$1; folder=$2; shift 2
"$weed" -logtostderr "$@" >"$folder/log" 2>&1 </dev/null &
cat >/dev/null
kill -9 $!
wait $! 2>/dev/null
rm -rf "$folder"
"#;

/// The store that all tests of a binary share.
#[derive(Debug)]
struct Seaweed {
    s3: String,
    filer: String,
    /// The end of its standard input is that of the store.
    _keeper: Child,
}

/// A bucket of a test's own.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Its name.
    pub(crate) name: String,
    /// Where the store is, `http://127.0.0.1:PORT`.
    pub(crate) endpoint: String,
    filer: String,
}

impl Bucket {
    /// An empty bucket.
    ///
    /// # Panics
    /// When the store can't be started.
    pub(crate) fn new() -> Self {
        static STORE: OnceLock<Seaweed> = OnceLock::new();
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let store = STORE.get_or_init(Seaweed::start);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{}-{number}", std::process::id());
        // A bucket is a folder of the filer.
        let made = ask(&store.filer, &format!("POST /buckets/{name}/"));
        assert!(is_success(made.as_ref()), "{made:?}");
        Self {
            name,
            endpoint: format!("http://{}", store.s3),
            filer: store.filer.clone(),
        }
    }

    /// The same bucket by another way.
    pub(crate) fn through(&self, proxy: &Proxy) -> Self {
        Self {
            name: self.name.clone(),
            endpoint: proxy.endpoint(),
            filer: self.filer.clone(),
        }
    }

    /// How many multiparts are open. The filer keeps them in a folder.
    pub(crate) fn multiparts(&self) -> usize {
        self.entries(".uploads")
    }

    /// How many folders and objects lie in a folder of the bucket.
    pub(crate) fn entries(&self, folder: &str) -> usize {
        self.names(folder).len()
    }

    /// How many objects lie in the folders of a folder. Those may be empty.
    pub(crate) fn objects(&self, folder: &str) -> usize {
        let folders = self.names(folder).into_iter();
        folders
            .map(|name| self.entries(&format!("{folder}/{name}")))
            .sum()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let path = format!("/buckets/{}/{folder}/?limit=100000", self.name);
        let Some((200, body)) = ask(&self.filer, &format!("GET {path}")) else {
            return Vec::new();
        };
        let paths = body.split("\"FullPath\":").skip(1);
        let paths = paths.filter_map(|text| text.split('"').nth(1));
        paths
            .filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned()))
            .collect()
    }

    /// The host and the port of the store.
    pub(crate) fn host(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }
}

impl Seaweed {
    fn start() -> Self {
        let weed = find("weed");
        let folder = std::env::temp_dir().join(format!("wharf-seaweed-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("data")).expect("a folder");
        let config = folder.join("s3.json");
        let identities = format!(
            r#"{{"identities": [{{"name": "wharf", "actions": ["Admin"], "credentials":
                [{{"accessKey": "{ACCESS_KEY_ID}", "secretKey": "{SECRET_ACCESS_KEY}"}}]}}]}}"#
        );
        std::fs::write(&config, identities).expect("written");
        let ports: Vec<u16> = free_ports(8);
        let mut flags = vec![
            "server".to_owned(),
            format!("-dir={}", folder.join("data").display()),
            "-ip=127.0.0.1".into(),
            "-ip.bind=127.0.0.1".into(),
            "-s3".into(),
            "-s3.ip.bind=127.0.0.1".into(),
            format!("-s3.config={}", config.display()),
            "-s3.iam=false".into(),
            "-s3.port.iceberg=0".into(),
            "-s3.port.lance=0".into(),
            "-volume.max=200".into(),
            "-master.volumeSizeLimitMB=256".into(),
        ];
        let names = ["master", "volume", "filer", "s3"];
        for (name, pair) in names.iter().zip(ports.chunks(2)) {
            flags.push(format!("-{name}.port={}", pair[0]));
            flags.push(format!("-{name}.port.grpc={}", pair[1]));
        }
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&weed)
            .arg(&folder)
            .args(flags)
            // A bucket takes one volume, not seven.
            .env("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1")
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let (filer, s3) = (ports[4], ports[6]);
        let store = Self {
            s3: format!("127.0.0.1:{s3}"),
            filer: format!("127.0.0.1:{filer}"),
            _keeper: keeper,
        };
        let deadline = Instant::now() + PATIENCE;
        let is_there = || {
            // The folder of the buckets is made, or there.
            let made = ask(&store.filer, "POST /buckets/");
            let is_there = made.as_ref().is_some_and(|(status, _)| *status == 409);
            (is_there || is_success(made.as_ref())) && ask(&store.s3, "GET /").is_some()
        };
        while !is_there() {
            assert!(
                Instant::now() < deadline,
                "the store does not start: {}",
                std::fs::read_to_string(folder.join("log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(20));
        }
        store
    }
}

/// A tool that `.ci/tools` installs, from any package of the workspace.
fn find(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = here
        .ancestors()
        .map(|folder| folder.join(".tools/bin").join(name));
    let mut found = paths.filter(|path| path.is_file());
    found
        .next()
        .unwrap_or_else(|| panic!("{name} is missing: run make tools"))
}

/// Ports that are free now, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let listener = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<_> = (0..count).map(listener).collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    listeners.iter().map(port).collect()
}

/// Makes a request without a body, and gives the status of its answer and the body.
fn ask(host: &str, line: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(host).ok()?;
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience).ok()?;
    let request = format!(
        "{line} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    BufReader::new(stream).read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn is_success(answer: Option<&(u16, String)>) -> bool {
    answer.is_some_and(|(status, _)| (200..300).contains(status))
}

/// A request that comes through a [`Proxy`].
#[derive(Debug)]
pub(crate) struct Passing {
    /// Its number, from 1.
    pub(crate) number: usize,
    pub(crate) method: String,
    /// The path with the query.
    pub(crate) target: String,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Pass,
    /// It is answered with this status, and the store doesn't hear of it.
    Fail(u16),
    /// The store does it, and the connection ends without an answer.
    Swallow,
    /// The store does it, and the connection ends in the middle of the answer.
    Cut,
    /// It is done later.
    Delay(Duration),
}

/// A way to a store on which requests meet their fate, and conditions are lost, as some stores
/// ignore them.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    stopped: Arc<AtomicBool>,
    faults: Arc<AtomicUsize>,
}

impl Proxy {
    /// A way to the store at `host`.
    pub(crate) fn start(
        host: &str,
        fate: impl Fn(&Passing) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let proxy = Self {
            port,
            stopped: Arc::default(),
            faults: Arc::default(),
        };
        let (host, fate) = (host.to_owned(), Arc::new(fate));
        let (stopped, faults) = (Arc::clone(&proxy.stopped), Arc::clone(&proxy.faults));
        let number = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (host, fate) = (host.clone(), Arc::clone(&fate));
                let (number, faults) = (Arc::clone(&number), Arc::clone(&faults));
                // A request whose client or store leaves has no more fate.
                thread::spawn(move || {
                    let _ = pass(&client, &host, &number, |passing| {
                        let fate = fate(passing);
                        if fate != Fate::Pass {
                            faults.fetch_add(1, Ordering::Relaxed);
                        }
                        fate
                    });
                });
            }
        });
        proxy
    }

    /// Its address.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests met a fault.
    pub(crate) fn faults(&self) -> usize {
        self.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Passes one request of a connection, which ends with its answer.
fn pass(
    client: &TcpStream,
    host: &str,
    number: &AtomicUsize,
    fate: impl Fn(&Passing) -> Fate,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let mut words = line.split(' ').map(str::to_owned);
    let passing = Passing {
        number: number.fetch_add(1, Ordering::Relaxed) + 1,
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
    };
    let mut head = line.into_bytes();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            head.extend_from_slice(b"Connection: close\r\n\r\n");
            break;
        }
        let is_dropped = ["if-match:", "if-none-match:", "connection:"]
            .iter()
            .any(|name| lower.starts_with(name));
        if !is_dropped {
            head.extend_from_slice(line.as_bytes());
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let fate = fate(&passing);
    match fate {
        Fate::Fail(status) => {
            let text = "<Error><Code>Injected</Code></Error>";
            let answer = format!(
                "HTTP/1.1 {status} Injected\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                text.len()
            );
            let answer = [answer.as_bytes(), text.as_bytes()].concat();
            return (&mut &*client).write_all(&answer);
        }
        Fate::Delay(duration) => thread::sleep(duration),
        Fate::Pass | Fate::Swallow | Fate::Cut => {}
    }
    let mut store = TcpStream::connect(host)?;
    store.write_all(&head)?;
    store.write_all(&body)?;
    let mut client = client;
    match fate {
        Fate::Swallow => {
            std::io::copy(&mut store, &mut std::io::sink())?;
        }
        Fate::Cut => {
            let mut answer = Vec::new();
            store.read_to_end(&mut answer)?;
            client.write_all(&answer[..answer.len() * 2 / 3])?;
        }
        Fate::Pass | Fate::Fail(_) | Fate::Delay(_) => {
            std::io::copy(&mut store, &mut client)?;
        }
    }
    client.shutdown(Shutdown::Both)
}
