//! What policies mean, as tables.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::policy::Attachment;

fn attached(target: &str, text: &str) -> Attached {
    let attachment = Attachment::of(target).expect("a target");
    Attached {
        target: target.into(),
        document: Some(Document::parse(text, attachment).expect("a document")),
    }
}

fn allows(policies: &[Attached], who: &str, action: &str, name: &str) -> bool {
    allows_in(policies, who, action, name, &Context::default())
}

fn allows_in(
    policies: &[Attached],
    who: &str,
    action: &str,
    name: &str,
    context: &Context,
) -> bool {
    let principal: Principal = who.parse().expect("a principal");
    let name = (!name.is_empty()).then(|| name.parse().expect("a name"));
    let request = Request {
        principal: &principal,
        action: action.parse().expect("an action"),
        repository: name.as_ref(),
        context,
    };
    let decision = decide(policies, request);
    let steps = explain(policies, request);
    let mut said = steps.iter().filter(|step| step.mismatch.is_none());
    let denies = said.clone().any(|step| step.effect == Effect::Deny);
    let explained = !denies && said.any(|step| step.effect == Effect::Allow);
    assert_eq!(
        decision == Decision::Allowed,
        explained,
        "the explanation differs"
    );
    explained
}

#[test]
fn nothing_is_allowed_without_a_policy() {
    assert!(!allows(&[], "user/alice", "ecr:BatchGetImage", "a"));
}

#[test]
fn a_statement_is_about_its_principals_actions_and_repositories() {
    let policies = [attached(
        "registry",
        r#"{"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Wharf": ["robot/ci-*", "user/alice"]},
            "Action": ["ecr:BatchGet*", "ecr:putimage"],
            "Resource": ["repository/team/*", "arn:aws:ecr:eu-west-1:123456789012:repository/base"]
        }]}"#,
    )];
    for (who, action, name, want) in [
        ("user/alice", "ecr:BatchGetImage", "team/app", true),
        ("robot/ci-7", "ecr:PutImage", "team/a/b", true),
        ("robot/ci-7", "ecr:PutImage", "base", true),
        ("robot/cd", "ecr:PutImage", "base", false),
        ("robot/alice", "ecr:PutImage", "base", false),
        ("user/alice", "ecr:BatchDeleteImage", "base", false),
        ("user/alice", "ecr:PutImage", "based", false),
        ("user/alice", "ecr:PutImage", "team", false),
        ("anonymous", "ecr:PutImage", "base", false),
    ] {
        assert_eq!(
            allows(&policies, who, action, name),
            want,
            "{who} {action} {name}"
        );
    }
}

#[test]
fn a_denial_wins_wherever_it_stands() {
    let allow = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let deny = r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "ecr:PutImage"}}"#;
    let user = attached("user/alice", allow);
    let repository = attached("repository/frozen", deny);
    for policies in [[user.clone(), repository.clone()], [repository, user]] {
        assert!(allows(
            &policies,
            "user/alice",
            "ecr:BatchGetImage",
            "frozen"
        ));
        assert!(!allows(&policies, "user/alice", "ecr:PutImage", "frozen"));
    }
}

#[test]
fn a_document_that_can_not_be_read_denies() {
    let policies = [
        attached(
            "user/alice",
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
        ),
        Attached {
            target: "registry".into(),
            document: None,
        },
    ];
    assert!(!allows(&policies, "user/alice", "ecr:BatchGetImage", "a"));
}

#[test]
fn everyone_and_everyone_known_are_told_apart() {
    let policy = |principal: &str| {
        let text = format!(
            r#"{{"Statement": {{"Effect": "Allow", "Principal": {principal}, "Action": "*"}}}}"#
        );
        [attached("repository/a", &text)]
    };
    for (principal, anonymous, known) in [
        (r#""*""#, true, true),
        (r#"{"AWS": "*"}"#, true, true),
        (r#"{"AWS": "123456789012"}"#, false, true),
        (r#"{"AWS": "arn:aws:iam::123456789012:root"}"#, false, true),
        (
            r#"{"AWS": "arn:aws:iam::123456789012:user/bob"}"#,
            false,
            false,
        ),
        (
            r#"{"AWS": "arn:aws:iam::123456789012:user/alice"}"#,
            false,
            true,
        ),
    ] {
        let policies = policy(principal);
        let may = |who| allows(&policies, who, "ecr:BatchGetImage", "a");
        assert_eq!(
            (may("anonymous"), may("user/alice")),
            (anonymous, known),
            "{principal}"
        );
    }
    let role = policy(r#"{"AWS": "arn:aws:iam::123456789012:role/github"}"#);
    assert!(allows(
        &role,
        "federated/github/repo:a/b",
        "ecr:BatchGetImage",
        "a"
    ));
    assert!(!allows(
        &role,
        "federated/gitlab/repo:a/b",
        "ecr:BatchGetImage",
        "a"
    ));
}

#[test]
fn what_concerns_the_registry_needs_a_star() {
    let admin = |resource: &str| {
        let text = format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "*", "Resource": "{resource}"}}}}"#
        );
        [attached("user/alice", &text)]
    };
    assert!(allows(&admin("*"), "user/alice", "wharf:Administer", ""));
    assert!(!allows(
        &admin("repository/*"),
        "user/alice",
        "wharf:Administer",
        ""
    ));
}

