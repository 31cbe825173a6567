//! The order of deliveries, their retries, and what is given up.

use proptest::prelude::*;
use wharf_storage::metadata::{Cause, EventDetail, EventKind, Stream};

use super::*;

const DAYS: Duration = Duration::from_secs(3 * 86_400);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000).after(Duration::from_secs(seconds))
}

fn event(seq: i64, repository: &str) -> Arc<Event> {
    Arc::new(Event {
        stream: Stream::Changes,
        seq,
        id: format!("event-{seq}"),
        at: at(0),
        kind: EventKind::ImagePushed,
        repository: Some(repository.parse().expect("a name")),
        actor: "user/a".into(),
        cause: Cause::User,
        request_id: String::new(),
        detail: EventDetail::default(),
    })
}

/// A delivery of the log that ended.
fn of_log(seq: i64, repository: &str) -> Next {
    Next {
        event: event(seq, repository),
        attempt: 1,
        source: Source::Log,
    }
}

fn window(events: &[(i64, &str)]) -> Window {
    let mut window = Window::new(0, DAYS);
    for (seq, repository) in events {
        window.add(event(*seq, repository), true);
    }
    window
}

/// The places of all that can go now.
fn start(window: &mut Window, now: Timestamp) -> Vec<i64> {
    std::iter::from_fn(|| window.next(now).map(|next| next.event.seq)).collect()
}

