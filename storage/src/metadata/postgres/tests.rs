//! PostgreSQL against the contract, and what only PostgreSQL has.

#[path = "../../../../tests/support/postgres.rs"]
mod server;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use self::server::{Postgres as Server, Sync};
use super::*;
use crate::clock::Timestamp;
use crate::metadata::{
    AuditQuery, AuditRecord, Change, Metadata, PolicyRecord, PrincipalRecord, SigningKeyRecord,
    Stream, contract,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn settings(url: &str, statement_timeout: Duration) -> Settings {
    let readers = NonZero::new(4).expect("four");
    Settings::new(url, readers, statement_timeout).expect("an address")
}

fn open_with(url: &str, statement_timeout: Duration) -> Metadata {
    let database = Postgres::open(settings(url, statement_timeout));
    Metadata::new(Arc::new(database.expect("opened")))
}

fn open(url: &str) -> Metadata {
    open_with(url, Duration::from_secs(30))
}

fn refusal(url: &str) -> OpenError {
    let opened = Postgres::open(settings(url, Duration::from_secs(30)));
    opened.map(drop).expect_err("it is refused")
}

/// Writes an event, as any change does.
async fn put_policy(metadata: &Metadata, target: &str) -> Result<(), Error> {
    let change = Change::new("user/alice", NOW);
    metadata.put_policy(policy(target), change).await
}

fn policy(target: &str) -> PolicyRecord {
    PolicyRecord {
        target: target.to_owned(),
        document: "{}".to_owned(),
        updated_by: "user/alice".to_owned(),
        updated_at: NOW,
    }
}

async fn targets(metadata: &Metadata) -> Vec<String> {
    let records = metadata.access_records().await.expect("read");
    let targets = records.policies.into_iter().map(|policy| policy.target);
    targets.collect()
}

#[tokio::test]
async fn postgres_holds_the_contract_of_the_metadata() {
    let metadata = open(&Server::shared().database());
    contract::holds(&metadata).await;
    metadata.check().await.expect("the database answers");
}

#[tokio::test]
async fn a_page_costs_the_same_however_long_its_list_is() {
    let database = Postgres::open(settings(
        &Server::shared().database(),
        Duration::from_secs(60),
    ));
    let planner = contract::lists::Planner {
        explain: "EXPLAIN",
        column: 0,
        growing: &[
            "Seq Scan on tags",
            "Seq Scan on manifests",
            "Seq Scan on repositories",
            "Sort",
        ],
    };
    contract::lists::hold(Arc::new(database.expect("opened")), planner).await;
}

#[tokio::test]
async fn what_was_written_is_there_when_the_database_is_opened_again() {
    let url = Server::shared().database();
    let metadata = open(&url);
    put_policy(&metadata, "registry").await.expect("put");
    drop(metadata);
    assert_eq!(targets(&open(&url)).await, ["registry"]);
}

#[test]
fn servers_that_start_at_once_make_one_layout() {
    let url = Server::shared().database();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope
                .spawn(|| Postgres::open(settings(&url, Duration::from_secs(30))).expect("opened"));
        }
    });
    let version = Server::shared().sql(&url, "SELECT version FROM schema_version");
    assert_eq!(version.trim(), migrations::MIGRATIONS.len().to_string());
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let url = Server::shared().database();
    drop(open(&url));
    Server::shared().sql(&url, "UPDATE schema_version SET version = 999");
    let error = refusal(&url);
    assert!(
        matches!(error, OpenError::Newer { found: 999, .. }),
        "{error:?}"
    );
}

#[test]
fn a_database_that_can_not_keep_every_text_is_refused() {
    let url = Server::shared().database();
    let other = format!("{url}_ascii");
    let (_, name) = other.rsplit_once('/').expect("an address has a name");
    let sql = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    Server::shared().sql(&url, &sql);
    assert!(matches!(refusal(&other), OpenError::Encoding(found) if found == "SQL_ASCII"));
}

#[test]
fn who_can_not_log_in_is_told_without_the_password() {
    let url = Server::shared().database();
    let wrong = url.replace(server::PASSWORD, "CANARY-that-is-wrong");
    let error = refusal(&wrong);
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    let nowhere = "postgres://wharf:CANARY@127.0.0.1:1/wharf";
    assert!(!format!("{:?}", refusal(nowhere)).contains("CANARY"));
}

