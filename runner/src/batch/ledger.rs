//! The jobs in the database: each change is one transaction, with all that follows from it.
//!
//! ```text
//! jobs(number, id, queue, status, parent, body)    body is `Job`; status stands in both
//! job_waits(job, awaited)                          a job is PENDING while it has any
//! ```

use rusqlite::{Connection, OptionalExtension as _, params};

use super::model::{Job, STATUSES, Status};
use crate::store::{Error, Store};

/// The jobs. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    store: Store,
}

/// A job as it is written: its body and what it waits for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) awaits: Vec<String>,
}

impl Ledger {
    pub(super) fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
        }
    }

    /// Keeps new jobs, all or none. What they wait for and has succeeded is not waited for; where it
    /// has failed, they fail too.
    pub(super) async fn submit(&self, entries: Vec<Entry>) -> Result<(), Error> {
        let work = move |connection: &Connection| {
            for Entry { mut job, awaits } in entries {
                let mut has_failed = false;
                let mut is_waiting = false;
                for awaited in awaits {
                    match find(connection, &awaited)?.map(|found| found.status) {
                        Some(Status::Succeeded) => {}
                        Some(Status::Failed) | None => has_failed = true,
                        Some(_) => {
                            let sql =
                                "INSERT OR IGNORE INTO job_waits (job, awaited) VALUES (?1, ?2)";
                            connection
                                .prepare_cached(sql)?
                                .execute(params![job.id, awaited])?;
                            is_waiting = true;
                        }
                    }
                }
                if is_waiting && !job.status.is_over() {
                    job.status = Status::Pending;
                }
                insert(connection, &job)?;
                if has_failed {
                    end(connection, job, Status::Failed, "Dependent Job failed")?;
                }
            }
            Ok(())
        };
        self.store.write(work).await
    }

    /// A job.
    pub(super) async fn get(&self, id: &str) -> Result<Option<Job>, Error> {
        let id = id.to_owned();
        self.store
            .read(move |connection| find(connection, &id))
            .await
    }

    /// Changes a job that isn't over, and gives what it has become.
    pub(super) async fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut Job) + Send + 'static,
    ) -> Result<Option<Job>, Error> {
        let id = id.to_owned();
        let work = move |connection: &Connection| {
            let Some(mut job) = find(connection, &id)?.filter(|job| !job.status.is_over()) else {
                return Ok(None);
            };
            change(&mut job);
            save(connection, &job)?;
            Ok(Some(job))
        };
        self.store.write(work).await
    }

    /// Changes a job that isn't over, and ends it where the change gives a status and a reason, with
    /// all that follows: those that wait for it, and the array that it is of. Gives whether it is
    /// over.
    pub(super) async fn settle(
        &self,
        id: &str,
        change: impl FnOnce(&mut Job) -> Option<(Status, String)> + Send + 'static,
    ) -> Result<bool, Error> {
        let id = id.to_owned();
        let work = move |connection: &Connection| {
            let Some(mut job) = find(connection, &id)?.filter(|job| !job.status.is_over()) else {
                return Ok(true);
            };
            match change(&mut job) {
                Some((status, reason)) => end(connection, job, status, &reason).map(|()| true),
                None => save(connection, &job).map(|()| false),
            }
        };
        self.store.write(work).await
    }

    /// Jobs of a queue that can be started, the oldest first.
    pub(super) async fn runnable(&self, queue: &str, most: usize) -> Result<Vec<Job>, Error> {
        self.with_status(queue, Status::Runnable, 0, most).await
    }

    /// Jobs of a queue in a status, behind a place.
    pub(super) async fn with_status(
        &self,
        queue: &str,
        status: Status,
        offset: usize,
        most: usize,
    ) -> Result<Vec<Job>, Error> {
        let queue = queue.to_owned();
        let work = move |connection: &Connection| {
            let sql = "SELECT body FROM jobs WHERE queue = ?1 AND status = ?2
                       ORDER BY number LIMIT ?3 OFFSET ?4";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(
                params![queue, status.word(), most as i64, offset as i64],
                read,
            )?;
            rows.collect()
        };
        self.store.read(work).await
    }

    /// Children of an array, in any status or in one, behind a place.
    pub(super) async fn children(
        &self,
        parent: &str,
        status: Option<Status>,
        offset: usize,
        most: usize,
    ) -> Result<Vec<Job>, Error> {
        let parent = parent.to_owned();
        let work = move |connection: &Connection| {
            let sql = "SELECT body FROM jobs WHERE parent = ?1 AND parent <> '' AND (?2 = '' OR status = ?2)
                       ORDER BY number LIMIT ?3 OFFSET ?4";
            let mut statement = connection.prepare_cached(sql)?;
            let word = status.map_or("", Status::word);
            let rows =
                statement.query_map(params![parent, word, most as i64, offset as i64], read)?;
            rows.collect()
        };
        self.store.read(work).await
    }

    /// How many children of an array are in each status.
    pub(super) async fn summary(&self, parent: &str) -> Result<Vec<(Status, i64)>, Error> {
        let parent = parent.to_owned();
        self.store
            .read(move |connection| summary(connection, &parent))
            .await
    }

    /// Forgets jobs that ended before a time; children of arrays that go on stay.
    pub(super) async fn forget(&self, before: f64) -> Result<(), Error> {
        let work = move |connection: &Connection| {
            let sql = "DELETE FROM jobs WHERE status IN ('SUCCEEDED', 'FAILED')
                       AND json_extract(body, '$.stopped_at') < ?1
                       AND NOT EXISTS (SELECT 1 FROM jobs AS array WHERE array.id = jobs.parent
                                       AND array.status NOT IN ('SUCCEEDED', 'FAILED'))";
            connection.execute(sql, [before]).map(drop)
        };
        self.store.write(work).await
    }

    /// All jobs that were started and are not over.
    pub(super) async fn started(&self) -> Result<Vec<Job>, Error> {
        let work = |connection: &Connection| {
            let sql = "SELECT body FROM jobs WHERE status IN ('STARTING', 'RUNNING')";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([], read)?;
            rows.collect::<rusqlite::Result<Vec<Job>>>()
        };
        let jobs = self.store.read(work).await?;
        // An array is never started itself.
        Ok(jobs.into_iter().filter(|job| job.size.is_none()).collect())
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Job> {
    let body: String = row.get(0)?;
    serde_json::from_str(&body).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn written(job: &Job) -> rusqlite::Result<String> {
    serde_json::to_string(job)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Job>> {
    let mut statement = connection.prepare_cached("SELECT body FROM jobs WHERE id = ?1")?;
    statement.query_row([id], read).optional()
}

fn insert(connection: &Connection, job: &Job) -> rusqlite::Result<()> {
    let sql = "INSERT INTO jobs (id, queue, status, parent, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    let parent = job.parent.clone().unwrap_or_default();
    let row = params![job.id, job.queue, job.status.word(), parent, written(job)?];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

fn save(connection: &Connection, job: &Job) -> rusqlite::Result<()> {
    let sql = "UPDATE jobs SET status = ?2, body = ?3 WHERE id = ?1";
    let row = params![job.id, job.status.word(), written(job)?];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

fn summary(connection: &Connection, parent: &str) -> rusqlite::Result<Vec<(Status, i64)>> {
    let sql = "SELECT count(*) FROM jobs WHERE parent = ?1 AND parent <> '' AND status = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let count = |status: Status| {
        Ok((
            status,
            statement.query_row(params![parent, status.word()], |row| row.get(0))?,
        ))
    };
    STATUSES.into_iter().map(count).collect()
}

/// Ends jobs one after another: each may end those that wait for it.
fn end(connection: &Connection, job: Job, status: Status, reason: &str) -> rusqlite::Result<()> {
    let mut ending = vec![(job, status, reason.to_owned())];
    while let Some((mut job, status, reason)) = ending.pop() {
        job.status = status;
        if !reason.is_empty() {
            job.status_reason = Some(reason);
        }
        job.stopped_at.get_or_insert(crate::aws::now());
        save(connection, &job)?;
        let sql = "DELETE FROM job_waits WHERE job = ?1";
        connection.prepare_cached(sql)?.execute([&job.id])?;
        for id in waiting(connection, &job.id)? {
            let Some(mut next) = find(connection, &id)?.filter(|next| !next.status.is_over())
            else {
                continue;
            };
            if status == Status::Failed {
                ending.push((next, Status::Failed, "Dependent Job failed".into()));
                continue;
            }
            let sql = "DELETE FROM job_waits WHERE job = ?1 AND awaited = ?2";
            connection.prepare_cached(sql)?.execute([&id, &job.id])?;
            if is_free(connection, &next)? && next.size.is_none() {
                next.status = Status::Runnable;
                save(connection, &next)?;
            } else if is_free(connection, &next)? {
                release(connection, &mut next)?;
            }
        }
        if let Some(parent) = &job.parent {
            ending.extend(array_end(connection, parent)?);
        } else if job.size.is_some() && status == Status::Failed {
            // An array that fails before it began takes its children with it.
            ending.extend(open_children(connection, &job.id)?);
        }
    }
    Ok(())
}

/// The end of an array, where its last child has ended.
fn array_end(
    connection: &Connection,
    parent: &str,
) -> rusqlite::Result<Option<(Job, Status, String)>> {
    let sql = "SELECT 1 FROM jobs WHERE parent = ?1 AND parent <> '' AND status NOT IN ('SUCCEEDED', 'FAILED') LIMIT 1";
    let open: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row([parent], |row| row.get(0))
        .optional()?;
    let Some(array) =
        find(connection, parent)?.filter(|array| open.is_none() && !array.status.is_over())
    else {
        return Ok(None);
    };
    let counts = summary(connection, parent)?;
    let has_failed = counts
        .iter()
        .any(|(status, count)| *status == Status::Failed && *count > 0);
    Ok(Some(match has_failed {
        true => (array, Status::Failed, "Array Child Job failed".into()),
        false => (array, Status::Succeeded, String::new()),
    }))
}

fn open_children(
    connection: &Connection,
    parent: &str,
) -> rusqlite::Result<Vec<(Job, Status, String)>> {
    let sql = "SELECT body FROM jobs WHERE parent = ?1 AND parent <> '' AND status IN ('SUBMITTED', 'PENDING', 'RUNNABLE')";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([parent], read)?;
    let ended =
        |job: rusqlite::Result<Job>| Ok((job?, Status::Failed, "Dependent Job failed".to_owned()));
    rows.map(ended).collect()
}

/// An array that waits for nothing more: its children go on, less those that wait themselves.
fn release(connection: &Connection, array: &mut Job) -> rusqlite::Result<()> {
    let sql = "SELECT body FROM jobs WHERE parent = ?1 AND parent <> '' AND status IN ('SUBMITTED', 'PENDING')";
    let mut statement = connection.prepare_cached(sql)?;
    let children: Vec<Job> = statement
        .query_map([&array.id], read)?
        .collect::<rusqlite::Result<_>>()?;
    for mut child in children {
        if is_free(connection, &child)? {
            child.status = Status::Runnable;
            save(connection, &child)?;
        }
    }
    array.status = Status::Pending;
    save(connection, array)
}

fn is_free(connection: &Connection, job: &Job) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM job_waits WHERE job IN (?1, ?2) LIMIT 1";
    let parent = job.parent.clone().unwrap_or_default();
    let mut statement = connection.prepare_cached(sql)?;
    let found: Option<i64> = statement
        .query_row(params![job.id, parent], |row| row.get(0))
        .optional()?;
    Ok(found.is_none())
}

fn waiting(connection: &Connection, awaited: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT job FROM job_waits WHERE awaited = ?1")?;
    let rows = statement.query_map([awaited], |row| row.get(0))?;
    rows.collect()
}
