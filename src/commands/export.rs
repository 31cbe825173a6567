//! `wharf export`: images of this registry, to a layout or another registry.

use std::sync::Arc;

use wharf_storage::oci::{Reference, RepositoryName, Tag};

use super::error::Error;
use super::office;
use super::transfer::{
    self, Job, Options, What, below, own_host, refused, remote, shown_place, target_tag,
};
use crate::app::{self, Office};
use crate::config::Config;
use crate::registry::Registry;
use crate::transfer::layout::{Layout, Writer};
use crate::transfer::remote::{Remote, RemoteRepository};
use crate::transfer::{Own, Place};

/// How many names are read at once.
const PAGE: u64 = 1000;

/// What to copy, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Images, REPOSITORY[:TAG|@DIGEST], and at last where they go: oci:DIR[:TAG],
    /// oci-archive:FILE[:TAG], or docker://HOST[/NAME[:TAG]]
    #[arg(value_name = "SOURCE... TARGET", required = true, num_args = 1..)]
    places: Vec<Place>,
    #[command(flatten)]
    options: Options,
}

/// Where images go, as it is opened.
enum Goal {
    Layout(Arc<Writer>, String),
    Remote(Remote, Option<RepositoryName>),
}

/// Does it.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        mut places,
        options,
    } = arguments;
    let target = places.pop().expect("there is one at least");
    let mut sources = Vec::new();
    for place in places {
        match place {
            Place::Own {
                repository,
                reference,
            } => sources.push((repository, reference)),
            other => {
                return Err(refused(format!(
                    "{other} is no repository of this registry"
                )));
            }
        }
    }
    match (sources.is_empty(), options.all) {
        (true, false) => return Err(refused("nothing is named to be copied; --all takes all")),
        (false, true) => return Err(refused("with --all, no repository is named")),
        _ => {}
    }
    office::run(&options.flags.clone(), |office, config| async move {
        export(&office, &config, sources, target, &options).await
    })
}

async fn export(
    office: &Office,
    config: &Config,
    mut sources: Vec<(RepositoryName, Option<Reference>)>,
    target: Place,
    options: &Options,
) -> Result<(), Error> {
    let registry = Arc::new(app::registry_beside(config, office).await?);
    if options.all {
        let all = repositories(&registry).await?;
        sources.extend(all.into_iter().map(|name| (name, None)));
    }
    let name = target.to_string();
    let (goal, tag) = goal(target, options).await?;
    let is_several = sources.len() > 1;
    let names_one = matches!(&goal, Goal::Remote(_, Some(_)));
    if is_several && (tag.is_some() || names_one && !options.all) {
        return Err(refused("several images do not go to one name"));
    }
    let mut jobs = Vec::new();
    for (repository, reference) in sources {
        let what = What::chosen(options, reference, tag.clone())?;
        jobs.push(Job {
            source: (
                Arc::new(Own::new(Arc::clone(&registry), repository.clone())),
                repository.to_string(),
            ),
            target: goal.of(&repository, &own_host(config), options)?,
            what,
        });
    }
    let ran = transfer::run(jobs, options).await;
    // What could be copied is kept, whatever could not.
    let finished = match &goal {
        Goal::Layout(writer, _) => writer.finish().await,
        Goal::Remote(..) => Ok(()),
    };
    ran?;
    finished?;
    office.did("export", &name).await
}

async fn goal(target: Place, options: &Options) -> Result<(Goal, Option<Tag>), Error> {
    let name = target.to_string();
    match target {
        Place::Layout(files) => {
            let tag = target_tag(files.reference)?;
            let writer = Arc::new(Writer::folder(files.path).await?);
            Ok((Goal::Layout(writer, name), tag))
        }
        Place::Archive(files) => {
            let tag = target_tag(files.reference)?;
            let writer = Arc::new(Writer::archive(files.path).await?);
            Ok((Goal::Layout(writer, name), tag))
        }
        Place::Remote {
            host,
            repository,
            reference,
        } => {
            let tag = target_tag(reference)?;
            Ok((Goal::Remote(remote(&host, options)?, repository), tag))
        }
        Place::Own { .. } => {
            let message =
                "is no place to export to; oci:DIR, oci-archive:FILE and docker://HOST are";
            Err(refused(format!("{name} {message}")))
        }
    }
}

impl Goal {
    /// The target of one repository's images.
    fn of(
        &self,
        repository: &RepositoryName,
        own_host: &str,
        options: &Options,
    ) -> Result<(Arc<dyn crate::transfer::Target>, String), Error> {
        match self {
            Self::Layout(writer, name) => {
                let layout = Layout::new(Arc::clone(writer), own_host, repository);
                Ok((Arc::new(layout), name.clone()))
            }
            Self::Remote(remote, name) => {
                let name = match name {
                    Some(prefix) if options.all => below(Some(prefix), repository)?,
                    Some(name) => name.clone(),
                    None => repository.clone(),
                };
                let shown = shown_place(&remote.host(), &name);
                let target = RemoteRepository::new(remote.clone(), name);
                Ok((Arc::new(target), shown))
            }
        }
    }
}

async fn repositories(registry: &Registry) -> Result<Vec<RepositoryName>, Error> {
    let mut all: Vec<RepositoryName> = Vec::new();
    loop {
        let after = all.last().map(|last| last.as_str().to_owned());
        let page = registry.repositories(after.as_deref(), PAGE).await;
        let page = page.map_err(Error::Registry)?;
        all.extend(page.items);
        if !page.more {
            return Ok(all);
        }
    }
}
