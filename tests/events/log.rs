//! `GET /events`, `wharf events tail`, and who may read them.

use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{endpoint, events, page, push};
use crate::access::{push_image, send_as, user};
use crate::api::http::Client;
use crate::support::{Registry, wait};

fn types(events: &[Value]) -> Vec<&str> {
    let types = events.iter().map(|event| event["type"].as_str());
    types.map(Option::unwrap_or_default).collect()
}

#[test]
fn a_push_a_move_an_untag_and_a_delete_are_told_in_order() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let first = push(&client, "log/a", "latest", "one");
    let second = push(&client, "log/a", "latest", "two");
    let delete = |reference: &str| {
        let path = format!("/v2/log/a/manifests/{reference}");
        assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    };
    delete("latest");
    delete(&first);

    let told = page(&client, "after=oldest&repository=log/a");
    let all = events(&told);
    assert_eq!(
        types(&all),
        [
            "wharf.repository.created",
            "wharf.image.pushed",
            "wharf.image.pushed",
            "wharf.tag.deleted",
            "wharf.image.deleted",
        ]
    );
    assert_eq!(all[1]["data"]["image-digest"], first.as_str());
    assert_eq!(all[2]["data"]["image-digest"], second.as_str());
    assert_eq!(all[2]["data"]["previous-image-digest"], first.as_str());
    assert_eq!(all[2]["subject"], "log/a:latest");
    assert_eq!(all[2]["actor"], "anonymous");
    assert_eq!(all[2]["cause"], "user");
    assert!(!all[2]["requestid"].as_str().expect("a text").is_empty());
    assert_eq!(all[3]["data"]["image-digest"], second.as_str());

    let next = told.json()["next"].as_i64().expect("a cursor");
    assert!(events(&page(&client, &format!("after={next}"))).is_empty());
    let pushes = page(&client, "after=oldest&type=wharf.image.pushed&limit=1");
    assert_eq!(events(&pushes).len(), 1);
    let next = pushes.json()["next"].as_i64().expect("a cursor");
    let rest = page(&client, &format!("after={next}&type=*.pushed"));
    assert_eq!(events(&rest)[0]["data"]["image-digest"], second.as_str());
    assert!(events(&page(&client, "after=oldest&repository=log/b*")).is_empty());
}

#[test]
fn a_page_waits_for_its_first_event() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let began = Instant::now();
    assert!(events(&page(&client, "wait=1")).is_empty());
    assert!(began.elapsed() >= Duration::from_secs(1));

    let waiting = std::thread::spawn({
        let client = client.clone();
        move || (page(&client, "wait=30&type=*.pushed"), Instant::now())
    });
    std::thread::sleep(Duration::from_millis(300));
    push(&client, "log/wait", "v1", "one");
    let pushed = Instant::now();
    let (answer, came) = waiting.join().expect("it ended");
    assert_eq!(events(&answer).len(), 1);
    assert!(came.saturating_duration_since(pushed) < Duration::from_secs(5));
}

/// Reads events of a stream until there are so many: their cursors and their documents.
fn follow(client: &Client, query: &str, last: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let mut headers = vec![("Accept", "text/event-stream")];
    headers.extend(last.map(|last| ("Last-Event-ID", last)));
    let stream = client.open("GET", &format!("/events?{query}"), &headers, Some(0));
    let mut lines = BufReader::new(stream).lines();
    let (mut found, mut id) = (Vec::new(), String::new());
    while found.len() < count {
        let line = lines.next().expect("more comes").expect("in time");
        if let Some(text) = line.strip_prefix("id: ") {
            text.clone_into(&mut id);
        }
        if let Some(text) = line.strip_prefix("data: ") {
            found.push((id.clone(), serde_json::from_str(text).expect("JSON")));
        }
    }
    found
}

