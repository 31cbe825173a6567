//! What is told of changes, and who is told.

use super::*;

pub(super) async fn holds(metadata: &Metadata) {
    what_changes_is_told_in_the_same_transaction(metadata).await;
    what_failed_or_changed_nothing_is_not_told(metadata).await;
    places_have_no_gaps_however_many_push_at_once(metadata).await;
    pulls_have_a_log_of_their_own(metadata).await;
    old_events_are_forgotten_by_age_and_by_size(metadata).await;
    one_server_at_a_time_holds_an_endpoint(metadata).await;
    progress_counts_for_who_holds_the_present_revision(metadata).await;
    dead_letters_wait_to_be_sent_again(metadata).await;
    attempts_are_kept_up_to_a_number(metadata).await;
}

async fn head(metadata: &Metadata, stream: Stream) -> i64 {
    let events = metadata.events(stream, i64::MAX - 1, 1).await;
    events.expect("read").head
}

async fn since(metadata: &Metadata, after: i64) -> Vec<Event> {
    let events = metadata.events(Stream::Changes, after, 1000).await;
    events.expect("read").events
}

async fn what_changes_is_told_in_the_same_transaction(metadata: &Metadata) {
    let name = repository("events/told");
    let start = head(metadata, Stream::Changes).await;
    let mut written = metadata.events_written();
    written.mark_unchanged();

    let first = image("first", None, MediaType::IMAGE_CONFIGS[0]);
    let second = image("second", None, "a/chart");
    let change = by("user/alice", NOW).of_request("request-1");
    let pushed = ManifestPush {
        change: change.clone(),
        ..push(&name, &first, &["v1", "latest"])
    };
    metadata.push_manifest(pushed).await.expect("pushed");
    assert!(written.has_changed().expect("open"));
    let pushed = push(&name, &second, &["latest"]);
    metadata.push_manifest(pushed).await.expect("pushed");
    let (old, new) = (
        first.digest(Algorithm::Sha256),
        second.digest(Algorithm::Sha256),
    );
    let referrer = image("referrer", Some(&new), "a/signature");
    let pushed = push(&name, &referrer, &[]);
    metadata.push_manifest(pushed).await.expect("pushed");
    metadata
        .delete_tag(&name, &tag("v1"), by("user/bob", NOW))
        .await
        .expect("deleted");
    let archived = metadata.set_storage_class(
        &name,
        &old,
        StorageClass::Archive,
        by("lifecycle", NOW).because(Cause::Lifecycle),
    );
    assert!(archived.await.expect("archived"));
    metadata
        .delete_manifest(&name, &new, by("user/bob", NOW))
        .await
        .expect("deleted");
    let policy = PolicyRecord {
        target: format!("repository/{name}"),
        document: "{}".into(),
        updated_by: "user/bob".into(),
        updated_at: NOW,
    };
    metadata
        .put_policy(policy, by("user/bob", NOW))
        .await
        .expect("put");
    metadata
        .set_lifecycle_policy(&name, Some("{}".into()), by("user/bob", NOW))
        .await
        .expect("set");
    metadata
        .delete_repository(&name, true, by("user/bob", NOW))
        .await
        .expect("deleted");

    let events = since(metadata, start).await;
    let told: Vec<(EventKind, Vec<&str>)> = events
        .iter()
        .map(|event| {
            let tags = event.detail.tags.iter().map(Tag::as_str).collect();
            (event.kind, tags)
        })
        .collect();
    assert_eq!(
        told,
        [
            (EventKind::RepositoryCreated, vec![]),
            (EventKind::ImagePushed, vec!["v1"]),
            (EventKind::ImagePushed, vec!["latest"]),
            (EventKind::ArtifactPushed, vec!["latest"]),
            (EventKind::ReferrerPushed, vec![]),
            (EventKind::TagDeleted, vec!["v1"]),
            (EventKind::ImageArchived, vec![]),
            (EventKind::ImageDeleted, vec!["latest"]),
            (EventKind::PolicyChanged, vec![]),
            (EventKind::LifecyclePolicyChanged, vec![]),
            (EventKind::RepositoryDeleted, vec![]),
        ]
    );
    let places: Vec<i64> = events.iter().map(|event| event.seq - start).collect();
    assert_eq!(places, (1..=11).collect::<Vec<_>>());
    assert!(
        events
            .iter()
            .all(|event| event.repository.as_ref() == Some(&name))
    );

    let first_push = &events[1];
    assert_eq!(first_push.id, format!("{}-1", change.id));
    assert_eq!(first_push.actor, "user/alice");
    assert_eq!(first_push.request_id, "request-1");
    assert_eq!(first_push.detail.digest.as_ref(), Some(&old));
    assert_eq!(first_push.detail.previous, None);
    assert_eq!(events[3].detail.previous.as_ref(), Some(&old));
    assert_eq!(events[4].detail.subject.as_ref(), Some(&new));
    assert_eq!(events[5].detail.previous.as_ref(), Some(&old));
    assert_eq!(events[6].cause, Cause::Lifecycle);
}

