//! Services behind a balancer, pushes, rollback, tasks, restarts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bench::get;
use crate::support::docker::docker;
use crate::support::{Bench, image, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Registers a definition of one container that serves on port 8080.
fn register(bench: &Bench, image: &str) {
    let containers = json!([{
        "name": "web", "image": image, "memory": 64, "essential": true,
        "portMappings": [{"containerPort": 8080}], "stopTimeout": 2,
    }]);
    let options = [("--container-definitions", containers)];
    bench.aws_with("ecs register-task-definition --family web --cpu 256 --memory 512 --requires-compatibilities FARGATE --network-mode awsvpc", &options);
}

/// Makes a service of them, waits until it is stable, and gives its endpoint.
fn serve(bench: &Bench, count: usize) -> String {
    let balancer =
        json!([{"targetGroupArn": "web", "containerName": "web", "containerPort": 8080}]);
    let tags = json!([
        {"key": "wharf:redeploy-on-push", "value": "true"},
        {"key": "wharf:health-path", "value": "/"},
    ]);
    let deployment = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    let line = format!(
        "ecs create-service --service-name web --task-definition web --desired-count {count} --launch-type FARGATE"
    );
    let options = [
        ("--load-balancers", balancer),
        ("--tags", tags),
        ("--deployment-configuration", deployment),
    ];
    bench.aws_with(&line, &options);
    bench
        .command("ecs wait services-stable --services web")
        .succeeds();
    let service = described(bench);
    let tags = service["tags"].as_array().expect("there are tags");
    let endpoint = tags.iter().find(|tag| tag["key"] == "wharf:endpoint");
    let endpoint = endpoint
        .and_then(|tag| tag["value"].as_str())
        .expect("it has an endpoint");
    endpoint.trim_start_matches("http://").to_owned()
}

fn described(bench: &Bench) -> Value {
    bench.aws("ecs describe-services --services web --include TAGS")["services"][0].clone()
}

fn serves(endpoint: &str, version: &str) -> Option<()> {
    let (status, body) = get(endpoint, "/")?;
    (status == 200 && body.trim() == version).then_some(())
}

#[test]
fn a_push_is_served_without_a_failed_request() {
    let bench = Bench::new();
    let name = bench.image("team/web:1");
    image::push_server(&name, "v0");
    register(&bench, &name);
    let endpoint = serve(&bench, 1);
    assert_eq!(serves(&endpoint, "v0"), Some(()));

    let (is_over, asked, failed) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let answer = get(&endpoint, "/");
                    if answer.is_none_or(|(status, _)| status != 200) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        for version in 1..=20 {
            let version = format!("v{version}");
            image::build(
                &name,
                &[("serve", image::SERVER)],
                &format!("ENV VERSION={version}\nCMD [\"/serve\"]"),
            );
            let begun = Instant::now();
            docker().command(["push", "-q", &name]).succeeds();
            let pushed = begun.elapsed();
            until(&version, LIMIT, || serves(&endpoint, &version));
            times.push((begun.elapsed(), begun.elapsed() - pushed));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    bench
        .command("ecs wait services-stable --services web")
        .succeeds();
    let (asked, failed) = (asked.into_inner(), failed.into_inner());
    let quantiles = |mut times: Vec<Duration>| {
        times.sort();
        format!(
            "p50 {} ms, p95 {} ms",
            times[9].as_millis(),
            times[18].as_millis()
        )
    };
    let (whole, after): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    println!(
        "push to serving: {}; behind the push's end: {}; {asked} requests, {failed} failed",
        quantiles(whole),
        quantiles(after)
    );
    assert_eq!(failed, 0, "of {asked}");
    assert!(asked > 100);
}

#[test]
fn a_bad_image_rolls_back_and_nobody_notices() {
    let bench = Bench::with(&[("WHARF_RUNNER__ECS__HEALTH_GRACE", "2s")]);
    let name = bench.image("team/web:1");
    image::push_server(&name, "good");
    register(&bench, &name);
    let endpoint = serve(&bench, 2);
    image::push(&name, &[], "CMD [\"/bin/false\"]");
    until("a rollback", LIMIT, || {
        assert_eq!(serves(&endpoint, "good"), Some(()));
        let service = described(&bench);
        let events = service["events"].to_string();
        (events.contains("rolling back") && service["deployments"].as_array()?.len() == 1)
            .then_some(())
    });
    let service = described(&bench);
    assert_eq!(service["runningCount"], 2);
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    // The next good push is taken.
    image::push_server(&name, "better");
    until("the next version", LIMIT, || serves(&endpoint, "better"));
}

#[test]
fn a_burst_of_pushes_is_one_deployment() {
    let bench = Bench::with(&[("WHARF_RUNNER__REGISTRY__DEBOUNCE", "2s")]);
    let name = bench.image("team/web:1");
    image::push_server(&name, "v0");
    register(&bench, &name);
    let endpoint = serve(&bench, 1);
    for version in 1..=5 {
        image::push_server(&name, &format!("v{version}"));
    }
    until("the last version", LIMIT, || serves(&endpoint, "v5"));
    let events = described(&bench)["events"].to_string();
    assert_eq!(
        events.matches("a push made a deployment").count(),
        1,
        "{events}"
    );
}

#[test]
fn no_push_is_missed_while_either_side_is_down() {
    let mut bench = Bench::new();
    let name = bench.image("team/web:1");
    image::push_server(&name, "v0");
    register(&bench, &name);
    let endpoint = serve(&bench, 1);
    let before = docker()
        .command(["ps", "-q", "--filter", &bench.label()])
        .succeeds();

    bench.kill_runner();
    bench.start_runner();
    until("the same task", LIMIT, || serves(&endpoint, "v0"));
    let after = docker()
        .command(["ps", "-q", "--filter", &bench.label()])
        .succeeds();
    assert_eq!(before, after, "containers are adopted");

    bench.kill_runner();
    image::push_server(&name, "v1");
    bench.start_runner();
    until("what was pushed meanwhile", LIMIT, || {
        serves(&endpoint, "v1")
    });

    bench.kill_registry();
    bench.start_registry();
    image::push_server(&name, "v2");
    until("what was pushed after the registry's crash", LIMIT, || {
        serves(&endpoint, "v2")
    });

    bench.stop_runner();
    bench.start_runner();
    until("the last version still", LIMIT, || serves(&endpoint, "v2"));
}

#[test]
fn a_running_digest_is_leased_and_given_back() {
    let bench = Bench::new();
    let name = bench.image("team/web:1");
    image::push_server(&name, "v0");
    register(&bench, &name);
    serve(&bench, 1);
    let arn = bench.aws("ecs list-tasks --service-name web")["taskArns"][0].clone();
    let line = format!(
        "ecs describe-tasks --tasks {}",
        arn.as_str().expect("a task")
    );
    let digest = bench.aws(&line)["tasks"][0]["containers"][0]["imageDigest"].clone();
    let path = format!("/leases/{}", digest.as_str().expect("a digest"));
    let leases = || {
        bench.registry_json(&path)["leases"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(leases(), Some(1));
    bench.aws("ecs delete-service --service web --force");
    bench
        .command("ecs wait services-inactive --services web")
        .succeeds();
    until("no lease", LIMIT, || (leases() == Some(0)).then_some(()));
}

#[test]
fn a_task_runs_to_its_end_with_its_exit_code() {
    let bench = Bench::new();
    let name = bench.image("team/task:1");
    image::push(
        &name,
        &[],
        "CMD [\"/bin/sh\", \"-c\", \"echo $WORD; exit 7\"]",
    );
    let containers = json!([{"name": "main", "image": name, "memory": 32}]);
    bench.aws_with(
        "ecs register-task-definition --family once",
        &[("--container-definitions", containers)],
    );
    let overrides = json!({"containerOverrides": [{"name": "main", "environment": [{"name": "WORD", "value": "hello"}]}]});
    let (id, task) = bench.run_task("once", &[("--overrides", overrides)]);
    assert_eq!(task["containers"][0]["exitCode"], 7);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    let log = std::fs::read_to_string(bench.path(&format!("runner/logs/task-{id}-main.log")));
    assert!(log.expect("its log is kept").contains("hello"));
}

#[test]
fn no_exit_code_is_lost_while_the_runner_is_killed() {
    let mut bench = Bench::new();
    let name = bench.image("team/task:1");
    image::push(&name, &[], "CMD [\"/bin/sh\", \"-c\", \"sleep 1; exit 7\"]");
    let containers = json!([{"name": "main", "image": name, "memory": 32}]);
    let options = [("--container-definitions", containers)];
    bench.aws_with("ecs register-task-definition --family once", &options);
    let mut arns = Vec::new();
    for _ in 0..3 {
        let run = bench.aws("ecs run-task --task-definition once --count 10");
        let tasks = run["tasks"].as_array().expect("tasks");
        arns.extend(tasks.iter().map(|task| task["taskArn"].clone()));
    }
    let line = format!("ecs describe-tasks --tasks {}", words(&arns));
    until("the end of all", LIMIT * 2, || {
        bench.kill_runner();
        bench.start_runner();
        let tasks = bench.aws(&line)["tasks"].clone();
        let mut tasks = tasks.as_array()?.iter();
        tasks
            .all(|task| task["lastStatus"] == "STOPPED")
            .then_some(())
    });
    let tasks = bench.aws(&line)["tasks"].clone();
    let tasks = tasks.as_array().expect("tasks");
    assert_eq!(tasks.len(), arns.len());
    for task in tasks {
        assert_eq!(task["containers"][0]["exitCode"], 7, "{task}");
    }
}

fn words(arns: &[Value]) -> String {
    let arns = arns.iter().filter_map(Value::as_str);
    arns.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_task_runs_until_somebody_stops_it() {
    let bench = Bench::new();
    let name = bench.image("team/task:1");
    image::push(&name, &[], "CMD [\"/bin/sleep\", \"600\"]");
    let containers = json!([{"name": "main", "image": name, "memory": 32, "stopTimeout": 2}]);
    let options = [("--container-definitions", containers)];
    bench.aws_with("ecs register-task-definition --family long", &options);
    let run = bench.aws("ecs run-task --task-definition long");
    let arn = run["tasks"][0]["taskArn"]
        .as_str()
        .expect("a task")
        .to_owned();
    bench
        .command(&format!("ecs wait tasks-running --tasks {arn}"))
        .succeeds();
    bench.aws(&format!("ecs stop-task --task {arn} --reason enough"));
    bench
        .command(&format!("ecs wait tasks-stopped --tasks {arn}"))
        .succeeds();
    let task = bench.aws(&format!("ecs describe-tasks --tasks {arn}"))["tasks"][0].clone();
    assert_eq!(
        (&task["stopCode"], &task["stoppedReason"]),
        (&json!("UserInitiated"), &json!("enough"))
    );
}

#[test]
fn only_sizes_that_fargate_has_and_the_host_has_room_for_are_run() {
    let bench = Bench::new();
    let containers = json!([{"name": "main", "image": bench.image("team/any:1")}]);
    let register = |family: &str, cpu: u64, memory: u64| {
        let line = format!(
            "ecs register-task-definition --family {family} --cpu {cpu} --memory {memory} --requires-compatibilities FARGATE --network-mode awsvpc --container-definitions"
        );
        bench.command(&line).arg(containers.to_string())
    };
    let said = register("odd", 256, 4096).fails();
    assert!(said.contains("No Fargate configuration exists"), "{said}");
    register("huge", 16384, 32768).succeeds();
    let run = bench.aws("ecs run-task --task-definition huge --launch-type FARGATE");
    assert_eq!(run["failures"][0]["reason"], "RESOURCE:CPU");
}

#[test]
fn a_hostile_image_stays_inside_its_limits() {
    let bench = Bench::new();
    let name = bench.image("team/hostile:1");
    // What an image says of itself: volumes, labels, a check; and what it tries.
    let script = "#!/bin/sh
sleep 5
grep -q 'CapEff:.*0000000000000000' /proc/self/status && echo no-capabilities
grep -q 'NoNewPrivs:.*1' /proc/self/status && echo no-new-privileges
mount -t tmpfs none /tmp 2>/dev/null || echo no-mount
chroot / true 2>/dev/null || echo no-chroot
[ -e /var/run/docker.sock ] || echo no-socket
(i=0; while [ $i -lt 400 ]; do sleep 60 & i=$((i+1)); done) 2>/dev/null; echo bomb-ended-with-$?
";
    let lines = "LABEL wharf-runner.holder=other privileged=true\nVOLUME /etc\nHEALTHCHECK CMD touch /checked\nCMD [\"/try\"]";
    image::push(&name, &[("try", script)], lines);
    let containers = json!([
        {"name": "main", "image": name, "memory": 128},
        {"name": "hog", "image": name, "memory": 32, "essential": false, "command": ["tail", "/dev/zero"]},
    ]);
    bench.aws_with(
        "ecs register-task-definition --family hostile",
        &[("--container-definitions", containers)],
    );
    let (id, task) = bench.run_task("hostile", &[]);
    let log = std::fs::read_to_string(bench.path(&format!("runner/logs/task-{id}-main.log")));
    let log = log.expect("its log is kept");
    for word in [
        "no-capabilities",
        "no-new-privileges",
        "no-mount",
        "no-chroot",
        "no-socket",
        "bomb-ended-with-2",
    ] {
        assert!(log.contains(word), "{word}: {log}");
    }
    let hog = &task["containers"][1];
    assert_eq!(hog["exitCode"], 137, "{hog}");
    let reason = hog["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("OutOfMemoryError"), "{hog}");

    // What would reach the host is refused when it is registered.
    for (member, value) in [
        ("privileged", json!(true)),
        (
            "mountPoints",
            json!([{"sourceVolume": "a", "containerPath": "/a"}]),
        ),
    ] {
        let mut container = json!({"name": "main", "image": name, "memory": 32});
        container[member] = value;
        let said = bench
            .command("ecs register-task-definition --family bad --container-definitions")
            .arg(json!([container]).to_string())
            .fails();
        assert!(said.contains("refused"), "{said}");
    }
}