#[test]
fn a_stream_goes_on_behind_the_last_event_that_came() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let following = std::thread::spawn({
        let client = client.clone();
        move || follow(&client, "after=0&type=*.pushed", None, 3)
    });
    for number in 0..5 {
        let content = format!("content {number}");
        push(&client, "log/stream", &format!("v{number}"), &content);
    }
    let first = following.join().expect("three came");
    let tags: Vec<&Value> = first
        .iter()
        .map(|(_, event)| &event["data"]["image-tag"])
        .collect();
    assert_eq!(tags, ["v0", "v1", "v2"]);
    let last = first[2].0.as_str();
    // The header counts, whatever the address says.
    let rest = follow(&client, "after=0&type=*.pushed", Some(last), 2);
    let tags: Vec<&Value> = rest
        .iter()
        .map(|(_, event)| &event["data"]["image-tag"])
        .collect();
    assert_eq!(tags, ["v3", "v4"]);
}

#[test]
fn a_stream_ends_when_the_server_stops() {
    let mut registry = Registry::wharf();
    let client = Client::new(registry.base());
    let headers = [("Accept", "text/event-stream")];
    let stream = client.open("GET", "/events", &headers, Some(0));
    let mut lines = BufReader::new(stream).lines();
    let status = lines.next().expect("a head").expect("in time");
    assert!(status.contains("200"), "{status}");
    assert!(registry.stop().success());
    assert!(lines.all(|line| line.is_ok()), "it ends well");
}

#[test]
fn a_cursor_ahead_of_the_log_is_gone() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    push(&client, "log/gone", "latest", "content");
    let ahead = page(&client, "after=1000");
    assert_eq!(ahead.status, 410);
    assert_eq!(ahead.json()["errors"][0]["detail"]["newest"], 2);
}

/// Starts a server again until it has forgotten what lies behind the beginning of its log, and gives
/// the cursor that it names. The log is tidied at the start and every minute.
fn forgotten(registry: &mut Registry) -> i64 {
    registry.stop();
    registry.start_again();
    let client = Client::new(registry.base());
    let answer = wait::until("old events are forgotten", Duration::from_secs(10), || {
        let answer = page(&client, "after=0");
        (answer.status == 410).then_some(answer)
    });
    let error = &answer.json()["errors"][0];
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains("events behind 0 are not kept"),
        "{message}"
    );
    error["detail"]["oldest"].as_i64().expect("a cursor")
}

#[test]
fn what_makes_the_log_too_large_is_forgotten() {
    // Every event takes about half of that.
    let mut registry = Registry::wharf_with(&[("WHARF__EVENTS__KEEP_SIZE", "1KiB")]);
    let client = Client::new(registry.base());
    for number in 0..20 {
        push(&client, "log/gone", "latest", &format!("content {number}"));
    }
    let oldest = forgotten(&mut registry);
    assert!(oldest > 10, "{oldest}");
    let client = Client::new(registry.base());
    let kept = events(&page(&client, &format!("after={oldest}")));
    assert_eq!(kept.len() as i64, 21 - oldest);
    assert_eq!(events(&page(&client, "after=oldest")).len(), kept.len());
    // A stream that begins there is refused in the same way, and goes on from where it is told.
    let headers = [("Accept", "text/event-stream"), ("Last-Event-ID", "1")];
    assert_eq!(client.send("GET", "/events", &headers, b"").status, 410);
    let last = oldest.to_string();
    let told = follow(&client, "type=*.pushed", Some(&last), kept.len());
    assert_eq!(told[0].0, (oldest + 1).to_string());
}

#[test]
fn what_is_too_old_is_forgotten() {
    let mut registry = Registry::wharf_with(&[("WHARF__EVENTS__KEEP", "1s")]);
    let client = Client::new(registry.base());
    push(&client, "log/old", "v1", "one");
    push(&client, "log/old", "v2", "two");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(forgotten(&mut registry), 3);
    // Numbers go on behind what was forgotten.
    let client = Client::new(registry.base());
    push(&client, "log/old", "v3", "three");
    let kept = events(&page(&client, "after=3"));
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["sequence"], format!("{:020}", 4));
}

#[test]
fn what_an_endpoint_waits_for_is_kept_beyond_its_time() {
    let mut registry = Registry::wharf_with(&[("WHARF__EVENTS__KEEP", "1s")]);
    let client = Client::new(registry.base());
    push(&client, "log/needed", "v1", "one");
    push(&client, "log/needed", "v2", "two");
    // Nothing is delivered there.
    endpoint(&registry, "down", "http://127.0.0.1:1/", &["--after", "1"]);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(forgotten(&mut registry), 1);
    let client = Client::new(registry.base());
    assert_eq!(events(&page(&client, "after=1")).len(), 2);
}

