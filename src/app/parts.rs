//! The parts of the server, made from the configuration.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_auth::authority::{self, Authority, Enforcement};
use wharf_auth::directory::Directory;
use wharf_auth::oidc::Fetcher;
use wharf_storage::blob::BlobStore;
use wharf_storage::metadata::Creation;

use super::stores::Stores;
use super::{App, Error, Office};
use crate::audit;
use crate::config::Config;
use crate::events::{self, Dispatcher, Endpoints};
use crate::http;
use crate::jobs::{collection, scrub};
use crate::outbound::Outbound;
use crate::registry::{self, Collector, Graces, Recorder, Registry, Scrubber};

impl App {
    /// Starts the collection of what nothing needs, where it is wanted.
    pub(super) fn collect(&self, jobs: &TaskTracker, stop: CancellationToken) {
        let every = self.config.gc.run_every.duration();
        if every.is_zero() {
            return;
        }
        let instance = Arc::clone(&self.instance);
        let collector = collector(&self.config, &self.office, instance);
        let clock = Arc::clone(&self.office.clock);
        jobs.spawn(async move {
            collection::run(collector, &*clock, every, stop).await;
        });
    }

    /// Who keeps records beside the bytes.
    pub(super) fn recorder(&self) -> Recorder {
        let Office {
            metadata, clock, ..
        } = &self.office;
        Recorder::new(
            metadata.clone(),
            Arc::clone(&self.stores.records),
            Arc::clone(clock),
            Arc::clone(&self.instance),
        )
    }

    /// Starts to read all bytes again from time to time, where it is wanted.
    pub(super) fn scrub(&self, jobs: &TaskTracker, stop: CancellationToken) {
        let config = &self.config.scrub;
        let every = config.run_every.duration();
        if every.is_zero() {
            return;
        }
        let (blobs, instance) = (Arc::clone(&self.stores.blobs), Arc::clone(&self.instance));
        let rate = config.bytes_per_second.bytes();
        let scrubber = scrubber(&self.office, blobs, instance, rate);
        let clock = Arc::clone(&self.office.clock);
        jobs.spawn(async move { scrub::run(scrubber, &*clock, every, stop).await });
    }

    /// Who delivers events.
    pub(super) fn dispatcher(&self) -> Dispatcher {
        let events = &self.config.events;
        Dispatcher {
            metadata: self.office.metadata.clone(),
            feed: Arc::clone(&self.feed),
            sealer: Arc::clone(&self.office.sealer),
            outbound: Arc::clone(&self.outbound),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.office.clock),
            origin: Arc::new(origin(&self.config, &self.instance)),
            holder: Arc::clone(&self.instance),
            settings: events::dispatcher::Settings {
                keep: events.keep.duration(),
                keep_bytes: events.keep_size.bytes(),
                give_up_after: events.give_up_after.duration(),
            },
        }
    }

    /// What the handlers share, and who writes the audit log behind them.
    pub(crate) fn doors(&self, stopping: CancellationToken) -> (http::State, audit::Writer) {
        let (config, office) = (&self.config, &self.office);
        let (audit, writer) = audit::open(
            office.metadata.clone(),
            Arc::clone(&office.clock),
            config.audit.reads,
            config.audit.keep.duration(),
        );
        let external_url = &config.server.external_url;
        let settings = http::Settings {
            no_redirect_for: config.s3.no_redirect_for.clone(),
            manifest_limit: config.registry.manifest_limit.in_memory(),
            page_limit: config.registry.page_limit,
            min_bytes_per_second: config.server.min_bytes_per_second,
            metrics: config.metrics.enabled,
            external_url: (!external_url.is_empty()).then(|| external_url.clone()),
            trusted_proxies: config.server.trusted_proxies.clone(),
            ecr: http::ecr::Settings {
                account_id: config.ecr.account_id.clone(),
                region: config.ecr.region.clone(),
                host: config.ecr.host.as_str().into(),
            },
        };
        let state = http::State::new(http::Doors {
            registry: Arc::clone(&self.registry),
            authority: Arc::clone(&self.authority),
            administration: office.administration.clone(),
            metadata: office.metadata.clone(),
            audit,
            clock: Arc::clone(&office.clock),
            feed: Arc::clone(&self.feed),
            endpoints: Endpoints::new(
                office.metadata.clone(),
                Arc::clone(&office.sealer),
                Arc::clone(&self.outbound),
                Arc::clone(&office.clock),
            ),
            origin: Arc::new(origin(&self.config, &self.instance)),
            sealer: Arc::clone(&office.sealer),
            metrics: Arc::clone(&self.metrics),
            stopping,
            settings: Arc::new(settings),
        });
        (state, writer)
    }
}

