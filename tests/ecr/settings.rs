//! What is kept and returned as it came, and what says honestly that it is not done.

use serde_json::json;

use super::Account;
use crate::access;
use crate::api::http::Client;

#[test]
fn settings_are_kept_and_returned() {
    let account = Account::new();
    let registry = account.ask(["describe-registry"]);
    assert_eq!(registry["replicationConfiguration"]["rules"], json!([]));
    let rules = json!({"rules": [{"destinations": [{"region": "eu-west-1", "registryId": "000000000000"}]}]});
    account.ask([
        "put-replication-configuration",
        "--replication-configuration",
        &rules.to_string(),
    ]);
    assert_eq!(
        account.ask(["describe-registry"])["replicationConfiguration"],
        rules
    );

    let get = ["get-account-setting", "--name", "BLOB_MOUNTING"];
    assert_eq!(account.ask(get)["value"], "ENABLED");
    account.ask([
        "put-account-setting",
        "--name",
        "BLOB_MOUNTING",
        "--value",
        "DISABLED",
    ]);
    assert_eq!(account.ask(get)["value"], "DISABLED");
    let unknown = ["get-account-setting", "--name", "NOTHING"];
    assert_eq!(account.refusal(unknown), "InvalidParameterException");

    let scanning = json!([{"scanFrequency": "SCAN_ON_PUSH",
        "repositoryFilters": [{"filter": "team/*", "filterType": "WILDCARD"}]}]);
    let put = [
        "put-registry-scanning-configuration",
        "--scan-type",
        "BASIC",
        "--rules",
    ];
    account.ask(put.into_iter().chain([scanning.to_string().as_str()]));
    let found = account.ask(["get-registry-scanning-configuration"]);
    assert_eq!(found["scanningConfiguration"]["rules"], scanning);

    assert_eq!(
        account.refusal(["get-signing-configuration"]),
        "SigningConfigurationNotFoundException"
    );
    let profile = "arn:aws:signer:eu-central-1:000000000000:/signing-profiles/mine";
    let signing = json!({"rules": [{"signingProfileArn": profile,
        "repositoryFilters": [{"filter": "team/*", "filterType": "WILDCARD_MATCH"}]}]});
    account.ask([
        "put-signing-configuration",
        "--signing-configuration",
        &signing.to_string(),
    ]);
    assert_eq!(
        account.ask(["get-signing-configuration"])["signingConfiguration"],
        signing
    );
    account.ask(["delete-signing-configuration"]);
    assert_eq!(
        account.refusal(["delete-signing-configuration"]),
        "SigningConfigurationNotFoundException"
    );

    let create = [
        "create-pull-through-cache-rule",
        "--ecr-repository-prefix",
        "hub",
        "--upstream-registry-url",
        "registry-1.docker.io",
    ];
    assert_eq!(account.ask(create)["ecrRepositoryPrefix"], "hub");
    assert_eq!(
        account.refusal(create),
        "PullThroughCacheRuleAlreadyExistsException"
    );
    let prefix = ["--ecr-repository-prefix", "hub"];
    let arn =
        "arn:aws:secretsmanager:eu-central-1:000000000000:secret:ecr-pullthroughcache/hub-AbCdEf";
    let update = ["update-pull-through-cache-rule"]
        .into_iter()
        .chain(prefix)
        .chain(["--credential-arn", arn]);
    assert_eq!(account.ask(update)["credentialArn"], arn);
    let rules = account.ask(["describe-pull-through-cache-rules"]);
    assert_eq!(rules["pullThroughCacheRules"][0]["credentialArn"], arn);
    let valid = account.ask(
        ["validate-pull-through-cache-rule"]
            .into_iter()
            .chain(prefix),
    );
    assert_eq!(valid["isValid"], false, "nothing is pulled through yet");
    let delete = ["delete-pull-through-cache-rule"].into_iter().chain(prefix);
    account.ask(delete.clone());
    assert_eq!(
        account.refusal(delete),
        "PullThroughCacheRuleNotFoundException"
    );
}

#[test]
fn what_is_not_done_is_not_made_up() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "push", "*");
    access::push_image(&client, &alice, "team/app");
    let image = ["--repository-name", "team/app", "--image-id", "imageTag=v1"];
    let refusal = |word: &'static str| account.refusal([word].into_iter().chain(image));
    assert_eq!(refusal("start-image-scan"), "UnsupportedImageTypeException");
    assert_eq!(
        refusal("describe-image-scan-findings"),
        "ScanNotFoundException"
    );
    let scanning = account.ask([
        "batch-get-repository-scanning-configuration",
        "--repository-names",
        "team/app",
        "no/where",
    ]);
    assert_eq!(scanning["scanningConfigurations"][0]["scanOnPush"], false);
    assert_eq!(
        scanning["failures"][0]["failureCode"],
        "REPOSITORY_NOT_FOUND"
    );
    let status = account.ask(
        ["describe-image-replication-status"]
            .into_iter()
            .chain(image),
    );
    assert_eq!(status["replicationStatuses"], json!([]));
    let status = account.ask(["describe-image-signing-status"].into_iter().chain(image));
    assert_eq!(status["signingStatuses"], json!([]));
}
