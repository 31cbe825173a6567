//! Jobs are described, listed, cancelled and terminated.

use serde_json::{Value, json};

use super::model::{Job, STATUSES, Status};
use super::{Batch, short};
use crate::aws::{Error, Input};

/// How many jobs are described at once.
const MOST_DESCRIBED: usize = 100;
/// How many children are ended in one go.
const CHILDREN: usize = 500;

impl Batch {
    pub(super) async fn describe_jobs(&self, input: &Input) -> Result<Value, Error> {
        let mut shown = Vec::new();
        for id in input.texts("jobs").iter().take(MOST_DESCRIBED) {
            if let Some(job) = self.ledger.get(short(id)).await? {
                shown.push(self.shown(&job).await?);
            }
        }
        Ok(json!({"jobs": shown}))
    }

    pub(super) async fn list_jobs(&self, input: &Input) -> Result<Value, Error> {
        let status = match input.maybe("jobStatus") {
            None => None,
            Some(word) => {
                let found = STATUSES.into_iter().find(|status| status.word() == word);
                Some(found.ok_or_else(|| input.wrong(format!("there is no status {word}")))?)
            }
        };
        let offset = input
            .maybe("nextToken")
            .and_then(|token| token.parse().ok())
            .unwrap_or(0);
        let most = usize::try_from(input.number("maxResults").unwrap_or(1000).clamp(1, 1000))
            .unwrap_or(1000);
        let mut found = match (input.maybe("arrayJobId"), input.maybe("jobQueue")) {
            (Some(array), _) => {
                self.ledger
                    .children(short(array), status, offset, most + 1)
                    .await?
            }
            (None, Some(queue)) => {
                let status = status.unwrap_or(Status::Running);
                self.ledger
                    .with_status(short(queue), status, offset, most + 1)
                    .await?
            }
            (None, None) => return Err(input.wrong("jobQueue or arrayJobId says what to list")),
        };
        let next = (found.len() > most).then(|| (offset + most).to_string());
        found.truncate(most);
        // Children are listed under their array.
        if input.maybe("arrayJobId").is_none() {
            found.retain(|job| job.parent.is_none());
        }
        let list: Vec<Value> = found.iter().map(|job| self.summary(job)).collect();
        Ok(json!({"jobSummaryList": list, "nextToken": next}))
    }

    /// Ends what has not begun.
    pub(super) async fn cancel(&self, input: &Input) -> Result<Value, Error> {
        let reason = input.text("reason")?.to_owned();
        let job = self.found(input).await?;
        for job in self.with_children(job).await? {
            self.cancel_one(job, &reason).await?;
        }
        Ok(json!({}))
    }

    /// Ends it wherever it is.
    pub(super) async fn terminate(&self, input: &Input) -> Result<Value, Error> {
        let reason = input.text("reason")?.to_owned();
        let job = self.found(input).await?;
        for job in self.with_children(job).await? {
            let id = job.id.clone();
            if self.cancel_one(job, &reason).await? {
                continue;
            }
            let kept = reason.clone();
            self.ledger
                .change(&id, |job| job.terminated = Some(kept))
                .await?;
            self.stopping(&id).notify_one();
        }
        Ok(json!({}))
    }

    /// Ends a job that has not begun; false where it has.
    async fn cancel_one(&self, job: Job, reason: &str) -> Result<bool, Error> {
        if job.status.is_over() || job.size.is_some() {
            return Ok(true);
        }
        // The scheduler may be about to start it: whoever writes first decides.
        let reason = reason.to_owned();
        let is_over = self.ledger.settle(&job.id, |job| {
            let has_begun = matches!(job.status, Status::Starting | Status::Running);
            job.is_cancelled = !has_begun;
            (!has_begun).then_some((Status::Failed, reason))
        });
        Ok(is_over.await?)
    }

    async fn found(&self, input: &Input) -> Result<Job, Error> {
        let id = short(input.text("jobId")?).to_owned();
        let job = self.ledger.get(&id).await?;
        job.ok_or_else(|| input.wrong(format!("there is no job {id}")))
    }

    async fn with_children(&self, job: Job) -> Result<Vec<Job>, Error> {
        if job.size.is_none() {
            return Ok(vec![job]);
        }
        let mut all = Vec::new();
        loop {
            let some = self
                .ledger
                .children(&job.id, None, all.len(), CHILDREN)
                .await?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
        }
    }
}
