//! `wharf import`: images of a layout or another registry, into this one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use wharf_storage::oci::{Reference, RepositoryName, Tag};

use super::error::Error;
use super::office;
use super::transfer::{self, Job, Options, What, below, refused, remote, shown_place, target_tag};
use crate::app::{self, Office, Opening};
use crate::registry::Registry;
use crate::transfer::layout::Reader;
use crate::transfer::remote::RemoteRepository;
use crate::transfer::{Files, Own, Place};

/// What to copy, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where images come from: oci:DIR[:TAG|@DIGEST], oci-archive:FILE[:TAG|@DIGEST], or
    /// docker://HOST[/NAME[:TAG|@DIGEST]]
    #[arg(value_name = "SOURCE")]
    source: Place,
    /// What they are here, REPOSITORY[:TAG]; with --all what all names begin with. Without it as there
    #[arg(value_name = "TARGET")]
    target: Option<Place>,
    #[command(flatten)]
    options: Options,
}

/// What things are called here.
struct Goal {
    registry: Arc<Registry>,
    repository: Option<RepositoryName>,
    tag: Option<Tag>,
}

/// Does it.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        source,
        target,
        options,
    } = arguments;
    let (repository, tag) = match target {
        None => (None, None),
        Some(Place::Own {
            repository,
            reference,
        }) => (Some(repository), target_tag(reference)?),
        Some(other) => {
            return Err(refused(format!(
                "{other} is no repository of this registry"
            )));
        }
    };
    // It may well be the first that a new registry is told.
    office::run_in(
        Opening::New,
        &options.flags.clone(),
        |office, config| async move {
            let goal = Goal {
                registry: Arc::new(app::registry_beside(&config, &office).await?),
                repository,
                tag,
            };
            import(&office, source, goal, &options).await
        },
    )
}

async fn import(
    office: &Office,
    source: Place,
    goal: Goal,
    options: &Options,
) -> Result<(), Error> {
    let name = source.to_string();
    let jobs = match source {
        Place::Layout(Files { path, reference }) => {
            let reader = Reader::folder(path.clone()).await?;
            of_layout(
                &reader,
                format!("oci:{}", shown(&path)),
                reference,
                &goal,
                options,
            )?
        }
        Place::Archive(Files { path, reference }) => {
            let reader = Reader::archive(path.clone()).await?;
            let shown = format!("oci-archive:{}", shown(&path));
            of_layout(&reader, shown, reference, &goal, options)?
        }
        Place::Remote {
            host,
            repository,
            reference,
        } => of_remote(&host, repository, reference, &goal, options).await?,
        Place::Own { .. } => {
            let message =
                "is no place to import from; oci:DIR, oci-archive:FILE and docker://HOST are";
            return Err(refused(format!("{name} {message}")));
        }
    };
    transfer::run(jobs, options).await?;
    office.did("import", &name).await
}

fn shown(path: &std::path::Path) -> String {
    PathBuf::from(path).display().to_string()
}

impl Goal {
    fn of(&self, repository: RepositoryName) -> (Arc<dyn crate::transfer::Target>, String) {
        let shown = repository.to_string();
        let own = Own::new(Arc::clone(&self.registry), repository);
        (Arc::new(own), shown)
    }
}

fn of_layout(
    reader: &Reader,
    shown: String,
    reference: Option<Reference>,
    goal: &Goal,
    options: &Options,
) -> Result<Vec<Job>, Error> {
    if options.all {
        if reference.is_some() || goal.tag.is_some() {
            return Err(refused("with --all, no image is named"));
        }
        let (named, others) = reader.named();
        if others > 0 {
            eprintln!("{others} images have no full name, and are left");
        }
        let mut images: BTreeMap<RepositoryName, Vec<_>> = BTreeMap::new();
        for named in named {
            let target = below(goal.repository.as_ref(), &named.repository)?;
            let image = (Reference::Digest(named.digest), Some(named.tag));
            images.entry(target).or_default().push(image);
        }
        let job = |(target, images)| Job {
            source: (Arc::new(reader.clone()), shown.clone()),
            target: goal.of(target),
            what: What::Images(images),
        };
        return Ok(images.into_iter().map(job).collect());
    }
    let repository = goal.repository.clone();
    let repository =
        repository.ok_or_else(|| refused("it is not said which repository it goes to"))?;
    let what = match What::chosen(options, reference.clone(), goal.tag.clone())? {
        // Without a name it is the one that the layout has, whatever its tag.
        What::Images(_) if reference.is_none() => {
            let (digest, tag) = reader.only()?;
            What::Images(vec![(Reference::Digest(digest), goal.tag.clone().or(tag))])
        }
        what => what,
    };
    Ok(vec![Job {
        source: (Arc::new(reader.clone()), shown),
        target: goal.of(repository),
        what,
    }])
}

async fn of_remote(
    host: &str,
    repository: Option<RepositoryName>,
    reference: Option<Reference>,
    goal: &Goal,
    options: &Options,
) -> Result<Vec<Job>, Error> {
    let remote = remote(host, options)?;
    let job = |name: RepositoryName, target: RepositoryName, what: What| Job {
        source: (
            Arc::new(RemoteRepository::new(remote.clone(), name.clone())),
            shown_place(host, &name),
        ),
        target: goal.of(target),
        what,
    };
    match (options.all, repository) {
        (true, Some(_)) => Err(refused("with --all, no repository is named")),
        (false, None) => Err(refused("no repository is named; --all takes all of them")),
        (true, None) => {
            let mut jobs = Vec::new();
            for name in remote.catalog().await? {
                let target = below(goal.repository.as_ref(), &name)?;
                jobs.push(job(
                    name,
                    target,
                    What::chosen(options, None, goal.tag.clone())?,
                ));
            }
            Ok(jobs)
        }
        (false, Some(name)) => {
            let target = goal.repository.clone().unwrap_or_else(|| name.clone());
            let what = What::chosen(options, reference, goal.tag.clone())?;
            Ok(vec![job(name, target, what)])
        }
    }
}
