//! The referrers of a manifest.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::check::{Context, Ended, Outcome, checks, fail, skip};
use crate::client::Answer;
use crate::content::{
    OCI_EMPTY, OCI_IMAGE, OCI_INDEX, descriptor, digest, index, random, random_bytes,
};

checks! { "referrers",
    "a push with a subject is answered with OCI-Subject" => subject_header,
    "the list is an index of the referrers" => lists,
    "a descriptor carries the artifact type and the annotations" => carries,
    "the artifact type falls back to the config's type" => falls_back,
    "the list can be filtered by artifact type" => filtered,
    "a subject that is not there has referrers" => missing_subject,
    "a digest without referrers has an empty list" => empty,
    "an unknown repository has an empty list" => unknown_repository,
    "a malformed digest is 400" => malformed,
    "a deleted referrer is gone from the list" => deleted,
    "an index can be a referrer" => index_referrer,
    "what stands under the fallback tag is listed" => fallback_tag,
}

const SIGNATURE: &str = "application/vnd.example.signature";
const REPORT: &str = "application/vnd.example.report";

/// Pushes an artifact that refers to a subject, and gives its manifest and the answer.
async fn refer(
    context: &Context,
    subject: &Value,
    artifact_type: Option<&str>,
) -> Result<(Value, Answer), Ended> {
    let empty = Bytes::from_static(b"{}");
    context.push_blob(&empty).await?;
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor(OCI_EMPTY, &empty),
        "layers": [descriptor(OCI_EMPTY, &empty)],
        "subject": subject,
        "annotations": {"org.example.number": random().to_string()},
    });
    if let Some(artifact_type) = artifact_type {
        manifest["artifactType"] = json!(artifact_type);
    }
    let digest = digest(manifest.to_string().as_bytes());
    let answer = context.put_manifest(&digest, &manifest).await?.is(&[201])?;
    Ok((manifest, answer))
}

/// Pushes an image, and gives its descriptor.
async fn push_subject(context: &Context) -> Result<Value, Ended> {
    let manifest = context.push_image("subject").await?.to_string();
    Ok(descriptor(OCI_IMAGE, manifest.as_bytes()))
}

async fn list(context: &Context, subject: &Value, query: &str) -> Result<Answer, Ended> {
    let digest = subject["digest"].as_str().unwrap_or_default();
    let answer = context.get(&format!("referrers/{digest}{query}")).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return fail(format!("{answer}: the list of referrers is never 404"));
    }
    let answer = answer.is(&[200])?.has("content-type", OCI_INDEX)?;
    match answer.json()["mediaType"] == OCI_INDEX && answer.json()["schemaVersion"] == 2 {
        true => Ok(answer),
        false => fail(format!("{answer} is no index")),
    }
}

