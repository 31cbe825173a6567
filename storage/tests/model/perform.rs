//! Doing a step to the metadata and to the model, and comparing what they answer.

use std::fmt::Debug;
use std::time::Duration;

use uuid::Uuid;
use wharf_storage::blob::Location;
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{
    Ages, Blob, Change, Chosen, Creation, Error, FinishedUpload, Hold, ManifestPush, Metadata,
    MissingContent, NewUpload, Pull, Pulled, RepositorySettings, Restored, StorageClass,
    TagMutability,
};
use wharf_storage::oci::{Algorithm, RepositoryName};
use wharf_storage::upload::{Progress, UploadId};

use crate::ask::ask;
use crate::model::images::Action;
use crate::model::{Answer, Model};
use crate::step::{Act, SLOTS, Step};
use crate::world::World;

/// What the metadata and the model don't agree about.
pub(crate) type Difference = String;

/// Compares what came of a call with what should have.
pub(crate) fn compare<T: Debug + PartialEq>(
    what: &str,
    got: Result<T, Error>,
    expected: Answer<T>,
) -> Result<(), Difference> {
    let got: Answer<T> = got.map_err(Into::into);
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
    let pairs = got.bytes().zip(expected.bytes());
    let same = pairs.take_while(|(one, other)| one == other);
    let from = same.count().saturating_sub(300);
    let shown = |text: &str| String::from_utf8_lossy(&text.as_bytes()[from..]).into_owned();
    Err(format!(
        "{what}, from place {from} on\n  the metadata: {}\n  the model:    {}",
        shown(&got),
        shown(&expected)
    ))
}

/// Both of them, and what is needed to talk to them.
#[derive(Debug)]
pub(crate) struct Pair<'world> {
    pub(crate) world: &'world World,
    pub(crate) metadata: Metadata,
    pub(crate) model: Model<'world>,
    /// The upload in each slot.
    slots: [UploadId; SLOTS],
    /// The place in the log of events up to which they agree.
    pub(crate) cursor: i64,
}

pub(crate) const ACTOR: &str = "user/alice";
const JOB: &str = "work";
/// How long it is held.
const TERM: Duration = Duration::from_secs(7200);

pub(crate) fn epoch(number: usize) -> String {
    format!("epoch {number}")
}

fn creation(allowed: bool) -> Creation {
    if allowed {
        Creation::Allowed
    } else {
        Creation::Forbidden
    }
}

fn settings(mutability: usize) -> RepositorySettings {
    let tag_mutability = [
        TagMutability::Mutable,
        TagMutability::Immutable,
        TagMutability::ImmutableWithExclusion,
        TagMutability::MutableWithExclusion,
    ][mutability];
    let has_filters = mutability > 1;
    RepositorySettings {
        tag_mutability,
        mutability_filters: has_filters.then(|| "1*".to_owned()).into_iter().collect(),
        ..RepositorySettings::default()
    }
}

/// What is older than a grace.
pub(crate) fn ages(now: Timestamp, grace: Duration) -> Ages {
    let before = now.before(grace);
    Ages {
        trash: before,
        review: before,
        condemned: before,
    }
}

/// The tags in ASCII order: they are told in any.
fn sorted(restored: Option<Restored>) -> Option<Restored> {
    restored.map(|mut restored| {
        restored.tags.sort();
        restored.taken.sort();
        restored
    })
}

impl<'world> Pair<'world> {
    /// An empty database, and an empty model.
    pub(crate) fn new(world: &'world World, metadata: Metadata) -> Self {
        let start = Timestamp::from_seconds(1_800_000_000);
        Self {
            world,
            metadata,
            model: Model::new(world, start),
            slots: [UploadId::new(Uuid::nil()); SLOTS],
            cursor: 0,
        }
    }

    fn change(&self) -> Change {
        Change::new(ACTOR, self.model.now)
    }

    fn name(&self, repository: usize) -> RepositoryName {
        self.world.repositories[repository].clone()
    }

    /// The upload of this step: its number makes its name, in this run and when it is replayed.
    fn upload(&self, step: u64, repository: usize, limit: u64, epoch_number: usize) -> NewUpload {
        NewUpload {
            id: UploadId::new(Uuid::from_u128(u128::from(step))),
            repository: self.name(repository),
            principal: format!("user/{}", step % 2),
            epoch: epoch(epoch_number),
            progress: Progress::start(Algorithm::Sha256),
            limit,
            now: self.model.now,
        }
    }

