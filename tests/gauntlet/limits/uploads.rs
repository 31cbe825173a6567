//! Row 23: uploads that are begun and left, until a caller may begin no more, and until they are
//! swept.

use std::fs;
use std::thread;
use std::time::Duration;

use super::line::Line;
use super::{Form, row};
use crate::access::{token, user};
use crate::api::http::{Answer, Client};
use crate::support::{Registry, wait};

/// How many uploads a caller may have open, as it is by default.
const CAP: usize = 1000;

/// A caller with a token.
struct Caller {
    line: Line,
    bearer: String,
    repository: String,
}

impl Caller {
    fn new(registry: &Registry, number: usize) -> Self {
        let repository = format!("team/app-{number}");
        let login = user(registry, &format!("caller-{number}"), "push", &repository);
        let scope = format!("repository:{repository}:pull,push");
        let token = token(&Client::new(registry.base()), &login, &scope);
        Self {
            line: Line::to(registry.host()).expect("the server listens"),
            bearer: format!("Bearer {token}"),
            repository,
        }
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("Authorization", self.bearer.as_str())];
        let answer = self.line.ask(method, path, &headers, body);
        answer.expect("an answer")
    }

    fn begin(&mut self) -> Answer {
        let path = format!("/v2/{}/blobs/uploads/", self.repository);
        self.send("POST", &path, b"")
    }

    /// Begins as many uploads as it may, and gives the place of one.
    fn begin_all(&mut self) -> String {
        let mut location = String::new();
        for number in 0..CAP {
            let answer = self.begin();
            assert_eq!(answer.status, 202, "upload {number}: {answer:?}");
            answer
                .header("location")
                .expect("a place")
                .clone_into(&mut location);
            // Some have bytes.
            if number % 10 == 0 {
                let answer = self.send("PATCH", &location, b"begun");
                assert_eq!(answer.status, 202, "{answer:?}");
            }
        }
        location
    }
}

/// How many files there are below a folder.
fn files(folder: &std::path::Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let count = |entry: fs::DirEntry| match entry.path().is_dir() {
        true => files(&entry.path()),
        false => 1,
    };
    entries.flatten().map(count).sum()
}

#[test]
fn a_caller_has_so_many_open_uploads_and_what_is_left_of_them_is_swept() {
    let count = Form::pick(3, 10);
    let mut registry = Registry::private_with(&[("WHARF__LOG__LEVEL", "warn")]);
    let left: Vec<(Caller, String)> = thread::scope(|scope| {
        let registry = &registry;
        let filling: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    let mut caller = Caller::new(registry, number);
                    let location = caller.begin_all();
                    (caller, location)
                })
            })
            .collect();
        let filling = filling.into_iter();
        filling
            .map(|one| one.join().expect("all were begun"))
            .collect()
    });
    let mut stranger = Caller::new(&registry, count);
    let mut refused = 0;
    for (mut caller, location) in left {
        for _ in 0..20 {
            let answer = caller.begin();
            assert_eq!(answer.status, 429, "{answer:?}");
            assert_eq!(answer.code(), "TOOMANYREQUESTS");
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(said.contains("upload"), "{said}");
            refused += 1;
        }
        // In one request it is an upload too, but for its time only.
        assert_eq!(stranger.begin().status, 202, "others are not hindered");
        // One that ends makes room for one.
        assert_eq!(caller.send("DELETE", &location, b"").status, 204);
        assert_eq!(caller.begin().status, 202);
        assert_eq!(caller.begin().status, 429);
    }
    let uploads = registry.data().join("uploads");
    let open = files(&uploads);
    assert!(open >= count * CAP, "{open} files");

    registry.stop();
    registry.configure("WHARF__UPLOADS__EXPIRE_AFTER", "1s");
    registry.configure("WHARF__UPLOADS__SWEEP_EVERY", "500ms");
    registry.start_again();
    wait::until("the sweep leaves no file", Duration::from_secs(60), || {
        (files(&uploads) == 0).then_some(())
    });
    let spool = files(&registry.data().join("spool"));
    let blobs = files(&registry.data().join("blobs"));
    assert_eq!((spool, blobs), (0, 0));
    row(
        23,
        "",
        &format!(
            "{count} callers with {CAP} uploads each, {refused} more refused with 429; \
             {open} files before the sweep, 0 behind it"
        ),
    );
}
