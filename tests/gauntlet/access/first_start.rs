//! Row 45: a start without an administrator.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process;
use std::time::Duration;

use super::people::{basic, elsewhere};
use super::row;
use crate::api::http::Client;
use crate::support::{Command, Process, folder};

/// Passwords that programs came with.
const USUAL: [(&str, &str); 12] = [
    ("admin", "admin"),
    ("admin", "password"),
    ("admin", "Harbor12345"),
    ("admin", "admin123"),
    ("admin", "wharf"),
    ("admin", ""),
    ("admin", "changeme"),
    ("wharf", "wharf"),
    ("root", "root"),
    ("user/admin", "admin"),
    ("AWS", "admin"),
    ("", "admin"),
];

/// A server in a folder, and what it wrote until it was ended.
pub(crate) struct Run {
    server: Process,
    pub(crate) base: String,
}

impl Run {
    fn start(data: &std::path::Path, variables: &[(&str, &str)]) -> Self {
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_wharf"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data);
        command.envs(variables.iter().copied());
        Self::of(&command)
    }

    /// One that is started by a command of the caller's.
    pub(crate) fn of(command: &process::Command) -> Self {
        let mut server = Process::start(command);
        let mut line = Vec::new();
        let stdout = server.child().stdout.as_mut().expect("piped");
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("it prints its address");
            line.extend(byte);
        }
        let base = String::from_utf8(line).expect("a text").trim().to_owned();
        Self { server, base }
    }

    /// Ends it, and gives what it printed behind its address, and what it logged.
    fn end(mut self) -> (String, String) {
        // It prints before it answers.
        let client = Client::new(&self.base);
        assert_eq!(client.get("/healthz").status, 200);
        self.server.signal("TERM");
        let (mut printed, mut logged) = (String::new(), String::new());
        let child = self.server.child();
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        stdout
            .as_mut()
            .expect("piped")
            .read_to_string(&mut printed)
            .expect("a text");
        stderr
            .as_mut()
            .expect("piped")
            .read_to_string(&mut logged)
            .expect("a text");
        self.server.wait(Duration::from_secs(20));
        (printed, logged)
    }
}

#[test]
fn nobody_gets_in_by_a_password_that_anybody_could_know() {
    let on = [
        ("WHARF__AUTH__ENABLED", "true"),
        ("WHARF__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]"),
        ("WHARF__LOG__LEVEL", "trace"),
    ];
    let mut passwords = BTreeSet::new();
    let mut tried = 0;
    for _ in 0..3 {
        let folder = folder();
        let data = folder.path().join("data");
        let run = Run::start(&data, &on);
        let client = Client::new(&run.base);
        for (name, password) in USUAL {
            let shown = basic(name, password);
            let headers = [
                ("Authorization", &*shown),
                ("X-Forwarded-For", &elsewhere()),
            ];
            for path in ["/v2/", "/admin/v1/users"] {
                let answer = client.send("GET", path, &headers, b"");
                assert_eq!(answer.status, 401, "{name}:{password}: {answer:?}");
                tried += 1;
            }
        }
        let (printed, logged) = run.end();
        let (_, told) = printed.split_once("password: ").expect("it is told");
        let password = told
            .split_whitespace()
            .next()
            .expect("a password")
            .to_owned();
        assert_eq!(printed.matches(&password).count(), 1, "{printed}");
        assert!(!logged.contains(&password), "it stands in the log");
        assert!(password.len() >= 20, "{password}");

        // The next start tells none, and that one still opens.
        let run = Run::start(&data, &on);
        let shown = basic("admin", &password);
        let client = Client::new(&run.base);
        let answer = client.send("GET", "/admin/v1/users", &[("Authorization", &shown)], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        let (printed, logged) = run.end();
        assert!(
            !printed.contains("password") && !logged.contains(&password),
            "{printed}"
        );
        // Nor is it in any file, as it is.
        for file in files(&data) {
            let bytes = std::fs::read(&file).expect("a file is read");
            let is_there = bytes
                .windows(password.len())
                .any(|part| part == password.as_bytes());
            assert!(!is_there, "{file:?}");
        }
        passwords.insert(password);
    }
    assert_eq!(passwords.len(), 3, "each start makes another one");

    // Without logins nobody is told a password, and nobody else can reach the server.
    let folder = folder();
    let run = Run::start(&folder.path().join("open"), &[]);
    let (printed, _) = run.end();
    assert!(!printed.contains("password"), "{printed}");
    let mut refused = 0;
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:0.0.0.0]:0"] {
        let told = Command::program(env!("CARGO_BIN_EXE_wharf"))
            .args(["serve", "--listen", address, "--data"])
            .arg(folder.path().join("refused"))
            .limit(Duration::from_secs(20))
            .fails();
        assert!(told.contains("auth.enabled"), "{address}: {told}");
        refused += 1;
    }
    row(
        45,
        "",
        &format!(
            "3 first starts with 3 passwords, {tried} usual ones refused, {refused} open addresses refused"
        ),
    );
}

/// All files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}