    fn finished(
        &self,
        id: UploadId,
        repository: RepositoryName,
        content: usize,
        allowed: bool,
    ) -> FinishedUpload {
        let content = &self.world.contents[content];
        let location: Location = format!("{}/{id}", content.digest.hex())
            .parse()
            .expect("a location");
        FinishedUpload {
            id,
            repository,
            blob: Blob {
                digest: content.digest.clone(),
                size: content.size,
                location,
            },
            creation: creation(allowed),
            change: self.change(),
        }
    }

    /// An image as a policy would choose it now, or would have before a tag of it went.
    fn chosen(&self, name: &RepositoryName, document: usize, is_stale: bool) -> Chosen {
        let digest = self.world.documents[document].digest.clone();
        let found = self.model.find(name);
        let mut tags = found
            .map(|found| found.tags_of(&digest))
            .unwrap_or_default();
        if is_stale && tags.pop().is_none() {
            tags.push(self.world.tags[0].clone());
        }
        Chosen { digest, tags }
    }

    /// Does one step to both.
    pub(crate) async fn step(&mut self, step: &Step) -> Result<(), Difference> {
        self.model.now = self.model.now.after(step.wait);
        let now = self.model.now;
        let change = self.change();
        let metadata = self.metadata.clone();
        let world = self.world;
        match &step.act {
            Act::Begin {
                slot,
                repository,
                limit,
                epoch,
            } => {
                let new = self.upload(step.number, *repository, *limit, *epoch);
                self.slots[*slot] = new.id;
                let got = metadata.begin_upload(new.clone()).await;
                compare("begin_upload", got, self.model.begin_upload(new))
            }
            Act::Progress { slot, from, offset } => {
                let id = self.slots[*slot];
                let mut progress = Progress::start(Algorithm::Sha256);
                progress.offset = *offset;
                let got = metadata.record_progress(id, *from, &progress, now).await;
                compare(
                    "record_progress",
                    got,
                    self.model.record_progress(id, *from, *offset),
                )
            }
            Act::Finish { slot, creation } => {
                let id = self.slots[*slot];
                let upload = self.model.uploads.get(&id);
                let repository =
                    upload.map_or_else(|| self.name(0), |upload| upload.repository.clone());
                let finished = self.finished(id, repository, slot % 7, *creation);
                let got = metadata.finish_upload(finished.clone()).await;
                compare("finish_upload", got, self.model.finish_upload(&finished))
            }
            Act::Cancel { slot } => {
                let id = self.slots[*slot];
                let got = metadata.remove_upload(id).await;
                compare("remove_upload", got, Ok(self.model.remove_upload(id)))
            }
            Act::Store {
                repository,
                content,
            } => {
                let mut new = self.upload(step.number, *repository, 1000, 0);
                new.progress.offset = world.contents[*content].size;
                let got = metadata.begin_upload(new.clone()).await;
                compare("begin_upload", got, self.model.begin_upload(new.clone()))?;
                let finished = self.finished(new.id, new.repository, *content, true);
                let got = metadata.finish_upload(finished.clone()).await;
                compare("finish_upload", got, self.model.finish_upload(&finished))
            }
            Act::Mount {
                source,
                target,
                content,
                creation: allowed,
            } => {
                let (source, target) = (self.name(*source), self.name(*target));
                let digest = &world.contents[*content].digest;
                let allowed = creation(*allowed);
                let got = metadata
                    .mount(&source, &target, digest, allowed, change)
                    .await;
                compare(
                    "mount",
                    got,
                    self.model.mount(&source, &target, digest, allowed),
                )
            }
            Act::Unlink {
                repository,
                content,
            } => {
                let name = self.name(*repository);
                let digest = &world.contents[*content].digest;
                let got = metadata.unlink_blob(&name, digest, now).await;
                compare("unlink_blob", got, self.model.unlink_blob(&name, digest))
            }
            Act::Touch {
                repository,
                content,
            } => {
                let name = self.name(*repository);
                let digest = &world.contents[*content].digest;
                let got = metadata.touch_blob(&name, digest, now).await;
                compare("touch_blob", got, self.model.touch_blob(&name, digest))
            }
            Act::Push {
                repository,
                document,
                tags,
                creation: allowed,
                sparse,
            } => {
                let document = &world.documents[*document];
                let missing_content = if *sparse {
                    MissingContent::Accepted
                } else {
                    MissingContent::Refused
                };
                let push = ManifestPush {
                    repository: self.name(*repository),
                    manifest: document.manifest.clone(),
                    digest: document.digest.clone(),
                    tags: tags.iter().map(|tag| world.tags[*tag].clone()).collect(),
                    change,
                    creation: creation(*allowed),
                    missing_content,
                };
                let got = metadata.push_manifest(push.clone()).await;
                let expected = self.model.push_manifest(
                    &push.repository,
                    document,
                    &push.tags,
                    push.creation,
                    missing_content,
                    ACTOR,
                );
                compare("push_manifest", got, expected)
            }
            Act::Delete {
                repository,
                document,
            } => {
                let name = self.name(*repository);
                let digest = &world.documents[*document].digest;
                let got = metadata.delete_manifest(&name, digest, change).await;
                compare(
                    "delete_manifest",
                    got,
                    self.model.delete_manifest(&name, digest, ACTOR),
                )
            }
            Act::DeleteTag { repository, tag } => {
                let name = self.name(*repository);
                let tag = &world.tags[*tag];
                let got = metadata.delete_tag(&name, tag, change).await;
                compare("delete_tag", got, self.model.delete_tag(&name, tag, ACTOR))
            }
            Act::Untag {
                repository,
                document,
                tags,
            } => {
                let name = self.name(*repository);
                let digest = &world.documents[*document].digest;
                let tags: Vec<_> = tags.iter().map(|tag| world.tags[*tag].clone()).collect();
                let got = metadata
                    .untag_image(&name, digest, tags.clone(), change)
                    .await;
                compare(
                    "untag_image",
                    got,
                    self.model.untag_image(&name, digest, &tags, ACTOR),
                )
            }
            Act::Create {
                repository,
                mutability,
            } => {
                let name = self.name(*repository);
                let settings = settings(*mutability);
                let got = metadata
                    .create_repository(&name, settings.clone(), None, change)
                    .await;
                compare(
                    "create_repository",
                    got,
                    Ok(self.model.create_repository(&name, settings)),
                )
            }
            Act::Change {
                repository,
                mutability,
                scan,
            } => {
                let name = self.name(*repository);
                let (scan, wanted) = (*scan, settings(*mutability));
                let change = move |settings: &mut RepositorySettings| {
                    settings.clone_from(&wanted);
                    settings.scan_on_push = scan;
                };
                let got = metadata.change_repository(&name, change.clone()).await;
                compare(
                    "change_repository",
                    got,
                    self.model.change_repository(&name, change),
                )
            }
            Act::SetLifecycle { repository, policy } => {
                let name = self.name(*repository);
                let policy = policy.map(|number| format!("{{\"rules\":[{number}]}}"));
                let got = metadata
                    .set_lifecycle_policy(&name, policy.clone(), change)
                    .await;
                compare(
                    "set_lifecycle_policy",
                    got,
                    self.model.set_lifecycle_policy(&name, policy),
                )
            }
            Act::DeleteRepository { repository, force } => {
                let name = self.name(*repository);
                let got = metadata.delete_repository(&name, *force, change).await;
                let expected = self.model.delete_repository(&name, *force, ACTOR);
                compare("delete_repository", got, expected)
            }
            Act::RestoreRepository { repository } => {
                let name = self.name(*repository);
                let got = metadata.restore_repository(&name, change).await.map(sorted);
                let expected = self.model.restore_repository(&name, ACTOR);
                compare("restore_repository", got, Ok(sorted(expected)))
            }
            Act::Restore {
                repository,
                document,
            } => {
                let name = self.name(*repository);
                let digest = &world.documents[*document].digest;
                let got = metadata.restore(&name, digest, change).await.map(sorted);
                compare(
                    "restore",
                    got,
                    Ok(sorted(self.model.restore(&name, digest, ACTOR))),
                )
            }
            Act::RestoreBlob {
                repository,
                content,
            } => {
                let name = self.name(*repository);
                let digest = &world.contents[*content].digest;
                let got = metadata.restore(&name, digest, change).await.map(sorted);
                compare(
                    "restore",
                    got,
                    Ok(sorted(self.model.restore(&name, digest, ACTOR))),
                )
            }
            Act::RollBack {
                repository,
                tag,
                to,
            } => {
                let name = self.name(*repository);
                let tag = &world.tags[*tag];
                let to = to.map(|document| world.documents[document].digest.clone());
                let got = metadata.roll_back_tag(&name, tag, to.clone(), change).await;
                let expected = self.model.roll_back_tag(&name, tag, to.as_ref(), ACTOR);
                compare("roll_back_tag", got, expected)
            }
            Act::Lock {
                repository,
                tag,
                locked,
            } => {
                let name = self.name(*repository);
                let tag = &world.tags[*tag];
                let got = metadata.lock_tag(&name, tag, locked.then_some(now)).await;
                compare("lock_tag", got, self.model.lock_tag(&name, tag, *locked))
            }
            Act::Lease {
                document,
                holder,
                term,
            } => {
                let digest = &world.documents[*document].digest;
                let holder = format!("holder {holder}");
                let got = metadata.lease(digest, &holder, now.after(*term), now).await;
                self.model.leases.retain(|_, until| *until > now);
                self.model
                    .leases
                    .insert((digest.clone(), holder), now.after(*term));
                compare("lease", got, Ok(()))
            }
            Act::Release { document, holder } => {
                let digest = &world.documents[*document].digest;
                let holder = format!("holder {holder}");
                let got = metadata.release(digest, &holder).await;
                let held = self
                    .model
                    .leases
                    .remove(&(digest.clone(), holder))
                    .is_some();
                compare("release", got, Ok(held))
            }
            Act::Class {
                repository,
                document,
                archive,
            } => {
                let name = self.name(*repository);
                let digest = &world.documents[*document].digest;
                let class = if *archive {
                    StorageClass::Archive
                } else {
                    StorageClass::Standard
                };
                let got = metadata
                    .set_storage_class(&name, digest, class, change)
                    .await;
                compare(
                    "set_storage_class",
                    got,
                    self.model.set_storage_class(&name, digest, class),
                )
            }
            Act::Pulls {
                repository,
                document,
                age,
            } => {
                let name = self.name(*repository);
                let digest = &world.documents[*document].digest;
                let at = now.before(*age);
                let pull = Pull {
                    repository: name.clone(),
                    digest: digest.clone(),
                };
                let pulled = Pulled {
                    at,
                    by: ACTOR.to_owned(),
                    count: 2,
                };
                let got = metadata.record_pulls(vec![(pull, pulled)], change).await;
                self.model.record_pull(&name, digest, at);
                compare("record_pulls", got, Ok(()))
            }
            Act::Purge { grace } => {
                let ages = ages(now, *grace);
                let got = metadata.purge_trash(ages, now, 10_000).await;
                compare("purge_trash", got, Ok(self.model.purge_trash(ages.trash)))
            }
            Act::Review { grace } => {
                let ages = ages(now, *grace);
                let got = metadata.review_links(ages, now, 10_000).await;
                compare("review_links", got, Ok(self.model.review_links(ages)))
            }
            Act::Forget { grace } => {
                let ages = ages(now, *grace);
                let got = metadata.forget_condemned(ages, now, 10_000).await;
                compare(
                    "forget_condemned",
                    got,
                    Ok(self.model.forget_condemned(ages.condemned)),
                )
            }
            Act::Removed { first } => {
                let gone: Vec<String> = self.model.removals.iter().take(*first).cloned().collect();
                let locations: Vec<Location> = gone
                    .iter()
                    .map(|text| text.parse().expect("a location"))
                    .collect();
                let got = metadata.removed(&locations).await;
                for location in &gone {
                    self.model.removals.remove(location);
                }
                compare("removed", got, Ok(()))
            }
            Act::HoldJob { holder } => {
                let holder = format!("holder {holder}");
                let got = metadata.hold_job(JOB, &holder, now, TERM).await;
                compare("hold_job", got, Ok(self.model.hold_job(&holder)))
            }
            Act::Policy {
                repository,
                documents,
                is_stale,
                archive,
            } => {
                let name = self.name(*repository);
                let chosen: Vec<Chosen> = documents
                    .iter()
                    .map(|document| self.chosen(&name, *document, *is_stale))
                    .collect();
                let (got, action) = if *archive {
                    let got = metadata.archive_images(&name, chosen.clone(), change).await;
                    (got, Action::Archive)
                } else {
                    let got = metadata.expire_images(&name, chosen.clone(), change).await;
                    (got, Action::Expire)
                };
                let expected = self.model.apply_policy(&name, &chosen, action, ACTOR);
                compare("expire_images, archive_images", got, expected)
            }
            Act::ReleaseJob { holder } => {
                let holder = format!("holder {holder}");
                let got = metadata.release_job(JOB, &holder).await;
                self.model.release_job(&holder);
                compare("release_job", got, Ok(()))
            }
            Act::Ask(question) => ask(self, question).await,
        }
    }
}

impl Model<'_> {
    fn hold_job(&mut self, holder: &str) -> Hold {
        let now = self.now;
        let before = self.job.take();
        match before {
            Some((by, until, seen_at)) if by != holder && until > now => {
                self.job = Some((by, until, seen_at));
                Hold::ByOther
            }
            before => {
                self.job = Some((holder.to_owned(), now.after(TERM), now));
                Hold::Held {
                    seen_at: before.map(|(_, _, seen_at)| seen_at),
                }
            }
        }
    }

    fn release_job(&mut self, holder: &str) {
        if let Some((by, until, _)) = &mut self.job
            && by == holder
        {
            *until = Timestamp::from_micros(i64::MIN);
        }
    }
}
