//! Asking both the metadata and the model, and comparing what they say.

use std::collections::BTreeSet;

use wharf_storage::metadata::{ImageFilter, ImageName, Metadata, StorageClass, Stream};
use wharf_storage::oci::{Reference, RepositoryName};

use crate::model::trash::InTrash;
use crate::model::{Refusal, Told};
use crate::perform::{Difference, Pair, ages, compare, epoch};
use crate::step::Question;

/// More than any list here is long.
const ALL: u64 = 10_000;

/// Asks one question.
pub(crate) async fn ask(pair: &mut Pair<'_>, question: &Question) -> Result<(), Difference> {
    let metadata = pair.metadata.clone();
    let model = &pair.model;
    let world = pair.world;
    let now = model.now;
    match question {
        Question::Repositories { after, limit } => {
            let after = world.repositories.get(*after).map(RepositoryName::as_str);
            let got = metadata.repository_records(after, *limit).await;
            compare(
                "repository_records",
                got,
                Ok(model.repository_records(after, *limit)),
            )?;
            let got = metadata.repositories(after, *limit).await;
            let records = model.repository_records(after, *limit).into_iter();
            let expected = records.map(|record| record.name).collect();
            compare("repositories", got, Ok(expected))?;
            let Some(name) = after.map(|name| name.parse().expect("a name")) else {
                return Ok(());
            };
            let expected = model.find(&name).map(|found| found.record.clone());
            let exists = expected.is_some();
            compare("repository", metadata.repository(&name).await, Ok(expected))?;
            compare(
                "repository_exists",
                metadata.repository_exists(&name).await,
                Ok(exists),
            )
        }
        Question::Tags {
            repository,
            after,
            limit,
        } => {
            let name = &world.repositories[*repository];
            let after = world.tags.get(*after).map(wharf_storage::oci::Tag::as_str);
            let got = metadata.tags(name, after, *limit).await;
            compare("tags", got, model.tags(name, after, *limit))
        }
        Question::Manifest {
            repository,
            document,
        } => {
            let name = &world.repositories[*repository];
            let digest = &world.documents[*document].digest;
            manifest(pair, name, &Reference::Digest(digest.clone())).await?;
            let got = metadata.image(name, digest).await;
            let expected = model
                .images(name, None, ALL)
                .map(|images| images.into_iter().find(|image| image.digest == *digest));
            compare("image", got, expected.clone())?;
            let class = expected.map(|image| image.map(|image| image.storage_class));
            compare(
                "storage_class",
                metadata.storage_class(name, digest).await,
                class,
            )?;
            let got = metadata.indexes_of(name, digest).await;
            let got = got.map(|indexes| indexes.into_iter().collect::<BTreeSet<_>>());
            compare("indexes_of", got, Ok(model.indexes_of(name, digest)))
        }
        Question::Tagged { repository, tag } => {
            let name = &world.repositories[*repository];
            let tag = &world.tags[*tag];
            manifest(pair, name, &Reference::Tag(tag.clone())).await?;
            let expected = model
                .repository(name)
                .map(|repository| repository.tags.get(tag).map(|named| named.digest.clone()));
            compare("tagged", metadata.tagged(name, tag).await, expected)
        }
        Question::Referrers {
            repository,
            document,
            kind,
            limit,
        } => {
            let name = &world.repositories[*repository];
            let subject = &world.documents[*document].digest;
            let kinds = [
                None,
                Some("application/x.sbom"),
                Some("application/x.signature"),
                Some("a/b"),
            ];
            let kind = kinds[*kind];
            let after = (*limit == 2).then(|| world.documents[12].digest.to_string());
            let after = after.as_deref();
            let got = metadata.referrers(name, subject, kind, after, *limit).await;
            let expected = model.referrers(name, subject, kind, after, *limit);
            compare("referrers", got, Ok(expected))
        }
        Question::Images {
            repository,
            after,
            limit,
        } => {
            let name = &world.repositories[*repository];
            let after = world.documents[*after].digest.to_string();
            let after = (*limit < 1000).then_some(after.as_str());
            let got = metadata.images(name, after, *limit).await;
            compare("images", got, model.images(name, after, *limit))
        }
        Question::Names {
            repository,
            class,
            tagged,
            after,
            limit,
        } => {
            let name = &world.repositories[*repository];
            let filter = ImageFilter {
                class: [
                    None,
                    Some(StorageClass::Standard),
                    Some(StorageClass::Archive),
                ][*class],
                tagged: [None, Some(true), Some(false)][*tagged],
            };
            let digest = &world.documents[*after].digest;
            let tag = world.tags.get(*after % (world.tags.len() + 1)).cloned();
            let after = ImageName {
                digest: digest.clone(),
                tag,
            };
            let after = (*limit < 1000).then_some(&after);
            let got = metadata.image_names(name, after, filter, *limit).await;
            compare(
                "image_names",
                got,
                model.image_names(name, after, filter, *limit),
            )
        }
        Question::Facts { repository } => {
            let name = &world.repositories[*repository];
            let got = metadata.image_facts(name, now).await.map(|mut facts| {
                for fact in &mut facts {
                    fact.children.sort();
                    fact.image.bytes.clear();
                }
                facts.sort_by(|one, other| one.image.digest.cmp(&other.image.digest));
                facts
            });
            compare("image_facts", got, model.image_facts(name))
        }
        Question::Blobs { repository } => {
            let name = &world.repositories[*repository];
            for content in &world.contents {
                let digest = &content.digest;
                let blob = model.blob(name, digest);
                compare("blob", metadata.blob(name, digest).await, Ok(blob.clone()))?;
                let since = model.find(name).and_then(|repository| {
                    repository
                        .links
                        .get(digest)
                        .and_then(|link| link.review_since)
                });
                let got = metadata.blob_under_review(name, digest).await;
                compare("blob_under_review", got, Ok(blob.map(|blob| (blob, since))))?;
            }
            Ok(())
        }
        Question::Places { content, limit } => {
            let digest = &world.contents[*content].digest;
            let got = metadata.repositories_with_blob(digest, None, *limit).await;
            compare(
                "repositories_with_blob",
                got,
                Ok(model.repositories_with_blob(digest, *limit)),
            )
        }
        Question::History {
            repository,
            tag,
            limit,
        } => {
            let name = &world.repositories[*repository];
            let tag = &world.tags[*tag];
            let got = metadata.tag_history(name, tag, *limit).await;
            compare("tag_history", got, model.tag_history(name, tag, *limit))
        }
        Question::Trash {
            repository,
            skip,
            limit,
        } => {
            let name = repository.map(|repository| &world.repositories[repository]);
            let expected = model.trash(name);
            let all = trash(&metadata, name, 0, ALL).await;
            let after = all
                .as_ref()
                .ok()
                .and_then(|all| all.get(*skip))
                .map(|(id, _)| *id);
            compare("trash", all.map(without_ids), Ok(expected.clone()))?;
            let Some(after) = after else {
                return Ok(());
            };
            let page = trash(&metadata, name, after, *limit).await;
            let limit = usize::try_from(*limit).expect("a page's length");
            let expected = expected.into_iter().skip(skip + 1).take(limit).collect();
            compare("a page of trash", page.map(without_ids), Ok(expected))
        }
        Question::Leases { document } => {
            let digest = &world.documents[*document].digest;
            let got = metadata.leases(digest, now).await.map(|mut leases| {
                leases.sort();
                leases
            });
            compare("leases", got, Ok(model.leases(digest)))
        }
        Question::Plan { grace } => {
            let ages = ages(now, *grace);
            let got = metadata.collection_plan(ages).await;
            compare("collection_plan", got, Ok(model.collection_plan(ages)))
        }
        Question::Uploads { age, epoch: number } => {
            let (since, epoch) = (now.before(*age), epoch(*number));
            let got = metadata.forgotten_uploads(since, &epoch, ALL).await;
            let got = got.map(|uploads| uploads.into_iter().map(|upload| upload.id).collect());
            compare(
                "forgotten_uploads",
                got,
                Ok(model.forgotten_uploads(since, &epoch)),
            )?;
            let open = model.uploads.len() as u64;
            compare("open_uploads", metadata.open_uploads().await, Ok(open))?;
            for (id, upload) in &model.uploads {
                let expected = (
                    upload.repository.clone(),
                    upload.principal.clone(),
                    upload.offset,
                );
                let got = metadata.upload(*id).await.map(|found| {
                    found.map(|found| (found.repository, found.principal, found.progress.offset))
                });
                compare("upload", got, Ok(Some(expected)))?;
            }
            Ok(())
        }
        Question::Removals => {
            let got = metadata.removals(ALL).await.map(|locations| {
                let locations = locations
                    .iter()
                    .map(|location| location.as_str().to_owned());
                locations.collect::<BTreeSet<_>>()
            });
            compare("removals", got, Ok(model.removals.clone()))
        }
        Question::Events => events(pair).await,
    }
}

