//! Row 43: many pushes at once to one immutable tag. Exactly one of them wins.

use std::sync::Barrier;

use serde_json::{Value, json};

use super::caller::Caller;
use super::place::Place;
use super::{Form, row};
use crate::api::{self, IMAGE, digest};
use crate::support::Registry;
use crate::support::s3::Bucket;

/// How many push at once.
const PUSHES: usize = 64;

const REPOSITORY: &str = "gauntlet/immutable";

/// The door that a push comes through.
#[derive(Clone, Copy, Debug)]
enum Door {
    Oci,
    Ecr,
}

/// What became of a push.
#[derive(Debug, PartialEq)]
enum Outcome {
    Won,
    /// Refused, with the code of the door.
    Refused(u16, String),
}

#[test]
fn of_64_pushes_to_one_immutable_tag_exactly_one_wins_on_sqlite() {
    let servers = [Place::alone().server(&[])];
    row(43, "SQLite", &race(&servers, Form::pick(8, 30)));
}

#[test]
fn of_64_pushes_to_one_immutable_tag_exactly_one_wins_on_postgres() {
    let place = Place::on_postgres().in_bucket(&Bucket::new());
    let servers = [place.server(&[]), place.server(&[])];
    let figure = race(&servers, Form::pick(8, 30));
    row(43, "PostgreSQL, two servers", &figure);
}

/// Lets all pushes race, for a tag each time, and gives what that showed.
fn race(servers: &[Registry], rounds: usize) -> String {
    let mut caller = Caller::new(servers[0].base());
    let settings = json!({"repositoryName": REPOSITORY, "imageTagMutability": "IMMUTABLE"});
    let made = ecr(&mut caller, "CreateRepository", &settings);
    assert_eq!(made.status, 200, "{made:?}");
    let target = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={}", digest(b"{}"));
    let pushed = caller.send("POST", &target, &[], b"{}").expect("an answer");
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let mut wins = [0, 0];
    for round in 0..rounds {
        let tag = format!("v{round}");
        let manifests: Vec<_> = (0..PUSHES).map(|n| manifest(round, n)).collect();
        let outcomes = push_at_once(servers, &tag, &manifests);
        let won: Vec<_> = (0..PUSHES)
            .filter(|n| outcomes[*n] == Outcome::Won)
            .collect();
        assert_eq!(won.len(), 1, "{tag}: {outcomes:?}");
        wins[won[0] % 2] += 1;
        for outcome in outcomes.iter().filter(|outcome| **outcome != Outcome::Won) {
            assert!(is_refusal(outcome), "{tag}: {outcome:?}");
        }
        for server in servers {
            let mut caller = Caller::new(server.base());
            let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
            let named = caller.get(&path).expect("an answer");
            assert_eq!(
                named.body,
                manifests[won[0]].as_bytes(),
                "{tag} is the winner's"
            );
        }
    }
    format!(
        "{rounds} races of {PUSHES} pushes, half through each door; one won each, {} through /v2 and \
         {} through PutImage",
        wins[0], wins[1]
    )
}

/// Pushes each manifest from a thread of its own, all from one moment on.
fn push_at_once(servers: &[Registry], tag: &str, manifests: &[String]) -> Vec<Outcome> {
    let barrier = Barrier::new(manifests.len());
    std::thread::scope(|scope| {
        let pushes = manifests.iter().enumerate().map(|(number, manifest)| {
            let door = [Door::Oci, Door::Ecr][number % 2];
            let mut caller = Caller::new(servers[number / 2 % servers.len()].base());
            let barrier = &barrier;
            scope.spawn(move || {
                // The connection is there before the race begins.
                caller.get("/v2/").expect("an answer");
                barrier.wait();
                push(&mut caller, door, tag, manifest)
            })
        });
        let pushes: Vec<_> = pushes.collect();
        let join = |push: std::thread::ScopedJoinHandle<'_, _>| push.join().expect("no panic");
        pushes.into_iter().map(join).collect()
    })
}

fn push(caller: &mut Caller, door: Door, tag: &str, manifest: &str) -> Outcome {
    let (answer, code) = match door {
        Door::Oci => {
            let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
            let headers = [("Content-Type", IMAGE)];
            let answer = caller.send("PUT", &path, &headers, manifest.as_bytes());
            let answer = answer.expect("an answer");
            let code = (answer.status >= 400).then(|| answer.code());
            (answer, code)
        }
        Door::Ecr => {
            let image = json!({"repositoryName": REPOSITORY, "imageTag": tag,
                "imageManifest": manifest});
            let answer = ecr(caller, "PutImage", &image);
            let code = (answer.status >= 400).then(|| answer.json()["__type"].to_string());
            (answer, code)
        }
    };
    match code {
        None => Outcome::Won,
        Some(code) => Outcome::Refused(answer.status, code),
    }
}

fn is_refusal(outcome: &Outcome) -> bool {
    let Outcome::Refused(status, code) = outcome else {
        return false;
    };
    let is_ecr = *status == 400 && code.contains("ImageTagAlreadyExistsException");
    let is_oci = (400..500).contains(status) && (code == "DENIED" || code == "TAG_INVALID");
    is_ecr || is_oci
}

fn ecr(caller: &mut Caller, operation: &str, input: &Value) -> api::http::Answer {
    let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
    let headers = [
        ("X-Amz-Target", target.as_str()),
        ("Content-Type", "application/x-amz-json-1.1"),
    ];
    let answer = caller.send("POST", "/", &headers, input.to_string().as_bytes());
    answer.expect("an answer")
}

fn manifest(round: usize, number: usize) -> String {
    let mut manifest = api::image(b"{}");
    manifest["annotations"] = json!({"race": format!("{round} {number}")});
    manifest.to_string()
}
