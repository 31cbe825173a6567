//! Repositories, their settings, tags and policies.

use serde_json::json;

use super::Account;
use crate::api::http::Client;

#[test]
fn a_repository_is_made_described_and_deleted() {
    let account = Account::new();
    let made = account.ask([
        "create-repository",
        "--repository-name",
        "team/app",
        "--tags",
        "Key=owner,Value=team",
        "--image-scanning-configuration",
        "scanOnPush=true",
    ]);
    let repository = &made["repository"];
    let host = account.registry.host();
    assert_eq!(repository["repositoryUri"], format!("{host}/team/app"));
    let arn = "arn:aws:ecr:eu-central-1:000000000000:repository/team/app";
    assert_eq!(repository["repositoryArn"], arn);
    assert_eq!(repository["registryId"], "000000000000");
    assert_eq!(repository["imageTagMutability"], "MUTABLE");
    assert_eq!(repository["imageScanningConfiguration"]["scanOnPush"], true);
    assert_eq!(
        repository["encryptionConfiguration"]["encryptionType"],
        "AES256"
    );
    assert!(repository["createdAt"].as_f64() > Some(1.7e9));
    let again = ["create-repository", "--repository-name", "team/app"];
    assert_eq!(account.refusal(again), "RepositoryAlreadyExistsException");
    let malformed = ["create-repository", "--repository-name", "Team"];
    assert_eq!(account.refusal(malformed), "InvalidParameterException");

    account.ask(["create-repository", "--repository-name", "team/other"]);
    let all = account.ask(["describe-repositories"]);
    let names = |answer: &serde_json::Value| {
        let found = answer["repositories"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        found
            .iter()
            .map(|one| {
                one["repositoryName"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&all), ["team/app", "team/other"]);
    let named = account.ask(["describe-repositories", "--repository-names", "team/other"]);
    assert_eq!(names(&named), ["team/other"]);
    let paged = account.ask(["describe-repositories", "--page-size", "1"]);
    assert_eq!(names(&paged), ["team/app", "team/other"]);
    let unknown = ["describe-repositories", "--repository-names", "no/where"];
    assert_eq!(account.refusal(unknown), "RepositoryNotFoundException");

    let tags = || account.ask(["list-tags-for-resource", "--resource-arn", arn])["tags"].clone();
    assert_eq!(tags(), json!([{"Key": "owner", "Value": "team"}]));
    account.ask([
        "tag-resource",
        "--resource-arn",
        arn,
        "--tags",
        "Key=stage,Value=prod",
    ]);
    account.ask([
        "untag-resource",
        "--resource-arn",
        arn,
        "--tag-keys",
        "owner",
    ]);
    assert_eq!(tags(), json!([{"Key": "stage", "Value": "prod"}]));
    let reserved = [
        "tag-resource",
        "--resource-arn",
        arn,
        "--tags",
        "Key=aws:x,Value=y",
    ];
    assert_eq!(account.refusal(reserved), "InvalidTagParameterException");

    let put = account.ask([
        "put-image-scanning-configuration",
        "--repository-name",
        "team/app",
        "--image-scanning-configuration",
        "scanOnPush=false",
    ]);
    assert_eq!(put["imageScanningConfiguration"]["scanOnPush"], false);
    let delete = ["delete-repository", "--repository-name", "team/app"];
    assert_eq!(
        account.ask(delete)["repository"]["repositoryName"],
        "team/app"
    );
    assert_eq!(account.refusal(delete), "RepositoryNotFoundException");
    // The name is free again, with nothing of what was chosen before.
    account.ask(["create-repository", "--repository-name", "team/app"]);
    assert_eq!(tags(), json!([]));
}

#[test]
fn policies_of_repositories_and_of_the_registry_rule_both_doors() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    account.ask(["create-repository", "--repository-name", "team/app"]);
    let get = ["get-repository-policy", "--repository-name", "team/app"];
    assert_eq!(account.refusal(get), "RepositoryPolicyNotFoundException");
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "Everyone", "Effect": "Allow", "Principal": "*", "Action": "ecr:ListImages",
    }]})
    .to_string();
    let set = [
        "set-repository-policy",
        "--repository-name",
        "team/app",
        "--policy-text",
    ];
    assert_eq!(client.get("/v2/team/app/tags/list").status, 401);
    let answer = account.ask(set.into_iter().chain([policy.as_str()]));
    assert_eq!(answer["policyText"], policy);
    assert_eq!(client.get("/v2/team/app/tags/list").status, 200);
    assert_eq!(account.ask(get)["policyText"], policy);
    let wrong = set.into_iter().chain([r#"{"Statement": 1}"#]);
    assert_eq!(account.refusal(wrong), "InvalidParameterException");
    account.ask(["delete-repository-policy", "--repository-name", "team/app"]);
    assert_eq!(client.get("/v2/team/app/tags/list").status, 401);

    assert_eq!(
        account.refusal(["get-registry-policy"]),
        "RegistryPolicyNotFoundException"
    );
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "ecr:ListImages", "Resource": "*",
    }]})
    .to_string();
    account.ask(["put-registry-policy", "--policy-text", &policy]);
    assert_eq!(client.get("/v2/team/app/tags/list").status, 200);
    assert_eq!(account.ask(["get-registry-policy"])["policyText"], policy);
    assert_eq!(
        account.ask(["delete-registry-policy"])["policyText"],
        policy
    );
    assert_eq!(client.get("/v2/team/app/tags/list").status, 401);
}

