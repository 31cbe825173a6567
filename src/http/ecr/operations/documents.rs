//! What is kept and returned as it came: account settings, signing, creation templates,
//! pull-through rules, principals whose pulls don't count.

use serde_json::{Map, Value, json};
use wharf_storage::metadata::{Document, Replace, RepositorySettings};

use super::paging::{Page, with_token};
use super::{epoch, images, repositories, without_nulls};
use crate::http::ecr::input::{Input, malformed};
use crate::http::ecr::{Call, Error, principal_of_arn};
use crate::lifecycle;
use crate::registry::{EXCLUSIONS, TEMPLATES};

const ACCOUNT: &str = "account-setting";
const SIGNING: &str = "signing";
const RULES: &str = "pull-through-rule";
/// Of what there is one.
const ONLY: &str = "only";

/// The account settings that there are, and what they are when nobody has set them.
const SETTINGS: [(&str, &[&str]); 3] = [
    ("BASIC_SCAN_TYPE_VERSION", &["AWS_NATIVE", "CLAIR"]),
    ("REGISTRY_POLICY_SCOPE", &["V2", "V1"]),
    ("BLOB_MOUNTING", &["ENABLED", "DISABLED"]),
];

pub(super) async fn get_account_setting(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.required("name")?;
    let (_, values) = account_setting(name)?;
    let found = call.metadata().document(ACCOUNT, name).await?;
    let value = found.map_or_else(|| values[0].to_owned(), |document| document.text);
    Ok(json!({"name": name, "value": value}))
}

pub(super) async fn put_account_setting(call: &Call, input: &Input) -> Result<Value, Error> {
    let (name, value) = (input.required("name")?, input.required("value")?);
    let (_, values) = account_setting(name)?;
    if !values.contains(&value) {
        return Err(malformed(
            "value",
            &format!("must be one of {}", values.join(", ")),
        ));
    }
    put(call, ACCOUNT, name, value, Replace::Allowed).await?;
    Ok(json!({"name": name, "value": value}))
}