async fn what_failed_or_changed_nothing_is_not_told(metadata: &Metadata) {
    let name = repository("events/nothing");
    let manifest = image("content", None, "");
    let refused = ManifestPush {
        creation: Creation::Forbidden,
        ..push(&name, &manifest, &["v1"])
    };
    let start = head(metadata, Stream::Changes).await;
    assert!(metadata.push_manifest(refused).await.is_err());
    let incomplete = ManifestPush {
        missing_content: MissingContent::Refused,
        ..push(&name, &manifest, &["v1"])
    };
    assert!(metadata.push_manifest(incomplete).await.is_err());
    assert_eq!(head(metadata, Stream::Changes).await, start);

    let pushed = push(&name, &manifest, &["v1"]);
    metadata.push_manifest(pushed.clone()).await.expect("new");
    let after_first = head(metadata, Stream::Changes).await;
    let again = metadata.push_manifest(pushed).await.expect("again");
    assert_eq!((again.moved_tags, again.is_new), (Vec::new(), false));
    let unknown = by("somebody", NOW);
    assert!(
        metadata
            .delete_tag(&name, &tag("no"), unknown)
            .await
            .is_err()
    );
    let removed = metadata.remove_policy("user/nobody", by("somebody", NOW));
    assert!(!removed.await.expect("asked"));
    assert_eq!(head(metadata, Stream::Changes).await, after_first);
}

