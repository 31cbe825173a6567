//! What the metadata must do about principals, policies and the audit log, on every database.

use super::{NOW, Timestamp, by};
use crate::metadata::{
    AccessKeyRecord, AuditQuery, AuditRecord, Metadata, PolicyRecord, PrincipalChange,
    PrincipalRecord, SigningKeyRecord, TrustRecord,
};

/// Runs this part of the contract.
pub(super) async fn holds(metadata: &Metadata) {
    the_first_principal_is_made_once(metadata).await;
    every_change_grows_the_revision(metadata).await;
    a_principal_goes_with_its_keys_and_its_policy(metadata).await;
    a_new_key_retires_the_one_before(metadata).await;
    the_audit_log_is_read_from_its_end(metadata).await;
}

fn user(name: &str) -> PrincipalRecord {
    PrincipalRecord {
        kind: "user".into(),
        name: name.into(),
        secret: "hash".into(),
        description: "a user".into(),
        created_at: NOW,
        expires_at: None,
        disabled: false,
        valid_from: NOW,
    }
}

fn policy(target: &str) -> PolicyRecord {
    PolicyRecord {
        target: target.into(),
        document: "{}".into(),
        updated_by: "user/admin".into(),
        updated_at: NOW,
    }
}

fn signing_key(id: &str, created_at: Timestamp) -> SigningKeyRecord {
    SigningKeyRecord {
        id: id.into(),
        sealed: vec![1, 2, 3],
        created_at,
        retired_at: None,
    }
}

async fn the_first_principal_is_made_once(metadata: &Metadata) {
    let first = metadata.add_first_principal(user("admin"), policy("user/admin"));
    assert!(first.await.expect("made"));
    let second = metadata.add_first_principal(user("other"), policy("user/other"));
    assert!(!second.await.expect("asked"));
    let records = metadata.access_records().await.expect("read");
    assert_eq!(records.principals, [user("admin")]);
    assert_eq!(records.policies, [policy("user/admin")]);
}

async fn every_change_grows_the_revision(metadata: &Metadata) {
    let mut last = metadata.access_revision().await.expect("read");
    let key = AccessKeyRecord {
        id: "WKIA1".into(),
        principal: "user/alice".into(),
        sealed_secret: vec![7; 40],
        created_at: NOW,
        expires_at: Some(NOW),
    };
    let trust = TrustRecord {
        name: "github".into(),
        document: "{}".into(),
        created_at: NOW,
    };
    let change = PrincipalChange {
        disabled: Some(true),
        ..PrincipalChange::default()
    };
    for step in 0..9 {
        match step {
            0 => assert!(metadata.add_principal(user("alice")).await.expect("made")),
            1 => assert!(!metadata.add_principal(user("alice")).await.expect("asked")),
            2 => metadata.add_access_key(key.clone()).await.expect("made"),
            3 => metadata
                .put_policy(policy("registry"), by("actor", NOW))
                .await
                .expect("put"),
            4 => metadata.put_trust(trust.clone()).await.expect("put"),
            5 => {
                let changed = metadata.change_principal("user", "alice", change.clone());
                assert!(changed.await.expect("changed"));
            }
            6 => assert!(
                metadata
                    .remove_policy("registry", by("actor", NOW))
                    .await
                    .expect("removed")
            ),
            7 => assert!(metadata.remove_trust("github").await.expect("removed")),
            _ => assert!(!metadata.remove_access_key("WKIA2").await.expect("asked")),
        }
        let revision = metadata.access_revision().await.expect("read");
        assert!(revision > last, "step {step}");
        last = revision;
    }
    let records = metadata.access_records().await.expect("read");
    assert_eq!(records.revision, last);
    assert_eq!(records.access_keys, [key]);
    let alice = records
        .principals
        .iter()
        .find(|record| record.name == "alice");
    let alice = alice.expect("she is there");
    assert_eq!((alice.disabled, alice.secret.as_str()), (true, "hash"));
}

