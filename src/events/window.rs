//! Which delivery is next, and when: the order, the retries, the giving up.
//!
//! A window is what of the log an endpoint has been handed and not yet done with. It knows no
//! network and no clock; [`courier`](super::courier) does what it says.
//!
//! # Order
//!
//! The events of one repository are delivered one after the other; those of different repositories
//! side by side. So an event that an endpoint can't take holds up its own repository, and no other.
//!
//! # Failures
//!
//! An event that fails is tried again after 1 s, 2 s, 4 s, … up to an hour, each time between half
//! of that and all of it. A target counts as down when some failures came in a row. Then one delivery
//! is tried at a time, with pauses up to half a minute between, so a target that comes back is noticed
//! soon and one that is down is not stormed: where nothing else is left to try, the event whose turn
//! comes next is tried before its time. When a target that was down takes something, all that failed
//! meanwhile goes at once.
//!
//! # Giving up
//!
//! An event goes to the dead letters when the endpoint refused it ten times, and took others between
//! each time and the next; so an outage counts for one time. What the endpoint only can't take now
//! goes by its age: it is given up when it is older than what is worth waiting for, and the endpoint
//! is down, or takes others and was asked ten times.
//!
//! Those that somebody wants to be sent again come back as [`letters`].

mod delivery;
mod letters;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::Event;
use wharf_storage::oci::RepositoryName;

pub use self::delivery::{Dead, Fault, Next, Source};

use self::letters::Letters;

/// How many deliveries run at once, of different repositories.
const AT_ONCE: usize = 8;
/// How many events wait in memory at most.
const MOST_WAITING: usize = 1000;
/// How often an event is tried at least, and refused at most, while the endpoint takes others.
const MOST_ATTEMPTS: u64 = 10;
/// After how many failures in a row an endpoint counts as down.
const DOWN_AFTER: u32 = 5;
/// The first pause before an event is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The longest pause between two deliveries to an endpoint that takes none.
const LONGEST_PROBE: Duration = Duration::from_secs(30);

/// What waits for an endpoint.
#[derive(Debug)]
pub struct Window {
    /// All up to here has been handed over.
    read: i64,
    /// By place, all that is not done.
    waiting: BTreeMap<i64, Arc<Event>>,
    /// The same, in order, for each repository.
    lanes: HashMap<Option<RepositoryName>, Lane>,
    /// The first of each lane that can go now.
    ready: BTreeSet<i64>,
    /// The first of each lane that waits for its next attempt.
    later: BTreeSet<(Timestamp, i64)>,
    letters: Letters,
    busy: usize,
    successes: u64,
    failures_in_row: u32,
    paused_until: Timestamp,
    give_up_after: Duration,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<i64>,
    /// How often the first one was tried.
    attempts: u64,
    /// How often it failed since the endpoint was down last, which its pauses grow by.
    failures: u64,
    /// How often it was refused, with something else taken between each time and the next.
    refusals: u64,
    /// How many deliveries had succeeded at the last of these.
    successes_before: u64,
}

impl Window {
    /// A window behind a cursor. What is older than `give_up_after` and can't be delivered is given
    /// up.
    #[must_use]
    pub fn new(cursor: i64, give_up_after: Duration) -> Self {
        Self {
            read: cursor,
            waiting: BTreeMap::new(),
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            letters: Letters::default(),
            busy: 0,
            successes: 0,
            failures_in_row: 0,
            paused_until: Timestamp::from_micros(0),
            give_up_after,
        }
    }

    /// The place up to which all was handed over: read on behind it.
    #[must_use]
    pub fn read(&self) -> i64 {
        self.read
    }

    /// The place up to which all is done.
    #[must_use]
    pub fn cursor(&self) -> i64 {
        match self.waiting.first_key_value() {
            Some((seq, _)) => seq - 1,
            None => self.read,
        }
    }

