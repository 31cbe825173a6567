//! What `wharf export` and `wharf import` share.

use std::sync::Arc;

use wharf_storage::oci::{Reference, RepositoryName, Tag};

use super::environment::variables;
use super::error::Error;
use super::office::read_stdin;
use super::progress::{Progress, shown};
use crate::config::{Config, Flags};
use crate::transfer::remote::{Credentials, Remote, Transport};
use crate::transfer::{Copier, Place, Referrers, Source, Tally, Target};

/// What is read where nothing is named.
const LATEST: &str = "latest";

/// How to copy.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Copy every tag of the repository
    #[arg(long)]
    all_tags: bool,
    /// Copy every tag of every repository
    #[arg(long, conflicts_with = "all_tags")]
    pub(super) all: bool,
    /// Copy what refers to the images too, such as signatures and reports
    #[arg(long)]
    referrers: bool,
    /// Who to log in as at the other registry; the password is read from the standard input
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Speak plain HTTP to the other registry, as is done on loopback anyhow
    #[arg(long)]
    plain_http: bool,
    /// Another host that may give tokens for the registry, and so sees the password
    #[arg(long, value_name = "HOST")]
    trust_realm: Vec<String>,
    #[command(flatten)]
    pub(super) flags: Flags,
}

/// What to copy from one repository or layout to another.
pub(super) struct Job {
    pub(super) source: (Arc<dyn Source>, String),
    pub(super) target: (Arc<dyn Target>, String),
    pub(super) what: What,
}

/// What of a source.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// All that has a tag.
    Tags,
    /// These, under their tags or none.
    Images(Vec<(Reference, Option<Tag>)>),
}

impl What {
    /// One image, or every tag where that was asked for. `as_tag` is the name that it gets.
    pub(super) fn chosen(
        options: &Options,
        reference: Option<Reference>,
        as_tag: Option<Tag>,
    ) -> Result<Self, Error> {
        if options.all || options.all_tags {
            return match reference.is_some() || as_tag.is_some() {
                true => Err(refused("with all tags, none is named")),
                false => Ok(Self::Tags),
            };
        }
        let latest = || Reference::Tag(LATEST.parse().expect("it is a tag"));
        let reference = reference.unwrap_or_else(latest);
        let own = match &reference {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(_) => None,
        };
        Ok(Self::Images(vec![(reference, as_tag.or(own))]))
    }
}

/// A command line that makes no sense.
pub(super) fn refused(message: impl ToString) -> Error {
    Error::Transfer(message.to_string())
}

/// The tag that a target names, if it names one.
pub(super) fn target_tag(reference: Option<Reference>) -> Result<Option<Tag>, Error> {
    match reference {
        None => Ok(None),
        Some(Reference::Tag(tag)) => Ok(Some(tag)),
        Some(Reference::Digest(_)) => Err(refused("a target has a tag, and no digest")),
    }
}

/// The other registry, with a login for it where there is one.
pub(super) fn remote(host: &str, options: &Options) -> Result<Remote, Error> {
    let credentials = match &options.user {
        Some(user) => Some(Credentials::new(user.clone(), read_stdin()?)),
        None => {
            let all: std::collections::HashMap<String, String> = variables().collect();
            Credentials::find(host, |name| all.get(name).cloned())?
        }
    };
    let transport = match options.plain_http {
        true => Transport::Plain,
        false => Transport::Secure,
    };
    let trusted = options.trust_realm.clone();
    Ok(Remote::new(host, transport, credentials, trusted)?)
}

/// The host by which others know this registry.
pub(super) fn own_host(config: &Config) -> String {
    let url = url::Url::parse(&config.server.external_url).ok();
    let host = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    });
    host.unwrap_or_else(|| config.server.listen.to_string())
}

/// A repository below a prefix.
pub(super) fn below(
    prefix: Option<&RepositoryName>,
    name: &RepositoryName,
) -> Result<RepositoryName, Error> {
    match prefix {
        None => Ok(name.clone()),
        Some(prefix) => format!("{prefix}/{name}")
            .parse()
            .map_err(|error| refused(format!("{prefix}/{name}: {error}"))),
    }
}

/// A place with the repository that it names, for messages.
pub(super) fn shown_place(host: &str, repository: &RepositoryName) -> String {
    Place::Remote {
        host: host.to_owned(),
        repository: Some(repository.clone()),
        reference: None,
    }
    .to_string()
}

/// Does the jobs, one after the other, and tells of each image. What fails is told, and the rest is done
/// all the same.
pub(super) async fn run(jobs: Vec<Job>, options: &Options) -> Result<(), Error> {
    let tally = Arc::new(Tally::default());
    let referrers = match options.referrers {
        true => Referrers::Copied,
        false => Referrers::Left,
    };
    let progress = Progress::new();
    let (mut images, mut failures) = (0_u64, Vec::new());
    for job in jobs {
        let ((source, from), (target, to)) = (job.source, job.target);
        let what = match job.what {
            What::Images(images) => images,
            What::Tags => match progress.show(&tally, source.tags()).await {
                Ok(tags) => tags
                    .into_iter()
                    .map(|tag| (Reference::Tag(tag.clone()), Some(tag)))
                    .collect(),
                Err(error) => {
                    failures.push(format!("{from}: {}", error.line()));
                    continue;
                }
            },
        };
        let copier = Copier::new(source, target, referrers, Arc::clone(&tally));
        for (reference, tag) in what {
            let name = match &reference {
                Reference::Tag(tag) => format!("{from}:{tag}"),
                Reference::Digest(digest) => format!("{from}@{digest}"),
            };
            let copied = progress
                .show(&tally, copier.copy(&reference, tag.as_ref()))
                .await;
            match copied {
                Ok(digest) => {
                    images += 1;
                    let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
                    println!("{name} -> {to}{tag} {digest}");
                }
                Err(error) => failures.push(format!("{name}: {}", error.line())),
            }
        }
    }
    let of = Tally::of;
    println!(
        "copied {images} images: {} manifests, {} blobs with {}; {} blobs were there already",
        of(&tally.manifests),
        of(&tally.blobs_copied),
        shown(of(&tally.bytes_copied)),
        of(&tally.blobs_there)
    );
    match of(&tally.missing) {
        0 => {}
        missing => println!("indexes list {missing} manifests that their repositories do not have"),
    }
    match failures.len() {
        0 => Ok(()),
        _ => Err(Error::NotCopied(failures)),
    }
}
