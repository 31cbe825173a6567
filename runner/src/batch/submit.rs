//! Jobs are submitted: alone, or as arrays.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::environments::listed;
use super::ledger::Entry;
use super::model::{Definition, Job, Status, Work};
use super::{Batch, short};
use crate::aws::door::uuid;
use crate::aws::{Error, Input, now};

/// The largest array.
const LARGEST: u64 = 10_000;
/// How many jobs one may depend on.
const MOST_DEPENDENCIES: usize = 20;

impl Batch {
    pub(crate) async fn submit(&self, input: &Input) -> Result<Value, Error> {
        let name = super::environments::name(input, "jobName")?;
        let queue = short(input.text("jobQueue")?).to_owned();
        let found = self
            .queues
            .get(&queue)
            .ok_or_else(|| input.wrong(format!("JobQueue {queue} not found")))?;
        if !found.is_enabled {
            return Err(input.wrong(format!("JobQueue {queue} is disabled")));
        }
        let definition = self.definition(input.text("jobDefinition")?, input)?;
        let work = work(&definition, input)?;
        let size = match &input.value()["arrayProperties"]["size"] {
            Value::Null => None,
            value => {
                let size = value.as_u64().filter(|size| (2..=LARGEST).contains(size));
                Some(size.ok_or_else(|| input.wrong(format!("an array has 2 to {LARGEST} jobs")))?)
            }
        };
        let (awaits, of_children) = dependencies(input, size)?;
        let id = uuid();
        let job = Job {
            id: id.clone(),
            name: name.clone(),
            queue,
            status: if size.is_some() {
                Status::Pending
            } else {
                Status::Runnable
            },
            status_reason: None,
            work: Some(work),
            size,
            parent: None,
            index: None,
            attempts: Vec::new(),
            created_at: now(),
            started_at: None,
            stopped_at: None,
            digest: None,
            terminated: None,
            is_cancelled: false,
        };
        let children = children(&job, size.unwrap_or(0), &awaits, &of_children);
        let parent = Entry {
            job,
            awaits: awaits.clone(),
        };
        self.ledger
            .submit(std::iter::once(parent).chain(children).collect())
            .await?;
        self.bell.notify_one();
        let arn = self.ground.names.arn("batch", &format!("job/{id}"));
        Ok(json!({"jobArn": arn, "jobName": name, "jobId": id}))
    }
}

/// What a child of an array waits for.
#[derive(Clone, Debug)]
enum OfChild {
    /// The child before it.
    Before,
    /// The child of another array with the same index.
    Same(String),
}

fn dependencies(input: &Input, size: Option<u64>) -> Result<(Vec<String>, Vec<OfChild>), Error> {
    let wishes = input.list("dependsOn");
    if wishes.len() > MOST_DEPENDENCIES {
        return Err(input.wrong(format!(
            "a job depends on {MOST_DEPENDENCIES} others at most"
        )));
    }
    let (mut whole, mut of_children) = (Vec::new(), Vec::new());
    for wish in wishes {
        let id = wish["jobId"].as_str().map(str::to_owned);
        match (wish["type"].as_str(), id) {
            (Some("SEQUENTIAL"), None) if size.is_some() => of_children.push(OfChild::Before),
            (Some("N_TO_N"), Some(id)) if size.is_some() => of_children.push(OfChild::Same(id)),
            (None | Some(""), Some(id)) => whole.push(id),
            _ => {
                return Err(
                    input.wrong("dependsOn has a jobId; SEQUENTIAL has none; N_TO_N is for arrays")
                );
            }
        }
    }
    Ok((whole, of_children))
}

