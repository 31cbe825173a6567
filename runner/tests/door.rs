//! Who is let in.

use serde_json::json;

use crate::support::docker::docker;
use crate::support::{Bench, Command, image};

#[test]
fn only_the_key_opens_the_door() {
    let key = [
        ("WHARF_RUNNER__AWS__ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("WHARF_RUNNER__AWS__SECRET_ACCESS_KEY", "secret"),
    ];
    let bench = Bench::with(&key);
    bench.aws("ecs create-cluster --cluster-name main");
    let listed = bench.aws("ecs list-clusters");
    assert_eq!(
        listed["clusterArns"][0],
        "arn:aws:ecs:us-east-1:000000000000:cluster/main"
    );

    let other = bench
        .command("ecs list-clusters")
        .env("AWS_SECRET_ACCESS_KEY", "other");
    assert!(other.fails().contains("InvalidSignatureException"));
    let unknown = bench
        .command("ecs list-clusters")
        .env("AWS_ACCESS_KEY_ID", "AKIDOTHER");
    assert!(unknown.fails().contains("UnrecognizedClientException"));
    let unsigned = bench.command("ecs list-clusters --no-sign-request");
    assert!(unsigned.fails().contains("MissingAuthenticationToken"));
}

#[test]
fn what_is_not_here_is_said_so() {
    let bench = Bench::new();
    let said = bench.command("ecs describe-capacity-providers").fails();
    assert!(said.contains("UnknownOperationException"), "{said}");
    let missing = bench.aws("ecs describe-clusters --clusters none");
    assert_eq!(missing["failures"][0]["reason"], "MISSING");
}

#[test]
fn an_image_is_pulled_with_a_password_that_lies_on_no_disk() {
    let bench = Bench::private();
    let name = bench.image("team/task:1");
    image::push(&name, &[], "CMD [\"/bin/true\"]");
    // So that the engine has to pull it.
    docker().command(["rmi", "-f", &name]).succeeds();
    let containers = json!([{"name": "main", "image": name, "memory": 32}]);
    let options = [("--container-definitions", containers)];
    bench.aws_with("ecs register-task-definition --family once", &options);
    let (_, task) = bench.run_task("once", &[]);
    assert_eq!(task["containers"][0]["exitCode"], 0, "{task}");
    let kept = Command::tool("grep", ["-rlE", "wharf_|WKIA"]).arg(bench.path("runner"));
    assert_eq!(kept.run().1, "", "nothing of a credential");
}
