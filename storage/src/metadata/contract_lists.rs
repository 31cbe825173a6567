//! That a page of a list costs the same however long the list is: what the database plans to do for
//! it is asked of the database itself, for every statement that the methods run.

use std::sync::{Arc, Mutex, PoisonError};

use super::*;
use crate::metadata::database::{Database, Job};
use crate::metadata::{Error, Row, Transaction, Value};

const TAGS: i64 = 20_000;
const REPOSITORIES: i64 = 5_000;
const REFERRERS: i64 = 5_000;

/// How a database tells its plans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planner {
    /// What stands before a statement.
    pub(crate) explain: &'static str,
    /// Which column of the answer tells.
    pub(crate) column: usize,
    /// What takes longer as a table grows.
    pub(crate) growing: &'static [&'static str],
}

/// Fills the database, and asks for the plans of its lists and of the deletion of a digest.
pub(crate) async fn hold(database: Arc<dyn Database>, planner: Planner) {
    fill(&Metadata::new(Arc::clone(&database))).await;
    let plans = Plans::default();
    let metadata = Metadata::new(Arc::new(Asking {
        database,
        planner,
        plans: Arc::clone(&plans),
    }));
    let asked = |what: &str| {
        let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
        let asked: Vec<Plan> = std::mem::take(&mut *plans);
        assert!(!asked.is_empty(), "{what} runs statements");
        for Plan { sql, steps } in asked {
            // The tags of one image are sorted, whatever their number in the repository.
            if sql.contains("FROM tags WHERE manifest_id") {
                continue;
            }
            let grows = planner.growing.iter().any(|word| steps.contains(word));
            assert!(!grows, "{what} grows: {sql}\n{steps}");
        }
    };
    asked_of_the_lists(&metadata, asked).await;
}

async fn asked_of_the_lists(metadata: &Metadata, asked: impl Fn(&str)) {
    let name = repository("lists/long");
    for after in [None, Some("v00010000")] {
        let tags = metadata.tags(&name, after, 100).await.expect("read");
        assert_eq!(tags.len(), 100);
        asked("a page of tags");
    }
    for after in [None, Some("lists/r00002500")] {
        let names = metadata.repositories(after, 100).await.expect("read");
        assert_eq!(names.len(), 100);
        let records = metadata.repository_records(after, 100).await;
        assert_eq!(records.expect("read").len(), 100);
        asked("a page of repositories");
    }
    let subject = numbered(1).parse().expect("a digest");
    let behind = numbered(TAGS + REFERRERS / 2);
    for kind in [None, Some("a/signature")] {
        for after in [None, Some(behind.as_str())] {
            let found = metadata.referrers(&name, &subject, kind, after, 100).await;
            assert_eq!(found.expect("read").len(), 100);
            asked("a page of referrers");
        }
    }
    let images = metadata.images(&name, Some(&behind), 100).await;
    assert_eq!(images.expect("read").len(), 100);
    asked("a page of images");
    let digest = numbered(777).parse().expect("a digest");
    let deleted = metadata.delete_manifest(&name, &digest, by("user/alice", NOW));
    deleted.await.expect("deleted");
    asked("deleting a digest");
    assert_eq!(resolve(metadata, &name, "v00000777").await, None);
    asked("resolving a tag");
}

/// The digest of a number; a larger number has a larger digest.
fn numbered(number: i64) -> String {
    format!("sha256:{:0<64}", 10_000_000_000 + number)
}

/// Rows by the thousand. The numbers come from the statements themselves.
async fn fill(metadata: &Metadata) {
    let push = push(&repository("lists/long"), &image("lists", None, "a/b"), &[]);
    metadata.push_manifest(push).await.expect("pushed");
    let filled = metadata.write(|transaction| {
        for (sql, count) in [
            (
                "WITH RECURSIVE numbers (n) AS
                     (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
                 INSERT INTO repositories (name, created_at)
                 SELECT 'lists/r' || SUBSTR(CAST(100000000 + n AS TEXT), 2), 1 FROM numbers",
                REPOSITORIES,
            ),
            (
                "WITH RECURSIVE numbers (n) AS
                     (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
                 INSERT INTO manifests (repository_id, digest, media_type, artifact_type, subject,
                                        size_bytes, pushed_at, bytes)
                 SELECT repositories.id,
                     'sha256:' || SUBSTR(CAST(10000000000 + n AS TEXT) ||
                     '0000000000000000000000000000000000000000000000000000000000000000', 1, 64),
                     'a/b', CASE WHEN n > 20000 THEN 'a/signature' END,
                     CASE WHEN n > 20000 THEN 'sha256:' || SUBSTR('10000000001' ||
                     '0000000000000000000000000000000000000000000000000000000000000000', 1, 64) END,
                     2, 1, manifests.bytes
                 FROM numbers JOIN repositories ON repositories.name = 'lists/long'
                 JOIN manifests ON manifests.repository_id = repositories.id",
                TAGS + REFERRERS,
            ),
            (
                "INSERT INTO tags (repository_id, name, manifest_id, updated_at)
                 SELECT repository_id, 'v' || SUBSTR(digest, 11, 8), id, 1 FROM manifests
                 WHERE subject IS NULL AND pushed_at = 1 AND size_bytes < $1",
                10,
            ),
        ] {
            transaction.execute(sql, &[count.into()])?;
        }
        // As the database does by itself after a while.
        transaction.execute("ANALYZE", &[])?;
        Ok(())
    });
    filled.await.expect("filled");
}

/// A statement, and what the database would do for it.
struct Plan {
    sql: &'static str,
    steps: String,
}

type Plans = Arc<Mutex<Vec<Plan>>>;

/// A database that is asked for the plan of each statement before it is run.
struct Asking {
    database: Arc<dyn Database>,
    planner: Planner,
    plans: Plans,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl Asking {
    fn asking(&self, job: Box<dyn Job>) -> Box<dyn Job> {
        Box::new(AskingJob {
            job,
            planner: self.planner,
            plans: Arc::clone(&self.plans),
        })
    }
}

impl Database for Asking {
    fn write(&self, job: Box<dyn Job>) {
        self.database.write(self.asking(job));
    }

    fn read(&self, job: Box<dyn Job>) {
        self.database.read(self.asking(job));
    }
}

struct AskingJob {
    job: Box<dyn Job>,
    planner: Planner,
    plans: Plans,
}

impl Job for AskingJob {
    fn run(&mut self, transaction: &mut dyn Transaction) -> Result<(), Error> {
        let (planner, plans) = (self.planner, Arc::clone(&self.plans));
        self.job.run(&mut AskingTransaction {
            transaction,
            planner,
            plans,
        })
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        self.job.finish(outcome);
    }
}

struct AskingTransaction<'a> {
    transaction: &'a mut dyn Transaction,
    planner: Planner,
    plans: Plans,
}

impl AskingTransaction<'_> {
    fn ask(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<(), Error> {
        // Statements are static texts; a test may leave some behind.
        let question: &'static str = format!("{} {sql}", self.planner.explain).leak();
        let mut steps = String::new();
        for mut row in self.transaction.query(question, values)? {
            for _ in 0..self.planner.column {
                row.integer("a number of the plan")?;
            }
            steps += &row.text("a step")?;
            steps.push('\n');
        }
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.push(Plan { sql, steps });
        Ok(())
    }
}

impl Transaction for AskingTransaction<'_> {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.ask(sql, values)?;
        self.transaction.execute(sql, values)
    }

    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        self.ask(sql, values)?;
        self.transaction.query(sql, values)
    }
}