/// Asks everything.
pub(crate) async fn ask_all(pair: &mut Pair<'_>) -> Result<(), Difference> {
    let grace = std::time::Duration::from_secs(36_000);
    let mut questions = vec![
        Question::Repositories {
            after: usize::MAX,
            limit: ALL,
        },
        Question::Trash {
            repository: None,
            skip: 0,
            limit: 3,
        },
        Question::Plan { grace },
        Question::Uploads {
            age: grace,
            epoch: 0,
        },
        Question::Removals,
        Question::Events,
    ];
    for repository in 0..pair.world.repositories.len() {
        questions.extend([
            Question::Tags {
                repository,
                after: usize::MAX,
                limit: ALL,
            },
            Question::Images {
                repository,
                after: 0,
                limit: ALL,
            },
            Question::Names {
                repository,
                class: 0,
                tagged: 0,
                after: 0,
                limit: ALL,
            },
            Question::Facts { repository },
            Question::Blobs { repository },
        ]);
        let tags = 0..pair.world.tags.len();
        questions.extend(tags.map(|tag| Question::History {
            repository,
            tag,
            limit: ALL,
        }));
    }
    for question in questions {
        ask(pair, &question).await?;
    }
    Ok(())
}

/// What is told of a manifest, and its bytes.
async fn manifest(
    pair: &Pair<'_>,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<(), Difference> {
    let expected = pair.model.resolve(name, reference).map(|digest| {
        let manifest = &pair.world.document(&digest).manifest;
        (
            digest,
            manifest.media_type().clone(),
            manifest.bytes().clone(),
        )
    });
    let head = pair.metadata.manifest_head(name, reference).await;
    let head = head.map(|head| head.map(|head| (head.digest, head.media_type, head.size)));
    let expected_head = expected
        .clone()
        .map(|(digest, media_type, bytes)| (digest, media_type, bytes.len() as u64));
    compare("manifest_head", head, Ok(expected_head))?;
    let got = pair.metadata.manifest(name, reference).await;
    let got = got.map(|got| got.map(|got| (got.head.digest, got.head.media_type, got.bytes)));
    compare("manifest", got, Ok(expected))
}

