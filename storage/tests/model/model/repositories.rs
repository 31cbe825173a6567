//! Repositories and their settings.

use std::collections::BTreeMap;

use wharf_storage::metadata::{Deleted, EventKind, RepositoryRecord, RepositorySettings};
use wharf_storage::oci::RepositoryName;

use super::{Answer, Model, Repository, page};

impl Repository {
    /// One that is new.
    pub(crate) fn new(record: RepositoryRecord) -> Self {
        Self {
            record,
            links: BTreeMap::new(),
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            history: BTreeMap::new(),
            deleted_at: None,
        }
    }
}

impl Model<'_> {
    pub(crate) fn repository_records(
        &self,
        after: Option<&str>,
        limit: u64,
    ) -> Vec<RepositoryRecord> {
        let repositories = self.live();
        let behind =
            repositories.filter(|(name, _)| after.is_none_or(|after| name.as_str() > after));
        page(
            behind.map(|(_, repository)| repository.record.clone()),
            limit,
        )
    }

    pub(crate) fn create_repository(
        &mut self,
        name: &RepositoryName,
        settings: RepositorySettings,
    ) -> Option<RepositoryRecord> {
        if self.find(name).is_some() {
            return None;
        }
        let record = RepositoryRecord {
            name: name.clone(),
            created_at: self.now,
            settings,
            lifecycle_policy: None,
            lifecycle_evaluated_at: None,
        };
        // What is in the trash of one that was deleted stays there.
        let repository = self
            .repositories
            .entry(name.clone())
            .or_insert_with(|| Repository::new(record.clone()));
        repository.record = record.clone();
        repository.deleted_at = None;
        self.tell(EventKind::RepositoryCreated, name, None, Vec::new(), None);
        Some(record)
    }

    pub(crate) fn change_repository(
        &mut self,
        name: &RepositoryName,
        change: impl FnOnce(&mut RepositorySettings),
    ) -> Answer<RepositoryRecord> {
        let repository = self.repository_mut(name)?;
        change(&mut repository.record.settings);
        Ok(repository.record.clone())
    }

    pub(crate) fn set_lifecycle_policy(
        &mut self,
        name: &RepositoryName,
        policy: Option<String>,
    ) -> Answer<RepositoryRecord> {
        let repository = self.repository_mut(name)?;
        let before = repository.record.clone();
        repository.record.lifecycle_policy = policy;
        self.tell(
            EventKind::LifecyclePolicyChanged,
            name,
            None,
            Vec::new(),
            None,
        );
        Ok(before)
    }

    pub(crate) fn delete_repository(
        &mut self,
        name: &RepositoryName,
        force: bool,
        by: &str,
    ) -> Answer<Deleted> {
        let repository = self.repository(name)?;
        let mut manifests = repository.manifests.values();
        if !force && manifests.any(|kept| kept.deleted.is_none()) {
            return Ok(Deleted::NotEmpty);
        }
        let now = self.now;
        let repository = self.repository_mut(name)?;
        let record = repository.record.clone();
        repository.deleted_at = Some(now);
        let digests: Vec<_> = repository.manifests.keys().cloned().collect();
        for digest in digests {
            if repository.live(&digest).is_some() {
                repository.delete(&digest, by, now);
            }
        }
        for link in repository.links.values_mut() {
            link.deleted_at = link.deleted_at.or(Some(now));
            link.review_since = Some(now);
        }
        self.tell(EventKind::RepositoryDeleted, name, None, Vec::new(), None);
        Ok(Deleted::Gone(record))
    }
}