async fn places_have_no_gaps_however_many_push_at_once(metadata: &Metadata) {
    let start = head(metadata, Stream::Changes).await;
    let pushes = (0..40).map(|number| {
        let metadata = metadata.clone();
        tokio::spawn(async move {
            let name = repository(&format!("events/at-once-{}", number % 4));
            let manifest = image(
                &format!("content {number}"),
                None,
                MediaType::IMAGE_CONFIGS[0],
            );
            let pushed = push(&name, &manifest, &["latest"]);
            metadata.push_manifest(pushed).await.expect("pushed");
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.expect("it ran");
    }
    let events = since(metadata, start).await;
    let places: Vec<i64> = events.iter().map(|event| event.seq - start).collect();
    assert_eq!(places, (1..=44).collect::<Vec<_>>());
    // What a tag named before is what the event before said of it.
    for number in 0..4 {
        let name = repository(&format!("events/at-once-{number}"));
        let moves = events.iter().filter(|event| {
            event.repository.as_ref() == Some(&name) && event.kind == EventKind::ImagePushed
        });
        let mut before = None;
        for event in moves {
            assert_eq!(event.detail.previous, before);
            before.clone_from(&event.detail.digest);
        }
    }
}

async fn pulls_have_a_log_of_their_own(metadata: &Metadata) {
    let [_, before] = metadata.event_heads().await.expect("read");
    let changes = head(metadata, Stream::Changes).await;
    let pull = Pull {
        repository: repository("events/pulled"),
        digest: digest("pulled"),
    };
    let pulled = Pulled {
        at: NOW,
        by: "robot/runner".into(),
        count: 7,
    };
    metadata
        .record_pulls(vec![(pull, pulled)], by("registry", NOW))
        .await
        .expect("recorded");
    let told = metadata.events(Stream::Pulls, before, 10).await;
    let told = told.expect("read").events;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].kind, EventKind::ImagePulled);
    assert_eq!(told[0].actor, "robot/runner");
    assert_eq!(told[0].detail.count, Some(7));
    assert_eq!(head(metadata, Stream::Changes).await, changes);
}

async fn old_events_are_forgotten_by_age_and_by_size(metadata: &Metadata) {
    let most = u64::MAX;
    let late = NOW.after(Duration::from_secs(86_400));
    let head = head(metadata, Stream::Changes).await;
    let forget = |before, most, needed, limit| {
        metadata.forget_events(Stream::Changes, before, most, needed, limit)
    };
    assert_eq!(forget(NOW, most, head, 10).await.expect("asked"), 0);
    assert_eq!(forget(late, most, head, 3).await.expect("forgotten"), 3);
    let kept = metadata.events(Stream::Changes, 0, 2).await.expect("read");
    assert_eq!((kept.oldest, kept.events[0].seq), (4, 4));
    // What somebody still waits for stays, unless there is too much of it.
    assert_eq!(forget(late, most, 5, 1000).await.expect("forgotten"), 2);
    assert_eq!(forget(late, 0, 5, 2).await.expect("forgotten"), 2);
    let all = forget(late, 0, 5, 10_000).await.expect("forgotten");
    assert_eq!(all as i64, head - 7);
    let kept = metadata.events(Stream::Changes, 0, 2).await.expect("read");
    assert_eq!((kept.oldest, kept.head), (head + 1, head));
    assert_eq!(kept.events, []);
}

fn endpoint(name: &str) -> NewEndpoint {
    NewEndpoint {
        name: name.into(),
        url: "https://hooks.example/a".into(),
        format: "cloudevents".into(),
        stream: Stream::Changes,
        types: vec!["wharf.image.*".into()],
        repositories: Vec::new(),
        sealed_secret: b"sealed".to_vec(),
        cursor: None,
        now: NOW,
    }
}

fn names(endpoints: &[EndpointRecord]) -> Vec<&str> {
    let names = endpoints.iter().map(|endpoint| endpoint.name.as_str());
    names.collect()
}

async fn one_server_at_a_time_holds_an_endpoint(metadata: &Metadata) {
    let hold = |who: &'static str, now: u64, until: u64| {
        let at = |seconds| NOW.after(Duration::from_secs(seconds));
        metadata.hold_endpoints(who, at(now), at(until))
    };
    assert_eq!(hold("one", 0, 6).await.expect("asked"), []);
    assert!(metadata.add_endpoint(endpoint("a")).await.expect("added"));
    assert!(!metadata.add_endpoint(endpoint("a")).await.expect("asked"));
    assert!(metadata.add_endpoint(endpoint("b")).await.expect("added"));

    let held = hold("one", 0, 6).await.expect("held");
    assert_eq!(names(&held), ["a", "b"]);
    assert_eq!(held[0].cursor, head(metadata, Stream::Changes).await);
    assert_eq!(held[0].types, ["wharf.image.*"]);
    assert_eq!(hold("two", 1, 7).await.expect("asked"), []);
    assert_eq!(hold("one", 2, 8).await.expect("renewed").len(), 2);
    assert_eq!(hold("two", 7, 13).await.expect("asked"), []);
    assert_eq!(hold("two", 8, 14).await.expect("taken over").len(), 2);
    assert_eq!(hold("one", 9, 15).await.expect("asked"), []);
    metadata.release_endpoints("two").await.expect("let go");
    assert_eq!(hold("one", 9, 15).await.expect("held").len(), 2);

    let disable = EndpointChange {
        disabled: Some(Some((NOW, "somebody said so".into()))),
        ..EndpointChange::default()
    };
    assert!(
        metadata
            .change_endpoint("b", disable)
            .await
            .expect("changed")
    );
    let held = hold("one", 10, 16).await.expect("held");
    assert_eq!(names(&held), ["a"]);
    let all = metadata.endpoints().await.expect("read");
    assert_eq!(all[1].disabled, Some((NOW, "somebody said so".into())));
    assert!(metadata.remove_endpoint("b").await.expect("removed"));
    assert!(!metadata.remove_endpoint("b").await.expect("asked"));
}

async fn progress_counts_for_who_holds_the_present_revision(metadata: &Metadata) {
    let cursor = || async {
        let endpoints = metadata.endpoints().await.expect("read");
        (endpoints[0].cursor, endpoints[0].revision)
    };
    let progress = |revision, cursor| EndpointProgress {
        endpoint: "a".into(),
        revision,
        cursor,
        deliveries: Vec::new(),
        dead: Vec::new(),
        resent: Vec::new(),
        disable: None,
    };
    let (_, revision) = cursor().await;
    let record = |who: &'static str, progress| {
        let recorded = metadata.record_deliveries(who, vec![progress], NOW);
        async { recorded.await.expect("recorded") }
    };
    record("one", progress(revision, 5)).await;
    assert_eq!(cursor().await, (5, revision));
    record("two", progress(revision, 9)).await;
    assert_eq!(cursor().await, (5, revision));
    let replay = EndpointChange {
        cursor: Some(2),
        sealed_secret: Some((b"new".to_vec(), NOW)),
        ..EndpointChange::default()
    };
    metadata
        .change_endpoint("a", replay)
        .await
        .expect("changed");
    record("one", progress(revision, 9)).await;
    assert_eq!(cursor().await, (2, revision + 1));
    let endpoints = metadata.endpoints().await.expect("read");
    assert_eq!(endpoints[0].sealed_secret, b"new");
    assert_eq!(
        endpoints[0].sealed_previous,
        Some((b"sealed".to_vec(), NOW))
    );
    let gone = EndpointProgress {
        disable: Some("it answers 410".into()),
        ..progress(revision + 1, 3)
    };
    record("one", gone).await;
    let endpoints = metadata.endpoints().await.expect("read");
    assert_eq!(
        endpoints[0].disabled,
        Some((NOW, "it answers 410".to_owned()))
    );
    let enable = EndpointChange {
        disabled: Some(None),
        ..EndpointChange::default()
    };
    metadata
        .change_endpoint("a", enable)
        .await
        .expect("changed");
}

