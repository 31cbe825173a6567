//! A real PostgreSQL of a test's own, on a free port of loopback.
//!
//! The tests of `wharf-storage` include this file too, so it leans on nothing beside it. The
//! server runs below a shell that waits for the end of its input: however the test ends, its end of
//! the pipe is closed then, and the shell stops the server and removes its folder.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Who the databases belong to, and what that is proven by.
const USER: &str = "wharf";
pub(crate) const PASSWORD: &str = "CANARY-of-postgres";

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the server until its input ends: `$1` is the program, `$2` the folder. One that was killed
/// is waited for at once, since it counts as running until somebody has. Signals that end the test
/// and all around it don't end this, so that the folder goes.
const KEEPER: &str = r#"
trap '' HUP INT TERM
exec 3<&0
"$1" -D "$2/data" >>"$2/log" 2>&1 &
server=$!
{ read -r _ <&3; [ -e "$2/ended.$server" ] || kill -QUIT $server; } &
wait $server
touch "$2/ended.$server"
wait
rm -rf "$2"
"#;

/// Whether what is committed has to outlive a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    On,
    Off,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    /// One for each start.
    keepers: Vec<Child>,
}

impl Postgres {
    /// The server that the tests of this program share, with a database for each of them.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Sync::Off))
    }

    /// A server of its own, that a test may kill.
    pub(crate) fn start(sync: Sync) -> Self {
        let programs = programs();
        let folder = std::env::temp_dir().join(format!("wharf-postgres-{}", unique()));
        fs::create_dir(&folder).expect("a folder");
        give_away(&folder);
        let secret = folder.join("password");
        fs::write(&secret, PASSWORD).expect("a file");
        let mut initdb = as_postgres(&programs.join("initdb"));
        initdb
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--username", USER, "--pwfile"])
            .arg(&secret)
            .arg("-D")
            .arg(folder.join("data"));
        succeeds(&mut initdb);
        let port = free_port();
        certify(&folder);
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
             ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'\n\
             max_connections = 200\nshared_buffers = 32MB\nfsync = {}\nfull_page_writes = {}\n",
            folder.display(),
            word(sync),
            word(sync),
        );
        let config = folder.join("data/postgresql.conf");
        let text = fs::read_to_string(&config).expect("a configuration");
        fs::write(&config, text + &settings).expect("a configuration");
        let mut postgres = Self {
            folder,
            programs,
            port,
            keepers: Vec::new(),
        };
        postgres.start_again();
        postgres
    }

    /// Starts it again after it was killed, and waits until it answers.
    pub(crate) fn start_again(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut keeper = as_postgres(Path::new("/bin/sh"));
            keeper
                .args(["-c", KEEPER, "keeper"])
                .arg(self.programs.join("postgres"))
                .arg(&self.folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            self.keepers.push(keeper.spawn().expect("a shell starts"));
            // A server that was killed may keep its memory for a moment, and the next one then
            // ends at once.
            let tries = Instant::now() + Duration::from_secs(5);
            while Instant::now() < tries {
                if self.answers() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(Instant::now() < deadline, "{}", self.log());
        }
    }

    /// Ends it at once, as a crash does: nothing is written that was not.
    pub(crate) fn kill(&self) {
        self.end("KILL");
    }

    /// Ends it by a signal: `INT` ends its sessions, and then itself in order.
    pub(crate) fn end(&self, signal: &str) {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let file = file.expect("it runs");
        let id = file.lines().next().expect("a process id").trim().to_owned();
        succeeds(Command::new("kill").args(["-s", signal, &id]));
        let deadline = Instant::now() + PATIENCE;
        while self.answers() {
            assert!(Instant::now() < deadline, "it still answers");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The file of the authority that its certificate for localhost is of.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Makes an empty database, and gives its address.
    pub(crate) fn database(&self) -> String {
        let name = format!("test_{}", unique().replace('-', "_"));
        self.run("postgres", &format!("CREATE DATABASE {name}"));
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{name}",
            self.port
        )
    }

    /// Runs SQL in a database that [`database`](Self::database) gave, and gives what it answers,
    /// a line for each row.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let (_, name) = database.rsplit_once('/').expect("an address has a name");
        self.run(name, sql)
    }

    fn run(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER])
            .args(["-d", database, "-c", sql])
            .env("PGPASSWORD", PASSWORD);
        succeeds(&mut psql)
    }

    fn answers(&self) -> bool {
        let mut ready = Command::new(self.programs.join("pg_isready"));
        ready
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .stdout(Stdio::null());
        ready.status().expect("pg_isready runs").success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The last one has the server that runs.
        while let Some(mut keeper) = self.keepers.pop() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// Where Debian keeps the programs of the newest version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("postgresql is missing: make tools");
    let versions = versions.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        Some((name.parse::<u32>().ok()?, name))
    });
    let (_, newest) = versions.max().expect("postgresql is missing: make tools");
    Path::new("/usr/lib/postgresql").join(newest).join("bin")
}

/// A program as another user, since PostgreSQL refuses to be run by root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ])
        .arg(program)
        .current_dir("/");
    command
}

/// Makes an authority, and a certificate for localhost of it.
fn certify(folder: &Path) {
    let openssl = |words: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
        command.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
        succeeds(command.args(words).current_dir(folder));
    };
    let authority = "-subj /CN=authority -keyout authority.key -out authority.pem";
    openssl(&authority.split(' ').collect::<Vec<_>>());
    let server = "-subj /CN=localhost -addext subjectAltName=DNS:localhost \
                  -addext basicConstraints=critical,CA:FALSE -CA authority.pem -CAkey authority.key \
                  -keyout server.key -out server.pem";
    openssl(&server.split_whitespace().collect::<Vec<_>>());
    for file in ["server.key", "server.pem"] {
        give_away(&folder.join(file));
    }
}

fn give_away(folder: &Path) {
    if is_root() {
        succeeds(Command::new("chown").arg("postgres:postgres").arg(folder));
    }
}

fn is_root() -> bool {
    let mut status = String::new();
    let mut file = fs::File::open("/proc/self/status").expect("Linux");
    file.read_to_string(&mut status).expect("a text");
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failure = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{failure}");
    text
}

fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{count}", std::process::id())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

const fn word(sync: Sync) -> &'static str {
    match sync {
        Sync::On => "on",
        Sync::Off => "off",
    }
}
