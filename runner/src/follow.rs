//! Events gathered for a moment, so that a burst of pushes to one tag is one change.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use crate::registry::Told;

/// How many quiet times a burst may last.
const LONGEST: u32 = 20;

/// The repositories that something happened in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repositories {
    /// These.
    These(BTreeSet<String>),
    /// Perhaps any.
    All,
}

impl Repositories {
    /// Whether something may have happened in one.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::These(names) => names.contains(name),
            Self::All => true,
        }
    }

    fn add(&mut self, told: &Told) {
        match (&mut *self, told) {
            (Self::All, _) => {}
            (_, Told::Look) => *self = Self::All,
            (Self::These(names), Told::Event(event)) => {
                if let Some(name) = pushed(event) {
                    names.insert(name.to_owned());
                }
            }
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::These(names) if names.is_empty())
    }
}

/// The repository of an event that can move a tag.
fn pushed(event: &serde_json::Value) -> Option<&str> {
    let kind = event["type"].as_str()?;
    kind.ends_with(".pushed").then_some(())?;
    event["data"]["repository-name"].as_str()
}

/// Events, gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    told: Receiver<Told>,
    quiet: Duration,
}

impl Gathered {
    pub(crate) fn new(told: Receiver<Told>, quiet: Duration) -> Self {
        Self { told, quiet }
    }

    /// The next repositories, when nothing more happened for a moment. Nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Repositories> {
        let mut gathered = Repositories::These(BTreeSet::new());
        while gathered.is_nothing() {
            gathered.add(&self.one().await?);
        }
        let latest = Instant::now() + self.quiet * LONGEST;
        loop {
            let deadline = latest.min(Instant::now() + self.quiet);
            match timeout_at(deadline, self.one()).await {
                Ok(Some(told)) => gathered.add(&told),
                Ok(None) | Err(_) => return Some(gathered),
            }
        }
    }

    async fn one(&mut self) -> Option<Told> {
        match self.told.recv().await {
            Ok(told) => Some(told),
            // What was missed may have been anything.
            Err(RecvError::Lagged(_)) => Some(Told::Look),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_burst_is_one_change() {
        let (sender, receiver) = tokio::sync::broadcast::channel(64);
        let mut gathered = Gathered::new(receiver, Duration::from_millis(20));
        for _ in 0..20 {
            let event = json!({"type": "wharf.image.pushed", "data": {"repository-name": "app"}});
            sender
                .send(Told::Event(event.into()))
                .expect("somebody follows");
        }
        let event = json!({"type": "wharf.image.pulled", "data": {"repository-name": "other"}});
        sender
            .send(Told::Event(event.into()))
            .expect("somebody follows");
        drop(sender);
        let want = Repositories::These(BTreeSet::from(["app".to_owned()]));
        assert_eq!(gathered.next().await, Some(want));
        assert_eq!(gathered.next().await, None);
    }
}