/// The registry that events tell of, told by a process of this name.
pub(crate) fn origin(config: &Config, instance: &str) -> events::Origin {
    let ecr = &config.ecr;
    let url = match (config.server.external_url.as_str(), ecr.host.as_str()) {
        ("", "") => String::new(),
        ("", host) => {
            let host = host.replace("{account}", &ecr.account_id);
            format!("https://{}", host.replace("{region}", &ecr.region))
        }
        (url, _) => url.trim_end_matches('/').to_owned(),
    };
    events::Origin {
        account: ecr.account_id.clone(),
        region: ecr.region.clone(),
        url,
        instance: instance.to_owned(),
    }
}

/// Who collects what nothing needs, as a process of this name.
pub(crate) fn collector(config: &Config, office: &Office, holder: Arc<str>) -> Collector {
    let gc = &config.gc;
    let graces = Graces {
        trash: gc.keep_deleted.duration(),
        review: gc.grace.duration(),
        condemned: gc.keep_condemned.duration(),
    };
    let clock = Arc::clone(&office.clock);
    Collector::new(office.metadata.clone(), clock, graces, holder)
}

/// Who reads all bytes again, as a process of this name.
pub(crate) fn scrubber(
    office: &Office,
    blobs: Arc<dyn BlobStore>,
    holder: Arc<str>,
    bytes_per_second: u64,
) -> Scrubber {
    let (metadata, clock) = (office.metadata.clone(), Arc::clone(&office.clock));
    Scrubber::new(metadata, blobs, clock, holder, bytes_per_second)
}

/// The registry on its stores.
pub(super) fn registry(config: &Config, office: &Office, stores: &Stores) -> Registry {
    let settings = registry::Settings {
        creation: match config.registry.create_on_push {
            true => Creation::Allowed,
            false => Creation::Forbidden,
        },
        missing_content: config.registry.missing_content.into(),
        uploads_per_principal: config.uploads.open_per_principal,
        upload_expiry: config.uploads.expire_after.duration(),
        grace: config.gc.grace.duration(),
        default_lifecycle_policy: match config.lifecycle.default_policy.as_str() {
            "" => None,
            policy => Some(policy.to_owned()),
        },
        redirects: {
            let s3 = &config.s3;
            (s3.is_on() && s3.redirect).then(|| s3.redirect_lifetime.duration())
        },
    };
    Registry::new(
        office.metadata.clone(),
        Arc::clone(&stores.blobs),
        Arc::clone(&stores.uploads),
        Arc::clone(&office.clock),
        settings,
    )
}

/// Who believes callers and asks the policies.
pub(super) async fn authority(
    config: &Config,
    office: &Office,
    outbound: &Arc<Outbound>,
) -> Result<Authority, Error> {
    let auth = &config.auth;
    let directory = Directory::load(office.metadata.clone(), Arc::clone(&office.sealer)).await?;
    let settings = authority::Settings {
        enforcement: match auth.enabled {
            true => Enforcement::Policies,
            false => Enforcement::Open,
        },
        service: auth.service.clone(),
        access_lifetime: auth.token_lifetime.duration(),
        refresh_lifetime: auth.refresh_lifetime.duration(),
        login_lifetime: auth.login_lifetime.duration(),
        session_lifetime: auth.session_lifetime.duration(),
        calls_per_principal: auth.requests_per_principal,
        calls_per_address: auth.requests_per_address,
    };
    Ok(Authority::new(
        directory,
        Arc::clone(&office.sealer),
        Arc::clone(&office.clock),
        Arc::clone(outbound) as Arc<dyn Fetcher>,
        settings,
    ))
}
