//! boto3, with its paginators and waiters.

use super::Account;

#[test]
fn boto3_finds_what_it_expects() {
    let account = Account::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ecr/boto.py");
    let said = account.python(script).succeeds();
    assert!(said.ends_with("boto3 found what it expects"), "{said}");
}
