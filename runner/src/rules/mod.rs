//! Amazon EventBridge: rules that start a job, invoke a function or run a task when an image is
//! pushed, when a program tells of something, or every so often.
//!
//! | module | job |
//! |---|---|
//! | `pattern` | whether an event is like a pattern |
//! | `input` | what a target is given |
//! | `operations` | the operations of the API |
//! | `deliver` | events to targets |
//! | `schedule` | `rate(…)` |

mod deliver;
mod input;
mod operations;
mod pattern;
mod schedule;

#[cfg(any(test, fuzzing))]
pub(crate) use input::fuzz as fuzz_input;
#[cfg(any(test, fuzzing))]
pub(crate) use pattern::fuzz as fuzz_pattern;
#[cfg(any(test, fuzzing))]
pub(crate) use schedule::fuzz as fuzz_rate;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::Error;
use crate::aws::door::{Call, unknown};
use crate::batch::Batch;
use crate::ecs::Ecs;
use crate::ground::Ground;
use crate::lambda::Lambda;
use crate::store::{self, Shelf};

/// A rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rule {
    name: String,
    arn: String,
    /// The pattern's text, as it was given.
    pattern: Option<String>,
    schedule: Option<String>,
    is_enabled: bool,
    description: Option<String>,
    targets: Vec<Value>,
}

/// The service. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    ground: Ground,
    rules: Arc<Shelf<Rule>>,
    ecs: Ecs,
    lambda: Lambda,
    batch: Batch,
}

impl Rules {
    pub(crate) async fn open(
        ground: &Ground,
        ecs: &Ecs,
        lambda: &Lambda,
        batch: &Batch,
    ) -> Result<Self, store::Error> {
        Ok(Self {
            ground: ground.clone(),
            rules: Arc::new(Shelf::open(&ground.store, "rule").await?),
            ecs: ecs.clone(),
            lambda: lambda.clone(),
            batch: batch.clone(),
        })
    }

    /// Serves an operation.
    pub(crate) async fn call(&self, operation: &str, call: Call) -> Result<Value, Error> {
        let input = call.input("ValidationException")?;
        match operation {
            "PutRule" => self.put_rule(&input).await,
            "DescribeRule" => self.describe_rule(&input),
            "ListRules" => Ok(self.list_rules(&input)),
            "DeleteRule" => self.delete_rule(&input).await,
            "EnableRule" => self.enable(&input, true).await,
            "DisableRule" => self.enable(&input, false).await,
            "PutTargets" => self.put_targets(&input).await,
            "ListTargetsByRule" => self.list_targets(&input),
            "RemoveTargets" => self.remove_targets(&input).await,
            "PutEvents" => self.put_events(&input).await,
            other => Err(unknown(other)),
        }
    }
}