type Numbered = (i64, InTrash);

async fn trash(
    metadata: &Metadata,
    name: Option<&RepositoryName>,
    after: i64,
    limit: u64,
) -> Result<Vec<Numbered>, wharf_storage::metadata::Error> {
    let trash = metadata.trash(name, after, limit).await?;
    let trash = trash.into_iter().map(|trashed| {
        let found = InTrash {
            repository: trashed.repository,
            digest: trashed.digest,
            tags: trashed.tags,
            deleted_at: trashed.deleted_at,
        };
        (trashed.id, found)
    });
    Ok(trash.collect())
}

fn without_ids(trash: Vec<Numbered>) -> Vec<InTrash> {
    trash.into_iter().map(|(_, found)| found).collect()
}

/// What was told since the last look, in any order; the numbers have no gap.
async fn events(pair: &mut Pair<'_>) -> Result<(), Difference> {
    let told = std::mem::take(&mut pair.model.told);
    let got = pair
        .metadata
        .events(Stream::Changes, pair.cursor, ALL)
        .await;
    let got = got
        .map_err(|error| format!("events: {:?}", Refusal::from(error)))?
        .events;
    for event in &got {
        pair.cursor += 1;
        if event.seq != pair.cursor {
            return Err(format!(
                "event {} has the number {}",
                pair.cursor, event.seq
            ));
        }
    }
    let mut got: Vec<Told> = got
        .into_iter()
        .map(|event| Told {
            kind: event.kind.as_str(),
            repository: event.repository.map(|name| name.to_string()),
            digest: event.detail.digest,
            tags: event.detail.tags,
            previous: event.detail.previous,
        })
        .collect();
    let mut expected = told;
    got.sort();
    expected.sort();
    let both: Vec<Told> = got
        .iter()
        .filter(|told| expected.contains(told))
        .cloned()
        .collect();
    if got.len() == expected.len() && both.len() == got.len() {
        return Ok(());
    }
    got.retain(|told| !both.contains(told));
    expected.retain(|told| !both.contains(told));
    compare(
        "events beside those that agree",
        Ok((both.len(), got)),
        Ok((0, expected)),
    )
}
