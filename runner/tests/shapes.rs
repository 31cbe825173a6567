//! Event rules, HTTP APIs and Lightsail's container services.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bench::{get, request};
use crate::support::{Bench, image, until};

const LIMIT: Duration = Duration::from_secs(90);

#[test]
fn a_push_starts_what_its_rule_says() {
    let bench = Bench::new();
    let name = bench.image("team/job:1");
    image::push(&name, &[], "ENTRYPOINT []\nCMD [\"/bin/true\"]");
    let resources =
        json!({"type": "FARGATE", "maxvCpus": 2, "subnets": ["any"], "securityGroupIds": ["any"]});
    bench.aws_with(
        "batch create-compute-environment --compute-environment-name main --type MANAGED",
        &[("--compute-resources", resources)],
    );
    let queue = bench.aws("batch create-job-queue --job-queue-name main --priority 1 --compute-environment-order order=1,computeEnvironment=main");
    let container = json!({
        "image": name, "command": ["sh", "-c", "echo tag=$TAG"],
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
    });
    bench.aws_with(
        "batch register-job-definition --job-definition-name job --type container",
        &[("--container-properties", container)],
    );
    let containers = json!([{"name": "main", "image": name, "memory": 32}]);
    let task = bench.aws_with(
        "ecs register-task-definition --family task",
        &[("--container-definitions", containers)],
    );
    let cluster = bench.aws("ecs create-cluster");

    let pattern = json!({
        "source": ["aws.ecr"],
        "detail": {"action-type": ["PUSH"], "result": ["SUCCESS"], "repository-name": [{"prefix": "watched/"}]},
    });
    bench.aws_with(
        "events put-rule --name pushes",
        &[("--event-pattern", pattern)],
    );
    let targets = json!([
        {"Id": "job", "Arn": queue["jobQueueArn"], "RoleArn": "arn:aws:iam::000000000000:role/any",
         "BatchParameters": {"JobDefinition": "job", "JobName": "pushed"},
         "InputTransformer": {
             "InputPathsMap": {"tag": "$.detail.image-tag"},
             "InputTemplate": "{\"ContainerOverrides\": {\"Environment\": [{\"Name\": \"TAG\", \"Value\": \"<tag>\"}]}}"}},
        {"Id": "task", "Arn": cluster["cluster"]["clusterArn"], "RoleArn": "arn:aws:iam::000000000000:role/any",
         "EcsParameters": {"TaskDefinitionArn": task["taskDefinition"]["taskDefinitionArn"], "TaskCount": 1}},
    ]);
    let put = bench.aws_with(
        "events put-targets --rule pushes",
        &[("--targets", targets)],
    );
    assert_eq!(put["FailedEntryCount"], 0, "{put}");

    image::push(&bench.image("other/app:9"), &[], "ENV A=1");
    image::push(&bench.image("watched/app:v7"), &[], "ENV A=2");
    let job = until("a job", LIMIT, || {
        let listed = bench.aws("batch list-jobs --job-queue main --job-status SUCCEEDED");
        listed["jobSummaryList"].get(0).cloned()
    });
    assert_eq!(job["jobName"], "pushed");
    let id = job["jobId"].as_str().expect("an id");
    let log = std::fs::read_to_string(bench.path(&format!("runner/logs/job-{id}.log")));
    assert!(log.expect("its log is kept").contains("tag=v7"));
    until("a task", LIMIT, || {
        let listed = bench.aws("ecs list-tasks --desired-status STOPPED --started-by events-rule");
        (listed["taskArns"].as_array()?.len() == 1).then_some(())
    });
    let wrong = bench
        .command("events put-rule --name wrong --event-pattern")
        .arg("{\"source\": \"x\"}")
        .fails();
    assert!(wrong.contains("InvalidEventPatternException"), "{wrong}");
}

#[test]
fn a_push_invokes_the_function_of_its_rule() {
    let bench = Bench::with(&[("WHARF_RUNNER__LAMBDA__RETRY_AFTER", "50ms")]);
    let name = bench.image("team/function:1");
    image::push_function(&name, "");
    let line = format!(
        "lambda create-function --function-name told --package-type Image --code ImageUri={name} --role arn:aws:iam::000000000000:role/any"
    );
    let arn = bench.aws(&line)["FunctionArn"].clone();
    bench
        .command("lambda wait function-active-v2 --function-name told")
        .succeeds();
    let pattern = json!({"source": ["aws.ecr"], "detail": {"repository-name": ["watched/app"]}});
    bench.aws_with(
        "events put-rule --name pushes",
        &[("--event-pattern", pattern)],
    );
    // A function that fails tells of itself in the log, once for each attempt.
    let targets = json!([{"Id": "told", "Arn": arn, "Input": "{\"do\": \"fail\"}"}]);
    let put = bench.aws_with(
        "events put-targets --rule pushes",
        &[("--targets", targets)],
    );
    assert_eq!(put["FailedEntryCount"], 0, "{put}");
    image::push(&bench.image("other/app:1"), &[], "ENV A=1");
    image::push(&bench.image("watched/app:1"), &[], "ENV A=2");
    until("the invocation of the push that matches", LIMIT, || {
        let log = bench.runner_log();
        (log.matches("an invocation failed").count() == 3 && log.contains("is given up"))
            .then_some(())
    });
}

