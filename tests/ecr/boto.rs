//! boto3, with its paginators and waiters.

use super::Account;
use crate::support::Command;

#[test]
fn boto3_finds_what_it_expects() {
    let account = Account::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ecr/boto.py");
    let said = Command::tool("python-aws")
        .env("AWS_ACCESS_KEY_ID", &account.key.0)
        .env("AWS_SECRET_ACCESS_KEY", &account.key.1)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .args([script, account.registry.base()])
        .succeeds();
    assert!(said.ends_with("boto3 found what it expects"), "{said}");
}