async fn a_principal_goes_with_its_keys_and_its_policy(metadata: &Metadata) {
    metadata
        .put_policy(policy("user/alice"), by("actor", NOW))
        .await
        .expect("put");
    assert!(
        metadata
            .remove_principal("user", "alice")
            .await
            .expect("removed")
    );
    assert!(
        !metadata
            .remove_principal("user", "alice")
            .await
            .expect("asked")
    );
    let records = metadata.access_records().await.expect("read");
    assert!(records.access_keys.is_empty());
    assert_eq!(records.policies, [policy("user/admin")]);
    let change = PrincipalChange::default();
    let changed = metadata.change_principal("user", "alice", change).await;
    assert!(!changed.expect("asked"));
}

async fn a_new_key_retires_the_one_before(metadata: &Metadata) {
    let second = Timestamp::from_micros(NOW.as_micros() + 1);
    let third = Timestamp::from_micros(NOW.as_micros() + 2);
    assert!(
        metadata
            .add_first_signing_key(signing_key("a", NOW))
            .await
            .expect("made")
    );
    assert!(
        !metadata
            .add_first_signing_key(signing_key("x", NOW))
            .await
            .expect("asked")
    );
    metadata
        .rotate_signing_key(signing_key("b", second), NOW)
        .await
        .expect("rotated");
    let keys = metadata.access_records().await.expect("read").signing_keys;
    let told: Vec<_> = keys
        .iter()
        .map(|key| (key.id.as_str(), key.retired_at))
        .collect();
    assert_eq!(told, [("a", Some(second)), ("b", None)]);
    // Whatever the oldest one signed has ended by then.
    metadata
        .rotate_signing_key(signing_key("c", third), third)
        .await
        .expect("rotated");
    let keys = metadata.access_records().await.expect("read").signing_keys;
    let told: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(told, ["b", "c"]);
}

async fn the_audit_log_is_read_from_its_end(metadata: &Metadata) {
    let record = |number: i64, principal: &str| AuditRecord {
        at: Timestamp::from_micros(NOW.as_micros() + number),
        principal: principal.into(),
        address: "192.0.2.1".into(),
        action: "ecr:PutImage".into(),
        resource: "a/b".into(),
        outcome: "allowed".into(),
        request_id: number.to_string(),
        detail: String::new(),
    };
    let records = (0..10).map(|number| match number % 2 {
        0 => record(number, "user/even"),
        _ => record(number, "user/odd"),
    });
    metadata
        .record_audit(records.collect::<Vec<_>>())
        .await
        .expect("written");
    let ask = |principal: Option<&str>, before: Option<i64>, limit: u64| {
        let query = AuditQuery {
            principal: principal.map(Into::into),
            before,
            limit,
            ..AuditQuery::default()
        };
        async move {
            let entries = metadata.audit(query).await.expect("read");
            entries
                .into_iter()
                .map(|entry| (entry.id, entry.record.request_id))
                .collect::<Vec<_>>()
        }
    };
    let names = |entries: &[(i64, String)]| {
        entries
            .iter()
            .map(|(_, name)| name.clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let page = ask(None, None, 3).await;
    assert_eq!(names(&page), "9 8 7");
    let next = ask(None, page.last().map(|(id, _)| *id), 3).await;
    assert_eq!(names(&next), "6 5 4");
    assert_eq!(names(&ask(Some("user/odd"), None, 10).await), "9 7 5 3 1");
    assert_eq!(names(&ask(Some("user/none"), None, 10).await), "");
    let before = Timestamp::from_micros(NOW.as_micros() + 5);
    assert_eq!(
        metadata.forget_audit(before, 3).await.expect("forgotten"),
        3
    );
    assert_eq!(
        metadata.forget_audit(before, 3).await.expect("forgotten"),
        2
    );
    assert_eq!(names(&ask(None, None, 10).await), "9 8 7 6 5");
}
