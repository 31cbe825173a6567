//! Resolves names, and drops the addresses that lead inside.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_open;

/// The system's resolver behind a check.
#[derive(Debug)]
pub(super) struct Resolver {
    allow: Arc<[IpNet]>,
}

impl Resolver {
    pub(super) fn new(allow: Arc<[IpNet]>) -> Self {
        Self { allow }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.allow);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let open: Vec<SocketAddr> = found
                .filter(|address| is_open(address.ip(), &allow))
                .collect();
            if open.is_empty() {
                let message = "the name leads inside; outbound.allow opens networks";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message).into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}
