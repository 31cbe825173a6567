//! Dead letters that somebody wants to be sent again.
//!
//! Each is tried once. They take their turns among the deliveries of the log, a few at a time, so that
//! neither keeps the other waiting; those of one repository go one after the other, the oldest first.

use std::collections::VecDeque;
use std::sync::Arc;

use wharf_storage::metadata::Event;

use super::{Next, Source};

/// How many of the deliveries that run at once are of letters.
const AT_ONCE: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: VecDeque<Letter>,
    running: Vec<Arc<Event>>,
}

#[derive(Debug)]
struct Letter {
    event: Arc<Event>,
    attempts: u64,
}

impl Letters {
    /// Takes a letter that was tried so often already.
    pub(super) fn add(&mut self, event: Arc<Event>, attempts: u64) {
        self.waiting.push_back(Letter { event, attempts });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Whether one can go now.
    pub(super) fn is_ready(&self) -> bool {
        self.first().is_some()
    }

    fn first(&self) -> Option<usize> {
        if self.running.len() >= AT_ONCE {
            return None;
        }
        self.waiting.iter().position(|letter| {
            let repository = &letter.event.repository;
            !self
                .running
                .iter()
                .any(|event| event.repository == *repository)
        })
    }

    pub(super) fn next(&mut self) -> Option<Next> {
        let Letter { event, attempts } = self.waiting.remove(self.first()?)?;
        self.running.push(Arc::clone(&event));
        Some(Next {
            event,
            attempt: attempts + 1,
            source: Source::Letters,
        })
    }

    /// The attempt for a letter is over, whatever came of it.
    pub(super) fn ended(&mut self, seq: i64) {
        self.running.retain(|event| event.seq != seq);
    }
}