#[test]
fn an_http_api_leads_to_functions() {
    let bench = Bench::new();
    let name = bench.image("team/function:1");
    image::push_function(&name, "");
    let line = format!(
        "lambda create-function --function-name api --package-type Image --code ImageUri={name} --role arn:aws:iam::000000000000:role/any"
    );
    let arn = bench.aws(&line)["FunctionArn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    bench
        .command("lambda wait function-active-v2 --function-name api")
        .succeeds();

    let address = bench.base().trim_start_matches("http://");
    let quick = bench.aws(&format!(
        "apigatewayv2 create-api --name quick --protocol-type HTTP --target {arn}"
    ));
    let host = |api: &Value| {
        api["ApiEndpoint"]
            .as_str()
            .expect("an endpoint")
            .trim_start_matches("http://")
            .to_owned()
    };
    let (status, body) = request(address, &host(&quick), "GET", "/x?y=1", "").expect("an answer");
    let body: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(status, 200);
    assert_eq!(body["event"]["routeKey"], "$default");

    let api = bench.aws("apigatewayv2 create-api --name own --protocol-type HTTP");
    let id = api["ApiId"].as_str().expect("an id");
    let line = format!(
        "apigatewayv2 create-integration --api-id {id} --integration-type AWS_PROXY --integration-uri {arn} --payload-format-version 2.0"
    );
    let integration = bench.aws(&line)["IntegrationId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let line = format!(
        "apigatewayv2 create-route --api-id {id} --target integrations/{integration} --route-key"
    );
    bench.command(&line).arg("GET /pets/{pet}").succeeds();
    let refused = bench.command(&line).arg("/pets").fails();
    assert!(refused.contains("BadRequestException"), "{refused}");
    bench.aws(&format!(
        "apigatewayv2 create-stage --api-id {id} --stage-name test --auto-deploy"
    ));
    let (status, body) =
        request(address, &host(&api), "GET", "/test/pets/cat", "").expect("an answer");
    let body: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(status, 200);
    assert_eq!(body["event"]["pathParameters"]["pet"], "cat");
    assert_eq!(body["event"]["requestContext"]["stage"], "test");
    let (status, _) = request(address, &host(&api), "GET", "/test/birds", "").expect("an answer");
    assert_eq!(status, 404);
    bench.aws(&format!("apigatewayv2 delete-api --api-id {id}"));
}

#[test]
fn a_container_service_has_a_public_endpoint() {
    let bench = Bench::new();
    let name = bench.image("team/web:1");
    image::push_server(&name, "one");
    let created =
        bench.aws("lightsail create-container-service --service-name site --power nano --scale 2");
    assert_eq!(created["containerService"]["state"], "READY");
    let deploy = |image: &str| {
        let containers = json!({"web": {"image": image, "ports": {"8080": "HTTP"}}});
        let endpoint =
            json!({"containerName": "web", "containerPort": 8080, "healthCheck": {"path": "/"}});
        let options = [
            ("--containers", containers),
            ("--public-endpoint", endpoint),
        ];
        bench.aws_with(
            "lightsail create-container-service-deployment --service-name site",
            &options,
        );
    };
    let running = || {
        let told = bench.aws("lightsail get-container-services --service-name site");
        let service = told["containerServices"][0].clone();
        (service["state"] == "RUNNING").then_some(service)
    };
    deploy(&name);
    let service = until("a running service", LIMIT, running);
    let url = service["url"]
        .as_str()
        .expect("a URL")
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    assert_eq!(
        get(&url, "/").map(|(_, body)| body.trim().to_owned()),
        Some("one".into())
    );

    let other = bench.image("team/web:2");
    image::push_server(&other, "two");
    deploy(&other);
    until("the next deployment", LIMIT, || {
        let body = get(&url, "/").map(|(_, body)| body.trim().to_owned());
        (body? == "two").then_some(())
    });
    until("a running service", LIMIT, running);
    let told = bench.aws("lightsail get-container-service-deployments --service-name site");
    let states: Vec<&Value> = told["deployments"]
        .as_array()
        .expect("deployments")
        .iter()
        .map(|found| &found["state"])
        .collect();
    assert_eq!(states, ["ACTIVE", "INACTIVE"]);
    let powers = bench.aws("lightsail get-container-service-powers");
    assert_eq!(powers["powers"][0]["name"], "nano");
    bench.aws("lightsail delete-container-service --service-name site");
    let gone = bench
        .command("lightsail get-container-services --service-name site")
        .fails();
    assert!(gone.contains("NotFoundException"), "{gone}");
}