fn account_setting(name: &str) -> Result<(&'static str, &'static [&'static str]), Error> {
    let found = SETTINGS.into_iter().find(|(known, _)| *known == name);
    found.ok_or_else(|| malformed("name", "there is no such account setting"))
}

pub(super) async fn put_signing(call: &Call, input: &Input) -> Result<Value, Error> {
    let configuration = input.value("signingConfiguration");
    put(
        call,
        SIGNING,
        ONLY,
        &configuration.to_string(),
        Replace::Allowed,
    )
    .await?;
    Ok(json!({"signingConfiguration": configuration}))
}

pub(super) async fn get_signing(call: &Call) -> Result<Value, Error> {
    let found = call.metadata().document(SIGNING, ONLY).await?;
    signing(call, found)
}

pub(super) async fn delete_signing(call: &Call) -> Result<Value, Error> {
    let removed = call.metadata().remove_document(SIGNING, ONLY).await?;
    signing(call, removed)
}

fn signing(call: &Call, found: Option<Document>) -> Result<Value, Error> {
    let found = found.ok_or_else(|| {
        let message = "There is no signing configuration in the registry";
        Error::new("SigningConfigurationNotFoundException", message)
    })?;
    Ok(json!({"registryId": call.account(), "signingConfiguration": members(&found)}))
}

/// `DescribeImageSigningStatus`: nothing is signed by the registry itself.
pub(super) async fn signing_status(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    repositories::require(call, &name).await?;
    let image = images::require(call, &name, &input.image_id()).await?;
    Ok(json!({
        "repositoryName": name,
        "imageId": {"imageDigest": image.digest},
        "registryId": call.account(),
        "signingStatuses": [],
    }))
}

pub(super) async fn create_template(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefix = input.required("prefix")?;
    let template = template(input, usual())?;
    let created = put(
        call,
        TEMPLATES,
        prefix,
        &template.to_string(),
        Replace::Never,
    )
    .await?;
    let created = created.ok_or_else(|| {
        let message = format!("A repository creation template with the prefix '{prefix}' exists");
        Error::new("TemplateAlreadyExistsException", message)
    })?;
    Ok(one_template(call, &created))
}

pub(super) async fn update_template(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefix = input.required("prefix")?;
    let found = call.metadata().document(TEMPLATES, prefix).await?;
    let found = found.ok_or_else(|| no_template(prefix))?;
    let mut present = match members(&found) {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    // The filters belong to the mutability that they came with.
    let mutability = input.value("imageTagMutability");
    if !mutability.is_null() && present.get("imageTagMutability") != Some(mutability) {
        present.remove("imageTagMutabilityExclusionFilters");
    }
    let template = template(input, present)?;
    let updated = put(
        call,
        TEMPLATES,
        prefix,
        &template.to_string(),
        Replace::Always,
    )
    .await?;
    Ok(one_template(
        call,
        &updated.ok_or_else(|| no_template(prefix))?,
    ))
}

pub(super) async fn delete_template(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefix = input.required("prefix")?;
    let removed = call.metadata().remove_document(TEMPLATES, prefix).await?;
    Ok(one_template(
        call,
        &removed.ok_or_else(|| no_template(prefix))?,
    ))
}

pub(super) async fn templates(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefixes = input.texts("prefixes");
    let (found, token) = listed(call, input, TEMPLATES, &prefixes).await?;
    let found: Vec<Value> = found.iter().map(told_template).collect();
    let answer = json!({"registryId": call.account(), "repositoryCreationTemplates": found});
    Ok(with_token(answer, token))
}

/// What a template says where nobody has said anything else.
fn usual() -> Map<String, Value> {
    let settings = RepositorySettings::default();
    let encryption = serde_json::from_str(&settings.encryption).unwrap_or_default();
    Map::from_iter([
        (
            "imageTagMutability".to_owned(),
            settings.tag_mutability.as_str().into(),
        ),
        ("encryptionConfiguration".to_owned(), encryption),
    ])
}

/// A template with what the input says of it.
fn template(input: &Input, mut template: Map<String, Value>) -> Result<Value, Error> {
    for name in [
        "description",
        "encryptionConfiguration",
        "resourceTags",
        "imageTagMutability",
        "imageTagMutabilityExclusionFilters",
        "repositoryPolicy",
        "lifecyclePolicy",
        "appliedFor",
        "customRoleArn",
    ] {
        match input.value(name) {
            Value::Null => {}
            value => {
                template.insert(name.to_owned(), value.clone());
            }
        }
    }
    let together = Value::Object(template);
    repositories::mutability(&Input::new(together.clone()))?;
    repositories::read_tags(&together["resourceTags"])?;
    if let Some(text) = together["lifecyclePolicy"]
        .as_str()
        .filter(|text| !text.is_empty())
    {
        lifecycle::Policy::parse(text).map_err(|error| Error::invalid(error.to_string()))?;
    }
    if let Some(text) = together["repositoryPolicy"]
        .as_str()
        .filter(|text| !text.is_empty())
    {
        use wharf_auth::policy::{Attachment, Document};
        Document::parse(text, Attachment::Repository)
            .map_err(|error| Error::invalid(error.to_string()))?;
    }
    Ok(together)
}

fn told_template(document: &Document) -> Value {
    let mut template = members(document);
    template["prefix"] = document.key.as_str().into();
    template["createdAt"] = epoch(document.created_at);
    template["updatedAt"] = epoch(document.updated_at);
    template
}

fn one_template(call: &Call, document: &Document) -> Value {
    json!({"registryId": call.account(), "repositoryCreationTemplate": told_template(document)})
}

fn no_template(prefix: &str) -> Error {
    let message = format!("There is no repository creation template with the prefix '{prefix}'");
    Error::new("TemplateNotFoundException", message)
}

pub(super) async fn create_rule(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefix = input.required("ecrRepositoryPrefix")?;
    let url = input.required("upstreamRegistryUrl")?;
    if !is_registry(url) {
        let constraint = "must be the host of a registry, with or without https:// and a port";
        return Err(malformed("upstreamRegistryUrl", constraint));
    }
    let rule = without_nulls(json!({
        "upstreamRegistryUrl": url,
        "upstreamRegistry": input.value("upstreamRegistry"),
        "credentialArn": input.value("credentialArn"),
        "customRoleArn": input.value("customRoleArn"),
        "upstreamRepositoryPrefix": input.text("upstreamRepositoryPrefix").unwrap_or("ROOT"),
    }));
    let created = put(call, RULES, prefix, &rule.to_string(), Replace::Never).await?;
    let created = created.ok_or_else(|| {
        let message = format!("A pull through cache rule with the prefix '{prefix}' exists");
        Error::new("PullThroughCacheRuleAlreadyExistsException", message)
    })?;
    Ok(told_rule(call, &created))
}

/// Whether a text is a host, with or without a scheme of HTTP and a port, and nothing else.
fn is_registry(text: &str) -> bool {
    let without = text.strip_prefix("https://");
    let host = without
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let authority: Option<http::uri::Authority> = host.parse().ok();
    authority.is_some_and(|authority| {
        let name = authority.host();
        let port = &host[name.len()..];
        host.bytes().all(is_known)
            && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
            && (port.is_empty() || authority.port_u16().is_some())
    })
}

pub(super) async fn update_rule(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefix = input.required("ecrRepositoryPrefix")?;
    let found = call.metadata().document(RULES, prefix).await?;
    let mut rule = members(&found.ok_or_else(|| no_rule(prefix))?);
    for name in ["credentialArn", "customRoleArn"] {
        if let Some(text) = input.text(name) {
            rule[name] = text.into();
        }
    }
    let updated = put(call, RULES, prefix, &rule.to_string(), Replace::Always).await?;
    Ok(told_rule(call, &updated.ok_or_else(|| no_rule(prefix))?))
}

pub(super) async fn delete_rule(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefix = input.required("ecrRepositoryPrefix")?;
    let removed = call.metadata().remove_document(RULES, prefix).await?;
    Ok(told_rule(call, &removed.ok_or_else(|| no_rule(prefix))?))
}

pub(super) async fn rules(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefixes = input.texts("ecrRepositoryPrefixes");
    let (found, token) = listed(call, input, RULES, &prefixes).await?;
    if let Some(missing) = prefixes
        .iter()
        .find(|prefix| !found.iter().any(|document| document.key == **prefix))
    {
        return Err(no_rule(missing));
    }
    let found: Vec<Value> = found
        .iter()
        .map(|document| told_rule(call, document))
        .collect();
    Ok(with_token(json!({"pullThroughCacheRules": found}), token))
}

/// `ValidatePullThroughCacheRule`: the rule is kept, and nothing is pulled by it yet.
pub(super) async fn validate_rule(call: &Call, input: &Input) -> Result<Value, Error> {
    let prefix = input.required("ecrRepositoryPrefix")?;
    let found = call.metadata().document(RULES, prefix).await?;
    let mut answer = told_rule(call, &found.ok_or_else(|| no_rule(prefix))?);
    answer["isValid"] = false.into();
    answer["failure"] = "this registry keeps the rule, and does not pull through yet".into();
    Ok(answer)
}

fn told_rule(call: &Call, document: &Document) -> Value {
    let mut rule = members(document);
    rule["ecrRepositoryPrefix"] = document.key.as_str().into();
    rule["registryId"] = call.account().into();
    rule["createdAt"] = epoch(document.created_at);
    rule["updatedAt"] = epoch(document.updated_at);
    rule
}

fn no_rule(prefix: &str) -> Error {
    let message = format!("There is no pull through cache rule with the prefix '{prefix}'");
    Error::new("PullThroughCacheRuleNotFoundException", message)
}

pub(super) async fn register_exclusion(call: &Call, input: &Input) -> Result<Value, Error> {
    let arn = input.required("principalArn")?;
    let principal = principal_of_arn(arn).unwrap_or_default();
    let created = put(call, EXCLUSIONS, arn, &principal, Replace::Never).await?;
    let created = created.ok_or_else(|| {
        let message = format!("The pulls of '{arn}' do not count already");
        Error::new("ExclusionAlreadyExistsException", message)
    })?;
    call.state.registry.refresh_exclusions().await?;
    Ok(json!({"principalArn": arn, "createdAt": epoch(created.created_at)}))
}

pub(super) async fn deregister_exclusion(call: &Call, input: &Input) -> Result<Value, Error> {
    let arn = input.required("principalArn")?;
    let removed = call.metadata().remove_document(EXCLUSIONS, arn).await?;
    if removed.is_none() {
        let message = format!("The pulls of '{arn}' count already");
        return Err(Error::new("ExclusionNotFoundException", message));
    }
    call.state.registry.refresh_exclusions().await?;
    Ok(json!({"principalArn": arn}))
}

pub(super) async fn exclusions(call: &Call, input: &Input) -> Result<Value, Error> {
    let (found, token) = listed(call, input, EXCLUSIONS, &[]).await?;
    let found: Vec<&str> = found.iter().map(|document| document.key.as_str()).collect();
    Ok(with_token(
        json!({"pullTimeUpdateExclusions": found}),
        token,
    ))
}

/// A page of documents, or those of these keys.
async fn listed(
    call: &Call,
    input: &Input,
    kind: &'static str,
    keys: &[&str],
) -> Result<(Vec<Document>, Value), Error> {
    if !keys.is_empty() {
        let mut found = Vec::new();
        for key in keys {
            found.extend(call.metadata().document(kind, key).await?);
        }
        return Ok((found, Value::Null));
    }
    let page = Page::of(call, input)?;
    let after = page.after.as_deref();
    let found = call
        .metadata()
        .documents(kind, after, page.limit + 1)
        .await?;
    Ok(page.cut(found, |document| document.key.clone()))
}

pub(super) async fn put(
    call: &Call,
    kind: &'static str,
    key: &str,
    text: &str,
    replace: Replace,
) -> Result<Option<Document>, Error> {
    Ok(call
        .metadata()
        .put_document(kind, key, text, replace, call.now())
        .await?)
}

/// What a document says; it was JSON when it was put.
pub(super) fn members(document: &Document) -> Value {
    serde_json::from_str(&document.text).unwrap_or_default()
}