#[test]
fn one_repository_waits_for_itself_and_others_go() {
    let mut window = window(&[(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")]);
    assert_eq!(start(&mut window, at(1)), [1, 3]);
    window.delivered(&of_log(3, "b"));
    assert_eq!(start(&mut window, at(1)), [5]);
    assert_eq!(window.cursor(), 0);
    window.delivered(&of_log(1, "a"));
    assert_eq!(window.cursor(), 1);
    window.delivered(&of_log(5, "b"));
    assert_eq!(start(&mut window, at(1)), [2]);
    window.delivered(&of_log(2, "a"));
    assert_eq!(window.cursor(), 3);
}

#[test]
fn what_is_not_wanted_is_done_at_once() {
    let mut window = Window::new(7, DAYS);
    window.add(event(8, "a"), false);
    assert_eq!((window.cursor(), window.read()), (8, 8));
    window.add(event(9, "a"), true);
    window.add(event(10, "a"), false);
    assert_eq!((window.cursor(), window.read()), (8, 10));
}

#[test]
fn pauses_grow_and_are_jittered() {
    assert_eq!(pause(1, 1.0), Duration::from_secs(1));
    assert_eq!(pause(1, 0.0), Duration::from_millis(500));
    assert_eq!(pause(4, 1.0), Duration::from_secs(8));
    assert_eq!(pause(40, 1.0), LONGEST_PAUSE);
    assert_eq!(pause(u64::MAX, 1.0), LONGEST_PAUSE);
}

#[test]
fn an_endpoint_that_takes_nothing_is_tried_with_one_at_a_time() {
    let lanes = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")];
    let mut window = window(&lanes);
    assert_eq!(start(&mut window, at(1)), [1, 2, 3, 4, 5]);
    for (seq, name) in lanes {
        window.failed(&of_log(seq, name), at(1), Fault::Unavailable, None, 1.0);
    }
    assert!(start(&mut window, at(1)).is_empty());
    // Five failures in a row: a pause of sixteen seconds.
    assert_eq!(window.due(), Some(at(17)));
    assert_eq!(start(&mut window, at(17)), [1]);
    window.delivered(&of_log(1, "a"));
    assert_eq!(start(&mut window, at(17)), [2, 3, 4, 5]);
}

#[test]
fn an_event_that_fails_holds_up_no_other_repository_though_another_one_hangs() {
    let mut window = window(&[(1, "hangs"), (2, "fails"), (3, "a"), (4, "a"), (5, "b")]);
    assert_eq!(start(&mut window, at(1)), [1, 2, 3, 5]);
    window.failed(&of_log(2, "fails"), at(1), Fault::Unavailable, None, 1.0);
    window.delivered(&of_log(3, "a"));
    window.delivered(&of_log(5, "b"));
    assert_eq!(start(&mut window, at(1)), [4]);
    window.failed(&of_log(4, "a"), at(1), Fault::Refused, None, 1.0);
    window.add(event(6, "b"), true);
    assert_eq!(start(&mut window, at(1)), [6]);
}

#[test]
fn an_endpoint_is_left_alone_for_as_long_as_it_asks() {
    let mut window = window(&[(1, "a"), (2, "b")]);
    assert_eq!(window.next(at(0)).map(|next| next.attempt), Some(1));
    window.failed(
        &of_log(1, "a"),
        at(0),
        Fault::Unavailable,
        Some(Duration::from_secs(90)),
        1.0,
    );
    assert!(start(&mut window, at(89)).is_empty());
    assert_eq!(start(&mut window, at(90)), [1, 2]);
}

/// Fails the event of `a` time after time, with something of `b` taken between each time and the
/// next, until it is given up: when, and after how many attempts. At most so often.
fn fail_amid_others(window: &mut Window, fault: Fault, most: u64) -> Option<(Timestamp, u64)> {
    let mut now = at(0);
    for attempt in 1..=most {
        now = now.max(window.due().expect("it is tried again"));
        let next = window.next(now).expect("it is due");
        assert_eq!((next.event.seq, next.attempt), (1, attempt));
        let other = 100 + i64::try_from(attempt).expect("a small number");
        window.add(event(other, "b"), true);
        if let [dead] = window.failed(&next, now, fault, None, 1.0).as_slice() {
            assert_eq!(dead.event.seq, 1);
            return Some((now, dead.attempts));
        }
        now = now.max(window.due().expect("something waits"));
        let other = window.next(now).expect("the other repository goes");
        assert_ne!(other.event.seq, 1, "its pause is not over");
        window.delivered(&other);
    }
    None
}

#[test]
fn what_is_refused_time_after_time_is_given_up_and_its_repository_goes_on() {
    let mut window = window(&[(1, "a"), (2, "a")]);
    let dead = fail_amid_others(&mut window, Fault::Refused, MOST_ATTEMPTS);
    assert_eq!(dead.map(|(_, attempts)| attempts), Some(MOST_ATTEMPTS));
    let seqs = start(&mut window, at(0).after(LONGEST_PAUSE));
    assert_eq!(seqs[0], 2);
}

#[test]
fn what_can_not_be_taken_now_is_tried_for_days_however_well_the_others_go() {
    let mut window = window(&[(1, "a"), (2, "a")]);
    let dead = fail_amid_others(&mut window, Fault::Unavailable, 200);
    let (when, attempts) = dead.expect("it is given up in the end");
    assert!(when >= at(0).after(DAYS), "{when:?}");
    assert!(when <= at(0).after(DAYS + LONGEST_PAUSE), "{when:?}");
    assert!(attempts > 72, "{attempts}");
}

#[test]
fn what_is_old_already_has_its_ten_attempts_where_the_endpoint_is_well() {
    let mut window = Window::new(0, Duration::ZERO);
    window.add(event(1, "a"), true);
    let dead = fail_amid_others(&mut window, Fault::Unavailable, MOST_ATTEMPTS);
    assert_eq!(dead.map(|(_, attempts)| attempts), Some(MOST_ATTEMPTS));
}

#[test]
fn an_outage_counts_for_one_refusal() {
    let mut window = window(&[(1, "a")]);
    let mut now = at(0);
    for _ in 0..3 {
        for _ in 0..2 * MOST_ATTEMPTS {
            now = now.max(window.due().expect("it is tried again"));
            let next = window.next(now).expect("it is due");
            let dead = window.failed(&next, now, Fault::Refused, None, 1.0);
            assert!(dead.is_empty());
        }
        window.add(event(window.read() + 1, "b"), true);
        now = now.max(window.due().expect("something waits"));
        let other = window.next(now).expect("the other repository goes");
        assert_ne!(other.event.seq, 1, "what is new goes first");
        window.delivered(&other);
    }
    // It is well again, and the pauses begin anew.
    let next = window.next(now).expect("it goes at once");
    window.failed(&next, now, Fault::Unavailable, None, 1.0);
    assert_eq!(window.due(), Some(now.after(FIRST_PAUSE)));
}

#[test]
fn a_target_that_comes_back_is_noticed_within_half_a_minute() {
    let mut window = window(&[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]);
    let mut now = at(1);
    for next in std::iter::from_fn(|| window.next(now)).collect::<Vec<_>>() {
        window.failed(&next, now, Fault::Unavailable, None, 1.0);
    }
    while now < at(10 * 3600) {
        let due = window.due().expect("it is tried again");
        assert!(due <= now.after(LONGEST_PROBE), "{now:?}");
        now = now.max(due);
        let next = window.next(now).expect("it is due");
        assert!(window.next(now).is_none(), "one at a time");
        window.failed(&next, now, Fault::Unavailable, None, 1.0);
    }
    now = window.due().expect("it is tried again");
    let next = window.next(now).expect("it is due");
    window.delivered(&next);
    assert_eq!(start(&mut window, now).len(), 4, "the others go at once");
}

#[test]
fn a_letter_that_is_refused_again_holds_nothing_up() {
    let mut window = window(&[(11, "a")]);
    window.add_letter(event(1, "x"), 10);
    let letter = window.next(at(1)).expect("the letter goes");
    assert_eq!(letter.source, Source::Letters);
    window.failed(&letter, at(1), Fault::Refused, None, 1.0);
    assert_eq!(start(&mut window, at(1)), [11]);
    assert!(!window.has_letters());
}

#[test]
fn a_target_that_is_down_costs_nothing_until_its_events_are_too_old() {
    let mut window = window(&[(1, "a"), (2, "a"), (3, "b")]);
    let mut now = at(0);
    let mut dead = Vec::new();
    let mut tries = 0;
    while dead.is_empty() {
        now = now.max(window.due().expect("it is tried again"));
        let next = window.next(now).expect("it is due");
        dead = window.failed(&next, now, Fault::Unavailable, None, 1.0);
        tries += 1;
        assert!(tries < 10_000);
    }
    assert!(now >= at(0).after(DAYS));
    let seqs: Vec<i64> = dead.iter().map(|dead| dead.event.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(window.cursor(), 3);
    // What comes now and is as old goes the same way, without being tried.
    window.add(event(4, "a"), true);
    assert_eq!(window.give_up_old(now).len(), 1);
    assert_eq!(window.due(), None);
}

#[test]
fn letters_take_their_turns_among_the_events_of_the_log() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut window = Window::new(10, DAYS);
    for (seq, name) in [(1, "x"), (2, "x"), (3, "y"), (4, "z")] {
        window.add_letter(event(seq, name), 7);
    }
    for (seq, name) in (11..).zip(names) {
        window.add(event(seq, name), true);
    }
    let first = window.next(at(1)).expect("a letter goes");
    assert_eq!((first.event.seq, first.attempt), (1, 8));
    assert_eq!(first.source, Source::Letters);
    // Two letters of different repositories, and the rest is for the log.
    assert_eq!(start(&mut window, at(1)), [3, 11, 12, 13, 14, 15, 16]);
    window.delivered(&of_log(11, "a"));
    assert_eq!(start(&mut window, at(1)), [17]);
    window.delivered(&first);
    assert_eq!(start(&mut window, at(1)), [2]);
    assert_eq!(window.cursor(), 11);
    assert!(window.has_letters());
}

#[test]
fn a_letter_that_fails_is_tried_once_and_the_endpoint_is_left_alone() {
    let mut window = Window::new(10, DAYS);
    for (seq, name) in [(1, "x"), (2, "y"), (3, "z")] {
        window.add_letter(event(seq, name), 7);
    }
    let (first, second) = (window.next(at(0)), window.next(at(0)));
    let pause = Some(Duration::from_secs(90));
    let failed = window.failed(
        &first.expect("a letter"),
        at(0),
        Fault::Unavailable,
        pause,
        1.0,
    );
    assert!(failed.is_empty());
    window.failed(
        &second.expect("a letter"),
        at(0),
        Fault::Unavailable,
        None,
        1.0,
    );
    assert!(start(&mut window, at(89)).is_empty());
    assert_eq!(window.due(), Some(at(90)));
    // The others are not tried again.
    window.add(event(11, "a"), true);
    assert_eq!(start(&mut window, at(90)), [3, 11]);
}

proptest! {
    /// Whatever fails, and in whatever order deliveries end: nothing is forgotten, the cursor never
    /// passes what waits, and each repository is delivered in order.
    #[test]
    fn nothing_is_lost_and_every_repository_is_in_order(
        repositories in prop::collection::vec(0_usize..4, 1..60),
        outcomes in prop::collection::vec((any::<bool>(), 0_usize..8), 0..400),
    ) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let mut window = Window::new(0, DAYS);
        for (seq, repository) in (1..).zip(&repositories) {
            window.add(event(seq, NAMES[*repository]), true);
        }
        let mut now = at(0);
        let mut done: Vec<Arc<Event>> = Vec::new();
        let mut dead: Vec<i64> = Vec::new();
        let mut running: Vec<Next> = Vec::new();
        let mut outcomes = outcomes.into_iter().chain(std::iter::repeat((true, 0)));
        while done.len() + dead.len() < repositories.len() {
            while let Some(next) = window.next(now) {
                let same = |other: &Next| other.event.repository == next.event.repository;
                prop_assert!(!running.iter().any(same));
                running.push(next);
            }
            if running.is_empty() {
                now = now.max(window.due().expect("something waits"));
                continue;
            }
            let (is_taken, which) = outcomes.next().expect("endless");
            let ended = running.remove(which % running.len());
            if is_taken {
                window.delivered(&ended);
                done.push(ended.event);
            } else {
                let gone = window.failed(&ended, now, Fault::Unavailable, None, 0.5);
                dead.extend(gone.iter().map(|dead| dead.event.seq));
            }
            let handled = |seq: &i64| dead.contains(seq) || done.iter().any(|e| e.seq == *seq);
            prop_assert!((1..=window.cursor()).all(|seq| handled(&seq)));
        }
        prop_assert_eq!(window.cursor(), repositories.len() as i64);
        for name in NAMES {
            let of_one = done.iter().filter(|event| {
                event.repository.as_ref().is_some_and(|own| own.as_str() == name)
            });
            let seqs: Vec<i64> = of_one.map(|event| event.seq).collect();
            prop_assert!(seqs.is_sorted());
        }
    }
}