#[test]
fn conditions_look_at_the_address_the_transport_and_the_claims() {
    let claims = [("repository".to_owned(), "org/app".to_owned())];
    let context = Context {
        address: IpAddr::from([10, 1, 2, 3]),
        secure: true,
        claims: Arc::new(claims.into()),
        ..Context::default()
    };
    for (condition, want) in [
        (r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#, true),
        (
            r#"{"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.1.2.3"]}}"#,
            true,
        ),
        (
            r#"{"IpAddress": {"aws:SourceIp": "192.168.0.0/16"}}"#,
            false,
        ),
        (r#"{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#, false),
        (r#"{"Bool": {"aws:SecureTransport": "true"}}"#, true),
        (r#"{"Bool": {"aws:SecureTransport": false}}"#, false),
        (r#"{"StringEquals": {"claim:repository": "org/app"}}"#, true),
        (r#"{"StringEquals": {"claim:repository": "org/ap"}}"#, false),
        (r#"{"StringLike": {"claim:repository": "org/*"}}"#, true),
        (r#"{"StringNotLike": {"claim:repository": "org/*"}}"#, false),
        (r#"{"StringEquals": {"claim:ref": "main"}}"#, false),
        (r#"{"StringNotEquals": {"claim:ref": "main"}}"#, true),
        (r#"{"StringEqualsIfExists": {"claim:ref": "main"}}"#, true),
        (r#"{"StringEquals": {"aws:username": "alice"}}"#, true),
        (
            r#"{"StringEquals": {"aws:username": "alice"}, "Bool": {"aws:SecureTransport": false}}"#,
            false,
        ),
    ] {
        let text = format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*",
                "Condition": {condition}}}}}"#
        );
        let policies = [attached("user/alice", &text)];
        let may = allows_in(&policies, "user/alice", "ecr:PutImage", "a", &context);
        assert_eq!(may, want, "{condition}");
    }
}

#[test]
fn what_is_wrong_with_a_document_is_told_with_its_place() {
    let statement = |members: &str| format!(r#"{{"Statement": [{{{members}}}]}}"#);
    let whole = r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*""#;
    for (text, want) in [
        ("[]".to_owned(), "it is no JSON object"),
        ("{".to_owned(), "it is no JSON: "),
        ("{}".to_owned(), "Statement is missing"),
        (
            r#"{"Version": "1", "Statement": []}"#.to_owned(),
            "Version is not 2012-10-17",
        ),
        (
            r#"{"Statement": [], "Extra": 1}"#.to_owned(),
            "Extra is not known",
        ),
        (
            statement(&format!(r#"{whole}, "NotAction": "*""#)),
            "Statement[0].NotAction is not",
        ),
        (
            statement(&whole.replace("Allow", "Maybe")),
            "Statement[0].Effect is neither",
        ),
        (
            statement(&whole.replace(r#""Action": "*""#, r#""Action": "ecr:Nope""#)),
            "names no action",
        ),
        (
            statement(&whole.replace(r#""Action": "*""#, r#""Action": []"#)),
            "Action is empty",
        ),
        (
            statement(&whole.replace(r#""Principal": "*""#, r#""Principal": {"AWS": "x"}"#)),
            "names no principal",
        ),
        (
            statement(&whole.replace(r#""Principal": "*", "#, "")),
            "Principal is missing",
        ),
        (
            statement(&whole.replace(r#""Resource": "*""#, r#""Resource": "a""#)),
            "Resource is neither",
        ),
        (
            statement(&format!(
                r#"{whole}, "Condition": {{"Null": {{"aws:SourceIp": "x"}}}}"#
            )),
            "Condition.Null.aws:SourceIp has an operator",
        ),
        (
            statement(&format!(
                r#"{whole}, "Condition": {{"IpAddress": {{"aws:SourceIp": "x"}}}}"#
            )),
            "is no address or network",
        ),
        (
            statement(&format!(
                r#"{whole}, "Condition": {{"StringLike": {{"aws:Foo": "x"}}}}"#
            )),
            "has a key that is not known",
        ),
    ] {
        let error = Document::parse(&text, Attachment::Registry).expect_err(&text);
        let error = error.to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
    let error = Document::parse(&statement(whole), Attachment::Repository);
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("Resource has no place")
    );
    let error = Document::parse(&statement(whole), Attachment::Principal);
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("Principal has no place")
    );
}

#[test]
fn targets_are_told_apart() {
    for (target, want) in [
        ("registry", Some(Attachment::Registry)),
        ("repository/a/b", Some(Attachment::Repository)),
        ("repository/A", None),
        ("user/alice", Some(Attachment::Principal)),
        ("federated/github", Some(Attachment::Principal)),
        ("federated/github/subject", None),
        ("anonymous", None),
        ("alice", None),
    ] {
        assert_eq!(Attachment::of(target), want, "{target}");
    }
}