    /// How many more events there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        MOST_WAITING - self.waiting.len().min(MOST_WAITING)
    }

    /// The oldest event that waits.
    #[must_use]
    pub fn oldest(&self) -> Option<&Event> {
        self.waiting.first_key_value().map(|(_, event)| &**event)
    }

    /// Whether the endpoint has taken nothing for a while.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.failures_in_row >= DOWN_AFTER
    }

    /// Takes the next event of the log. One that is not `wanted` is done at once.
    pub fn add(&mut self, event: Arc<Event>, wanted: bool) {
        self.read = event.seq;
        if !wanted {
            return;
        }
        let lane = self.lanes.entry(event.repository.clone()).or_default();
        if lane.queue.is_empty() {
            self.ready.insert(event.seq);
        }
        lane.queue.push_back(event.seq);
        self.waiting.insert(event.seq, event);
    }

    /// Takes a dead letter, to be sent once more; it was tried so often already.
    pub fn add_letter(&mut self, event: Arc<Event>, attempts: u64) {
        self.letters.add(event, attempts);
    }

    /// Whether there is a dead letter whose attempt isn't over.
    #[must_use]
    pub fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }

    /// Skips to a place, as when what lies before it is not kept any more.
    pub fn skip_to(&mut self, read: i64) {
        self.read = self.read.max(read);
    }

    fn at_once(&self) -> usize {
        match self.is_down() {
            false => AT_ONCE,
            true => 1,
        }
    }

    /// A delivery that can be made now.
    pub fn next(&mut self, now: Timestamp) -> Option<Next> {
        if self.busy >= self.at_once() || now < self.paused_until {
            return None;
        }
        // Letters have places of their own; where there is one place for all, it is for the log.
        let next = match self.is_down() {
            false => self.letters.next().or_else(|| self.next_of_log(now)),
            true => self.next_of_log(now).or_else(|| self.letters.next()),
        };
        self.busy += usize::from(next.is_some());
        next
    }

    fn next_of_log(&mut self, now: Timestamp) -> Option<Next> {
        let is_due = |later: &BTreeSet<(Timestamp, i64)>| {
            let first = later.first();
            first.is_some_and(|(due, _)| *due <= now)
        };
        if !self.is_down() {
            while is_due(&self.later) {
                let (_, seq) = self.later.pop_first()?;
                self.ready.insert(seq);
            }
        }
        // An endpoint that is down is tried with what it hasn't seen yet, where there is such: one
        // event that it can't take would keep the others waiting else.
        let seq = match self.ready.pop_first() {
            Some(seq) => seq,
            None if is_due(&self.later) || self.is_down() => self.later.pop_first()?.1,
            None => return None,
        };
        let event = Arc::clone(self.waiting.get(&seq)?);
        let lane = self.lanes.get_mut(&event.repository)?;
        lane.attempts += 1;
        Some(Next {
            event,
            attempt: lane.attempts,
            source: Source::Log,
        })
    }

    /// When the next delivery can be made, should nothing else happen before.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        // The end of one that is under way tells more.
        if self.busy >= self.at_once() {
            return None;
        }
        let later = self.later.first().map(|(due, _)| *due);
        let is_any_ready = !self.ready.is_empty() || self.letters.is_ready();
        let first = match is_any_ready || (self.is_down() && later.is_some()) {
            true => Timestamp::from_micros(0),
            false => later?,
        };
        Some(first.max(self.paused_until))
    }

    /// A delivery was taken.
    pub fn delivered(&mut self, next: &Next) {
        self.successes += 1;
        if self.is_down() {
            self.revive();
        }
        self.failures_in_row = 0;
        self.paused_until = Timestamp::from_micros(0);
        self.passed_over(next);
    }

    /// What failed while the endpoint was down goes as if it hadn't.
    fn revive(&mut self) {
        let later = std::mem::take(&mut self.later);
        self.ready.extend(later.into_iter().map(|(_, seq)| seq));
        for lane in self.lanes.values_mut() {
            lane.failures = 0;
        }
    }

    /// A delivery turned out to be none: there are no words for the event.
    pub fn passed_over(&mut self, next: &Next) {
        self.busy -= 1;
        match next.source {
            Source::Log => self.done(next.event.seq, &next.event.repository),
            Source::Letters => self.letters.ended(next.event.seq),
        }
    }

    /// A delivery was not taken. `after` is what the endpoint asked for, and `jitter` between 0 and
    /// 1. Gives what is given up by it.
    pub fn failed(
        &mut self,
        next: &Next,
        now: Timestamp,
        fault: Fault,
        after: Option<Duration>,
        jitter: f64,
    ) -> Vec<Dead> {
        let event = &next.event;
        self.busy -= 1;
        if next.source == Source::Letters {
            self.letters.ended(event.seq);
            // It was refused before, and says nothing new about the endpoint.
            if fault == Fault::Refused {
                return Vec::new();
            }
        }
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        // One that takes others has only this event waiting, unless it asked for a pause.
        let probe = match self.is_down() {
            true => pause(u64::from(self.failures_in_row), jitter).min(LONGEST_PROBE),
            false => Duration::ZERO,
        };
        let until = now.after(after.unwrap_or(probe));
        self.paused_until = self.paused_until.max(until);
        if next.source == Source::Letters {
            return self.give_up_old(now);
        }
        let Some(lane) = self.lanes.get_mut(&event.repository) else {
            return Vec::new();
        };
        lane.failures += 1;
        let took_others = lane.refusals == 0 || self.successes > lane.successes_before;
        if fault == Fault::Refused && took_others {
            lane.refusals += 1;
            lane.successes_before = self.successes;
        }
        let (attempts, refusals) = (lane.attempts, lane.refusals);
        let wait = pause(lane.failures, jitter).max(after.unwrap_or_default());
        let is_old = event.at <= now.before(self.give_up_after) && !self.is_down();
        if refusals >= MOST_ATTEMPTS || (is_old && attempts >= MOST_ATTEMPTS) {
            self.done(event.seq, &event.repository);
            let event = Arc::clone(event);
            return vec![Dead { event, attempts }];
        }
        self.later.insert((now.after(wait), event.seq));
        self.give_up_old(now)
    }

    /// Gives up what is too old, where the endpoint is down.
    pub fn give_up_old(&mut self, now: Timestamp) -> Vec<Dead> {
        if !self.is_down() || self.busy > 0 {
            return Vec::new();
        }
        let limit = now.before(self.give_up_after);
        let old = self.waiting.values().take_while(|event| event.at <= limit);
        let old: Vec<Arc<Event>> = old.cloned().collect();
        let mut dead = Vec::with_capacity(old.len());
        for event in old {
            let lane = self.lanes.get(&event.repository);
            let attempts = lane.map_or(0, |lane| lane.attempts);
            self.later.retain(|(_, seq)| *seq != event.seq);
            self.ready.remove(&event.seq);
            self.done(event.seq, &event.repository);
            dead.push(Dead { event, attempts });
        }
        dead
    }

    /// Takes the first event of a lane out, and lets the one behind it come.
    fn done(&mut self, seq: i64, repository: &Option<RepositoryName>) {
        self.waiting.remove(&seq);
        let Some(lane) = self.lanes.get_mut(repository) else {
            return;
        };
        lane.queue.pop_front();
        match lane.queue.front() {
            Some(seq) => {
                self.ready.insert(*seq);
                let queue = std::mem::take(&mut lane.queue);
                *lane = Lane {
                    queue,
                    ..Lane::default()
                };
            }
            None => {
                self.lanes.remove(repository);
            }
        }
    }
}

/// The pause before the attempt behind this one.
fn pause(attempt: u64, jitter: f64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(doublings.min(20)))
        .min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
