//! Rules that fire every so often: `rate(5 minutes)`.

use std::time::Duration;

use serde_json::json;

use super::{Rule, Rules};
use crate::aws::door::uuid;

/// The time between two firings; nothing where it isn't understood.
pub(super) fn rate(text: &str) -> Option<Duration> {
    let inner = text.strip_prefix("rate(")?.strip_suffix(')')?;
    let (number, unit) = inner.trim().split_once(' ')?;
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let seconds = match unit.trim() {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

/// A rate is at least a second.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    if let Some(every) = rate(text) {
        assert!(every >= Duration::from_secs(1), "{text}");
    }
}

impl Rules {
    /// Starts the clocks of all rules that are there.
    pub(crate) fn resume(&self) {
        for rule in self.rules.list() {
            self.spawn_schedule(&rule.name);
        }
    }

    /// Fires a rule every so often, until it is changed or gone.
    pub(super) fn spawn_schedule(&self, name: &str) {
        let Some(rule) = self.rules.get(name) else {
            return;
        };
        let Some(every) = rule.schedule.as_deref().and_then(rate) else {
            return;
        };
        let (rules, schedule) = (self.clone(), rule.schedule.clone());
        self.ground.tracker.spawn(async move {
            loop {
                tokio::select! {
                    () = rules.ground.stop.cancelled() => return,
                    () = tokio::time::sleep(every) => {}
                }
                let Some(now) = rules
                    .rules
                    .get(&rule.name)
                    .filter(|now| now.schedule == schedule)
                else {
                    return;
                };
                if now.is_enabled {
                    rules.fire(&now, &rules.tick(&now)).await;
                }
            }
        });
    }

    fn tick(&self, rule: &Rule) -> serde_json::Value {
        json!({
            "version": "0", "id": uuid(), "detail-type": "Scheduled Event", "source": "aws.events",
            "account": self.ground.names.account(), "region": self.ground.names.region(),
            "time": crate::aws::iso(crate::aws::now()).replace("+0000", "Z"),
            "resources": [rule.arn], "detail": {},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rates_are_read() {
        assert_eq!(rate("rate(1 minute)"), Some(Duration::from_secs(60)));
        assert_eq!(rate("rate(2 days)"), Some(Duration::from_secs(172_800)));
        for text in [
            "rate(0 minutes)",
            "rate(5)",
            "cron(0 12 * * ? *)",
            "rate(5 weeks)",
        ] {
            assert_eq!(rate(text), None, "{text}");
        }
    }
}