#[test]
fn bad_parameters_are_told() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    for query in [
        "after=-1",
        "after=soon",
        "after=99999999999999999999",
        "limit=-1",
        "limit=many",
        "wait=1h",
        "stream=nothing",
    ] {
        let answer = page(&client, query);
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert_eq!(answer.code(), "UNSUPPORTED");
    }
    push(&client, "log/clamped", "v1", "content");
    assert_eq!(events(&page(&client, "after=0&limit=0")).len(), 1);
    assert_eq!(
        events(&page(&client, "after=0&limit=18446744073709551615")).len(),
        2
    );
}

#[test]
fn who_reads_a_repositorys_events_reads_no_others() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let admin = user(&registry, "boss", "admin", "*");
    let reader = user(&registry, "reader", "pull", "*");
    push_image(&client, &admin, "log/mine");
    push_image(&client, &admin, "log/other");
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "wharf:ReadEvents", "Resource": "repository/log/mine"}]}"#;
    let ask = |query: &str| send_as(&client, &reader, "GET", &format!("/events?{query}"), b"");
    assert_eq!(ask("after=0&repository=log/mine").status, 403);
    registry
        .administer(["policy", "set", "user/reader"])
        .stdin(policy)
        .succeeds();
    let told = wait::until("the policy", Duration::from_secs(5), || {
        let answer = ask("after=0&repository=log/mine&type=*.pushed");
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(events(&told).len(), 1);
    for query in [
        "after=0",
        "after=0&repository=log/other",
        "after=0&repository=log/*",
    ] {
        let answer = ask(query);
        assert_eq!(answer.status, 403, "{query}");
        assert_eq!(
            answer.json()["errors"][0]["detail"]["action"],
            "wharf:ReadEvents"
        );
    }
    assert_eq!(client.get("/events?after=0").status, 401);

    // What was allowed when the stream began ends with it.
    let basic = reader.basic();
    let headers = [
        ("Authorization", basic.as_str()),
        ("Accept", "text/event-stream"),
    ];
    let path = "/events?after=0&repository=log/mine";
    let stream = client.open("GET", path, &headers, Some(0));
    registry
        .administer(["policy", "remove", "user/reader"])
        .succeeds();
    let began = Instant::now();
    let ends = BufReader::new(stream).lines().count();
    assert!(
        ends > 0 && began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn pulls_are_told_in_a_stream_of_their_own() {
    let mut registry = Registry::wharf();
    let client = Client::new(registry.base());
    let digest = push(&client, "log/pulled", "v1", "content");
    for _ in 0..3 {
        assert_eq!(client.get("/v2/log/pulled/manifests/v1").status, 200);
    }
    // They are written every ten seconds, and when the server stops.
    registry.stop();
    registry.start_again();
    let client = Client::new(registry.base());
    let told = events(&page(&client, "stream=pulls&after=0"));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["type"], "wharf.image.pulled");
    assert_eq!(told[0]["data"]["image-digest"], digest.as_str());
    assert_eq!(told[0]["data"]["pull-count"], 3);
    let changes = events(&page(&client, "after=0&type=*.pulled"));
    assert!(changes.is_empty());
}

#[test]
fn the_command_line_shows_what_happened() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let digest = push(&client, "log/tail", "v1", "content");
    push(&client, "log/tail", "v2", "more content");
    let told = registry.administer(["events", "tail"]).succeeds();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(
        lines[1].contains("wharf.image.pushed\tlog/tail:v1\tanonymous"),
        "{told}"
    );
    let told = registry
        .administer([
            "events", "tail", "--json", "--after", "1", "--type", "*.pushed",
        ])
        .succeeds();
    let first: Value = serde_json::from_str(told.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["data"]["image-digest"], digest.as_str());
    let refused = registry
        .administer(["events", "tail", "--after", "77"])
        .fails();
    assert!(refused.contains("77"), "{refused}");
}