/// The children of an array, whose work is that of their parent.
fn children<'a>(
    array: &Job,
    size: u64,
    awaits: &'a [String],
    of_children: &'a [OfChild],
) -> impl Iterator<Item = Entry> + use<'a> {
    let mut sample = array.clone();
    sample.work = None;
    sample.size = None;
    sample.parent = Some(array.id.clone());
    sample.status = Status::Runnable;
    (0..size).map(move |index| {
        let mut job = sample.clone();
        let parent = job.parent.clone().unwrap_or_default();
        job.id = format!("{parent}:{index}");
        job.index = Some(index);
        let own = of_children.iter().filter_map(|wish| match wish {
            OfChild::Before => index
                .checked_sub(1)
                .map(|before| format!("{parent}:{before}")),
            OfChild::Same(other) => Some(format!("{other}:{index}")),
        });
        Entry {
            awaits: awaits.iter().cloned().chain(own).collect(),
            job,
        }
    })
}

/// Works out what a definition and an input stand for.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(body: Value, input: &Input) {
    let definition = Definition {
        name: "job".into(),
        revision: 1,
        arn: "arn:job".into(),
        is_active: true,
        body,
    };
    let size = input.value()["arrayProperties"]["size"].as_u64();
    let _ = dependencies(input, size);
    if let Ok(work) = work(&definition, input) {
        assert!(work.memory_mib >= 4 && work.vcpus > 0.0);
        assert!((1..=10).contains(&work.attempts));
    }
}

/// What is run: the definition, and what this job says otherwise.
fn work(definition: &Definition, input: &Input) -> Result<Work, Error> {
    let container = &definition.body["containerProperties"];
    let overrides = &input.value()["containerOverrides"];
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for source in [&definition.body["parameters"], &input.value()["parameters"]] {
        for (name, value) in source.as_object().into_iter().flatten() {
            parameters.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
        }
    }
    let command = listed(&overrides["command"]).or_else(|| listed(&container["command"]));
    let command =
        command
            .unwrap_or_default()
            .into_iter()
            .map(|word| match word.strip_prefix("Ref::") {
                Some(name) => parameters.get(name).cloned().unwrap_or(word),
                None => word,
            });
    let mut environment = BTreeMap::new();
    for source in [container, overrides] {
        for entry in source["environment"].as_array().into_iter().flatten() {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            environment.insert(text("name"), text("value"));
        }
    }
    let resource = |kind: &str, old: &str| {
        let of = |source: &Value| {
            let mut wishes = source["resourceRequirements"]
                .as_array()
                .into_iter()
                .flatten();
            let wish = wishes.find(|wish| wish["type"] == kind);
            let new = wish.and_then(|wish| wish["value"].as_str()?.parse().ok());
            new.or_else(|| source[old].as_f64())
        };
        of(overrides).or_else(|| of(container))
    };
    let memory: f64 = resource("MEMORY", "memory").unwrap_or(512.0);
    let vcpus: f64 = resource("VCPU", "vcpus").unwrap_or(1.0);
    if !(4.0..=1e7).contains(&memory) || !(0.01..=1024.0).contains(&vcpus) {
        return Err(input.wrong("a job needs 4 MiB at least, and some vCPUs"));
    }
    let either = |name: &str| match &input.value()[name] {
        Value::Null => definition.body[name].clone(),
        value => value.clone(),
    };
    let (retry, timeout) = (either("retryStrategy"), either("timeout"));
    let attempts = retry["attempts"].as_u64().unwrap_or(1);
    if !(1..=10).contains(&attempts) {
        return Err(input.wrong("retryStrategy.attempts is 1 to 10"));
    }
    let timeout_seconds = timeout["attemptDurationSeconds"].as_u64();
    Ok(Work {
        image: container["image"].as_str().unwrap_or_default().to_owned(),
        command: command.collect(),
        environment,
        vcpus,
        memory_mib: memory as u64,
        user: container["user"].as_str().map(str::to_owned),
        is_read_only: container["readonlyRootFilesystem"] == true,
        attempts,
        on_exit: retry["evaluateOnExit"].clone(),
        timeout_seconds,
        definition: definition.arn.clone(),
        parameters: json!(parameters),
        depends_on: input.value()["dependsOn"].clone(),
        tags: input.value()["tags"].clone(),
    })
}