#[tokio::test]
async fn connections_are_encrypted_where_the_address_asks_for_it() {
    let url = Server::shared().database();
    let authority = Server::shared().authority();
    let verified = format!("?sslmode=verify-full&sslrootcert={}", authority.display());
    let named = url.replace("127.0.0.1", "localhost");
    for (url, is_encrypted) in [
        (url.clone(), 0),
        (format!("{url}?sslmode=require"), 1),
        (format!("{named}{verified}"), 1),
    ] {
        let metadata = open(&url);
        let seen = metadata.read(|transaction| {
            let row = transaction.query_one(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                &[],
            )?;
            row.expect("a session").integer("whether it is encrypted")
        });
        assert_eq!(seen.await.expect("read"), is_encrypted, "{url}");
    }
    // The certificate is for a name and not for an address.
    let error = refusal(&format!("{url}{verified}"));
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_commit_is_durable_whatever_the_databases_default_is() {
    let url = Server::shared().database();
    let (_, name) = url.rsplit_once('/').expect("an address has a name");
    for setting in [
        "synchronous_commit = off",
        "default_transaction_isolation = 'serializable'",
    ] {
        Server::shared().sql(&url, &format!("ALTER DATABASE {name} SET {setting}"));
    }
    let metadata = open(&url);
    let seen = metadata.write(|transaction| {
        let mut setting = |sql| {
            let row = transaction.query_one(sql, &[])?;
            row.expect("a setting").text("a setting")
        };
        Ok([
            setting("SELECT current_setting('synchronous_commit')")?,
            setting("SELECT current_setting('transaction_isolation')")?,
        ])
    });
    assert_eq!(seen.await.expect("read"), ["on", "read committed"]);
}

#[tokio::test]
async fn servers_that_write_at_once_lose_nothing_and_number_without_gaps() {
    let url = Server::shared().database();
    let servers = [open(&url), open(&url), open(&url)];
    let mut tasks = Vec::new();
    for number in 0..300 {
        let metadata = servers[number % servers.len()].clone();
        tasks.push(tokio::spawn(async move {
            put_policy(&metadata, &format!("repository/{number:03}")).await
        }));
    }
    for task in tasks {
        task.await.expect("it ends").expect("put");
    }
    for metadata in &servers {
        assert_eq!(targets(metadata).await.len(), 300);
        let events = metadata.events(Stream::Changes, 0, 1000).await;
        let places: Vec<i64> = events
            .expect("read")
            .events
            .iter()
            .map(|one| one.seq)
            .collect();
        assert_eq!(places, (1..=300).collect::<Vec<i64>>());
    }
}

#[tokio::test]
async fn of_servers_that_start_at_once_one_makes_the_first_user_and_key() {
    let url = Server::shared().database();
    let servers = [open(&url), open(&url), open(&url)];
    let mut tasks = Vec::new();
    for (number, metadata) in servers.iter().cloned().enumerate() {
        tasks.push(tokio::spawn(async move {
            let user = metadata.add_first_principal(first_user(number), policy("user/admin"));
            let key = metadata.add_first_signing_key(SigningKeyRecord {
                id: number.to_string(),
                sealed: vec![1],
                created_at: NOW,
                retired_at: None,
            });
            (user.await.expect("added"), key.await.expect("added"))
        }));
    }
    let mut made = (0, 0);
    for task in tasks {
        let (user, key) = task.await.expect("it ends");
        made = (made.0 + i32::from(user), made.1 + i32::from(key));
    }
    assert_eq!(made, (1, 1));
    let records = servers[0].access_records().await.expect("read");
    assert_eq!(
        (records.principals.len(), records.signing_keys.len()),
        (1, 1)
    );
}

fn first_user(number: usize) -> PrincipalRecord {
    PrincipalRecord {
        kind: "user".into(),
        name: format!("admin-{number}"),
        secret: String::new(),
        description: String::new(),
        created_at: NOW,
        expires_at: None,
        disabled: false,
        valid_from: NOW,
    }
}

#[tokio::test]
async fn sessions_that_are_ended_cost_no_job() {
    let url = Server::shared().database();
    let metadata = open(&url);
    for round in 0..5 {
        let ended = Server::shared().sql(
            &url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'wharf' AND datname = current_database()",
        );
        assert!(ended.contains('t'), "there were sessions");
        put_policy(&metadata, &format!("repository/{round}"))
            .await
            .expect("put over another connection");
        assert_eq!(targets(&metadata).await.len(), round + 1);
    }
}

#[tokio::test]
async fn a_job_that_hides_a_failed_statement_has_failed_and_others_have_not() {
    let metadata = open(&Server::shared().database());
    let mut tasks = Vec::new();
    for number in 0..40 {
        let metadata = metadata.clone();
        tasks.push(tokio::spawn(async move {
            if number % 2 == 0 {
                return put_policy(&metadata, &format!("repository/{number}")).await;
            }
            metadata
                .write(|transaction| {
                    // A text that can't be prepared, and then one that could be run.
                    let _ = transaction.execute("INSERT INTO nowhere VALUES (1)", &[]);
                    let _ = transaction.execute("DELETE FROM policies", &[]);
                    Ok(())
                })
                .await
        }));
    }
    for (number, task) in tasks.into_iter().enumerate() {
        let outcome = task.await.expect("it ends");
        assert_eq!(outcome.is_ok(), number % 2 == 0, "{outcome:?}");
    }
    assert_eq!(targets(&metadata).await.len(), 20);
}

#[tokio::test]
async fn a_job_that_meets_a_deadlock_is_run_again() {
    let metadata = open(&Server::shared().database());
    for (often, ends_well) in [(2, true), (100, false)] {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let outcome = metadata.write(move |transaction| {
            transaction.execute("UPDATE access_revision SET revision = revision + 1", &[])?;
            if counted.fetch_add(1, Ordering::Relaxed) < often {
                transaction.execute(
                    "DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '40P01'; END $$",
                    &[],
                )?;
            }
            Ok(())
        });
        match outcome.await {
            Ok(()) => assert!(ends_well),
            Err(error) => assert!(matches!(error, Error::Unavailable(_)) && !ends_well),
        }
        assert!(runs.load(Ordering::Relaxed) <= 4);
    }
    // The one that ended well counts once.
    assert_eq!(metadata.access_revision().await.expect("read"), 2);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let metadata = open_with(&Server::shared().database(), Duration::from_millis(200));
    let began = Instant::now();
    let outcome = metadata.read(|transaction| {
        transaction.query("SELECT 1 FROM pg_sleep(20)", &[])?;
        Ok(())
    });
    assert!(matches!(outcome.await, Err(Error::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(10));
    metadata.check().await.expect("the database answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_in_a_transaction_does_not_keep_others_from_writing() {
    let url = Server::shared().database();
    let hangs = open_with(&url, Duration::from_millis(300));
    let (began, has_begun) = mpsc::channel();
    let hanging = tokio::spawn(async move {
        let work = hangs.write(move |transaction| {
            transaction.execute("UPDATE access_revision SET revision = 100", &[])?;
            let _ = began.send(());
            std::thread::sleep(Duration::from_secs(2));
            transaction.execute("UPDATE access_revision SET revision = 101", &[])?;
            Ok(())
        });
        work.await
    });
    has_begun.recv().expect("it has begun");
    let other = open(&url);
    put_policy(&other, "registry").await.expect("put");
    assert!(matches!(
        hanging.await.expect("it ends"),
        Err(Error::Unavailable(_))
    ));
    assert_eq!(other.access_revision().await.expect("read"), 2);
}

#[tokio::test]
async fn while_the_database_is_away_jobs_fail_at_once_and_then_work_again() {
    let mut server = Server::start(Sync::On);
    let metadata = open(&server.database());
    put_policy(&metadata, "before").await.expect("put");
    server.kill();
    let began = Instant::now();
    for _ in 0..100 {
        let written = put_policy(&metadata, "meanwhile").await;
        assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
        let read = metadata.check().await;
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    server.start_again();
    let back = Instant::now();
    while put_policy(&metadata, "after").await.is_err() || metadata.check().await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(5), "it is back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(targets(&metadata).await, ["after", "before"]);
}

/// A job that waits before it ends, and counts how it did.
struct Held {
    until: Option<mpsc::Receiver<()>>,
    done: Arc<AtomicU32>,
    refused: Arc<AtomicU32>,
}

impl Job for Held {
    fn run(&mut self, _: &mut dyn crate::metadata::Transaction) -> Result<(), Error> {
        if let Some(until) = self.until.take() {
            // Until the test says so, or is over.
            let _ = until.recv();
        }
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        let counter = match outcome {
            Ok(()) => &self.done,
            Err(Error::Unavailable(_)) => &self.refused,
            Err(error) => panic!("{error:?}"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_queue_takes_a_limited_number_of_jobs() {
    let url = Server::shared().database();
    let database = Postgres::open(settings(&url, Duration::from_secs(30))).expect("opened");
    let (done, refused) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let held = |until| Held {
        until,
        done: Arc::clone(&done),
        refused: Arc::clone(&refused),
    };
    let (release, until) = mpsc::channel();
    database.write(Box::new(held(Some(until))));
    // The writer may have taken some of them along with the first, or nothing yet.
    let others = QUEUED + 100;
    for _ in 0..others {
        database.write(Box::new(held(None)));
    }
    let count = refused.load(Ordering::Relaxed);
    assert!((40..=101).contains(&count), "{count}");
    release.send(()).expect("it waits");
    drop(database);
    let count = count + done.load(Ordering::Relaxed);
    assert_eq!(count as usize, others + 1);
}

#[tokio::test]
async fn a_text_with_a_nul_is_kept_without_it() {
    let metadata = open(&Server::shared().database());
    let record = AuditRecord {
        at: NOW,
        principal: "user/alice".into(),
        address: "127.0.0.1".into(),
        action: "ecr:PutImage".into(),
        resource: "a\0b".into(),
        outcome: "allowed".into(),
        request_id: "1".into(),
        detail: String::new(),
    };
    metadata.record_audit(vec![record]).await.expect("written");
    let query = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };
    let entries = metadata.audit(query).await.expect("read");
    assert_eq!(entries[0].record.resource, "a\u{fffd}b");
}
