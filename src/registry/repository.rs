//! How repositories come to be: by name, or at the first push, from a template.

use serde_json::Value;
use wharf_auth::policy::{Attachment, Document as PolicyDocument};
use wharf_storage::metadata::{
    Creation, Document, PolicyRecord, RepositoryRecord, RepositorySettings,
};
use wharf_storage::oci::RepositoryName;

use super::{Error, Pusher, Registry, Requester};

/// What creation templates are kept as, by the prefix of names that they are for.
pub const TEMPLATES: &str = "creation-template";

/// The prefix of a template for what no other one is for.
const ROOT: &str = "ROOT";
/// How many templates are looked at.
const MOST_TEMPLATES: u64 = 1000;

impl Registry {
    /// Makes a repository, with the lifecycle policy that new ones have. Nothing when there is one
    /// of this name.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn create_repository(
        &self,
        name: &RepositoryName,
        settings: RepositorySettings,
        by: &Requester,
    ) -> Result<Option<RepositoryRecord>, Error> {
        let lifecycle = self.settings.default_lifecycle_policy.clone();
        let change = by.change(self.clock.now());
        Ok(self
            .metadata
            .create_repository(name, settings, lifecycle, change)
            .await?)
    }

    /// Whether a push would make this repository by a template that its name has.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn is_made_by_template(&self, name: &RepositoryName) -> Result<bool, Error> {
        if self.settings.creation == Creation::Forbidden
            || self.metadata.repository_exists(name).await?
        {
            return Ok(false);
        }
        Ok(self.template(name).await?.is_some())
    }

    /// Makes the repository of a push, where it isn't there and may be made: by the template that
    /// its name has, else as they are by default.
    pub(super) async fn ensure(&self, name: &RepositoryName, pusher: &Pusher) -> Result<(), Error> {
        if self.metadata.repository_exists(name).await? {
            return Ok(());
        }
        if self.creation(pusher) == Creation::Forbidden {
            return Err(Error::RepositoryUnknown(name.clone()));
        }
        let change = pusher.by.change(self.clock.now());
        let default = self.settings.default_lifecycle_policy.clone();
        let Some(template) = self.template(name).await? else {
            let settings = RepositorySettings::default();
            self.metadata
                .create_repository(name, settings, default, change)
                .await?;
            return Ok(());
        };
        let text = |member: &str| template[member].as_str().filter(|text| !text.is_empty());
        let lifecycle = text("lifecyclePolicy").map(ToOwned::to_owned).or(default);
        let settings = settings(&template);
        let created = self
            .metadata
            .create_repository(name, settings, lifecycle, change)
            .await?;
        if created.is_some()
            && let Some(policy) = text("repositoryPolicy")
            && PolicyDocument::parse(policy, Attachment::Repository).is_ok()
        {
            let change = pusher.by.change(self.clock.now());
            let policy = PolicyRecord {
                target: format!("repository/{name}"),
                document: policy.to_owned(),
                updated_by: "creation template".into(),
                updated_at: change.now,
            };
            self.metadata.put_policy(policy, change).await?;
        }
        Ok(())
    }

    /// The template with the longest prefix of a name, or the one for the rest.
    async fn template(&self, name: &RepositoryName) -> Result<Option<Value>, Error> {
        let templates = self
            .metadata
            .documents(TEMPLATES, None, MOST_TEMPLATES)
            .await?;
        let fits = |template: &&Document| {
            let prefix = template.key.trim_end_matches('/');
            let rest = name.as_str().strip_prefix(prefix);
            template.key == ROOT
                || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let read = |template: &Document| {
            let value: Value = serde_json::from_str(&template.text).unwrap_or_default();
            let applied = value["appliedFor"].as_array().cloned().unwrap_or_default();
            applied
                .iter()
                .any(|when| when == "CREATE_ON_PUSH")
                .then_some(value)
        };
        let mut fitting: Vec<&Document> = templates.iter().filter(fits).collect();
        fitting.sort_by_key(|template| match template.key.as_str() {
            ROOT => 0,
            prefix => prefix.len(),
        });
        Ok(fitting.into_iter().rev().find_map(read))
    }
}

fn settings(template: &Value) -> RepositorySettings {
    let filters = template["imageTagMutabilityExclusionFilters"].as_array();
    let tags = template["resourceTags"].as_array();
    let text = |value: &Value, member: &str| value[member].as_str().map(ToOwned::to_owned);
    RepositorySettings {
        tag_mutability: template["imageTagMutability"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_default(),
        mutability_filters: filters
            .into_iter()
            .flatten()
            .filter_map(|filter| text(filter, "filter"))
            .collect(),
        encryption: match &template["encryptionConfiguration"] {
            Value::Null => RepositorySettings::default().encryption,
            value => value.to_string(),
        },
        resource_tags: tags
            .into_iter()
            .flatten()
            .filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value")?)))
            .collect(),
        scan_on_push: false,
    }
}
