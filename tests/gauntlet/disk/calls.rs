//! Row 4: the disk fails at its Nth call, for every N of a push and of a pull.
//!
//! Once, or from that call on; with `EIO`, or as a full disk does. The registry may refuse what it is
//! asked then, and only that: what it had acknowledged is there, at once and after a power cut, and
//! the next push goes well without a restart.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::acknowledged::{Acknowledged, brief};
use super::faulty_disk::{Call, Fault, FaultyDisk, Kind, Loss, Trouble};
use super::{Form, row};
use crate::api::http::{Answer, Client};
use crate::api::{content, push_blob};
use crate::support::Registry;

/// How many pushes there are between two power cuts.
const BATCH: u64 = 12;

const TROUBLES: [Trouble; 4] = [
    Trouble::OneError,
    Trouble::Errors,
    Trouble::OneFull,
    Trouble::Full,
];

fn is_chosen(trouble: Trouble, call: &Call) -> bool {
    match trouble {
        Trouble::OneFull | Trouble::Full => call.kind.takes_space(),
        _ => true,
    }
}

#[test]
fn a_push_fails_or_goes_well_whichever_call_of_the_disk_fails() {
    let every = Form::pick(13, 1);
    let mut disk = FaultyDisk::new();
    let mut registry = Registry::wharf_at(&disk.path().join("data"), &[]);
    registry.start_again();
    let (mut pushes, mut refused, mut cuts) = (0, 0, 0);
    let mut batch: Vec<Acknowledged> = Vec::new();
    let mut lengths = Vec::new();
    for trouble in TROUBLES {
        let length = calls_of_a_push(&disk, &registry, trouble);
        lengths.push(length);
        // Each trouble begins elsewhere, so that the short form sees more of the calls.
        for first in (1 + pushes % every..=length).step_by(usize::try_from(every).expect("few")) {
            let when = format!("{trouble:?} from call {first}");
            let client = Client::new(registry.base());
            let mut writer = Acknowledged::new(&format!("calls/r{pushes}"), pushes)
                .tries(1 + usize::try_from(first % 2).expect("0 or 1"));
            writer
                .push_image(&client, "before")
                .expect("nothing is wrong yet");
            disk.fail(Fault::new(trouble, first, move |call| {
                is_chosen(trouble, call)
            }));
            let outcome = writer.push_image(&client, "during");
            let failed = disk.heal();
            if let Err(answer) = outcome {
                assert_refused(&answer, &format!("{when}: {failed:?}"));
                refused += 1;
            }
            writer.check(&client, &when);
            let after = writer.push_image(&client, "after");
            after.unwrap_or_else(|answer| panic!("{when}: {failed:?}: {}", brief(&answer)));
            pushes += 1;
            batch.push(writer);
            if pushes % BATCH == 0 {
                registry.kill();
                disk.restart(Loss::All);
                registry.start_again();
                cuts += 1;
                let client = Client::new(registry.base());
                for writer in batch.drain(..) {
                    writer.check(&client, &format!("after a power cut, {when}"));
                }
            }
        }
    }
    registry.kill();
    assert!(
        refused * 3 > pushes,
        "{refused} of {pushes} pushes met their fault"
    );
    let figure = format!(
        "{pushes} pushes of {lengths:?} calls with a fault at the Nth, {refused} refused, {cuts} \
         power cuts, 0 things lost"
    );
    row(4, "push", &figure);
}

/// How many calls a push without a fault makes.
fn calls_of_a_push(disk: &FaultyDisk, registry: &Registry, trouble: Trouble) -> u64 {
    let client = Client::new(registry.base());
    let mut writer = Acknowledged::new(&format!("calls/{trouble:?}").to_lowercase(), 1);
    writer
        .push_image(&client, "before")
        .expect("a push goes well");
    let before = disk.calls().len();
    writer
        .push_image(&client, "counted")
        .expect("a push goes well");
    let calls = disk.calls().split_off(before);
    calls.iter().filter(|call| is_chosen(trouble, call)).count() as u64
}

/// What a client is told is the registry's own failure, in the API's words and without a path. To
/// one that asks again it may say that the upload has ended, so that it begins anew.
fn assert_refused(answer: &Answer, when: &str) {
    let text = brief(answer);
    let has_ended = answer.status == 404 && answer.code() == "BLOB_UPLOAD_UNKNOWN";
    assert!(
        (500..=599).contains(&answer.status) || has_ended,
        "{when}: {text}"
    );
    assert_ne!(answer.code(), "", "{when}: {text}");
    let tells = ["/tmp", "data/", "uploads/", "sqlite"];
    let told = tells.iter().find(|word| text.contains(*word));
    assert_eq!(told, None, "{when}: {text}");
}

#[test]
fn a_pull_is_never_wrong_whichever_call_of_the_disk_fails() {
    let every = Form::pick(4, 1);
    let mut disk = FaultyDisk::new();
    let mut registry = Registry::wharf_at(&disk.path().join("data"), &[]);
    registry.start_again();
    let client = Client::new(registry.base());
    let bytes = content(600_000);
    let digest = push_blob(&client, "calls/pull", &bytes);
    let path = format!("/v2/calls/pull/blobs/{digest}");
    let (mut pulls, mut refused) = (0, 0);
    for trouble in [Trouble::OneError, Trouble::Errors] {
        for first in (1..=12).step_by(every) {
            // Nothing is in a cache then.
            registry.kill();
            disk.restart(Loss::Nothing);
            registry.start_again();
            let client = Client::new(registry.base());
            disk.fail(Fault::new(trouble, first, |call| {
                call.path.contains("blobs/sha256") && matches!(call.kind, Kind::Open | Kind::Read)
            }));
            let answer = whole_answer(&client, &path);
            let failed = disk.heal();
            let when = format!("{trouble:?} from call {first}: {failed:?}");
            match answer {
                Some((200, body)) => assert!(body == bytes, "{when}: wrong bytes"),
                Some((status, _)) => assert!(status >= 500, "{when}: {status}"),
                None => {}
            }
            refused += usize::from(!failed.is_empty());
            pulls += 1;
            let again = whole_answer(&client, &path);
            assert!(
                again == Some((200, bytes.clone())),
                "{when}: it is right again"
            );
        }
    }
    assert!(refused > 1, "pulls meet faults");
    let figure =
        format!("{pulls} pulls with cold caches, {refused} met a fault, 0 wrong bytes told");
    row(4, "pull", &figure);
}

/// The status and the body of an answer that came as a whole.
pub(super) fn whole_answer(client: &Client, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(client.address()).expect("the server listens");
    let head = format!("GET {path} HTTP/1.1\r\nHost: wharf\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the head is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .split("content-length:")
        .nth(1)?
        .lines()
        .next()?
        .trim()
        .to_owned();
    let body = answer.split_off(end + 4);
    (length.parse() == Ok(body.len())).then_some((status, body))
}