async fn dead_letters_wait_to_be_sent_again(metadata: &Metadata) {
    let name = repository("events/dead");
    let start = head(metadata, Stream::Changes).await;
    for content in ["one", "two"] {
        let manifest = image(content, None, "");
        let pushed = push(&name, &manifest, &[content]);
        metadata.push_manifest(pushed).await.expect("pushed");
    }
    let events = since(metadata, start).await;
    let dead = |event: &Event| DeadLetter {
        event: event.clone(),
        attempts: 9,
        reason: "it answers 500".into(),
        died_at: NOW,
        resend: false,
    };
    let revision = metadata.endpoints().await.expect("read")[0].revision;
    let progress = EndpointProgress {
        endpoint: "a".into(),
        revision,
        cursor: start + 3,
        deliveries: Vec::new(),
        dead: events.iter().map(dead).collect(),
        resent: Vec::new(),
        disable: None,
    };
    let record = |progress| metadata.record_deliveries("one", vec![progress], NOW);
    record(progress.clone()).await.expect("recorded");
    let letters = metadata.dead_letters("a", 0, false, 10).await;
    let expected: Vec<DeadLetter> = events.iter().map(dead).collect();
    assert_eq!(letters.expect("read"), expected);
    let endpoints = metadata.endpoints().await.expect("read");
    assert_eq!(endpoints[0].dead_letters, 3);

    let waiting = |only| metadata.dead_letters("a", start + 1, only, 10);
    assert_eq!(waiting(true).await.expect("read"), []);
    let resent = metadata.resend_dead_letters("a", None, NOW).await;
    assert_eq!(resent.expect("resent"), 3);
    assert_eq!(waiting(true).await.expect("read").len(), 2);
    let outcome = |seq, failure: Option<&str>| Resent {
        seq,
        failure: failure.map(ToOwned::to_owned),
    };
    let resent = EndpointProgress {
        dead: Vec::new(),
        resent: vec![
            outcome(start + 2, None),
            outcome(start + 3, Some("it answers 404")),
        ],
        ..progress
    };
    record(resent).await.expect("recorded");
    assert_eq!(waiting(true).await.expect("read"), []);
    let letters = waiting(false).await.expect("read");
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].attempts, letters[0].reason.as_str()),
        (10, "it answers 404")
    );
    let discarded = metadata.discard_dead_letters("a", Some(start + 3)).await;
    assert_eq!(discarded.expect("discarded"), 1);
    let discarded = metadata.discard_dead_letters("a", None).await;
    assert_eq!(discarded.expect("discarded"), 1);
}

async fn attempts_are_kept_up_to_a_number(metadata: &Metadata) {
    let attempt = |number: i64| DeliveryRecord {
        id: 0,
        seq: number,
        event_id: format!("event-{number}"),
        at: NOW,
        attempt: 1,
        delivered: number != 3,
        detail: "200".into(),
        took_us: 900,
    };
    let progress = EndpointProgress {
        endpoint: "a".into(),
        revision: 0,
        cursor: 0,
        deliveries: (1..=5).map(attempt).collect(),
        dead: Vec::new(),
        resent: Vec::new(),
        disable: None,
    };
    // Attempts count whoever made them.
    metadata
        .record_deliveries("two", vec![progress], NOW)
        .await
        .expect("recorded");
    metadata.forget_deliveries(3).await.expect("forgotten");
    let kept = metadata.deliveries("a", None, 10).await.expect("read");
    let kept_places: Vec<i64> = kept.iter().map(|attempt| attempt.seq).collect();
    assert_eq!(kept_places, [5, 4, 3]);
    assert!(kept[1].delivered && !kept[2].delivered);
    let older = metadata.deliveries("a", Some(kept[1].id), 10).await;
    assert_eq!(older.expect("read").len(), 1);
}