fn digests(answer: &Answer) -> Vec<String> {
    let manifests = answer.json()["manifests"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let digest = |entry: &Value| entry["digest"].as_str().unwrap_or_default().to_owned();
    manifests.iter().map(digest).collect()
}

fn holds(answer: &Answer, referrers: &[&Value]) -> Outcome {
    let mut want: Vec<String> = referrers
        .iter()
        .map(|manifest| digest(manifest.to_string().as_bytes()))
        .collect();
    let mut found = digests(answer);
    want.sort();
    found.sort();
    match want == found {
        true => Ok(()),
        false => fail(format!("{answer} lists {found:?}, not {want:?}")),
    }
}

async fn subject_header(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    let (_, answer) = refer(&context, &subject, Some(SIGNATURE)).await?;
    answer.has(
        "oci-subject",
        subject["digest"].as_str().unwrap_or_default(),
    )?;
    Ok(())
}

async fn lists(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    let (first, _) = refer(&context, &subject, Some(SIGNATURE)).await?;
    let (second, _) = refer(&context, &subject, Some(REPORT)).await?;
    holds(&list(&context, &subject, "").await?, &[&first, &second])
}

async fn carries(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    let (manifest, _) = refer(&context, &subject, Some(SIGNATURE)).await?;
    let answer = list(&context, &subject, "").await?;
    let entry = &answer.json()["manifests"][0];
    let is_right = entry["artifactType"] == SIGNATURE
        && entry["mediaType"] == OCI_IMAGE
        && entry["size"] == manifest.to_string().len()
        && entry["annotations"] == manifest["annotations"];
    match is_right {
        true => Ok(()),
        false => fail(format!("{answer} describes it as {entry}")),
    }
}

async fn falls_back(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    refer(&context, &subject, None).await?;
    let answer = list(&context, &subject, "").await?;
    let artifact_type = &answer.json()["manifests"][0]["artifactType"];
    match artifact_type == OCI_EMPTY {
        true => Ok(()),
        false => fail(format!("{answer} says {artifact_type}, not {OCI_EMPTY}")),
    }
}

async fn filtered(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    let (signature, _) = refer(&context, &subject, Some(SIGNATURE)).await?;
    let (report, _) = refer(&context, &subject, Some(REPORT)).await?;
    let answer = list(&context, &subject, &format!("?artifactType={SIGNATURE}")).await?;
    match answer.header("oci-filters-applied") {
        Some(_) => holds(&answer, &[&signature]),
        None => {
            holds(&answer, &[&signature, &report])?;
            skip("the registry leaves filtering to the client")
        }
    }
}

async fn missing_subject(context: Context) -> Outcome {
    let subject = descriptor(OCI_IMAGE, &random_bytes(100));
    let (manifest, answer) = refer(&context, &subject, Some(SIGNATURE)).await?;
    answer.has(
        "oci-subject",
        subject["digest"].as_str().unwrap_or_default(),
    )?;
    holds(&list(&context, &subject, "").await?, &[&manifest])
}

async fn empty(context: Context) -> Outcome {
    push_subject(&context).await?;
    let nobody = descriptor(OCI_IMAGE, &random_bytes(100));
    holds(&list(&context, &nobody, "").await?, &[])
}

async fn unknown_repository(context: Context) -> Outcome {
    let nobody = descriptor(OCI_IMAGE, &random_bytes(100));
    holds(&list(&context, &nobody, "").await?, &[])
}

async fn malformed(context: Context) -> Outcome {
    push_subject(&context).await?;
    let answer = context.get("referrers/sha256:nothex").await?;
    answer.refused(&[400], &[])?;
    Ok(())
}

async fn deleted(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    let (gone, _) = refer(&context, &subject, Some(SIGNATURE)).await?;
    let (stays, _) = refer(&context, &subject, Some(SIGNATURE)).await?;
    let digest = digest(gone.to_string().as_bytes());
    let answer = context.delete(&format!("manifests/{digest}")).await?;
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        return skip("the registry does not delete manifests");
    }
    answer.is(&[202])?;
    holds(&list(&context, &subject, "").await?, &[&stays])
}

async fn index_referrer(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    let mut referrer = index(&[]);
    referrer["artifactType"] = json!(REPORT);
    referrer["subject"] = subject.clone();
    let digest = digest(referrer.to_string().as_bytes());
    context.put_manifest(&digest, &referrer).await?.is(&[201])?;
    let answer = list(&context, &subject, "").await?;
    holds(&answer, &[&referrer])?;
    match answer.json()["manifests"][0]["artifactType"] == REPORT {
        true => Ok(()),
        false => fail(format!("{answer} has another artifact type")),
    }
}

async fn fallback_tag(context: Context) -> Outcome {
    let subject = push_subject(&context).await?;
    let referrer = context.push_image("referrer").await?;
    let mut entry = descriptor(OCI_IMAGE, referrer.to_string().as_bytes());
    entry["artifactType"] = json!(SIGNATURE);
    let tag = subject["digest"]
        .as_str()
        .unwrap_or_default()
        .replace(':', "-");
    context
        .put_manifest(&tag, &index(&[entry]))
        .await?
        .is(&[201])?;
    let answer = list(&context, &subject, "").await?;
    if digests(&answer).is_empty() {
        return skip("fallback tags are not read");
    }
    holds(&answer, &[&referrer])
}