#[test]
fn templates_make_repositories_as_they_are_pushed_to() {
    let account = Account::new();
    let lifecycle = json!({"rules": [{"rulePriority": 1, "description": "keep few", "selection": {
        "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5,
    }, "action": {"type": "expire"}}]})
    .to_string();
    let create = [
        "create-repository-creation-template",
        "--prefix",
        "team",
        "--applied-for",
        "CREATE_ON_PUSH",
        "--image-tag-mutability",
        "IMMUTABLE",
        "--resource-tags",
        "Key=made,Value=by-push",
        "--lifecycle-policy",
        &lifecycle,
    ];
    let made = account.ask(create);
    assert_eq!(made["repositoryCreationTemplate"]["prefix"], "team");
    let encryption = &made["repositoryCreationTemplate"]["encryptionConfiguration"];
    assert_eq!(encryption["encryptionType"], "AES256");
    assert_eq!(account.refusal(create), "TemplateAlreadyExistsException");
    let root = [
        "create-repository-creation-template",
        "--prefix",
        "ROOT",
        "--applied-for",
        "CREATE_ON_PUSH",
    ];
    account.ask(root.into_iter().chain(["--description", "the rest"]));
    let update = [
        "update-repository-creation-template",
        "--prefix",
        "ROOT",
        "--description",
    ];
    let updated = account.ask(update.into_iter().chain(["all the rest"]));
    assert_eq!(
        updated["repositoryCreationTemplate"]["description"],
        "all the rest"
    );
    assert_eq!(
        updated["repositoryCreationTemplate"]["appliedFor"],
        json!(["CREATE_ON_PUSH"])
    );
    // What a template with exclusions says of tags can be said anew, without its filters.
    let filters = r#"[{"filterType": "WILDCARD", "filter": "latest*"}]"#;
    let mutability = [
        "update-repository-creation-template",
        "--prefix",
        "ROOT",
        "--image-tag-mutability",
    ];
    let excluded = account.ask(mutability.into_iter().chain([
        "IMMUTABLE_WITH_EXCLUSION",
        "--image-tag-mutability-exclusion-filters",
        filters,
    ]));
    let kept = account.ask(update.into_iter().chain(["all the rest"]));
    for answer in [excluded, kept] {
        let template = &answer["repositoryCreationTemplate"];
        assert_eq!(
            template["imageTagMutabilityExclusionFilters"][0]["filter"],
            "latest*"
        );
    }
    let mutable = account.ask(mutability.into_iter().chain(["MUTABLE"]));
    let template = &mutable["repositoryCreationTemplate"];
    assert_eq!(template["imageTagMutability"], "MUTABLE");
    assert_eq!(template["imageTagMutabilityExclusionFilters"], json!(null));
    let all = account.ask(["describe-repository-creation-templates"]);
    assert_eq!(
        all["repositoryCreationTemplates"].as_array().map(Vec::len),
        Some(2)
    );

    let admin = crate::access::user(&account.registry, "pusher", "push", "*");
    let client = Client::new(account.registry.base());
    for name in ["team/app", "teammate/app"] {
        crate::access::push_image(&client, &admin, name);
    }
    let described = account.ask([
        "describe-repositories",
        "--repository-names",
        "team/app",
        "teammate/app",
    ]);
    let mutability = |place: usize| described["repositories"][place]["imageTagMutability"].clone();
    assert_eq!(
        (mutability(0), mutability(1)),
        (json!("IMMUTABLE"), json!("MUTABLE"))
    );
    let policy = account.ask(["get-lifecycle-policy", "--repository-name", "team/app"]);
    assert_eq!(policy["lifecyclePolicyText"], lifecycle);
    let arn = described["repositories"][0]["repositoryArn"]
        .as_str()
        .expect("an arn");
    let tags = account.ask(["list-tags-for-resource", "--resource-arn", arn]);
    assert_eq!(tags["tags"], json!([{"Key": "made", "Value": "by-push"}]));
    let delete = ["delete-repository-creation-template", "--prefix", "team"];
    account.ask(delete);
    assert_eq!(account.refusal(delete), "TemplateNotFoundException");
}

#[test]
fn new_repositories_have_the_default_lifecycle_policy() {
    let policy = json!({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged",
        "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14},
        "action": {"type": "expire"}}]})
    .to_string();
    let account = Account::with(&[("WHARF__LIFECYCLE__DEFAULT_POLICY", &policy)]);
    account.ask(["create-repository", "--repository-name", "team/app"]);
    let found = account.ask(["get-lifecycle-policy", "--repository-name", "team/app"]);
    assert_eq!(found["lifecyclePolicyText"], policy);
}
