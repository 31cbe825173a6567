//! Jobs: arrays, dependencies, retries, timeouts, cancelled and terminated ones, crashes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::docker::docker;
use crate::support::{Bench, image, until};

const LIMIT: Duration = Duration::from_secs(120);
/// How often the runner is killed while a thousand jobs run.
const KILLS: u64 = 12;

/// A queue `main` that uses so many vCPUs, and the definition `job` of a shell.
fn prepare(bench: &Bench, vcpus: u64) {
    let name = bench.image("team/job:1");
    image::push(&name, &[], "ENTRYPOINT []");
    let resources = json!({"type": "FARGATE", "maxvCpus": vcpus, "subnets": ["any"], "securityGroupIds": ["any"]});
    bench.aws_with(
        "batch create-compute-environment --compute-environment-name main --type MANAGED",
        &[("--compute-resources", resources)],
    );
    bench.aws("batch create-job-queue --job-queue-name main --priority 1 --compute-environment-order order=1,computeEnvironment=main");
    let container = json!({
        "image": name, "command": ["sh", "-c", "exit 0"],
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
    });
    bench.aws_with(
        "batch register-job-definition --job-definition-name job --type container",
        &[("--container-properties", container)],
    );
}

/// Submits a job that runs a script, and gives its id.
fn submit(bench: &Bench, name: &str, script: &str, more: &str) -> String {
    let overrides = json!({"command": ["sh", "-c", script]});
    let line =
        format!("batch submit-job --job-queue main --job-definition job --job-name {name} {more}");
    let told = bench.aws_with(&line, &[("--container-overrides", overrides)]);
    told["jobId"].as_str().expect("an id").to_owned()
}

fn described(bench: &Bench, id: &str) -> Value {
    bench.aws(&format!("batch describe-jobs --jobs {id}"))["jobs"][0].clone()
}

/// Waits until a job is over, and gives it.
fn over(bench: &Bench, id: &str) -> Value {
    until("the end of a job", LIMIT, || {
        let job = described(bench, id);
        ["SUCCEEDED", "FAILED"]
            .contains(&job["status"].as_str()?)
            .then_some(job)
    })
}

#[test]
fn jobs_end_with_their_exit_codes_after_what_they_depend_on() {
    let bench = Bench::new();
    prepare(&bench, 2);
    let first = submit(&bench, "first", "sleep 12; echo first", "");
    let second = submit(
        &bench,
        "second",
        "exit 5",
        &format!("--depends-on jobId={first}"),
    );
    let third = submit(
        &bench,
        "third",
        "true",
        &format!("--depends-on jobId={second}"),
    );
    assert_eq!(described(&bench, &second)["status"], "PENDING");
    let second = over(&bench, &second);
    assert_eq!(second["status"], "FAILED");
    assert_eq!(second["container"]["exitCode"], 5);
    let first = described(&bench, &first);
    assert_eq!(first["status"], "SUCCEEDED");
    assert!(
        first["stoppedAt"].as_i64() <= second["startedAt"].as_i64(),
        "{first} {second}"
    );
    let third = over(&bench, &third);
    assert_eq!(third["statusReason"], "Dependent Job failed");
}

