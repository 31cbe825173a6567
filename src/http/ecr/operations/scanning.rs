//! Scans. Their configuration is kept; none is made, and no finding is made up.

use serde_json::{Value, json};
use wharf_storage::metadata::Replace;

use super::{documents, images, repositories};
use crate::http::ecr::input::Input;
use crate::http::ecr::{Call, Error};

const SCANNING: &str = "scanning";
const ONLY: &str = "only";

/// `StartImageScan`: there is no scanner.
pub(super) async fn start(call: &Call, input: &Input) -> Result<Value, Error> {
    image(call, input).await?;
    let message = "this registry has no scanner yet";
    Err(Error::new("UnsupportedImageTypeException", message))
}

/// `DescribeImageScanFindings`: no scan was made, so none is found.
pub(super) async fn findings(call: &Call, input: &Input) -> Result<Value, Error> {
    let id = image(call, input).await?;
    let message = format!(
        "Image scan does not exist for the image with {}",
        id["imageId"]
    );
    Err(Error::new("ScanNotFoundException", message))
}

async fn image(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    repositories::require(call, &name).await?;
    let image = images::require(call, &name, &input.image_id()).await?;
    Ok(json!({"imageId": {"imageDigest": image.digest}}))
}

pub(super) async fn batch_get(call: &Call, input: &Input) -> Result<Value, Error> {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in input.repositories()? {
        match call.metadata().repository(&name).await? {
            Some(record) => found.push(json!({
                "repositoryArn": call.arn(&name),
                "repositoryName": name,
                "scanOnPush": record.settings.scan_on_push,
                "scanFrequency": if record.settings.scan_on_push { "SCAN_ON_PUSH" } else { "MANUAL" },
                "appliedScanFilters": [],
            })),
            None => failures.push(json!({
                "repositoryName": name,
                "failureCode": "REPOSITORY_NOT_FOUND",
                "failureReason": format!("The repository with name '{name}' does not exist"),
            })),
        }
    }
    Ok(json!({"scanningConfigurations": found, "failures": failures}))
}

pub(super) async fn get_registry(call: &Call) -> Result<Value, Error> {
    let found = call.metadata().document(SCANNING, ONLY).await?;
    let configuration = match found {
        Some(document) => documents::members(&document),
        None => json!({"scanType": "BASIC", "rules": []}),
    };
    Ok(json!({"registryId": call.account(), "scanningConfiguration": configuration}))
}

pub(super) async fn put_registry(call: &Call, input: &Input) -> Result<Value, Error> {
    let rules = match input.value("rules") {
        Value::Null => json!([]),
        rules => rules.clone(),
    };
    let configuration = json!({
        "scanType": input.text("scanType").unwrap_or("BASIC"),
        "rules": rules,
    });
    let text = configuration.to_string();
    documents::put(call, SCANNING, ONLY, &text, Replace::Allowed).await?;
    Ok(json!({"registryScanningConfiguration": configuration}))
}