#[test]
fn an_array_runs_every_index_in_order_where_that_is_wanted() {
    let bench = Bench::new();
    prepare(&bench, 4);
    let script = "[ $AWS_BATCH_JOB_ARRAY_INDEX != 3 ]";
    let array = submit(&bench, "array", script, "--array-properties size=5");
    let job = over(&bench, &array);
    assert_eq!(job["status"], "FAILED");
    assert_eq!(job["arrayProperties"]["statusSummary"]["SUCCEEDED"], 4);
    assert_eq!(
        described(&bench, &format!("{array}:3"))["container"]["exitCode"],
        1
    );
    let chain = submit(
        &bench,
        "chain",
        "true",
        "--array-properties size=3 --depends-on type=SEQUENTIAL",
    );
    assert_eq!(over(&bench, &chain)["status"], "SUCCEEDED");
    let time =
        |index: u32, name: &str| described(&bench, &format!("{chain}:{index}"))[name].as_i64();
    assert!(
        time(0, "stoppedAt") <= time(1, "startedAt")
            && time(1, "stoppedAt") <= time(2, "startedAt")
    );
    let listed = bench.aws(&format!(
        "batch list-jobs --array-job-id {chain} --job-status SUCCEEDED"
    ));
    assert_eq!(listed["jobSummaryList"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_job_is_tried_again_and_ends_when_its_time_is_over() {
    let bench = Bench::new();
    prepare(&bench, 4);
    let script = "[ $AWS_BATCH_JOB_ATTEMPT = 3 ]";
    let retried = over(
        &bench,
        &submit(&bench, "retried", script, "--retry-strategy attempts=3"),
    );
    assert_eq!(retried["status"], "SUCCEEDED");
    assert_eq!(retried["attempts"].as_array().map(Vec::len), Some(3));

    let slow = submit(
        &bench,
        "slow",
        "exec sleep 600",
        "--timeout attemptDurationSeconds=60",
    );
    let ended = submit(&bench, "ended", "trap 'exit 9' TERM; sleep 600 & wait", "");
    until("a running job", LIMIT, || {
        (described(&bench, &ended)["status"] == "RUNNING").then_some(())
    });
    bench.aws(&format!(
        "batch terminate-job --job-id {ended} --reason enough"
    ));
    let ended = over(&bench, &ended);
    assert_eq!(
        (&ended["statusReason"], &ended["isTerminated"]),
        (&json!("enough"), &json!(true))
    );
    bench.aws(&format!(
        "batch terminate-job --job-id {slow} --reason enough"
    ));
    assert_eq!(over(&bench, &slow)["status"], "FAILED");

    // What didn't begin is cancelled without a container.
    bench.aws("batch update-job-queue --job-queue main --compute-environment-order order=1,computeEnvironment=main --priority 2");
    let first = submit(&bench, "first", "sleep 600", "");
    let waiting = submit(
        &bench,
        "waiting",
        "true",
        &format!("--depends-on jobId={first}"),
    );
    bench.aws(&format!(
        "batch cancel-job --job-id {waiting} --reason changed"
    ));
    let waiting = described(&bench, &waiting);
    assert_eq!(
        (&waiting["status"], &waiting["statusReason"]),
        (&json!("FAILED"), &json!("changed"))
    );
    bench.aws(&format!(
        "batch terminate-job --job-id {first} --reason over"
    ));
    over(&bench, &first);
}

#[test]
fn an_interruption_is_tried_again() {
    let bench = Bench::new();
    prepare(&bench, 2);
    let id = submit(
        &bench,
        "spot",
        "[ $AWS_BATCH_JOB_ATTEMPT = 2 ] || exec sleep 600",
        "--retry-strategy attempts=2",
    );
    until("a running job", LIMIT, || {
        (described(&bench, &id)["status"] == "RUNNING").then_some(())
    });
    let container = docker()
        .command(["ps", "-q", "--filter", &bench.label()])
        .succeeds();
    docker().command(["rm", "-f", &container]).succeeds();
    let job = over(&bench, &id);
    assert_eq!(job["status"], "SUCCEEDED");
    let reason = job["attempts"][0]["statusReason"]
        .as_str()
        .expect("a reason");
    assert!(reason.starts_with("Host EC2"), "{reason}");
}

#[test]
fn the_queue_with_the_higher_priority_goes_first() {
    let bench = Bench::new();
    prepare(&bench, 0);
    bench.aws("batch create-job-queue --job-queue-name urgent --priority 10 --compute-environment-order order=1,computeEnvironment=main");
    let whole = json!({"resourceRequirements": [{"type": "VCPU", "value": "1"}]});
    let ids = ["main", "main", "urgent"].map(|queue| {
        let line =
            format!("batch submit-job --job-queue {queue} --job-definition job --job-name one");
        let told = bench.aws_with(&line, &[("--container-overrides", whole.clone())]);
        told["jobId"].as_str().expect("an id").to_owned()
    });
    // Room for one at a time.
    bench.aws("batch update-compute-environment --compute-environment main --compute-resources maxvCpus=1");
    let started = ids.map(|id| {
        let job = over(&bench, &id);
        assert_eq!(job["status"], "SUCCEEDED", "{job}");
        job["startedAt"].as_i64().expect("a time")
    });
    assert!(
        started[2] < started[0] && started[0] < started[1],
        "{started:?}"
    );
}

/// Submits jobs on one connection, and gives the ids that were acknowledged.
fn submit_many(address: &str, number: usize) -> Vec<String> {
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_nodelay(true).expect("it is set");
    let body = json!({"jobName": "many", "jobQueue": "main", "jobDefinition": "job"}).to_string();
    let text = format!(
        "POST /v1/submitjob HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut chunk = [0; 4096];
    let ids = (0..number).map(|_| {
        socket.write_all(text.as_bytes()).expect("it is sent");
        let length = socket.read(&mut chunk).expect("an answer");
        let answer = String::from_utf8_lossy(&chunk[..length]).into_owned();
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let body: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        body["jobId"].as_str().expect("an id").to_owned()
    });
    ids.collect()
}

#[test]
fn ten_thousand_jobs_are_accepted_and_none_is_lost() {
    let mut bench = Bench::new();
    prepare(&bench, 0);
    let address = bench.base().trim_start_matches("http://").to_owned();
    let begun = Instant::now();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| submit_many(&address, 500)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("all are accepted"))
            .collect()
    });
    let took = begun.elapsed();
    println!("10,000 jobs accepted in {took:?}");
    bench.kill_runner();
    bench.start_runner();
    let mut found = std::collections::HashSet::new();
    let listed = bench.aws("batch list-jobs --job-queue main --job-status RUNNABLE");
    for job in listed["jobSummaryList"].as_array().expect("a list") {
        found.insert(job["jobId"].as_str().expect("an id").to_owned());
    }
    let lost = ids.iter().filter(|id| !found.contains(*id)).count();
    assert_eq!((ids.len(), lost), (10_000, 0));
}

#[test]
fn a_thousand_jobs_end_with_the_right_exit_codes() {
    let mut bench = Bench::new();
    prepare(&bench, 1);
    let number = match std::env::var("WHARF_TEST_JOBS") {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => 1000_u64,
    };
    let script = "exit $((AWS_BATCH_JOB_ARRAY_INDEX % 7))";
    let begun = Instant::now();
    let array = submit(
        &bench,
        "thousand",
        script,
        &format!("--array-properties size={number}"),
    );
    // Crashes in the middle lose no end and begin nothing anew.
    for kill in 0..KILLS {
        until("some jobs", LIMIT, || {
            let summary = described(&bench, &array)["arrayProperties"]["statusSummary"].clone();
            let ended = summary["SUCCEEDED"].as_u64()? + summary["FAILED"].as_u64()?;
            (ended > 5 + kill * number / (KILLS + 1)).then_some(())
        });
        bench.kill_runner();
        bench.start_runner();
    }
    until("the end of the array", Duration::from_secs(900), || {
        std::thread::sleep(Duration::from_millis(500));
        let job = described(&bench, &array);
        (job["status"] == "FAILED").then_some(())
    });
    println!("{number} jobs in {:?}", begun.elapsed());
    let mut seen = 0;
    for status in ["SUCCEEDED", "FAILED"] {
        let listed = bench.aws(&format!(
            "batch list-jobs --array-job-id {array} --job-status {status}"
        ));
        for job in listed["jobSummaryList"].as_array().expect("a list") {
            let index = job["arrayProperties"]["index"].as_u64().expect("an index");
            assert_eq!(
                job["container"]["exitCode"].as_u64(),
                Some(index % 7),
                "{job}"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, number);
}
